"""What a checked configuration would run, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from sockserve.server.settings import SOCKET_SETTINGS, Listening
from sockserve.tls.certificates import TLSConfig

if TYPE_CHECKING:
    from sockserve.config.checking import Config
    from sockserve.server.settings import SocketSettings

# These come first, in words of their own.
_FIRST = ("listen", "framing", "handler", "conversation")


def describe(config: Config) -> list[str]:
    """One line for each socket: its endpoints and framing, what answers, and the limits that were set."""
    return [f"{socket.name}: {', '.join(_parts(socket))}" for socket in config.sockets]


def _parts(socket: SocketSettings) -> Iterator[str]:
    yield "listens on " + " and ".join(_endpoint(each, socket) for each in socket.listens)
    yield f"framing {socket.framing}"
    talks = socket.conversation is not None
    yield f"conversation {_name(socket.conversation)}" if talks else f"handler {_name(socket.handler)}"
    for name, about in SOCKET_SETTINGS.items():
        if name in socket.given and name not in _FIRST:
            value = getattr(socket, name)
            yield name if value is True else f"{name} {_written(value, about.value.written)}"


def _endpoint(listening: Listening, socket: SocketSettings) -> str:
    endpoint = str(listening.opening.endpoint)
    return endpoint if listening.framing == socket.framing else f"{endpoint} (framing {listening.framing})"


def _name(answers: object) -> str:
    return answers if isinstance(answers, str) else cast("str", getattr(answers, "__qualname__", repr(answers)))


def _written(value: object, written: Callable[[object], str]) -> str:
    if isinstance(value, TLSConfig):
        return value.certificate
    return " ".join(map(str, value)) if isinstance(value, tuple) else written(value)
