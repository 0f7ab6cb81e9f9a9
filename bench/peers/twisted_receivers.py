"""Echo servers on Twisted's own receivers: FRAMING PORT."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.basic import Int32StringReceiver, LineReceiver, NetstringReceiver
from twisted.protocols.wire import Echo

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


RECEIVERS: dict[str, type[Protocol]] = {
    "raw": Echo,
    "int32": Int32,
    "standard": EndTag,
    "buffered": Lines,
    "netstring": Netstring,
}

if __name__ == "__main__":
    framing, port = sys.argv[1], int(sys.argv[2])
    factory: Factory[Protocol] = Factory.forProtocol(RECEIVERS[framing])
    factory.noisy = False
    TCP4ServerEndpoint(reactor, port, backlog=1024, interface="127.0.0.1").listen(factory)
    reactor.run()
