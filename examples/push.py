"""Messages to clients that have asked for nothing, from elsewhere in the program: by the id of their channel.

A client is told its id. Whoever sends the datagram `ID TEXT` to the second socket, which is UDP as SocketCreateUDP
makes it, has TEXT sent to that client. Run it as: python push.py tcp:7000:interface=127.0.0.1 udp:7000
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, Server, SocketServer


async def main(reactor: IReactorCore, endpoint: str, datagrams: str) -> None:
    async def greet(channel: Channel) -> None:
        await channel.write(b"you are %d" % channel.id)
        async for _ in channel:  # what it says is not for us
            pass

    def push(datagram: bytes, _sender: Channel) -> bytes:
        number, _, text = datagram.partition(b" ")
        channel = clients.channel(int(number)) if number.isdigit() else None
        if channel is None or channel.closed:  # what SocketExist would be asked for
            return b"nobody"
        channel.send(text)  # SocketWrite; it does not wait for a client that does not read
        return b"sent"

    clients = SocketServer("clients", endpoint, "buffered", conversation=greet, reactor=reactor)
    server = Server([clients, SocketServer("pushes", datagrams, "raw", push, reactor=reactor)])
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    for socket in server.sockets.values():
        print("listens on", socket.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
