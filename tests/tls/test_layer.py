"""TLS of named sockets, over real sockets.

What is owed arrives, in order, with a close_notify behind it; and only whoever may come in is served.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Thread
from typing import Any, Self, TypeVar, cast
from unittest import SkipTest

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, quoteStringArgument
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.addresses import format_address
from sockserve.config.checking import ConfigError
from sockserve.config.loading import load
from sockserve.connection.channel import Channel
from sockserve.connection.transports import unsent
from sockserve.server.settings import SocketSettings
from sockserve.server.sockets import SocketServer
from sockserve.tls.certificates import Certificates, TLSConfig
from sockserve.tls.layer import TLSFactory
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, SocketCase, turn
from tests.support.tls_peer import TLS1_2, TLS1_3, VERSIONS, Peer
from tests.support.twistd import PATIENCE, running

MESSAGE = b"this is a test"
T = TypeVar("T")


class SampleTests(SynchronousTestCase):
    """The client of the Winsock sample against `twistd sockserve`, with TLS in between."""

    def setUp(self) -> None:
        self.authority = Authority(self.mktemp())

    def test_many_clients_get_their_14_bytes_and_leave_nothing_behind(self) -> None:
        """As many of each version as TLS_CLIENTS in the environment says."""
        count = int(os.environ.get("TLS_CLIENTS", "50"))
        with running("--listen", self.authority.listen()) as server:

            def sample(version: int) -> bytes:
                with Peer(server.address, version) as client:
                    client.send(MESSAGE, end=True)
                    return client.rest()

            def descriptors() -> int:
                # Counted while a client is served, so that the server has done with all before it.
                with Peer(server.address) as client:
                    client.send(b"x")
                    self.assertEqual(client.read(1), b"x")
                    return server.descriptors()

            before = descriptors()
            for name, version in VERSIONS.items():
                answers = [sample(version) for _ in range(count)]
                self.assertEqual(answers, [MESSAGE] * count, name)
            self.assertEqual(descriptors(), before)

    def test_24_megabytes_come_back_to_a_client_that_reads_late_and_are_not_kept_for_it(self) -> None:
        data = os.urandom(1_000_000) * 24
        with running("--listen", self.authority.listen()) as server:
            for name, version in VERSIONS.items():
                with Peer(server.address, version) as client:
                    wire = client.seal(data, end=True)
                    idle = server.resident()
                    # Send until the server has stopped reading.
                    client.socket.settimeout(0.5)
                    sent = 0
                    try:
                        while sent < len(wire):
                            sent += client.socket.send(wire[sent : sent + 65536])
                    except TimeoutError:
                        pass
                    self.assertLess(sent, len(wire), name)
                    self.assertLess(server.resident() - idle, 8 << 20, name)
                    client.socket.settimeout(PATIENCE)
                    sender = Thread(target=client.socket.sendall, args=[wire[sent:]])
                    sender.start()
                    answer = client.rest()
                    sender.join()
                self.assertEqual(len(answer), len(data), name)
                self.assertTrue(answer == data, name)


class Lines(Protocol):
    """Answers each read, does not take part in the half-close; lost: fires with the reason of its end."""

    def __init__(self) -> None:
        self.lost: Deferred[type | None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper() * 100_000)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.type)


class TLSCase(SocketCase):
    """Servers in this process, and clients that block, in threads."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.mktemp())
        self.config = TLSConfig(certificate=str(self.authority.server))

    def address(self, server: SocketServer, port: int = 0) -> tuple[str, int]:
        listening = server.ports[port]
        assert isinstance(listening, Port)
        return "127.0.0.1", listening.getHost().port

    def pem(self) -> Path:
        """The server's key and certificate in a folder of their own."""
        folder = self.authority.folder / "pem"
        folder.mkdir()
        return Path(shutil.copy(self.authority.server, folder / "server.pem"))

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await turn()

    def client(self, client: Callable[[], T]) -> Deferred[T]:  # type: ignore[override]
        return deferToThread(client)


