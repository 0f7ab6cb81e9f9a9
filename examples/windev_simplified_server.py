"""PC SOFT's simplified server: one client at a time, with the WLanguage function next to each step.

Further clients are connected and wait for their turn. A WINDEV client uses SocketConnect, SocketWrite and SocketRead
without any settings. Run it as: python windev_simplified_server.py tcp:27015:interface=127.0.0.1
or over TLS, as SocketCreateSSL does: python windev_simplified_server.py ssl:27015:privateKey=key_and_certificate.pem
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, SocketServer


async def talk(channel: Channel) -> None:
    request = await channel.read()  # SocketRead: a client counts as connected once its first message arrives
    await channel.write(b"You said: " + request)  # SocketWrite
    channel.close()  # SocketClose: now it is the next client's turn


async def main(reactor: IReactorCore, endpoint: str) -> None:
    # SocketCreate("Server", port). windev is WINDEV's own framing, which it uses by default.
    server = SocketServer(
        "Server", endpoint, "windev", conversation=talk, max_connections=1, when_full="wait", reactor=reactor
    )
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print("listens on", server.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
