"""A bridge between a scale that frames its weights as STX ... ETX and an application whose messages end in <EOF>.

Each connection from the scale gets its own connection to the application. Messages cross in both directions, from one
framing to the other. Run it as: python bridge.py tcp:7001:interface=127.0.0.1 tcp:localhost:9000
The same without a program:
twistd -n sockserve --framing 'envelope:\\x02:\\x03' --handler forward:tcp:localhost:9000,standard
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import SocketServer


async def main(reactor: IReactorCore, endpoint: str, application: str) -> None:
    server = SocketServer("scale", endpoint, r"envelope:\x02:\x03", f"forward:{application},standard", reactor=reactor)
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print("listens on", server.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
