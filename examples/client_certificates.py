"""Serves the clients whose certificate is signed by the right authority and whose name is on the list.

A client without such a certificate does not get as far as this program. One that has a certificate, but another name,
is refused here. Run it as: python client_certificates.py tcp:7000 server.pem ca.pem shop till
server.pem has the server's key and certificate; ca.pem has the authority that signs the certificates of clients.
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, SocketServer
from sockserve.tls.certificates import TLSConfig


async def main(reactor: IReactorCore, endpoint: str, certificate: str, client_ca: str, *allowed: str) -> None:
    async def talk(channel: Channel) -> None:
        certificate = channel.info.certificate
        name = certificate.common_name if certificate is not None else ""
        if name not in allowed:
            print("refused:", name, flush=True)
            channel.abort()
            return
        async for message in channel:
            await channel.write(f"{name} said ".encode() + message)

    tls = TLSConfig(certificate=certificate, client_ca=client_ca)
    socket = SocketServer("orders", endpoint, "windev", conversation=talk, tls=tls, reactor=reactor)
    socket.startService()
    reactor.addSystemEventTrigger("before", "shutdown", socket.stopService)
    print("listens on", socket.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
