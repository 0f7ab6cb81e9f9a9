"""PC SOFT's standard server: many clients, a channel for each, with the WLanguage function names beside each step.

    WHO              who the client is, and how many messages it has sent
    EXIST name       is there a socket of that name?
    MODE framing     from here on another framing, such as standard:<EOF>

It comes back with an answer to each, and with every other message as it is. Clients at the addresses behind the
endpoint are denied. Run it as: python windev_standard_server.py tcp:27015:interface=127.0.0.1 192.0.2.7
or over TLS, as SocketCreateSSL does: python windev_standard_server.py ssl:27015:privateKey=server.pem
"""

import sys

from twisted.internet import defer, task
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorCore

from sockserve.addresses import format_address
from sockserve.connection.channel import Channel
from sockserve.framing import as_framing
from sockserve.server.sockets import Server, SocketServer


async def main(reactor: IReactorCore, endpoint: str, *denied: str) -> None:
    async def talk(channel: Channel) -> None:
        # SocketWaitForConnection and SocketAccept: one of these runs for each client, and no thread is needed.
        info = channel.info  # SocketClientInfo
        if isinstance(info.peer, IPv4Address | IPv6Address) and info.peer.host in denied:
            channel.abort()  # SocketDeny
            return
        async for message in channel:  # SocketRead; it ends when the client does: no need to ask SocketExist
            command, _, argument = message.partition(b" ")
            if command == b"WHO":
                answer = f"{format_address(info.peer)}, message {channel.info.messages_received}"
            elif command == b"EXIST":
                answer = "yes" if argument.decode() in server.sockets else "no"  # SocketExist, of a name
            elif command == b"MODE":
                framing = as_framing(argument.decode())
                await channel.write(b"OK")  # still in the framing before
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
