"""Adds up the numbers in each line: the twin of line_receiver.py.

Run it as: python line_receiver_twin.py tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory

from sockserve import MessageProtocol


class Sum(MessageProtocol):
    framing = "buffered"

    def messageReceived(self, message: bytes) -> None:
        if message == b"bye":
            self.sendMessage(b"bye")
            self.loseConnection()
        else:
            self.sendMessage(b"%d" % sum(int(word) for word in message.split()))


async def main(reactor: object, endpoint: str) -> None:
    port = await endpoints.serverFromString(reactor, endpoint).listen(Factory.forProtocol(Sum))
    print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
