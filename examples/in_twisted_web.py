"""A named socket in the process of a web server, which shows how many clients it has.

python in_twisted_web.py tcp:8080:interface=127.0.0.1 tcp:7000:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, endpoints, interfaces, task
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from sockserve import Channel, SocketServer


def upper(message: bytes, channel: Channel) -> bytes:
    return message.upper()


class Clients(Resource):
    isLeaf = True

    def __init__(self, socket: SocketServer) -> None:
        super().__init__()
        self.socket = socket

    def render_GET(self, request: Request) -> bytes:
        return b"%d clients\n" % len(self.socket.channels)


async def main(reactor: interfaces.IReactorCore, web: str, listen: str) -> None:
    socket = SocketServer("upper", listen, "windev", upper)
    socket.startService()
    # When the process stops, the clients first get what they are owed.
    reactor.addSystemEventTrigger("before", "shutdown", socket.stopService)
    site = await endpoints.serverFromString(reactor, web).listen(Site(Clients(socket)))
    print("listens on", socket.ports[0].getHost(), "and for browsers on", site.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
