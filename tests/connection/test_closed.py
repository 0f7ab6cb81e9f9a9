"""The log has one line of each connection of a named socket when it is over, with its end and its totals."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from sockserve.client.connecting import connect
from sockserve.connection.channel import Channel
from sockserve.connection.engine import Engine
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.limits.admission import Admission
from sockserve.limits.flood import FEW
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, Client, SocketCase, turn


class ClosedCase(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.closed: list[dict[str, Any]] = []
        self.left_out: list[tuple[str, str]] = []
        self.said: list[str] = []

        @implementer(ILogObserver)
        def remember(event: LogEvent) -> None:
            if event.get("event_name") == "sockserve.connection.closed":
                self.closed.append(event["attributes"])
                self.said.append(formatEvent(event))
            elif event.get("event_name") == "sockserve.log.left_out":
                self.left_out.append((formatEvent(event), event["log_level"].name))

        globalLogPublisher.addObserver(remember)
        self.addCleanup(globalLogPublisher.removeObserver, remember)

    def orders(self, **settings: Any) -> SocketServer:  # noqa: ANN401 - as SocketServer's
        return self.serve(SocketServer("orders", LOCAL, "windev", **settings))

    async def ends(self, count: int = 1) -> list[str]:
        """Why each has ended, when that many have."""
        while len(self.closed) < count:
            await turn()
        await turn()
        return [each["sockserve.connection.reason"] for each in self.closed]


class EndTests(ClosedCase):
    async def test_a_line_has_the_peer_the_end_and_the_totals(self) -> None:
        client = await self.client(self.orders())
        port = client.transport.getHost().port
        client.send(b"2\r\nab" * 3)
        await client.until(15)
        client.end()
        self.assertEqual(await self.ends(), ["peer"])
        (attributes,) = self.closed
        self.assertGreater(attributes.pop("sockserve.connection.duration"), 0)
        self.assertEqual(
            attributes,
            {
                "sockserve.socket": "orders",
                "sockserve.connection.id": 1,
                "sockserve.connection.reason": "peer",
                "network.peer.address": "127.0.0.1",
                "network.peer.port": port,
                "network.transport": "tcp",
                "network.type": "ipv4",
                "sockserve.messages.received": 3,
                "sockserve.messages.sent": 3,
                "sockserve.bytes.received": 15,
                "sockserve.bytes.sent": 15,
            },
        )
        pattern = (
            rf"orders 127\.0\.0\.1:{port}: closed by the peer after \d+\.\d{{3}} s; "
            r"messages: 3 received, 3 sent; bytes: 15 received, 15 sent"
        )
        self.assertTrue(re.fullmatch(pattern, self.said[0]), self.said[0])

    async def test_the_program_closes_or_aborts(self) -> None:
        async def talk(channel: Channel) -> None:
            if await channel.read() == b"abort":
                channel.abort()

        server = self.orders(conversation=talk)
        for text in (b"5\r\nclose", b"5\r\nabort"):
            (await self.client(server)).send(text)
        self.assertEqual(await self.ends(2), ["program", "program"])

    async def test_a_reset_is_a_loss(self) -> None:
        client = await self.client(self.orders())
        client.send(b"2\r\nab")
        await client.until(5)
        client.reset()
        self.assertEqual(await self.ends(), ["lost"])

    async def test_a_limit_and_a_bad_frame_and_a_handler_that_fails_are_named(self) -> None:
        def answer(_: bytes, __: Channel) -> bytes:
            raise LookupError

        await self.client(self.orders(idle_timeout=0.05))
        self.assertEqual(await self.ends(), ["idle_timeout"])
        server = self.orders(handler=answer)
        (await self.client(server)).send(b"x")
        self.assertEqual((await self.ends(2))[1:], ["on_bad_frame"])
        (await self.client(server)).send(b"1\r\nx")
        self.assertEqual((await self.ends(3))[2:], ["handler"])
        self.flushLoggedErrors(LookupError)

    async def test_one_that_is_refused_has_its_own_line(self) -> None:
        refusing = self.orders(max_connections=1, when_full="refuse")
        first, second = await self.client(refusing), await self.client(refusing)
        await second.lost
        first.end()
        self.assertEqual(await self.ends(), ["peer"])
        self.assertEqual(len(self.logged("refused, 1 already connected")), 1)

    def test_one_that_is_lost_before_its_turn_is_told_too(self) -> None:
        ended: list[str] = []
        admission: Admission[Engine] = Admission(1, ended=lambda engine: ended.append(engine.reason))
        first, second = MessageProtocol(), MessageProtocol()
        for protocol in (first, second):
            protocol.options = ConnectionOptions(gate=admission, reactor=Clock())
            protocol.makeConnection(StringTransport())
        second.connectionLost()
        first.connectionLost()
        self.assertEqual(ended, ["peer", "peer"])

    async def test_a_stop_tells_the_end_of_each_once_and_before_it_is_over(self) -> None:
        server = self.orders()
        clients = [await self.client(server, make=lambda: Client(stays=True)) for _ in range(2)]
        while len(server.channels) < 2:
            await turn()
        await server.stopService()
        self.assertEqual([each["sockserve.connection.reason"] for each in self.closed], ["drain", "drain"])
        for client in clients:
            client.transport.loseConnection()
        while server.channels:
            await turn()
        self.assertEqual(len(self.closed), 2)

    async def test_what_drain_timeout_aborts_is_told(self) -> None:
        server = self.orders(handler=lambda _, __: Deferred(), drain_timeout=0.05)
        client = await self.client(server)
        client.send(b"1\r\na")
        while not (server.channels and server.channels[1].info.messages_received):
            await turn()
        await server.stopService()
        self.assertEqual(await self.ends(), ["drain_timeout"])

    async def test_a_client_of_ours_has_none(self) -> None:
        server = self.orders()
        listening = server.ports[0]
        assert isinstance(listening, Port)
        channel = await connect(f"tcp:127.0.0.1:{listening.getHost().port}", "windev")
        await channel.write(b"a")
        await channel.read()
        channel.close()
        await self.ends()
        while not channel.closed:
            await turn()
        self.assertEqual([each["sockserve.connection.reason"] for each in self.closed], ["peer"])


class FloodTests(ClosedCase):
    async def come_and_go(self, server: SocketServer, count: int) -> None:
        for _ in range(count):
            client = await self.client(server)
            client.end()
            await client.lost
        while server.channels:
            await turn()

    async def test_many_in_a_second_become_a_line_with_a_count_at_the_same_level(self) -> None:
        server = self.orders()
        await self.come_and_go(server, FEW + 3)
        await server.stopService()
        counted = FEW + 3 - len(self.closed)
        if counted > 1:
            self.assertEqual(self.left_out, [(f"orders: {counted} more lines of this kind (closed)", "info")])
        self.assertGreaterEqual(len(self.closed), FEW)

    async def test_with_log_traffic_each_has_its_line(self) -> None:
        await self.come_and_go(self.orders(log_traffic=True), FEW + 3)
        self.assertEqual((len(self.closed), self.left_out), (FEW + 3, []))