class HalfCloseTests(TLSCase):
    async def test_what_is_written_behind_the_clients_end_of_stream_arrives(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)
            # The client has ended its stream.
            for number in range(100):
                await channel.write(b"%d" % number * 1000)
                await turn()

        expected = b"5\r\nhello" + b"".join(b"%d\r\n" % len(b"%d" % n * 1000) + b"%d" % n * 1000 for n in range(100))
        server = self.serve(SocketServer("orders", LOCAL, "windev", conversation=talk, tls=self.config))
        for name, version in VERSIONS.items():

            def client(version: int = version) -> bytes:
                with Peer(self.address(server), version) as peer:
                    peer.send(b"5\r\nhello", end=True)
                    return peer.rest()

            self.assertEqual(await self.client(client), expected, name)
        self.assertEqual(self.logged("orders 127"), [])

    async def test_our_end_of_stream_goes_out_alone_and_reading_goes_on(self) -> None:
        heard: list[bytes] = []

        async def talk(channel: Channel) -> None:
            await channel.write(b"you first")
            channel.end()
            heard.extend([message async for message in channel])

        server = self.serve(SocketServer("orders", LOCAL, "windev", conversation=talk, tls=self.config))
        for name, version in VERSIONS.items():

            def client(version: int = version) -> None:
                with Peer(self.address(server), version) as peer:
                    self.assertEqual(peer.rest(), b"9\r\nyou first")
                    peer.send(b"3\r\none")
                    peer.send(b"3\r\ntwo", end=True)
                    self.assertEqual(peer.socket.recv(1), b"")

            await self.client(client)
            await self.until(lambda: not server.channels)
            self.assertEqual(heard, [b"one", b"two"], name)
            heard.clear()

    async def test_a_stream_that_ends_without_close_notify_is_answered_and_noted(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", tls=self.config))
        for version in VERSIONS.values():

            def client(version: int = version) -> str:
                with Peer(self.address(server), version) as peer:
                    peer.send(b"5\r\nhello")
                    peer.socket.shutdown(socket.SHUT_WR)
                    self.assertEqual(peer.rest(), b"5\r\nhello")
                    return peer.name

            name = await self.client(client)
            [line] = self.logged(name)
            self.assertEqual(line, f"orders {name}: its stream has ended without close_notify, it may be cut short")

    async def test_a_frame_that_is_cut_short_by_it_is_reported_as_one(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", tls=self.config))

        def client() -> None:
            with Peer(self.address(server)) as peer:
                peer.send(b"5\r\nhel")
                peer.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(peer.rest(), b"")

        await self.client(client)
        self.assertEqual(len(self.logged("header announced 5 bytes, 3 arrived; closing")), 1)

    async def test_bytes_behind_the_close_notify_are_ignored(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", tls=self.config))

        def client() -> None:
            with Peer(self.address(server)) as peer:
                peer.socket.sendall(peer.seal(b"5\r\nhello", end=True) + b"garbage" * 100)
                self.assertEqual(peer.rest(), b"5\r\nhello")

        await self.client(client)
        self.assertEqual(self.logged("orders 127"), [])

    async def test_the_answer_before_a_bad_frame_reaches_a_client_that_goes_on_sending(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", tls=self.config))

        def client() -> None:
            for version in VERSIONS.values():
                for _ in range(10):
                    with Peer(self.address(server), version) as peer:
                        peer.send(b"5\r\nhello-1\r\n" + bytes(1 << 20))
                        self.assertEqual(peer.read(8), b"5\r\nhello")
                        peer.end()
                        self.assertEqual(peer.rest(), b"")

        await self.client(client)
        self.assertEqual(server.closings, {"on_bad_frame": 20})

    async def test_a_protocol_without_half_close_is_closed_with_everything_written(self) -> None:
        made: list[Lines] = []

        class Making(Factory[Lines]):
            def buildProtocol(self, addr: object) -> Lines:
                made.append(Lines())
                return made[-1]

        certificates = Certificates("lines", self.config.read, self.config.files)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(TLSFactory(certificates, Making(), reactor))
        assert isinstance(port, Port)
        self.addCleanup(port.stopListening)
        address = ("127.0.0.1", port.getHost().port)

        def client(version: int, clean: bool) -> bytes:
            with Peer(address, version) as peer:
                peer.send(b"hello", end=clean)
                if not clean:
                    peer.socket.shutdown(socket.SHUT_WR)
                return peer.rest()

        for version in VERSIONS.values():
            for clean in (True, False):
                answer = await deferToThread(client, version, clean)
                self.assertEqual(answer, b"HELLO" * 100_000)
                self.assertIs(await made[-1].lost, ConnectionDone if clean else ConnectionLost)


class ClosingTests(TLSCase):
    async def test_a_client_that_never_reads_is_aborted_after_close_timeout(self) -> None:
        async def talk(channel: Channel) -> None:
            for _ in range(16):
                # Without waiting for the client; the end of the conversation closes.
                channel._protocol.sendMessage(bytes(1 << 20))
            transport = cast("Any", channel._protocol).transport
            owed.append((unsent(transport), unsent(transport.transport)))

        owed: list[tuple[int, int]] = []
        server = SocketServer(
            "orders", LOCAL, conversation=talk, tls=self.config, close_timeout=0.2, max_queued=1 << 26
        )
        self.serve(server)
        peer = await self.client(lambda: Peer(self.address(server)))
        await self.until(lambda: not server.channels and self.logged("(close_timeout)"))
        peer.socket.close()
        # What is owed is counted once, though there are two transports.
        [(above, below)] = owed
        self.assertEqual(above, below)
        # The kernel has taken some of the 16 MiB.
        self.assertGreater(above, 8 << 20)

    async def test_a_client_that_half_closes_and_never_reads_is_aborted(self) -> None:
        def answer(message: bytes, _: Channel) -> bytes:
            return message * (1 << 20)

        server = self.serve(SocketServer("orders", LOCAL, "raw:1", answer, tls=self.config, close_timeout=0.2))

        def client() -> Peer:
            peer = Peer(self.address(server))
            peer.send(b"x" * 16, end=True)
            peer.socket.shutdown(socket.SHUT_WR)
            return peer

        peer = await self.client(client)
        await self.until(lambda: not server.channels and self.logged("(close_timeout)"))
        peer.socket.close()

    async def test_a_reset_while_data_is_owed_ends_the_connection_quietly(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "raw", tls=self.config))

        def client() -> None:
            peer = Peer(self.address(server))
            peer.send(bytes(1 << 20))
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.socket.close()

        await self.client(client)
        await self.until(lambda: not server.channels)
        self.assertEqual(self.logged("Traceback"), [])

    async def test_the_service_drains(self) -> None:
        asked: Deferred[None] = Deferred()

        async def answer(message: bytes, _: Channel) -> bytes:
            reactor.callLater(0, asked.callback, None)
            await turn()
            await turn()
            return message * 1000

        server = self.serve(SocketServer("orders", LOCAL, "windev", answer, tls=self.config))

        def client() -> bytes:
            with Peer(self.address(server)) as peer:
                peer.send(b"5\r\nhello")
                return peer.rest()

        answered = self.client(client)
        await asked
        await server.stopService()
        self.assertEqual(await answered, b"5000\r\n" + b"hello" * 1000)

    async def test_a_stop_leaves_no_handshake_behind(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config))
        with socket.create_connection(self.address(server)) as client:
            await self.until(lambda: len(server._arrivals) == 1)
            await server.stopService()
            with self.assertRaises(ConnectionResetError):
                await deferToThread(client.recv, 1)
        self.assertEqual(self.logged("orders 127"), [])


class HandshakeTests(TLSCase):
    """Nobody is served, and no handler is made, before the handshake is done."""

    def setUp(self) -> None:
        super().setUp()
        self.talks = 0

    def guarded(self, **settings: str) -> SocketServer:
        async def talk(channel: Channel) -> None:
            self.talks += 1
            await channel.write(b"hello")

        config = TLSConfig(
            certificate=str(self.authority.server),
            client_ca=str(self.authority.ca),
            **settings,  # type: ignore[arg-type]
        )
        return self.serve(SocketServer("orders", LOCAL, "windev", conversation=talk, tls=config, handshake_timeout=5.0))

    async def refused(self, server: SocketServer, client: Callable[[], str]) -> str:
        """The only line of the log for this client, without its address, which the client gives."""
        name = await self.client(client)
        await self.until(lambda: self.logged(name) and not server.channels)
        [line] = self.logged(name)
        self.assertEqual(self.logged("Traceback"), [])
        self.assertEqual((self.talks, server.channels), (0, {}))
        prefix = f"orders {name}: "
        self.assertTrue(line.startswith(prefix), line)
        return line.removeprefix(prefix)

    async def test_a_client_without_a_certificate(self) -> None:
        server = self.guarded()
        for version in VERSIONS.values():
            text = await self.refused(server, self.hostile(server, version))
            self.assertIn("no agreement on TLS: peer did not return a certificate", text)

    async def test_certificates_that_are_not_accepted(self) -> None:
        server = self.guarded()
        folder = self.authority.folder
        other = Authority(self.mktemp(), "Another one")
        for certificate, expected in (
            (other.issue("stranger", folder / "stranger.key"), "unable to get local issuer certificate"),
            (self.authority.issue("old", folder / "old.key", expired=True), "certificate has expired"),
        ):
            for version in VERSIONS.values():
                text = await self.refused(server, self.hostile(server, version, certificate))
                self.assertEqual(text, f"no agreement on TLS: certificate verify failed: {expected}")

    async def test_a_good_certificate(self) -> None:
        server = self.guarded()
        certificate = self.authority.issue("shop", self.authority.folder / "shop.key")
        for number, version in enumerate(VERSIONS.values(), 1):

            def client(version: int = version) -> bytes:
                with Peer(self.address(server), version, certificate) as peer:
                    return peer.rest()

            self.assertEqual(await self.client(client), b"5\r\nhello")
            self.assertEqual(self.talks, number)

    def hostile(self, server: SocketServer, version: int, certificate: Path | None = None) -> Callable[[], str]:
        """A client that is refused in its handshake, or with the first read behind it (TLS 1.3)."""

        def client() -> str:
            names: list[str] = []

            class Watched(Peer):
                def _shake_hands(self, last_flight: bool) -> None:
                    names.append(self.name)
                    super()._shake_hands(last_flight)

            try:
                with Watched(self.address(server), version, certificate) as peer:
                    data = peer.read(1)
            except (SSL.Error, OSError):
                return names[0]
            raise AssertionError(f"it was let in, and got {data!r}")

        return client

    async def test_a_version_that_is_too_old(self) -> None:
        text = await self.refused(self.guarded(), self.hostile(self.guarded(), SSL.TLS1_1_VERSION))
        self.assertIn("unsupported protocol", text)
        server = self.guarded(minimum_version="1.3")
        self.assertIn("unsupported protocol", await self.refused(server, self.hostile(server, TLS1_2)))

    async def test_what_is_not_tls(self) -> None:
        server = self.guarded()

        def sending(data: bytes) -> Callable[[], str]:
            def client() -> str:
                with socket.create_connection(self.address(server), PATIENCE) as plain:
                    host, port = plain.getsockname()
                    plain.sendall(data)
                    try:
                        while plain.recv(1 << 16):
                            pass
                    except ConnectionResetError:
                        pass
                    return f"{host}:{port}"

            return client

        for data, expected in (
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no agreement on TLS: http request"),
            (b"5\r\nhello" * 1000, "no agreement on TLS: "),
            (os.urandom(100_000), "no agreement on TLS: "),
        ):
            self.assertIn(expected, await self.refused(server, sending(data)))

    async def test_whoever_leaves_in_the_handshake(self) -> None:
        server = self.guarded()

        def leaving(how: Callable[[socket.socket], None]) -> Callable[[], str]:
            def client() -> str:
                with socket.create_connection(self.address(server), PATIENCE) as plain:
                    host, port = plain.getsockname()
                    plain.sendall(b"\x16\x03\x01")
                    how(plain)
                    return f"{host}:{port}"

            return client

        def reset(plain: socket.socket) -> None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        ended = await self.refused(server, leaving(lambda plain: plain.shutdown(socket.SHUT_WR)))
        self.assertEqual(ended, "no agreement on TLS: the peer has ended its stream")
        self.assertIn("no agreement on TLS: ", await self.refused(server, leaving(reset)))

    async def test_a_monitor_that_connects_and_leaves_is_not_logged(self) -> None:
        server = self.guarded()

        def monitor(how: int) -> None:
            with socket.create_connection(self.address(server), PATIENCE) as plain:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", how, 0))

        for how in range(2):
            await deferToThread(monitor, how)
        # Whoever comes behind them is refused behind them.
        await self.refused(server, self.hostile(server, TLS1_3))
        self.assertEqual(len(self.logged("orders 127")), 1)
        self.assertEqual(server.closings, {"tls": 1})

    async def test_a_handshake_that_takes_too_long_is_aborted(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config, handshake_timeout=0.2))

        def client() -> str:
            with socket.create_connection(self.address(server), PATIENCE) as slow:
                host, port = slow.getsockname()
                slow.sendall(b"\x16\x03\x01")
                with self.assertRaises(ConnectionResetError):
                    slow.recv(1)
                return f"{host}:{port}"

        text = await self.refused(server, client)
        self.assertEqual(text, "aborted, no TLS handshake within 0.2 seconds (handshake_timeout)")

    async def test_a_process_that_stood_still_reads_first_what_has_come(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config, handshake_timeout=0.5))

        def client() -> bytes:
            with socket.create_connection(self.address(server), PATIENCE) as plain:
                context = ssl.create_default_context(cafile=str(self.authority.ca))
                cast("Any", reactor).callFromThread(time.sleep, 1.5)
                with context.wrap_socket(plain, server_hostname="localhost") as tls:
                    tls.sendall(MESSAGE)
                    return tls.recv(100)

        self.assertEqual(await self.client(client), MESSAGE)
        self.assertEqual(self.logged("handshake_timeout"), [])

    async def test_a_handshake_without_end_is_refused_before_it_is_large(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config))
        record = b"\x16\x03\x01\x40\x00" + b"\x01\x01\xff\x00" + bytes((1 << 14) - 4)

        def client() -> str:
            with socket.create_connection(self.address(server), PATIENCE) as plain:
                host, port = plain.getsockname()
                with contextlib.suppress(ConnectionError):
                    plain.sendall(record + record[:5] + bytes(1 << 14) + record[:5] + bytes(1 << 14))
                    plain.recv(1)
                return f"{host}:{port}"

        text = await self.refused(server, client)
        self.assertRegex(text, r"^no agreement on TLS: \d+ bytes have come, and no end of a handshake$")

    async def test_a_handshake_byte_by_byte(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config))

        class Slow(Peer):
            def sealed(self) -> bytes:
                data = super().sealed()
                for at in range(len(data) - 1):
                    self.socket.sendall(data[at : at + 1])
                return data[-1:]

        def client(version: int) -> bytes:
            with Slow(self.address(server), version) as peer:
                peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.send(MESSAGE, end=True)
                return peer.rest()

        for version in VERSIONS.values():
            self.assertEqual(await deferToThread(client, version), MESSAGE)

    async def test_what_comes_in_one_piece_with_the_end_of_the_handshake(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config))

        def client() -> bytes:
            with Peer(self.address(server), last_flight=True) as peer:
                peer.send(MESSAGE, end=True)
                return peer.rest()

        self.assertEqual(await self.client(client), MESSAGE)

    async def test_what_comes_with_the_handshake_waits_for_a_place(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, tls=self.config, max_connections=1))

        def first() -> Peer:
            peer = Peer(self.address(server))
            peer.send(b"1")
            self.assertEqual(peer.read(1), b"1")
            return peer

        def second() -> bytes:
            with Peer(self.address(server), last_flight=True) as peer:
                peer.send(MESSAGE, end=True)
                return peer.rest()

        peer = await self.client(first)
        answer = self.client(second)
        await self.until(lambda: server._admission._waiting)
        self.assertFalse(answer.called)
        await self.client(peer.end)
        self.assertEqual(await answer, MESSAGE)
        peer.socket.close()

    async def test_a_record_that_was_forged_ends_the_connection_with_one_line(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", tls=self.config))

        def client() -> str:
            with Peer(self.address(server)) as peer:
                sealed = bytearray(peer.seal(b"5\r\nhello"))
                sealed[-1] ^= 1
                peer.socket.sendall(sealed)
                with self.assertRaises(SSL.Error) as caught:
                    peer.read(1)
                self.assertIn("bad record mac", str(caught.exception))
                return peer.name

        text = await self.refused(server, client)
        self.assertEqual(text, "TLS failed: decryption failed or bad record mac")


class PeerCertificateTests(TLSCase):
    async def test_the_handler_sees_it_from_the_first_line_to_the_last(self) -> None:
        names: list[str] = []

        async def talk(channel: Channel) -> None:
            for _ in range(2):
                certificate = channel.info.certificate
                assert certificate is not None
                names.append(certificate.subject)
                with contextlib.suppress(ConnectionLost):
                    await channel.read()

        config = TLSConfig(certificate=str(self.authority.server), client_ca=str(self.authority.ca))
        server = self.serve(SocketServer("orders", LOCAL, conversation=talk, tls=config))

        def client() -> None:
            peer = Peer(self.address(server), TLS1_3, self.authority.issue("shop", self.authority.folder / "shop.key"))
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.socket.close()

        await self.client(client)
        await self.until(lambda: len(names) == 2)
        self.assertEqual(names, ["CN=shop"] * 2)


class ProtocolTests(TLSCase):
    """ALPN: RFC 7301."""

    async def chosen(self, alpn: tuple[str, ...], *offers: list[str]) -> list[tuple[str | None, bytes]]:
        """What a client sees that makes these offers, and what the conversation sees."""

        async def talk(channel: Channel) -> None:
            assert channel.info.tls is not None
            await channel.write(str(channel.info.tls.protocol).encode())

        config = TLSConfig(certificate=str(self.authority.server), alpn=alpn)
        server = self.serve(SocketServer("orders", LOCAL, conversation=talk, tls=config))

        def client(offer: list[str]) -> tuple[str | None, bytes]:
            context = ssl.create_default_context(cafile=str(self.authority.ca))
            if offer:
                context.set_alpn_protocols(offer)
            plain = socket.create_connection(self.address(server), PATIENCE)
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                return tls.selected_alpn_protocol(), tls.recv(100)

        return [await deferToThread(client, offer) for offer in offers]

    async def test_a_client_is_served_whatever_it_offers(self) -> None:
        offers: list[list[str]] = [[], ["h2"], ["mqtt", "x-own"]]
        self.assertEqual(await self.chosen((), *offers), [(None, b"None")] * 3)

    async def test_the_first_of_ours_that_it_offers_is_chosen(self) -> None:
        offers: list[list[str]] = [["x-own", "mqtt"], ["x-own"], ["h2"], []]
        self.assertEqual(
            await self.chosen(("mqtt", "x-own"), *offers),
            [("mqtt", b"mqtt"), ("x-own", b"x-own"), (None, b"None"), (None, b"None")],
        )


class EndpointStringTests(TLSCase):
    async def served(self, endpoint: str) -> None:
        server = self.serve(SocketServer("orders", endpoint))

        def client(version: int) -> bytes:
            with Peer(self.address(server), version) as peer:
                peer.send(MESSAGE, end=True)
                return peer.rest()

        for version in VERSIONS.values():
            self.assertEqual(await deferToThread(client, version), MESSAGE)

    async def test_ssl(self) -> None:
        await self.served(self.authority.listen())

    async def test_tls_with_a_folder(self) -> None:
        folder = self.pem().parent
        await self.served(f"tls:{quoteStringArgument(str(folder))}:port=0:interface=127.0.0.1")

    async def test_tls_with_a_folder_shows_the_certificate_that_a_client_asks_for(self) -> None:
        folder = self.authority.folder / "several"
        folder.mkdir()
        for name in ("one.example", "two.example", "*.three.example"):
            both = self.authority.issue(name, self.authority.folder / "both", names=[name]).read_bytes()
            key, mark, certificate = both.partition(b"-----BEGIN CERTIFICATE-----")
            (folder / f"{name}.key.pem").write_bytes(key)
            (folder / f"{name}.pem").write_bytes(mark + certificate)
        server = self.serve(
            SocketServer("orders", f"tls:{quoteStringArgument(str(folder))}:port=0:interface=127.0.0.1")
        )

        def shown(asked: bytes) -> str:
            with Peer(self.address(server), server_name=asked) as peer:
                certificate = peer.tls.get_peer_certificate()
                assert certificate is not None
                peer.send(MESSAGE, end=True)
                self.assertEqual(peer.rest(), MESSAGE)
                return certificate.to_cryptography().subject.rfc4514_string()

        for asked, expected in (
            (b"one.example", "one.example"),
            (b"TWO.example", "two.example"),
            (b"x.three.example", "*.three.example"),
            (b"x.y.three.example", "*.three.example"),
            (b"", "*.three.example"),
            (b"\xff\xfe\nx", "*.three.example"),
        ):
            self.assertEqual(await deferToThread(shown, asked), f"CN={expected}", asked)
        self.assertEqual(self.logged("orders 127"), [])

    def test_a_folder_without_a_certificate_is_refused(self) -> None:
        folder = self.pem().parent / "empty"
        for name in ("", "notes.txt"):
            if name:
                folder.mkdir()
                (folder / name).write_text("none")
            with self.assertRaisesRegex(ValueError, "empty: has no .pem file; accepted: tls:FOLDER"):
                SocketServer("orders", f"tls:{quoteStringArgument(str(folder))}:port=0")

    async def test_a_table_is_for_all_endpoints_of_the_socket(self) -> None:
        server = self.serve(SocketServer("orders", [LOCAL, LOCAL], tls=self.config))
        for port in range(2):

            def client(port: int = port) -> bytes:
                with Peer(self.address(server, port)) as peer:
                    peer.send(MESSAGE, end=True)
                    return peer.rest()

            self.assertEqual(await self.client(client), MESSAGE)


class LayersTests(TLSCase):
    """With everything else that a named socket can have around it."""

    preface = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 7000\r\n"

    def layered(self, handler: str | Callable[[bytes, Channel], bytes], **settings: Any) -> SocketServer:  # noqa: ANN401
        return self.serve(
            SocketServer(
                "orders",
                LOCAL,
                "windev",
                handler,
                tls=TLSConfig(certificate=str(self.authority.server), client_ca=str(self.authority.ca)),
                proxy_protocol=True,
                max_connections=10,
                max_connections_per_peer=5,
                allow=["192.0.2.0/24"],
                idle_timeout=15,
                frame_timeout=15,
                handshake_timeout=15,
                **settings,
            )
        )

    async def test_fifty_answers_under_way_when_the_client_ends_its_stream(self) -> None:
        peers = set()

        def answer(message: bytes, channel: Channel) -> bytes:
            peers.add(format_address(channel.info.peer))
            return message * 1000

        server = self.layered(answer, threads=True)
        await self.served(server, [b"message %d" % number for number in range(50)], 1000)
        self.assertEqual(peers, {"192.0.2.7:4711"})

    async def test_a_bridge_carries_the_end_of_the_stream_across(self) -> None:
        backend = self.serve(SocketServer("backend", LOCAL, "int32"))
        port = self.address(backend)[1]
        await self.served(self.layered(f"forward:tcp:127.0.0.1:{port},int32"), [b"x" * 100_000] * 50, 1)

    async def served(self, server: SocketServer, messages: list[bytes], times: int) -> None:
        certificate = self.authority.issue("shop", self.authority.folder / "shop.key")

        def framed(messages: list[bytes]) -> bytes:
            return b"".join(b"%d\r\n" % len(message) + message for message in messages)

        def client(version: int) -> bytes:
            with Peer(self.address(server), version, certificate, preface=self.preface) as peer:
                wire = peer.seal(framed(messages), end=True)
                sender = Thread(target=peer.socket.sendall, args=[wire])
                sender.start()
                answers = peer.rest()
                sender.join()
                return answers

        for version in VERSIONS.values():
            answers = await deferToThread(client, version)
            self.assertTrue(answers == framed([message * times for message in messages]), len(answers))

    async def test_whoever_is_refused_is_logged_with_the_address_in_the_header(self) -> None:
        server = self.layered("echo")

        def client() -> None:
            with Peer(self.address(server), preface=self.preface) as peer, self.assertRaises(SSL.Error):
                peer.read(1)

        await self.client(client)
        [line] = self.logged("orders 192.0.2.7:4711: ")
        self.assertIn("no agreement on TLS: peer did not return a certificate", line)


class OpenSSLTests(TLSCase):
    """`openssl s_client`: without it skipped, and failed where CI is set."""

    def setUp(self) -> None:
        super().setUp()
        self.program = shutil.which("openssl") or ""
        if not self.program:
            if "CI" in os.environ:
                self.fail("openssl is not installed")
            raise SkipTest("openssl is not installed")

        async def talk(channel: Channel) -> None:
            await channel.write(b"hello " + await channel.read())

        config = TLSConfig(certificate=str(self.authority.server), client_ca=str(self.authority.ca))
        self.server = self.serve(SocketServer("orders", LOCAL, "buffered:\\n", conversation=talk, tls=config))

    def s_client(self, *options: str) -> Awaitable[subprocess.CompletedProcess[bytes]]:
        host, port = self.address(self.server)
        ca = str(self.authority.ca)
        return self.client(
            lambda: subprocess.run(
                [self.program, "s_client", "-connect", f"{host}:{port}", "-quiet", "-CAfile", ca, *options],
                input=b"openssl\n",
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        )

    async def test_with_a_certificate(self) -> None:
        certificate = str(self.authority.issue("shop", self.authority.folder / "shop.key"))
        for version in ("-tls1_2", "-tls1_3"):
            done = await self.s_client(version, "-cert", certificate, "-key", certificate)
            self.assertEqual((done.returncode, done.stdout), (0, b"hello openssl\n"), done.stderr)

    async def test_without_a_certificate(self) -> None:
        for version in ("-tls1_2", "-tls1_3"):
            done = await self.s_client(version)
            self.assertEqual((done.returncode, done.stdout), (1, b""), done.stderr)
        self.assertEqual(len(self.logged("peer did not return a certificate")), 2)
        self.assertEqual(self.server.channels, {})


class Context(str):
    """Stands for an ssl.SSLContext: what was in the file."""

    __slots__ = ("sessions",)
    sessions: int

    def __new__(cls, text: str) -> Self:
        context = super().__new__(cls, text)
        context.sessions = 0
        return context

    def session_stats(self) -> dict[str, int]:
        return {"number": self.sessions}


class CertificatesTests(SynchronousTestCase):
    """Which certificates new connections are made with."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "now.pem"
        self.reads = 0
        self.file.write_text("first")
        self.certificates = Certificates("orders", self.read, lambda: [str(self.file)], self.clock.seconds)

    def read(self) -> Any:  # noqa: ANN401 - whatever stands for a context
        self.reads += 1
        text = self.file.read_text()
        if not text:
            raise ValueError("nothing\nin it")
        return Context(text)

    def now(self) -> object:
        return self.certificates.context()

    def test_they_are_read_again_when_a_file_changes_and_at_most_once_a_second(self) -> None:
        self.clock.advance(10)
        self.assertEqual((self.now(), self.reads), ("first", 1))
        self.file.write_text("the second")
        self.clock.advance(0.9)
        self.assertEqual((self.now(), self.reads), ("first", 1))
        self.clock.advance(0.2)
        self.assertEqual((self.now(), self.reads), ("the second", 2))

    def test_a_context_that_remembers_many_sessions_makes_room_for_a_new_one(self) -> None:
        context = cast("Context", self.certificates.context())
        for sessions, reads in ((1000, 1), (1001, 2)):
            context.sessions = sessions
            self.clock.advance(1)
            self.assertEqual((self.now(), self.reads), ("first", reads))
        self.assertIsNot(self.certificates.context(), context)

    def test_a_file_that_takes_the_place_of_another_is_seen(self) -> None:
        other = self.folder / "next.pem"
        other.write_text("third")
        status = self.file.stat()
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(self.file)
        self.clock.advance(1)
        self.assertEqual(self.now(), "third")

    def test_a_file_that_cannot_be_used_is_tried_once_and_the_old_one_stays(self) -> None:
        for broken in (lambda: self.file.write_text(""), self.file.unlink):
            before = self.reads
            broken()
            for _ in range(3):
                self.clock.advance(1)
                self.assertEqual(self.now(), "first")
            self.assertEqual(self.reads, before + 1)
        self.file.write_text("fourth")
        self.clock.advance(1)
        self.assertEqual(self.now(), "fourth")


class ReloadTests(TLSCase):
    async def test_new_clients_get_the_new_certificate_and_live_ones_go_on(self) -> None:
        file = self.pem()
        folder = file.parent
        quoted = quoteStringArgument(str(file))
        for endpoint, config in (
            (LOCAL, TLSConfig(certificate=str(file))),
            (f"ssl:0:interface=127.0.0.1:privateKey={quoted}", None),
            (f"tls:{quoteStringArgument(str(folder))}:port=0:interface=127.0.0.1", None),
        ):
            self.authority.issue("first", file)
            server = self.serve(SocketServer("orders", endpoint, tls=config))
            [listener] = server._listen
            certificates = listener.certificates
            assert certificates is not None
            clock = Clock()
            certificates._seconds = clock.seconds
            certificates._looked = 0

            def connected(server: SocketServer = server) -> tuple[Peer, str]:
                peer = Peer(self.address(server))
                certificate = peer.tls.get_peer_certificate()
                assert certificate is not None
                return peer, certificate.to_cryptography().subject.rfc4514_string()

            old, name = await self.client(connected)
            self.assertEqual(name, "CN=first")
            self.authority.issue("second", file)
            clock.advance(2)
            new, name = await self.client(connected)
            self.assertEqual(name, "CN=second", endpoint)
            file.write_bytes(file.read_bytes()[:300])
            clock.advance(2)
            newest, name = await self.client(connected)
            self.assertEqual(name, "CN=second", endpoint)
            [line] = self.logged("new certificates refused")
            self.assertIn("orders: new certificates refused, the old ones stay: ", line)
            self.lines.clear()
            for peer in (old, new, newest):

                def ended(peer: Peer = peer) -> bytes:
                    with peer:
                        peer.send(MESSAGE, end=True)
                        return peer.rest()

                self.assertEqual(await self.client(ended), MESSAGE)


class SettingsTests(SynchronousTestCase):
    """A [socket.NAME.tls] table, and what each mistake in it is answered with: one line."""

    def setUp(self) -> None:
        self.authority = Authority(self.mktemp())
        self.folder = folder = self.authority.folder
        both = self.authority.server.read_bytes()
        key, mark, certificate = both.partition(b"-----BEGIN CERTIFICATE-----")
        (folder / "key.pem").write_bytes(key)
        (folder / "certificate.pem").write_bytes(mark + certificate)
        self.authority.issue("other", folder / "other.pem")
        self.authority.issue("locked", folder / "locked.pem", passphrase=b"secret")
        (folder / "note.txt").write_text("not PEM")

    def socket(self, lines: str, listen: str = "tcp:0:interface=127.0.0.1") -> SocketSettings:
        file = self.folder / "sockserve.toml"
        lines = lines.replace("@", f"{self.folder}/")
        file.write_text(f"[socket.orders]\nlisten = '{listen}'\n[socket.orders.tls]\n{lines}")
        return load(file).sockets[0]

    def test_files_that_go_together(self) -> None:
        for lines in (
            "certificate = '@server.key'",
            "certificate = '@certificate.pem'\nkey = '@key.pem'",
            "certificate = '@certificate.pem'\nkey = '@server.key'\nchain = '@ca.pem'\nclient_ca = '@ca.pem'",
            "certificate = '@server.key'\nminimum_version = '1.3'\nalpn = ['mqtt', 'h2']",
        ):
            tls = self.socket(lines).tls
            assert isinstance(tls, TLSConfig)
            self.assertTrue(tls.files()[0].startswith(f"{self.folder}/"), lines)

    def test_mistakes(self) -> None:
        pair = "certificate = '@certificate.pem'\nkey = "
        for lines, *words in (
            ("", "tls: has no certificate; accepted: the name of a PEM file"),
            ("certificat = 'x'", "tls.certificat: unknown key", "did you mean 'certificate'?"),
            ("certificate = 1", "tls.certificate: found an integer, 1; accepted: the name of a PEM file"),
            ("certificate = '@none.pem'", "tls.certificate: ", "/none.pem: cannot be read: No such file or directory"),
            ("certificate = '@note.txt'", "tls.certificate: ", "/note.txt: has no certificate that can be read"),
            ("certificate = '@key.pem'", "tls.certificate: ", "/key.pem: has no certificate that can be read"),
            ("certificate = '@certificate.pem'", "tls.certificate: ", "/certificate.pem: has no private key"),
            (f"{pair}'@none.pem'", "tls.key: ", "/none.pem: cannot be read: No such file or directory"),
            (f"{pair}'@note.txt'", "tls.key: ", "/note.txt: has no private key that can be read; accepted: PEM"),
            (f"{pair}'@locked.pem'", "tls.key: ", "/locked.pem: the key is encrypted; accepted: a key without"),
            (f"{pair}'@other.pem'", "tls.key: ", "/other.pem: the key does not belong to ", "/certificate.pem"),
            ("certificate = '@server.key'\nchain = '@note.txt'", "tls.chain: ", "/note.txt: has no certificate"),
            ("certificate = '@server.key'\nclient_ca = '@none'", "tls.client_ca: ", "/none: cannot be read"),
            ("certificate = '@server.key'\nclient_ca = '@note.txt'", "tls.client_ca: ", "/note.txt: has no cert"),
            (
                "certificate = '@server.key'\nminimum_version = '1.1'",
                'tls.minimum_version: \'1.1\' is unknown; accepted: "1.2" or "1.3"',
            ),
            (
                "certificate = '@server.key'\nalpn = 'h2'",
                "tls.alpn: found a string, 'h2'; accepted: a list of protocols",
            ),
            (
                "certificate = '@server.key'\nalpn = ['']",
                "tls.alpn: '' is no protocol; accepted: 1 to 255 ASCII letters",
            ),
            (
                "certificate = '@server.key'\nminimum_version = 1.2",
                'tls.minimum_version: found a float, 1.2; accepted: "1.2" or "1.3"',
            ),
        ):
            with self.subTest(lines=lines):
                self.check(lines, *words)

    def test_what_has_no_place_for_it(self) -> None:
        for listen, *words in (
            ("udp:0", "listen: 'udp:0': udp has no TLS; accepted: a socket of its own, without tls"),
            (self.authority.listen(), "listen: 'ssl:0", "has TLS of its own; accepted beside tls: tcp, tcp6, unix"),
        ):
            with self.subTest(listen=listen):
                self.check("certificate = '@server.key'", *words, listen=listen)

    def check(self, lines: str, *words: str, listen: str = "tcp:0:interface=127.0.0.1") -> None:
        line = str(self.assertRaises(ConfigError, self.socket, lines, listen))
        self.assertEqual(len(line.splitlines()), 1, line)
        self.assertIn(f"sockserve.toml: socket.orders.{words[0]}", line)
        for word in words[1:]:
            self.assertIn(word, line)

    def test_no_package_beside_twisted_is_needed_to_serve_and_to_connect(self) -> None:
        program = (
            "import sys\n"
            "for name in ('OpenSSL', 'cryptography', 'service_identity'): sys.modules[name] = None\n"
            "from twisted.internet import task\n"
            "from sockserve import SocketServer, connect, disconnect\n"
            "from sockserve.tls.certificates import TLSConfig\n"
            "async def main(reactor, certificate, roots, *listen):\n"
            "    for endpoint in listen:\n"
            "        tls = TLSConfig(certificate=certificate) if endpoint.startswith('tcp') else None\n"
            "        server = SocketServer('orders', endpoint, 'windev', tls=tls)\n"
            "        server.startService()\n"
            "        port = server.ports[0].getHost().port\n"
            "        channel = await connect(f'tls:localhost:{port}:trustRoots={roots}', 'windev')\n"
            "        await channel.write(b'hello')\n"
            "        print(await channel.read(), channel.info.certificate.subject)\n"
            "        await disconnect(channel)\n"
            "        await server.stopService()\n"
            "task.react(main, sys.argv[1:])"
        )
        pem = self.folder / "pem"
        pem.mkdir()
        shutil.copy(self.authority.server, pem / "server.pem")
        listen = (LOCAL, self.authority.listen(), f"tls:{quoteStringArgument(str(pem))}:port=0:interface=127.0.0.1")
        arguments = [str(self.authority.server), str(self.authority.ca), *listen]
        command = [sys.executable, "-W", "error", "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.stdout.splitlines(), done.stderr), (["b'hello' CN=localhost"] * 3, ""))
