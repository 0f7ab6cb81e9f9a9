"""Servers on Twisted's own protocols: echo|receiver|relay FRAMING PORT [PEM]. `echo` returns bytes as they come.

REACTOR=uvloop in the environment.
"""

from __future__ import annotations

import os
import sys
from struct import pack

if os.environ.get("REACTOR") == "uvloop":
    from sockserve.reactor import install

    install()

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import Int32StringReceiver, LineReceiver, NetstringReceiver
from twisted.protocols.wire import Echo
from twisted.python.failure import Failure

LIMIT = 64 * 1024 * 1024


class Int32(Int32StringReceiver):
    MAX_LENGTH = LIMIT

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Lines(LineReceiver):
    MAX_LENGTH = LIMIT

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)


class EndTag(Lines):
    delimiter = b"<EOF>"


class Netstring(NetstringReceiver):
    MAX_LENGTH = LIMIT

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Relay(Int32StringReceiver):
    MAX_LENGTH = LIMIT
    clients: set[Relay] = set()

    def connectionMade(self) -> None:
        self.clients.add(self)

    def stringReceived(self, string: bytes) -> None:
        frame = pack("!I", len(string)) + string
        for client in self.clients:
            if client is not self and client.transport is not None:
                client.transport.write(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.clients.discard(self)


RECEIVERS: dict[str, type[Protocol]] = {
    "int32": Int32,
    "standard": EndTag,
    "buffered": Lines,
    "netstring": Netstring,
}

if __name__ == "__main__":
    kind, framing, port, *pem = sys.argv[1:]
    factory: Factory[Protocol] = Factory.forProtocol(
        {"echo": Echo, "relay": Relay}.get(kind) or RECEIVERS[framing],
    )
    factory.noisy = False
    if pem:
        text = f"ssl:{port}:privateKey={pem[0]}:certKey={pem[0]}:interface=127.0.0.1:backlog=1024"
        serverFromString(reactor, text).listen(factory)
    else:
        TCP4ServerEndpoint(reactor, int(port), backlog=1024, interface="127.0.0.1").listen(factory)
    reactor.run()
