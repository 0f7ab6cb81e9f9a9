"""What connections are made of: adopted and shared sockets, unix sockets and descriptors over them, TLS."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import endpoints
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import ClientFactory
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.tcp import makeBinding
from zope.interface import implementer

from tests.support.authority import Authority
from tests.support.reactors import PATIENCE, HalfClosing, Recorder, Situations, read, situation

PATTERN = bytes(range(251)) * 4111


@implementer(IFileDescriptorReceiver)
class Taking(HalfClosing):
    """Takes descriptors."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptors: list[int] = []

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.descriptors.append(descriptor)
        self.happened()


class SocketTests(Situations):
    def client(self, protocol: Recorder) -> ClientFactory[Any]:
        self.protocols.append(protocol)
        factory: ClientFactory[Any] = ClientFactory()
        factory.buildProtocol = lambda _: protocol  # type: ignore[method-assign, assignment]
        return factory

    def unix_pair(self) -> tuple[socket.socket, socket.socket]:
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        peer.settimeout(PATIENCE)
        self.closing(ours)
        return ours, self.closing(peer)

    @situation
    async def test_adopted_port_of_tcp_and_of_a_unix_socket(self) -> None:
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, self.mktemp_short())):
            protocol = HalfClosing()
            with socket.create_server(address, family=family) as listening:
                listening.setblocking(False)
                port = self.reactor.adoptStreamPort(listening.fileno(), family, self.factory(protocol))
                name = listening.getsockname()
            peer = self.closing(socket.socket(family))
            peer.settimeout(PATIENCE)
            peer.connect(name)
            peer.sendall(b"hello")
            await protocol.received(5)
            protocol.transport.write(PATTERN)
            protocol.transport.loseConnection()
            self.assertEqual(await self.apart(read, peer), PATTERN)
            await port.stopListening()

    def mktemp_short(self) -> str:
        """A path that is short enough for a unix socket."""
        return str(os.path.relpath(self.mktemp()))

    @situation
    async def test_adopted_connections_of_tcp_and_of_unix_sockets(self) -> None:
        for ours, peer in (self.pair(), self.unix_pair()):
            protocol = HalfClosing()
            self.adopt(protocol, ours)
            peer.sendall(b"hello")
            await protocol.received(5)
            protocol.transport.write(PATTERN)
            protocol.transport.loseConnection()
            self.assertEqual(await self.apart(read, peer), PATTERN)
            await protocol.event("lost")

    @situation
    async def test_two_ports_that_share_an_address(self) -> None:
        protocols = [Recorder(), Recorder()]
        binding = makeBinding("127.0.0.1", 0, reuseAddress=True, reusePort=True)
        first = self.reactor.listenTCP(binding, self.factory(protocols[0]), interface="127.0.0.1")
        number = first.getHost().port
        binding = makeBinding("127.0.0.1", number, reuseAddress=True, reusePort=True)
        second = self.reactor.listenTCP(binding, self.factory(protocols[1]), interface="127.0.0.1")
        await first.stopListening()
        peer = self.closing(socket.create_connection(("127.0.0.1", number), PATIENCE))
        peer.sendall(b"hello")
        await protocols[1].received(5)
        self.assertEqual(second.getHost().port, number)

    @situation
    async def test_client_and_server_over_a_unix_socket(self) -> None:
        client, server = HalfClosing(), HalfClosing()
        path = self.mktemp_short()
        self.reactor.listenUNIX(path, self.factory(server))
        self.reactor.connectUNIX(path, self.client(client))
        await client.event("made")
        client.transport.write(PATTERN)
        client.transport.loseWriteConnection()
        await server.event("end")
        self.assertEqual(server.data, PATTERN)
        server.transport.write(PATTERN)
        server.transport.loseConnection()
        await client.event("end")
        self.assertEqual(client.data, PATTERN)

    @situation
    async def test_descriptors_come_and_go_over_a_unix_socket(self) -> None:
        protocol = Taking()
        ours, peer = self.unix_pair()
        self.adopt(protocol, ours)
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb"), os.fdopen(writing, "wb"):
            socket.send_fds(peer, [b"one"], [reading])
            await protocol.until(lambda: protocol.descriptors and len(protocol.data) == 3)
            protocol.transport.sendFileDescriptor(writing)
            protocol.transport.write(b"two")
            # A byte comes with each descriptor.
            data, (back,), _, _ = await self.apart(socket.recv_fds, peer, 1, 1)
            data += await self.apart(read, peer, 2)
        os.write(back, b"through both")
        os.close(back)
        with os.fdopen(protocol.descriptors[0], "rb") as pipe:
            self.assertEqual((data, pipe.read()), (b"two", b"through both"))

    @situation
    async def test_descriptors_wait_for_a_peer_that_does_not_read(self) -> None:
        protocol = HalfClosing()
        ours, peer = self.unix_pair()
        self.adopt(protocol, ours)
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
            protocol.transport.write(PATTERN)
            for _ in range(5):
                await self.turn()
            protocol.transport.sendFileDescriptor(writing)
            protocol.transport.write(b"two")
            protocol.transport.loseConnection()
            for _ in range(5):
                await self.turn()
            received = bytearray()
            descriptors: list[int] = []

            def take() -> None:
                while True:
                    data, some, _, _ = socket.recv_fds(peer, 1 << 16, 1)
                    if not data:
                        return
                    received.extend(data)
                    descriptors.extend(some)

            await self.apart(take)
            self.assertEqual(received, PATTERN + b"two")
            os.write(descriptors[0], b"through both")
            os.close(descriptors[0])
            self.assertEqual(pipe.read(12), b"through both")
        await protocol.event("lost")

    @situation
    async def test_a_protocol_that_begins_to_take_descriptors_goes_on_reading(self) -> None:
        first, protocol = HalfClosing(), Taking()
        ours, peer = self.unix_pair()
        self.adopt(first, ours)
        peer.sendall(b"one")
        await first.received(3)
        transport = first.transport
        transport.pauseProducing()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        transport.resumeProducing()
        peer.sendall(b"two")
        await protocol.received(3)
        self.assertEqual(protocol.data, b"two")
        transport.abortConnection()
        await protocol.event("lost")
        first.happened("lost")

    def certificates(self) -> tuple[Any, Any]:
        """What a server and a client of TLS need."""
        authority = Authority(self.mktemp())
        server = PrivateCertificate.loadPEM(authority.server.read_bytes())
        trusted = Certificate.loadPEM(authority.ca.read_bytes())
        return server.options(), optionsForClientTLS("localhost", trustRoot=trusted)

    async def over_tls(self) -> tuple[Recorder, Recorder]:
        """A client and a server that are connected."""
        theirs, ours = self.certificates()
        client, server = Recorder(), Recorder()
        port = self.reactor.listenSSL(0, self.factory(server), theirs, interface="127.0.0.1")
        wrapped = endpoints.wrapClientTLS(
            ours, endpoints.TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port)
        )
        await wrapped.connect(self.client(client))
        return client, server

    @situation
    async def test_tls_from_the_start(self) -> None:
        client, server = await self.over_tls()
        client.transport.write(PATTERN)
        await server.received(len(PATTERN))
        server.transport.write(PATTERN)
        server.transport.loseConnection()
        await client.event("lost")
        await server.event("lost")
        self.assertEqual((server.data, client.data), (PATTERN, PATTERN))
        for protocol in (client, server):
            assert protocol.reason is not None
            protocol.reason.trap(ConnectionDone)

    @situation
    async def test_startTLS_on_a_live_connection(self) -> None:
        theirs, ours = self.certificates()

        class Server(Recorder):
            def came(self, data: bytes) -> None:
                if data == b"STARTTLS":
                    self.transport.write(b"go")
                    self.transport.startTLS(theirs)

        class Client(Recorder):
            def made(self) -> None:
                self.transport.write(b"STARTTLS")

            def came(self, data: bytes) -> None:
                if data == b"go":
                    self.transport.startTLS(ours)
                    self.transport.write(PATTERN)

        client, server = Client(), Server()
        port = self.reactor.listenTCP(0, self.factory(server), interface="127.0.0.1")
        self.reactor.connectTCP("127.0.0.1", port.getHost().port, self.client(client))
        await server.received(8 + len(PATTERN))
        server.transport.write(PATTERN)
        server.transport.loseConnection()
        await client.event("lost")
        self.assertEqual(client.data, b"go" + PATTERN)
        self.assertEqual(server.data, b"STARTTLS" + PATTERN)

    @situation
    async def test_tls_with_a_peer_that_does_not_read_and_an_abort(self) -> None:
        client, server = await self.over_tls()
        client.transport.write(b"hello")
        await server.received(5)
        client.transport.pauseProducing()
        server.transport.write(PATTERN * 20)
        server.transport.loseConnection()
        for _ in range(10):
            await self.turn()
        self.assertNotIn("lost", server.events)
        server.transport.abortConnection()
        await server.event("lost")
        client.transport.resumeProducing()
        await client.event("lost")


globals().update(SocketTests.makeTestCaseClasses())
