"""An echo server on a user's subclass of MessageProtocol, with a Python method for each message: FRAMING PORT."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint

from sockserve import MessageFactory, MessageProtocol
from sockserve.framing import parse

LIMIT = 64 * 1024 * 1024


class Answer(MessageProtocol):
    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message)


if __name__ == "__main__":
    framing, port = sys.argv[1], int(sys.argv[2])
    factory = MessageFactory(parse(framing, max_length=LIMIT), Answer)
    TCP4ServerEndpoint(reactor, port, backlog=1024, interface="127.0.0.1").listen(factory)
    reactor.run()
