"""sockserve: messages over stream sockets, none lost.

The rooms, from the bottom up; each imports only from those listed before it:

framing     bytes to messages and back; the standard library only
text        sizes and times as people write them, and values shown in messages
addresses   addresses, networks of them, and endpoint strings
inspection  which framings fit bytes, and where the frames are in them
fields      settings as the fields of a dataclass: what each accepts, and its help
sockets     what sockets of Twisted's can do at once
reactor     a reactor on uvloop, for any Twisted program
limits      what a peer may use: admission, access, timeouts, memory, descriptors
proxy       the PROXY protocol: a client's address, as its proxy sends it
tls         TLS below the protocols, on both sides, and certificates
connection  one connection: MessageProtocol, MessageFactory, Channel, conversations
client      connections that we open: connect, reconnecting
redis       a stream of messages in Redis that several processes share
handlers    what answers messages: functions, echo, discard, relay, forward, share, hl7
server      named sockets as Twisted services, and their settings
admin       metrics, health and the page, over HTTP
config      files and command lines, checked as a whole
service     programs that run named sockets: the twistd plugin and run; options, signals, clock
commands    the command `sockserve`
testing     for tests of programs that use all this; and pytest_plugin, its fixtures

The names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockserve.client.connecting import connect, disconnect
    from sockserve.client.reconnecting import reconnecting
    from sockserve.connection.channel import Channel
    from sockserve.connection.factory import MessageFactory
    from sockserve.connection.failures import QueueFull, Refused
    from sockserve.connection.protocol import MessageProtocol
    from sockserve.server.server import Server
    from sockserve.server.sockets import SocketServer
    from sockserve.service.running import run

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "MessageFactory",
    "MessageProtocol",
    "QueueFull",
    "Refused",
    "Server",
    "SocketServer",
    "connect",
    "disconnect",
    "reconnecting",
    "run",
]

_HOMES = {
    "Channel": "sockserve.connection.channel",
    "MessageFactory": "sockserve.connection.factory",
    "MessageProtocol": "sockserve.connection.protocol",
    "QueueFull": "sockserve.connection.failures",
    "Refused": "sockserve.connection.failures",
    "Server": "sockserve.server.server",
    "SocketServer": "sockserve.server.sockets",
    "connect": "sockserve.client.connecting",
    "disconnect": "sockserve.client.connecting",
    "reconnecting": "sockserve.client.reconnecting",
    "run": "sockserve.service.running",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use; PEP 562."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
