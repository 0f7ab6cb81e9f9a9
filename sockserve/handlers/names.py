"""What answers messages: the handlers that have a name, and users' functions, protocol classes and conversations.

`as_handler` and `as_conversation` check one, as users write it, and return how its protocols are made.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from sockserve.client.endpoints import EndpointFactory, endpoint_factory
from sockserve.connection.conversation import Conversation, ConversationProtocol
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import KINDS, Framing, parse
from sockserve.handlers.answers import Function
from sockserve.handlers.discard import Discard
from sockserve.handlers.durations import Durations
from sockserve.handlers.echo import Echo
from sockserve.handlers.forward import Forward
from sockserve.handlers.function import Answering
from sockserve.handlers.hl7 import FRAMING as MLLP
from sockserve.handlers.hl7 import Acknowledging
from sockserve.handlers.relay import Relay
from sockserve.handlers.threads import Threads
from sockserve.text import described, suggestion, typed_reason

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads

ProtocolFactory = Callable[[], MessageProtocol]
"""Makes the protocol of one connection."""

NAMES = (
    "echo",
    "discard",
    "relay",
    "forward:ENDPOINT[,FRAMING]",
    "share:ENDPOINT[,FRAMING]",
    "hl7:MODULE:CALLABLE",
    "MODULE:CALLABLE",
)
"""The names of handlers. MODULE:CALLABLE is a function of (message, channel), or a MessageProtocol subclass."""

CONVERSATION = "a coroutine function of (channel), or its name as MODULE:CALLABLE"
_FUNCTION = "a function of (message, channel), or a MessageProtocol subclass"
_TARGETS = {
    "forward": "forward:ENDPOINT[,FRAMING], such as forward:tcp:backend:9000,int32",
    "share": "share:ENDPOINT[,FRAMING], such as share:tcp:scale-7:4001,int32",
}
_HL7 = "hl7:MODULE:CALLABLE, a function of (message, channel)"

Make = Callable[..., ProtocolFactory]
"""Called with the reactor, max_pending and threads of one named socket, and with the Durations of its calls.

