"""Sends every string back reversed: the twin of int32_receiver.py.

Run it as: python int32_receiver_twin.py tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory

from sockserve import MessageProtocol


class Reverse(MessageProtocol):
    # Strings of any length up to 1 MiB, in both directions.
    framing = "int32"

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message[::-1])


async def main(reactor: object, endpoint: str) -> None:
    port = await endpoints.serverFromString(reactor, endpoint).listen(Factory.forProtocol(Reverse))
    print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
