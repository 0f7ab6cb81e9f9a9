"""Clients over TLS, over real sockets: both ends of stream, closing, deadlines, and whom they trust.

The same over ours, `tls:HOST:PORT`, and, but for the half-close, over Twisted's own TLS that a program brings.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, quoteStringArgument, serverFromString, wrapClientTLS
from twisted.internet.error import ConnectionLost, SSLError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IPullProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.tcp import Port
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.client.connecting import connect, disconnect
from sockserve.client.endpoints import as_endpoint
from sockserve.client.reconnecting import reconnecting
from sockserve.connection.channel import Channel, ChannelClosed
from sockserve.connection.conversation import Conversation
from sockserve.server.sockets import SocketServer
from sockserve.tls.certificates import TLSConfig
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, SocketCase, turn


class Silent(Protocol):
    """lost: fires when the connection is over."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class OldConfig(TLSConfig):
    """Of a server that speaks TLS 1.2 only."""

    def read(self) -> ssl.SSLContext:
        context = super().read()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


class ClientCase(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.mktemp())

    def port(self, server: SocketServer) -> int:
        [port] = server.ports
        assert isinstance(port, Port)
        return int(port.getHost().port)

    def versions(self, conversation: Conversation, framing: str = "windev", **settings: float) -> list[str]:
        """Endpoints of servers with this conversation: one speaks TLS 1.2 only, the other TLS 1.3 only."""
        old = OldConfig(certificate=str(self.authority.server))
        new = TLSConfig(certificate=str(self.authority.server), minimum_version="1.3")
        return [
            self.authority.trusting(
                self.port(
                    self.serve(
                        SocketServer("here", LOCAL, framing, conversation=conversation, tls=tls, **settings)  # type: ignore[arg-type]
                    )
                )
            )
            for tls in (old, new)
        ]

    def foreign(self, port: int) -> IStreamClientEndpoint:
        """An endpoint with Twisted's TLS."""
        trust = Certificate.loadPEM(self.authority.ca.read_bytes())
        options = optionsForClientTLS("localhost", trustRoot=trust)
        return wrapClientTLS(options, TCP4ClientEndpoint(reactor, "127.0.0.1", port))

    async def silent(self) -> tuple[int, Silent]:
        """A server that never says a word."""
        protocol = Silent()
        port = await serverFromString(reactor, LOCAL).listen(Factory.forProtocol(lambda: protocol))
        self.addCleanup(port.stopListening)
        assert isinstance(port, Port)
        return int(port.getHost().port), protocol


async def late(channel: Channel) -> None:
    """Answers when the peer has ended its stream."""
    for message in [message async for message in channel]:
        await channel.write(message)


class HalfCloseTests(ClientCase):
    async def test_what_arrives_after_our_end_is_read_to_the_last_message(self) -> None:
        messages = [b"%d" % number * 10_000 for number in range(20)]
        for endpoint in self.versions(late):
            channel = await connect(endpoint, "windev")
            for message in messages:
                channel.send(message)
            channel.end()
            self.assertEqual([message async for message in channel], messages, endpoint)
            await disconnect(channel)

    async def test_what_we_send_after_the_peers_end_arrives(self) -> None:
        received: list[bytes] = []

        async def ending(channel: Channel) -> None:
            channel.end()
            received.extend([message async for message in channel])

        for endpoint in self.versions(ending):
            channel = await connect(endpoint, "windev")
            with self.assertRaises(ChannelClosed):
                await channel.read()
            self.assertFalse(channel.closed)
            for number in range(100):
                channel.send(b"%d" % number)
            await disconnect(channel)
            while len(received) < 100:
                await turn()
            self.assertEqual(received, [b"%d" % number for number in range(100)], endpoint)
            received.clear()

    async def test_an_echo_of_more_than_both_sides_can_keep(self) -> None:
        """Our writes wait for the server, which waits for our reads: these must go on."""

        async def echo(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)

        for endpoint in self.versions(echo, "raw"):
            channel = await connect(endpoint, "raw")

            async def send(channel: Channel = channel) -> None:
                for _ in range(16):
                    await channel.write(bytes(1 << 20))
                channel.end()

            sending = Deferred.fromCoroutine(send())
            self.assertEqual(sum([len(message) async for message in channel]), 16 << 20)
            await sending
            await disconnect(channel)

    async def test_a_paused_reader_loses_nothing_when_it_ends_its_stream(self) -> None:
        """What had come before our close_notify is still here when it goes out."""

        async def greet(channel: Channel) -> None:
            for number in range(50):
                channel.send(b"%d" % number * 1000)
            async for _ in channel:
                pass

        for endpoint in self.versions(greet):
            channel = await connect(endpoint, "windev")
            await channel.read()
            for _ in range(5):
                await turn()
            channel.end()
            rest = [message async for message in channel]
            self.assertEqual(rest, [b"%d" % number * 1000 for number in range(1, 50)], endpoint)
            await disconnect(channel)


