"""Pushes messages to clients that have not asked for anything, from elsewhere in the program, by a channel's id.

Each client is told its id. When a datagram `ID TEXT` arrives at the second socket, which is UDP as SocketCreateUDP
makes it, TEXT is sent to that client. Run it as: python push.py tcp:7000:interface=127.0.0.1 udp:7000
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, Server, SocketServer


async def main(reactor: IReactorCore, endpoint: str, datagrams: str) -> None:
    async def greet(channel: Channel) -> None:
        await channel.write(b"you are %d" % channel.id)
        async for _ in channel:  # ignore what the client says
            pass

    def push(datagram: bytes, _sender: Channel) -> bytes:
        number, _, text = datagram.partition(b" ")
        channel = clients.channel(int(number)) if number.isdigit() else None
        if channel is None or channel.closed:  # what SocketExist tells in WLanguage
            return b"nobody"
        channel.send(text)  # SocketWrite; this does not wait for a client that does not read
        return b"sent"

    clients = SocketServer("clients", endpoint, "buffered", conversation=greet, reactor=reactor)
    server = Server([clients, SocketServer("pushes", datagrams, "raw", push, reactor=reactor)])
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    for socket in server.sockets.values():
        print("listens on", socket.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
