"""A mail server that takes no mail: EHLO, STARTTLS and QUIT of SMTP (RFC 5321, RFC 3207), and an answer to the rest.

Run it as: python starttls_server.py tcp:8025 server.pem
server.pem has the server's key and certificate. To try it: openssl s_client -starttls smtp -connect localhost:8025
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve.connection.channel import Channel
from sockserve.server.sockets import SocketServer
from sockserve.tls.certificates import TLSConfig


async def main(reactor: IReactorCore, endpoint: str, certificate: str) -> None:
    # Read once: a mistake in it ends the program here, and not the first client that begins TLS.
    context = TLSConfig(certificate=certificate).read()

    async def talk(channel: Channel) -> None:
        await channel.write(b"220 localhost ESMTP")
        async for line in channel:
            secure = channel.info.tls is not None
            match line.upper().split():
                case [b"EHLO", *_]:
                    if not secure:
                        channel.send(b"250-localhost")
                    await channel.write(b"250 localhost" if secure else b"250 STARTTLS")
                case [b"STARTTLS"] if not secure:
                    channel.send(b"220 go ahead")
                    # The answer is in the clear; what the client sends now has to be TLS, or it is dropped.
                    channel.start_tls(context)
                case [b"QUIT"]:
                    await channel.write(b"221 bye")
                    return
                case _:
                    await channel.write(b"502 no such command here")

    socket = SocketServer("mail", endpoint, "buffered", conversation=talk, reactor=reactor)
    socket.startService()
    reactor.addSystemEventTrigger("before", "shutdown", socket.stopService)
    print("listens on", socket.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
