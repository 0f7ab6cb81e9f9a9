"""A server that starts with lines, and changes its framing when told to.

    FRAMING int32\\r\\n        is answered with OK\\r\\n; from the next byte on, both sides use int32

Every other message comes back unchanged. Run it as: python change_framing.py tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, task

from sockserve import MessageFactory, MessageProtocol
from sockserve.framing import as_framing


class ChangeFraming(MessageProtocol):
    def messageReceived(self, message: bytes) -> None:
        command, _, name = message.partition(b" ")
        if command != b"FRAMING":
            self.sendMessage(message)
            return
        try:
            # Not with parse: the peer must not name a module of ours to import.
            framing = as_framing(name.decode())
        except ValueError as error:
            self.sendMessage(f"ERROR {error}".encode())
        else:
            # The answer is still sent in the old framing.
            self.sendMessage(b"OK")
            self.setFraming(framing)


async def main(reactor: object, endpoint: str) -> None:
    port = await endpoints.serverFromString(reactor, endpoint).listen(MessageFactory("buffered", ChangeFraming))
    print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
