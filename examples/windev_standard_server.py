"""PC SOFT's standard server: many clients, a channel for each, with the WLanguage function next to each step.

    WHO              asks who the client is, and how many messages it has sent
    EXIST name       asks whether there is a socket of that name
    MODE framing     changes the framing from here on, for example to standard:<EOF>

The server answers each of these, and sends every other message back unchanged. Clients at the addresses given after
the endpoint are denied. Run it as: python windev_standard_server.py tcp:27015:interface=127.0.0.1 192.0.2.7
or over TLS, as SocketCreateSSL does: python windev_standard_server.py ssl:27015:privateKey=server.pem
"""

import sys

from twisted.internet import defer, task
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, Server, SocketServer
from sockserve.addresses import format_address
from sockserve.framing import as_framing


async def main(reactor: IReactorCore, endpoint: str, *denied: str) -> None:
    async def talk(channel: Channel) -> None:
        # SocketWaitForConnection and SocketAccept: this runs once for each client, and needs no thread.
        info = channel.info  # SocketClientInfo
        if isinstance(info.peer, IPv4Address | IPv6Address) and info.peer.host in denied:
            channel.abort()  # SocketDeny
            return
        async for message in channel:  # SocketRead; the loop ends when the client does, so SocketExist is not needed
            command, _, argument = message.partition(b" ")
            if command == b"WHO":
                answer = f"{format_address(info.peer)}, message {channel.info.messages_received}"
            elif command == b"EXIST":
                answer = "yes" if argument.decode() in server.sockets else "no"  # SocketExist, of a name
            elif command == b"MODE":
                framing = as_framing(argument.decode())
                await channel.write(b"OK")  # still in the old framing
                channel.set_framing(framing)  # SocketChangeTransmissionMode
                continue
            else:
                await channel.write(message)  # SocketWrite
                continue
            await channel.write(answer.encode())
        # The end of this function is SocketClose.

    # SocketCreate, or SocketCreateSSL: the endpoint decides. There may be any number of named sockets.
    server = Server()
    socket = SocketServer("Orders", endpoint, "windev", conversation=talk, reactor=reactor)
    server.add(socket)
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print("listens on", socket.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
