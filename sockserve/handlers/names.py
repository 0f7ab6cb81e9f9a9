"""What answers: the handlers that have a name, and the functions of users.

`maker` turns a handler, as users write it, into what makes the protocol of each connection.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, cast

from sockserve.client.endpoints import parse_endpoint
from sockserve.connection.conversation import Conversation, ConversationProtocol
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import parse
from sockserve.handlers.discard import Discard
from sockserve.handlers.echo import Echo
from sockserve.handlers.forward import Forward
from sockserve.handlers.function import DEFAULT_MAX_PENDING, Answering, Function
from sockserve.handlers.relay import Relay
from sockserve.handlers.threads import Threads
from sockserve.text import nearest

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads

Maker = Callable[[], MessageProtocol]

NAMES = ("echo", "discard", "relay", "forward:ENDPOINT[,FRAMING]", "MODULE:CALLABLE")
"""What a handler's name may be."""


def maker(
    handler: str | Function,
    *,
    max_pending: int = DEFAULT_MAX_PENDING,
    threads: bool = False,
    max_length: int | None = None,
    reactor: object = None,
) -> Maker:
    """What makes the protocol of each connection that this handler answers.

    handler: one of NAMES, or a function. max_pending: for functions, see Answering. threads: call the function in
    threads of this maker's own. max_length: for the framing that a forward names. Raises ValueError with one line that
    says what is accepted.
    """
    if not isinstance(handler, str):
        function = handler
    elif handler == "echo":
        return Echo
    elif handler == "discard":
        return Discard
    elif handler == "relay":
        return Relay().client
    elif handler.startswith("forward:"):
        return _forward(handler, max_length, reactor).client
    else:
        function = cast("Function", load(handler, accepted=NAMES))
    if threads and iscoroutinefunction(function):
        raise ValueError("threads are for a handler that blocks, not for a coroutine function")
    if max_pending < 1:
        raise ValueError(f"max_pending must be at least 1, not {max_pending}")
    own = Threads(cast("IReactorFromThreads | None", reactor)) if threads else None
    return lambda: Answering(function, max_pending=max_pending, threads=own)


def datagram_function(handler: str | Function) -> Function:
    """What answers datagrams. Raises ValueError for a handler that needs connections."""
    if not isinstance(handler, str):
        return handler
    if handler == "echo":
        return lambda message, _: message
    if handler == "discard":
        return lambda _message, _: None
    if handler == "relay" or handler.startswith("forward:"):
        raise ValueError(f"{handler!r} needs connections, udp has none; accepted: echo, discard, MODULE:CALLABLE")
    return cast("Function", load(handler, accepted=NAMES))


def conversation_maker(conversation: str | Conversation) -> Maker:
    """The same for a conversation: a coroutine function, or its name as MODULE:CALLABLE."""
    if isinstance(conversation, str):
        talk = cast("Conversation", load(conversation, accepted=("MODULE:CALLABLE",)))
    else:
        talk = conversation
    return lambda: ConversationProtocol(talk)


def load(name: str, accepted: tuple[str, ...]) -> Callable[..., Any]:
    """The callable that MODULE:CALLABLE names. Raises ValueError, in one line, when there is none."""
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise ValueError(f"{name!r} is unknown{nearest(name, accepted)}; accepted: {', '.join(accepted)}")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(f"{name!r}: cannot import {module_name}: {type(error).__name__}: {error}") from error
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"{name!r}: {module_name} has no {path}")
        found = getattr(found, attribute)
    if not callable(found):
        raise ValueError(f"{name!r} is a {type(found).__name__}, not a callable")
    return cast("Callable[..., Any]", found)


def _forward(handler: str, max_length: int | None, reactor: object) -> Forward:
    endpoint_text, comma, framing_name = handler.removeprefix("forward:").partition(",")
    if reactor is None:
        from twisted.internet import reactor
    try:
        endpoint = parse_endpoint(endpoint_text, reactor)
    except ValueError as error:
        raise ValueError(
            f"{handler!r}: {error}; accepted: forward:ENDPOINT[,FRAMING], such as forward:tcp:backend:9000,int32"
        ) from None
    framing = None
    if comma:
        framing = parse(framing_name) if max_length is None else parse(framing_name, max_length=max_length)
    return Forward(endpoint, framing, endpoint_text)
