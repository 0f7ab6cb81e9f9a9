"""A program of plain Twisted, with nothing of sockserve but the reactor.

python on_uvloop.py tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, interfaces, protocol, task
from twisted.protocols.basic import LineReceiver

from sockserve.reactor import install


class Upper(LineReceiver):
    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line.upper())


async def main(reactor: interfaces.IReactorCore, endpoint: str) -> None:
    factory = protocol.Factory.forProtocol(Upper)
    port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
    print(type(reactor).__name__, "listens on", port.getHost(), flush=True)
    await defer.Deferred()


# Nothing above has imported the reactor; `react` does.
install()
task.react(main, sys.argv[1:])
