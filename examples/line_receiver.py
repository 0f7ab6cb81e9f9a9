"""Adds up the numbers in each line, with Twisted's LineReceiver. Its twin is line_receiver_twin.py.

Run it as: python line_receiver.py tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class Sum(LineReceiver):
    def lineReceived(self, line: bytes) -> None:
        if line == b"bye":
            self.sendLine(b"bye")
            assert self.transport is not None
            self.transport.loseConnection()
        else:
            self.sendLine(b"%d" % sum(int(word) for word in line.split()))


async def main(reactor: object, endpoint: str) -> None:
    port = await endpoints.serverFromString(reactor, endpoint).listen(Factory.forProtocol(Sum))
    print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
