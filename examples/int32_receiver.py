"""Sends every string back reversed, with Twisted's Int32StringReceiver. Its twin is int32_receiver_twin.py.

Run it as: python int32_receiver.py tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int32StringReceiver


class Reverse(Int32StringReceiver):
    MAX_LENGTH = 1024 * 1024

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string[::-1])


async def main(reactor: object, endpoint: str) -> None:
    port = await endpoints.serverFromString(reactor, endpoint).listen(Factory.forProtocol(Reverse))
    print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
