"""A chat room in which everyone hears what the others say: people, who type lines, and WINDEV programs.

Run it as: python chat.py tcp:7000:interface=127.0.0.1 tcp:7001:interface=127.0.0.1
People connect to the first endpoint (telnet will do), WINDEV programs to the second.
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import SocketServer
from sockserve.server.sockets import Listen


async def main(reactor: IReactorCore, people: str, programs: str) -> None:
    room = SocketServer(
        "room", [Listen(people, "buffered"), Listen(programs, "windev")], handler="relay", reactor=reactor
    )
    room.startService()
    reactor.addSystemEventTrigger("before", "shutdown", room.stopService)
    for port in room.ports:
        print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