class ClosingTests(ClientCase):
    """Over both kinds of TLS."""

    def endpoints(self, conversation: Conversation, **settings: float) -> list[IStreamClientEndpoint | str]:
        tls = TLSConfig(certificate=str(self.authority.server))
        server = SocketServer("here", LOCAL, "buffered", conversation=conversation, tls=tls, **settings)  # type: ignore[arg-type]
        port = self.port(self.serve(server))
        return [self.authority.trusting(port), self.foreign(port)]

    async def test_a_client_that_closes_a_moment_after_its_last_read_does_not_wait_out_close_timeout(self) -> None:
        async def greet(channel: Channel) -> None:
            await channel.write(b"welcome")
            async for _ in channel:
                pass

        for endpoint in self.endpoints(greet):
            channel = await connect(endpoint, "buffered", close_timeout=10)
            await channel.read()
            for _ in range(3):
                await turn()
            begun = time.monotonic()
            await disconnect(channel)
            self.assertLess(time.monotonic() - begun, 5, endpoint)

    async def test_connections_of_a_service_follow_one_another(self) -> None:
        async def greet(channel: Channel) -> None:
            await channel.write(b"welcome")
            async for _ in channel:
                pass

        for endpoint in self.endpoints(greet):
            third: Deferred[None] = Deferred()
            count = 0

            async def talk(channel: Channel, third: Deferred[None] = third) -> None:
                nonlocal count
                await channel.read()
                await turn()
                count += 1
                if count == 3:
                    third.callback(None)

            service = reconnecting(endpoint, "buffered", talk, close_timeout=10, retry_policy=lambda _: 0)
            service.startService()
            await third
            await service.stopService()

    async def test_a_client_that_is_writing_when_the_server_closes_is_told(self) -> None:
        async def once(channel: Channel) -> None:
            await channel.read()

        for endpoint in self.endpoints(once, close_timeout=0.5):
            channel = await connect(endpoint, "buffered", close_timeout=2)
            with self.assertRaises((ChannelClosed, ConnectionLost)):
                for _ in range(1 << 20):
                    await channel.write(b"y" * 998)
            with self.assertRaises((ChannelClosed, ConnectionLost)):
                await channel.read()
            await disconnect(channel)

    async def test_messages_go_out_and_come_back(self) -> None:
        async def echo(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)

        for endpoint in self.endpoints(echo):
            channel = await connect(endpoint, "buffered")
            await channel.write(b"x" * 300_000)
            self.assertEqual(await channel.read(), b"x" * 300_000)
            tls, certificate = channel.info.tls, channel.info.certificate
            assert tls is not None
            assert certificate is not None
            self.assertEqual((tls.version, certificate.names), ("TLSv1.3", ("DNS:localhost", "IP:127.0.0.1")))
            await disconnect(channel)


class TrustTests(ClientCase):
    def certified(self, common_name: str, *names: str) -> int:
        """The port of a server with such a certificate."""
        file = self.authority.issue(common_name, self.authority.folder / "own.key", names=names)
        tls = TLSConfig(certificate=str(file))
        return self.port(self.serve(SocketServer("here", LOCAL, "windev", tls=tls)))

    async def refused(self, endpoint: IStreamClientEndpoint | str) -> str:
        with self.assertRaises(SSLError) as caught:
            await connect(endpoint, "windev")
        line = str(caught.exception)
        self.assertNotIn("\n", line)
        return line

    async def test_a_certificate_that_names_nobody_or_somebody_else_is_refused(self) -> None:
        for common_name, *names in (("localhost",), ("other.example",), ("localhost", "other.example")):
            port = self.certified(common_name, *names)
            line = await self.refused(self.authority.trusting(port))
            self.assertIn(
                "no agreement on TLS: certificate verify failed: "
                "Hostname mismatch, certificate is not valid for 'localhost'",
                line,
            )

    async def test_twisteds_own_tls_refuses_it_too(self) -> None:
        line = await self.refused(self.foreign(self.certified("localhost")))
        self.assertIn("no agreement on TLS: certificate verify failed: it names nobody (subjectAltName)", line)
        # Twisted has met an error that it did not expect.
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    async def test_an_address_and_another_name_can_be_expected(self) -> None:
        port = self.certified("x", "127.0.0.1", "scale.example")
        roots = quoteStringArgument(str(self.authority.ca))
        for endpoint in (
            f"tls:127.0.0.1:{port}:trustRoots={roots}",
            f"tls:127.0.0.1:{port}:trustRoots={roots}:serverName=scale.example",
            f"tls:scale.example.:1:trustRoots={roots}:endpoint=tcp\\:127.0.0.1\\:{port}",
            f"ssl:127.0.0.1:{port}:caCertsDir={roots}",
        ):
            channel = await connect(endpoint, "windev")
            await channel.write(b"x")
            self.assertEqual(await channel.read(), b"x")
            await disconnect(channel)

    def test_what_is_wrong_with_the_options_in_one_line(self) -> None:
        other = self.authority.issue("other", self.authority.folder / "other.key")
        note = self.authority.folder / "note.txt"
        note.write_text("not PEM")
        for options, expected in (
            ("trustRoots=none.pem", "none.pem: cannot be read: No such file or directory"),
            (f"trustRoots={note}", "note.txt: has no certificate that can be read; accepted: PEM"),
            (f"trustRoots={self.mktemp()}x", "cannot be read"),
            (f"certificate={note}", "note.txt: has no certificate that can be read; accepted: PEM"),
            (f"certificate={self.authority.ca}", "ca.pem: has no private key that can be read; accepted: PEM"),
            (f"certificate={self.authority.ca}:privateKey={other}", "the key does not belong to"),
            (f"privateKey={other}", "a key needs the certificate that it belongs to"),
            ("serverName=.example", "'.example' can be nobody's name"),
            ("hostname=x", "there is no argument 'hostname'"),
            ("endpoint=pigeon", "unknown kind of endpoint 'pigeon'"),
        ):
            with self.subTest(options), self.assertRaises(ValueError) as caught:
                as_endpoint(f"tls:localhost:7000:{options}", reactor)
            line = str(caught.exception)
            self.assertIn(expected, line)
            self.assertNotIn("\n", line)


