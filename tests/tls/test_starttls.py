"""startTLS on live connections, on either side: what is in the clear, what is inside TLS, and what is dropped."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.tcp import Port
from twisted.internet.threads import deferToThread
from twisted.protocols.policies import WrappingFactory

from sockserve import MessageFactory, MessageProtocol
from sockserve.client.connecting import connect, disconnect
from sockserve.connection.channel import Channel, ChannelClosed
from sockserve.server.sockets import SocketServer
from sockserve.tls.certificates import TLSConfig
from sockserve.tls.client import ClientTLS
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, SocketCase
from tests.support.twistd import PATIENCE

T = TypeVar("T")


class StartTLSCase(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.mktemp())
        self.config = TLSConfig(certificate=str(self.authority.server))
        self.trust = ClientTLS(roots=str(self.authority.ca))
        self.heard: list[bytes] = []

    async def talk(self, channel: Channel) -> None:
        async for message in channel:
            self.heard.append(message)
            if message == b"STARTTLS":
                channel.send(b"go ahead")
                channel.start_tls(self.config)
            else:
                await channel.write(message)

    def listening(self, **settings: float) -> tuple[str, int]:
        server = self.serve(SocketServer("mail", LOCAL, "buffered", conversation=self.talk, **settings))  # type: ignore[arg-type]
        return self.address(server.ports[0])

    def address(self, port: IListeningPort) -> tuple[str, int]:
        assert isinstance(port, Port)
        return "127.0.0.1", port.getHost().port

    def blocking(self, client: Callable[[], T]) -> Deferred[T]:
        return deferToThread(client)

    def context(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        context.minimum_version = context.maximum_version = version
        return context


class ServerTests(StartTLSCase):
    async def test_the_answer_is_in_the_clear_and_everything_after_it_inside_tls(self) -> None:
        address = self.listening()

        def client(version: ssl.TLSVersion) -> bytes:
            with socket.create_connection(address, PATIENCE) as plain:
                plain.sendall(b"one\r\nSTARTTLS\r\n")
                with plain.makefile("rb") as stream:
                    clear = stream.readline() + stream.readline()
                with self.context(version).wrap_socket(plain, server_hostname="localhost") as tls:
                    tls.sendall(b"two\r\n")
                    return clear + tls.recv(100)

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(await deferToThread(client, version), b"one\r\ngo ahead\r\ntwo\r\n")

    async def test_what_comes_in_the_clear_together_with_the_command_is_dropped(self) -> None:
        address = self.listening()
        for injected in (b"RSET\r\n", b"RSET\r\nRSET\r\n", b"RS", b"RSET\r\nRS"):
            self.heard.clear()

            def client(injected: bytes = injected) -> bytes:
                with socket.create_connection(address, PATIENCE) as plain:
                    plain.sendall(b"STARTTLS\r\n" + injected)
                    with plain.makefile("rb") as stream:
                        clear = stream.readline()
                    with self.context().wrap_socket(plain, server_hostname="localhost") as tls:
                        tls.sendall(b"NOOP\r\n")
                        return clear + tls.recv(100)

            self.assertEqual(await self.blocking(client), b"go ahead\r\nNOOP\r\n")
            self.assertEqual(self.heard, [b"STARTTLS", b"NOOP"])

    async def test_clear_bytes_that_come_later_are_no_handshake_and_end_the_connection_with_one_line(self) -> None:
        address = self.listening()

        def client() -> str:
            with socket.create_connection(address, PATIENCE) as plain:
                host, port = plain.getsockname()
                plain.sendall(b"STARTTLS\r\n")
                with plain.makefile("rb") as stream:
                    stream.readline()
                    plain.sendall(b"MAIL FROM:<root@localhost>\r\n")
                    stream.read()
                return f"{host}:{port}"

        name = await self.blocking(client)
        self.assertEqual(self.heard, [b"STARTTLS"])
        [line] = self.logged(name)
        self.assertIn("no agreement on TLS: ", line)

    async def test_whoever_is_silent_then_is_aborted_in_time(self) -> None:
        class Hasty(MessageProtocol):
            framing = "buffered"
            config = self.config

            def messageReceived(self, message: bytes) -> None:
                self.startTLS(self.config, handshake_timeout=0.2)

        port = await TCP4ServerEndpoint(self.reactor(), 0, interface="127.0.0.1").listen(Factory.forProtocol(Hasty))
        self.addCleanup(port.stopListening)

        def client() -> None:
            with socket.create_connection(self.address(port), PATIENCE) as plain:
                plain.sendall(b"STARTTLS\r\n")
                with self.assertRaises(ConnectionResetError):
                    plain.recv(1)

        await self.blocking(client)
        [line] = self.logged("handshake_timeout")
        self.assertIn("aborted, no TLS handshake within 0.2 seconds (handshake_timeout)", line)

    def reactor(self) -> object:
        from twisted.internet import reactor

        return reactor


class ClientTests(StartTLSCase):
    async def secured(self, server_hostname: str = "localhost") -> Channel:
        channel = await connect("tcp:{}:{}".format(*self.listening()), "buffered")
        await channel.write(b"STARTTLS")
        self.assertEqual(await channel.read(), b"go ahead")
        channel.start_tls(self.trust, server_hostname)
        return channel

    async def test_what_is_sent_at_once_leaves_inside_tls_and_both_ends_of_stream_are_passed_on(self) -> None:
        channel = await self.secured()
        messages = [b"%d" % number * 20_000 for number in range(20)]
        for message in messages:
            channel.send(message)
        channel.end()
        self.assertEqual([message async for message in channel], messages)
        tls, certificate = channel.info.tls, channel.info.certificate
        assert tls is not None
        assert certificate is not None
        self.assertEqual((tls.version, certificate.common_name), ("TLSv1.3", "localhost"))
        await disconnect(channel)
        self.assertEqual(self.heard, [b"STARTTLS", *messages])

    async def test_it_can_be_waited_for(self) -> None:
        channel = await connect("tcp:{}:{}".format(*self.listening()), "buffered")
        channel.send(b"STARTTLS")
        await channel.read()
        await channel.start_tls(self.trust, "localhost")
        self.assertIsNotNone(channel.info.tls)
        await channel.write(b"x")
        self.assertEqual(await channel.read(), b"x")
        await disconnect(channel)

    async def test_a_certificate_for_somebody_else_ends_the_connection_before_a_byte_has_gone(self) -> None:
        channel = await self.secured("example.org")
        channel.send(b"secret")
        with self.assertRaises(ConnectionLost) as caught:
            await channel.read()
        self.assertIn("certificate verify failed: Hostname mismatch", str(caught.exception))
        with self.assertRaises((ConnectionLost, ChannelClosed)):
            channel.send(b"secret")
        await disconnect(channel)
        self.assertEqual(self.heard, [b"STARTTLS"])

    async def test_what_cannot_be_is_said_at_once(self) -> None:
        channel = await connect("tcp:{}:{}".format(*self.listening()), "buffered")
        with self.assertRaisesRegex(ValueError, "startTLS needs server_hostname"):
            channel.start_tls(self.trust)
        with self.assertRaisesRegex(ValueError, "cannot be read: No such file"):
            channel.start_tls(ClientTLS(roots="nowhere.pem"), "localhost")
        with self.assertRaisesRegex(TypeError, "accepted: ssl.SSLContext"):
            channel.start_tls("tls")
        channel.end()
        with self.assertRaisesRegex(ValueError, "too late"):
            channel.start_tls(self.trust, "localhost")
        await disconnect(channel)

    async def test_the_transports_own_method_does_not_hang_either(self) -> None:
        """Twisted's TLS, on the client's side: what is sent before the handshake waits for it."""
        channel = await connect("tcp:{}:{}".format(*self.listening()), "buffered")
        await channel.write(b"STARTTLS")
        self.assertEqual(await channel.read(), b"go ahead")
        cast("Any", channel._protocol).transport.startTLS(CertificateOptions())
        await channel.write(b"x" * 300_000)
        self.assertEqual(await channel.read(), b"x" * 300_000)
        tls = channel.info.tls
        assert tls is not None
        self.assertEqual(tls.version, "TLSv1.3")
        await disconnect(channel)

    async def test_contexts_of_twisted_and_wrapped_transports(self) -> None:
        """Everything holds with these, the half-close too."""
        options = PrivateCertificate.loadPEM(self.authority.server.read_bytes()).options()
        ended: Deferred[list[bytes]] = Deferred()

        class Answering(MessageProtocol):
            def connectionMade(self) -> None:
                self.got: list[bytes] = []

            def messageReceived(self, message: bytes) -> None:
                self.got.append(message)
                self.sendMessage(b"re " + message)
                if message == b"STARTTLS":
                    self.startTLS(options)

            def messagesEnded(self) -> None:
                self.sendMessage(b"bye")
                self.loseConnection()
                ended.callback(self.got)

        factory = WrappingFactory(MessageFactory("buffered", Answering))
        from twisted.internet import reactor

        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        channel = await connect("tcp:{}:{}".format(*self.address(port)), "buffered")
        channel.send(b"STARTTLS")
        self.assertEqual(await channel.read(), b"re STARTTLS")
        channel.start_tls(CertificateOptions())
        channel.send(b"x" * 100_000)
        self.assertEqual(await channel.read(), b"re " + b"x" * 100_000)
        await disconnect(channel)
        self.assertEqual(await ended, [b"STARTTLS", b"x" * 100_000])