Returns the factory of its protocols.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a handler connects to. framing: None: that of the clients. description: names it in the log."""

    endpoint: EndpointFactory
    framing: Framing | None
    description: str


@dataclass(frozen=True, slots=True)
class Handler:
    """What answers messages, checked.

    make: see Make; not called where there is a `device`.
    device: what the clients of the named socket share, see sockserve.handlers.share; None: they share none.
    function: called for each message, under max_pending and threads; None: no function is called.
    datagram: the function that answers a datagram; None: the handler needs connections.
    framing: the handler's own, if any; used when the socket is given none.
    code: the MODULE:NAME of each object that was loaded for it.
    """

    make: Make
    function: Function | None = None
    datagram: Function | None = None
    framing: Framing | str | None = None
    device: Target | None = None
    code: tuple[str, ...] = ()


def as_handler(handler: object, *, max_length: int | None = None) -> Handler:
    """Check a handler given as a function, a MessageProtocol subclass, or one of NAMES.

    max_length: for the framing in the name of a "forward:" or a "share:", in bytes.

    Raises ValueError with one line that says what is accepted, and TypeError for what is neither callable nor text.
    """
    if not isinstance(handler, str):
        return _of_callable(handler, getattr(handler, "__qualname__", type(handler).__name__))
    kind, colon, rest = handler.partition(":")
    if kind in _TARGETS and colon:
        target = _target(handler, kind, rest, max_length)
        found = _forward(target) if kind == "forward" else Handler(lambda *_: MessageProtocol, device=target)
        _, _, framing = rest.partition(",")
        return replace(found, code=code_of(framing))
    if kind == "hl7" and colon:
        return _hl7(handler, rest)
    if kind in _NAMED:
        if colon:
            raise ValueError(f"{handler!r}: unexpected {rest!r}; accepted: {', '.join(NAMES)}")
        return _NAMED[kind]
    return replace(_of_callable(load(handler, NAMES), repr(handler)), code=(handler,))


def as_conversation(conversation: object) -> Handler:
    """Check a conversation: a coroutine function, or its name as MODULE:CALLABLE. Raises as `as_handler` does."""
    talk, name = conversation, getattr(conversation, "__qualname__", type(conversation).__name__)
    if isinstance(conversation, str):
        talk, name = load(conversation, ("MODULE:CALLABLE",)), repr(conversation)
    if not callable(talk):
        raise TypeError
    if isinstance(talk, type) or not _is_coroutine_function(talk):
        raise ValueError(f"{name} is not a coroutine function; accepted: {CONVERSATION}")
    _check_arguments(talk, name, 1, CONVERSATION)
    code = (conversation,) if isinstance(conversation, str) else ()
    return Handler(lambda *_: lambda: ConversationProtocol(cast("Conversation", talk)), code=code)


def load(name: str, accepted: tuple[str, ...]) -> Callable[..., Any]:
    """The callable that MODULE:CALLABLE names. Raises ValueError, in one line, if there is none."""
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise ValueError(f"{name!r} is unknown{suggestion(name, accepted)}; accepted: {', '.join(accepted)}")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = typed_reason(error)
        raise ValueError(
            f"{name!r}: cannot import {module_name}: {reason}{suggestion(module_name, accepted)}; "
            f"accepted: {', '.join(accepted)}"
        ) from error
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"{name!r}: {module_name} has no {path}; accepted: a name in that module")
        found = getattr(found, attribute)
    if not callable(found):
        raise ValueError(f"{name!r} is {described(found)}, not a callable; accepted: {', '.join(accepted)}")
    return cast("Callable[..., Any]", found)


def _of_callable(handler: object, name: str) -> Handler:
    """A function or a protocol class, checked."""
    if not callable(handler):
        raise TypeError
    if isinstance(handler, type):
        if not issubclass(handler, MessageProtocol):
            raise ValueError(f"{name} is a class, but not a MessageProtocol; accepted: {_FUNCTION}")
        _check_arguments(handler, name, 0, "a MessageProtocol subclass that is made without arguments")
        # The default of MessageProtocol itself is not a choice.
        own = handler.framing if handler.framing is not MessageProtocol.framing else None
        return Handler(lambda *_: handler, framing=own)
    called = handler if inspect.isroutine(handler) else type(handler).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise ValueError(f"{name} is a generator function; accepted: {_FUNCTION}")
    _check_arguments(handler, name, 2, _FUNCTION)
    function = cast("Function", handler)
    return Handler(_answering(Answering, function), function=function, datagram=function)


def _hl7(handler: str, name: str) -> Handler:
    """A function that receives HL7 messages, checked."""
    if ":" not in name:
        raise ValueError(f"{handler!r} names no function; accepted: {_HL7}")
    function = _of_callable(load(name, (_HL7,)), repr(name)).function
    if function is None:
        raise ValueError(f"{handler!r} is a protocol class; accepted: {_HL7}")
    return Handler(_answering(Acknowledging, function), function=function, framing=MLLP, code=(name,))


def _answering(protocol: type[Answering], function: Function) -> Make:
    def make(reactor: object, max_pending: int, threads: bool, durations: Durations | None = None) -> ProtocolFactory:
        own = Threads(cast("IReactorFromThreads", reactor)) if threads else None
        return lambda: protocol(function, max_pending=max_pending, threads=own, durations=durations)

    return make


def _check_arguments(function: Callable[..., Any], name: str, count: int, accepted: str) -> None:
    """Raise ValueError unless the function can be called with that many positional arguments."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise ValueError(f"{name} has no signature that can be read; accepted: {accepted}") from None
    try:
        signature.bind(*range(count))
    except TypeError:
        names = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        raise ValueError(f"{name} has the signature {inspect.Signature(names)}; accepted: {accepted}") from None


def is_coroutine_handler(handler: Handler) -> bool:
    """Whether the function called for each message is a coroutine function, which threads cannot help."""
    return handler.function is not None and _is_coroutine_function(handler.function)


def _is_coroutine_function(function: object) -> bool:
    # For an object with __call__, that method decides.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def code_of(framing: object) -> tuple[str, ...]:
    """The name of a framing, if it is the MODULE:NAME of a user's own."""
    return (framing,) if isinstance(framing, str) and framing and framing.partition(":")[0] not in KINDS else ()


def _target(handler: str, kind: str, target: str, max_length: int | None) -> Target:
    endpoint_text, comma, framing_name = target.partition(",")
    try:
        endpoint = endpoint_factory(endpoint_text)
    except ValueError as error:
        raise ValueError(f"{handler!r}: {error}; accepted: {_TARGETS[kind]}") from None
    framing = parse(framing_name, max_length=max_length) if comma else None
    return Target(endpoint, framing, endpoint_text)


def _forward(target: Target) -> Handler:
    return Handler(lambda reactor, *_: Forward(target.endpoint(reactor), target.framing, target.description).client)


_NAMED = {
    "echo": Handler(lambda *_: Echo, datagram=lambda message, _: message),
    "discard": Handler(lambda *_: Discard, datagram=lambda _message, _: None),
    "relay": Handler(lambda *_: Relay().client),
}
"""The handlers whose name is one word."""
