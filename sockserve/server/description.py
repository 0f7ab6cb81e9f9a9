"""What a named socket is, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from sockserve.server.settings import SOCKET_SETTINGS, Listening
from sockserve.tls.certificates import TLSConfig

if TYPE_CHECKING:
    from sockserve.fields import Setting
    from sockserve.server.settings import SocketSettings

# These have words of their own.
_FIRST = ("listen", "connect", "framing", "handler", "conversation")


def endpoints(socket: SocketSettings) -> list[str]:
    """Its endpoints as they were written; each with its framing, if that is not the socket's.

    With `connect`: the one that it connects to.
    """
    if socket.connect is not None:
        return [str(socket.connect)]
    return [_endpoint(each, socket) for each in socket.listens]


def answers(socket: SocketSettings) -> str:
    """What answers messages."""
    talks = socket.conversation is not None
    return f"conversation {_name(socket.conversation)}" if talks else f"handler {_name(socket.handler)}"


def values(socket: SocketSettings, *, given: bool = True) -> dict[str, str]:
    """Its other settings, as people write them. given: those that were given; False: those that have their defaults."""
    return {
        name: _written(getattr(socket, name), about)
        for name, about in SOCKET_SETTINGS.items()
        if (name in socket.given) is given and name not in _FIRST
    }


def identity(socket: SocketSettings) -> str:
    """All that it is: equal in two processes if, and only if, nothing that matters to a connection differs."""
    texts = [answers(socket), str(socket.framing), *endpoints(socket)]
    return json.dumps([*texts, values(socket), str(socket.drain_timeout)])


def _endpoint(listening: Listening, socket: SocketSettings) -> str:
    endpoint = str(listening.opening.endpoint)
    return endpoint if listening.framing == socket.framing else f"{endpoint} (framing {listening.framing})"


def _name(answers: object) -> str:
    return answers if isinstance(answers, str) else cast("str", getattr(answers, "__qualname__", repr(answers)))


def _written(value: object, about: Setting) -> str:
    if isinstance(value, TLSConfig):
        return value.certificate
    if about.none and (value is None or value == about.default):
        return about.none
    return " ".join(map(about.value.written, value)) if isinstance(value, tuple) else about.value.written(value)