class PatienceTests(ClientCase):
    async def test_an_endpoint_has_a_deadline_for_the_handshake_of_its_own(self) -> None:
        port, server = await self.silent()
        endpoint = as_endpoint(f"tls:127.0.0.1:{port}:timeout=0.2", reactor)
        with self.assertRaises(ConnectTimeout) as caught:
            await endpoint.connect(Factory.forProtocol(Protocol))
        self.assertIn("no TLS handshake within 0.2 seconds", str(caught.exception))
        await server.lost

    async def test_a_bridge_gives_up_a_target_that_says_nothing(self) -> None:
        port, target = await self.silent()
        bridge = self.serve(SocketServer("bridge", LOCAL, "windev", f"forward:tls:127.0.0.1:{port}:timeout=0.2"))
        client = await self.client(bridge)
        await target.lost
        await client.ended
        [line] = self.logged("no connection to")
        self.assertIn("no TLS handshake within 0.2 seconds", line)

    async def test_a_drain_ends_the_handshake_with_a_target(self) -> None:
        port, target = await self.silent()
        handler = f"forward:tls:127.0.0.1:{port}"
        bridge = self.serve(SocketServer("bridge", LOCAL, "windev", handler, drain_timeout=0.2))
        client = await self.client(bridge)
        while not bridge.channels:
            await turn()
        await bridge.stopService()
        await target.lost
        await client.lost
        self.assertEqual(self.logged("no connection to"), [])

    async def test_a_bridge_carries_both_ends_of_stream_across_and_leaves_nothing(self) -> None:
        tls = TLSConfig(certificate=str(self.authority.server))
        backend = self.serve(SocketServer("backend", LOCAL, "int32", conversation=late, tls=tls))
        target = self.authority.trusting(self.port(backend))
        bridge = self.serve(SocketServer("bridge", LOCAL, "windev", f"forward:{target},int32"))
        for _ in range(5):
            client = await self.client(bridge)
            client.send(b"3\r\none3\r\ntwo")
            client.end()
            await client.lost
            self.assertEqual(client.received, b"3\r\none3\r\ntwo")
        for _ in range(5):
            client = await self.client(bridge)
            client.send(b"3\r\none")
            client.transport.loseConnection()
        while bridge.channels or backend.channels:
            await turn()
        self.assertEqual(self.logged("Traceback"), [])


@implementer(IPullProducer)
class Pulled(Protocol):
    """Sends pieces, each when it is asked for, and ends its stream after the last. lost: as above."""

    transport: Any

    def __init__(self) -> None:
        self.left = 50
        self.received = 0
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if self.left:
            self.left -= 1
            self.transport.write(bytes(10_000))
        else:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def stopProducing(self) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class ProducerTests(ClientCase):
    async def test_a_producer_that_is_asked_for_each_piece_is_asked_for_all_of_them(self) -> None:
        async def echo(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)

        for endpoint in self.versions(echo, "raw"):
            client = await as_endpoint(endpoint, reactor).connect(Factory.forProtocol(Pulled))
            assert isinstance(client, Pulled)
            await client.lost
            self.assertEqual((client.left, client.received), (0, 500_000))
