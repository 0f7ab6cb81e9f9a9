"""UDP endpoints of a named socket."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sockserve.connection.channel import Channel
from sockserve.framing.raw import Raw
from sockserve.handlers.answers import Function
from sockserve.server.sockets import Listen, SocketServer


class Client(DatagramProtocol):
    """Remembers what it receives; fires `enough` at so many datagrams."""

    transport: Port

    def __init__(self, count: int) -> None:
        self.received: list[bytes] = []
        self.count = count
        self.enough: Deferred[None] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self.received.append(datagram)
        if len(self.received) == self.count:
            self.enough.callback(None)


class DatagramTests(TestCase):
    timeout = 20

    def serve(
        self,
        handler: str | Function = "echo",
        listen: str = "udp:0",
        **options: Any,  # noqa: ANN401 - as SocketServer's
    ) -> tuple[str, int]:
        """A server for this test, and its address."""
        server = SocketServer("datagrams", listen, handler=handler, **options)
        server.startService()
        self.addCleanup(server.stopService)
        (port,) = server.ports
        assert isinstance(port, Port)
        return port.getHost().host, port.getHost().port

    def client(self, count: int, interface: str = "127.0.0.1") -> Client:
        client = Client(count)
        port = cast("IReactorUDP", reactor).listenUDP(0, client, interface, 65535)
        self.addCleanup(port.stopListening)
        return client

    async def test_one_datagram_is_one_message(self) -> None:
        address = self.serve()
        client = self.client(3)
        datagrams = [b"one", b"", bytes(range(256)) * 200]
        for datagram in datagrams:
            client.transport.write(datagram, address)
        await client.enough
        self.assertEqual(sorted(client.received), sorted(datagrams))

    async def test_it_listens_on_loopback_unless_told_otherwise(self) -> None:
        self.assertEqual(self.serve()[0], "127.0.0.1")
        host, port = self.serve(listen="udp:0:interface=\\:\\:1")
        client = self.client(1, "::1")
        client.transport.write(b"six", (host, port))
        await client.enough
        self.assertEqual(client.received, [b"six"])

    async def test_the_answer_goes_to_the_sender_and_info_names_it(self) -> None:
        peers: list[tuple[str, object]] = []

        async def answer(message: bytes, channel: Channel) -> bytes:
            peers.append((channel.info.socket, channel.info.peer))
            channel.send(b"first")
            await channel.write(b"second")
            return message

        address = self.serve(answer)
        client = self.client(3)
        client.transport.write(b"third", address)
        await client.enough
        self.assertEqual(sorted(client.received), [b"first", b"second", b"third"])
        self.assertEqual(peers, [("datagrams", client.transport.getHost())])

    async def test_a_handler_in_a_thread(self) -> None:
        address = self.serve(lambda message, _: message.upper(), threads=True)
        client = self.client(1)
        client.transport.write(b"loud", address)
        await client.enough
        self.assertEqual(client.received, [b"LOUD"])

    async def test_a_handler_that_fails_is_logged_and_the_next_datagram_is_served(self) -> None:
        def picky(message: bytes, _: Channel) -> bytes:
            if message == b"bad":
                raise LookupError
            return message

        address = self.serve(picky)
        client = self.client(1)
        for datagram in (b"bad", b"good"):
            client.transport.write(datagram, address)
        await client.enough
        self.assertEqual(client.received, [b"good"])
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    async def test_a_handler_that_asyncio_has_cancelled_fails_like_any_other(self) -> None:
        def cancelled(message: bytes, _: Channel) -> Deferred[bytes]:
            return fail(asyncio.CancelledError()) if message == b"bad" else succeed(message)

        address = self.serve(cancelled)
        client = self.client(1)
        with capturedLogs() as events:
            for datagram in (b"bad", b"good"):
                client.transport.write(datagram, address)
            await client.enough
        self.assertEqual(len(self.flushLoggedErrors(asyncio.CancelledError)), 1)
        lines = [formatEvent(event) or "" for event in events]
        self.assertEqual(len([line for line in lines if "the handler failed" in line]), 1, lines)

    async def dropped(self, datagrams: Sequence[bytes], words: str, **options: Any) -> list[str]:  # noqa: ANN401
        """The lines of the log with these words while the datagrams come to an echo; then a good one is answered."""
        address = self.serve(**options)
        client = self.client(1)
        with capturedLogs() as events:
            for datagram in datagrams:
                client.transport.write(datagram, address)
            client.transport.write(b"good", address)
            await client.enough
        self.assertEqual(client.received, [b"good"])
        lines = [formatEvent(event) or "" for event in events]
        self.assertFalse([event for event in events if "log_failure" in event])
        return [line for line in lines if words in line]

    async def test_a_datagram_over_max_length_is_dropped_in_one_line_that_names_the_limit(self) -> None:
        (line,) = await self.dropped([b"x" * 101], "dropped", framing=Raw(max_length=100))
        self.assertRegex(
            line,
            r"^datagrams 127\.0\.0\.1:\d+: dropped, message of 101 bytes is longer than the limit of 100 bytes"
            r" \(max_length\)$",
        )

    async def test_a_flood_of_such_datagrams_is_a_few_lines(self) -> None:
        self.assertLess(len(await self.dropped([b"x" * 101] * 100, "dropped", framing=Raw(max_length=100))), 10)

    async def test_an_answer_over_max_length_is_dropped_in_one_line(self) -> None:
        def answer(message: bytes, _: Channel) -> bytes:
            return message if message == b"good" else message * 100

        (line,) = await self.dropped([b"long"], "dropped", handler=answer, framing=Raw(max_length=100))
        self.assertIn("message of 400 bytes is longer than the limit of 100 bytes (max_length)", line)

    async def test_an_answer_longer_than_a_datagram_can_be_is_dropped_in_one_line(self) -> None:
        def answer(message: bytes, channel: Channel) -> bytes:
            if message != b"good":
                channel.send(b"x" * 65536)
            return message[:4]

        address = self.serve(answer)
        client = self.client(2)
        with capturedLogs() as events:
            for datagram in (b"long", b"good"):
                client.transport.write(datagram, address)
            await client.enough
        self.assertEqual(client.received, [b"long", b"good"])
        (line,) = [line for event in events if "dropped" in (line := formatEvent(event) or "")]
        self.assertIn("an answer of 65536 bytes is longer than a datagram can be", line)

    async def test_a_datagram_from_port_0_is_delivered_and_its_answer_is_at_most_one_line(self) -> None:
        received: list[bytes] = []

        def answer(message: bytes, _: Channel) -> bytes:
            received.append(message)
            return message

        server = SocketServer("datagrams", "udp:0", handler=answer)
        server.startService()
        self.addCleanup(server.stopService)
        (port,) = server.ports
        assert isinstance(port, Port)
        with capturedLogs() as events:
            for _ in range(50):
                # As the kernel hands it over; to send one takes root.
                cast("DatagramProtocol", port.protocol).datagramReceived(b"one way", ("127.0.0.1", 0))
        self.assertEqual(received, [b"one way"] * 50)
        lines = [formatEvent(event) or "" for event in events]
        self.assertEqual(len(lines), 5, lines)
        self.assertEqual(lines[0], "datagrams 127.0.0.1:0: dropped, no answer can be sent there: Invalid argument")

    async def test_datagrams_of_those_who_may_not_send_are_a_few_lines(self) -> None:
        address = self.serve(deny=["127.0.0.0/8"])
        client = self.client(1)
        with capturedLogs() as events:
            for _ in range(100):
                client.transport.write(b"denied", address)
            await self.seen(events, "its address may not send (deny)")
        self.assertLess(len(events), 10)
        self.assertEqual(client.received, [])

    async def test_datagrams_beyond_max_pending_are_dropped_and_counted(self) -> None:
        waiting: list[Deferred[bytes]] = []
        all_there: Deferred[None] = Deferred()

        def answer(message: bytes, _: Channel) -> Deferred[bytes] | bytes:
            if message == b"last":
                all_there.callback(None)
                return message
            waiting.append(Deferred())
            return waiting[-1]

        address = self.serve(answer, max_pending=2)
        client = self.client(3)
        with capturedLogs() as events:
            for datagram in (b"1", b"2", b"3", b"4"):
                client.transport.write(datagram, address)
            # The kernel keeps their order on loopback, so the fifth comes when all others have been seen.
            await self.seen(events, "dropped, 2 answers are under way")
            for deferred in waiting:
                deferred.callback(b"late")
            client.transport.write(b"last", address)
            await all_there
            await client.enough
        self.assertEqual(client.received, [b"late", b"late", b"last"])

    async def seen(self, events: Sequence[dict[str, Any]], text: str) -> None:
        """Let the reactor turn until a line with this text is logged."""
        while not any(text in (formatEvent(event) or "") for event in events):
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)
            await turn


class RefusalTests(SynchronousTestCase):
    def test_what_datagrams_cannot_do_is_refused_in_one_line(self) -> None:
        async def talk(channel: Channel) -> None:
            """Never called."""

        for listen, options, words in (
            ("udp:", {}, "udp:PORT"),
            ("udp:70000", {}, "udp:PORT"),
            ("udp:1:backlog=5", {}, "udp:PORT"),
            ("udp:1", {"framing": "windev"}, "always raw"),
            ("udp:1", {"handler": "relay"}, "needs connections"),
            ("udp:1", {"handler": "forward:tcp:127.0.0.1:1"}, "needs connections"),
            ("udp:1", {"conversation": talk}, "needs a connection"),
        ):
            with self.subTest(listen=listen, options=options):
                error = self.assertRaises(ValueError, SocketServer, "name", listen, **options)
                self.assertIn(words, str(error))
                self.assertEqual(len(str(error).splitlines()), 1)

    def test_beside_a_framed_tcp_endpoint_it_is_raw_when_that_is_said(self) -> None:
        SocketServer("both", ["tcp:1", Listen("udp:1", "raw")], "windev")

    def test_a_port_in_use_raises_when_the_service_starts(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind(("127.0.0.1", 0))
            server = SocketServer("name", f"udp:{holder.getsockname()[1]}")
            error = self.assertRaises(CannotListenError, server.startService)
        self.assertIn("Couldn't listen on 127.0.0.1", str(error))
        # Twisted leaves the socket that it could not bind to the garbage collector.
        del error
        gc.collect()
        self.flushWarnings()
