"""Limits over real sockets: in turn, never too many, nobody who may not, nobody for too long; nothing lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.engine import Engine
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError
from sockserve.limits.admission import Admission
from sockserve.limits.events import Events
from sockserve.limits.memory import MemoryBudget
from sockserve.limits.totals import Traffic
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, Client, SocketCase, turn


class Conversing:
    """A conversation that counts how many of it run, and echoes. `goes`: fires when the first has a message."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.order: list[bytes] = []

    async def __call__(self, channel: Channel) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async for message in channel:
                self.order.append(message)
                await channel.write(message)
        finally:
            self.running -= 1


class LimitTests(SocketCase):
    def limited(self, limit: int, **options: Any) -> tuple[SocketServer, Conversing]:  # noqa: ANN401 - as SocketServer's
        talk = Conversing()
        server = SocketServer(
            "scale",
            f"{LOCAL}:backlog=1024",
            "windev",
            conversation=talk,
            max_connections=limit,
            drain_timeout=0.5,
            **options,
        )
        return self.serve(server), talk

    async def test_the_second_client_connects_waits_and_is_served_in_turn(self) -> None:
        server, talk = self.limited(1)
        first = await self.client(server)
        first.send(b"1\r\na")
        await first.until(4)
        second = await self.client(server)
        second.send(b"1\r\nb1\r\nc")
        for _ in range(20):
            await turn()
        self.assertEqual(talk.order, [b"a"])
        first.end()
        await first.lost
        await second.until(8)
        self.assertEqual(bytes(second.received), b"1\r\nb1\r\nc")
        self.assertEqual([*server.channels], [2])

    async def test_several_wait_and_are_served_in_the_order_of_their_arrival(self) -> None:
        server, talk = self.limited(1)
        first = await self.client(server)
        await self.served(server, 1)
        others = []
        for number in range(10):
            client = await self.client(server)
            client.send(b"1\r\n%d" % number)
            client.end()
            others.append(client)
        first.end()
        await gatherResults([client.lost for client in others])
        self.assertEqual(talk.order, [b"%d" % number for number in range(10)])
        self.assertEqual([bytes(client.received) for client in others], [b"1\r\n%d" % number for number in range(10)])
        self.assertEqual(talk.most, 1)

    async def test_one_that_leaves_while_it_waits_holds_up_nobody(self) -> None:
        for reset in (False, True):
            server, talk = self.limited(1)
            first, leaving, third = [await self.client(server) for _ in range(3)]
            await self.served(server, 1)
            leaving.send(b"4\r\ngone")
            await turn()
            if reset:
                leaving.reset()
            else:
                leaving.transport.loseConnection()
            third.send(b"1\r\nc")
            third.end()
            for _ in range(20):
                await turn()
            self.assertEqual(talk.order, [])
            first.end()
            await third.lost
            self.assertEqual(bytes(third.received), b"1\r\nc")
            self.assertEqual(talk.most, 1)

    async def test_refuse_closes_at_once(self) -> None:
        server, _ = self.limited(1, when_full="refuse")
        first = await self.client(server)
        await self.served(server, 1)
        second = await self.client(server)
        await second.lost
        self.assertEqual(len(self.logged("refused, 1 already connected (max_connections)")), 1)
        first.send(b"1\r\na")
        await first.until(4)
        first.end()
        await first.lost
        await self.served(server, 0)
        third = await self.client(server)
        third.send(b"1\r\nc")
        await third.until(4)

    async def test_a_burst_of_a_thousand_is_served_ten_at_a_time(self) -> None:
        server, talk = self.limited(10)

        async def ask(number: int) -> bytes:
            client = await self.client(server)
            client.send(b"4\r\n%04d" % number)
            await client.until(7)
            client.end()
            await client.lost
            return bytes(client.received)

        asked = [Deferred.fromCoroutine(ask(number)) for number in range(1000)]
        answers = await gatherResults(asked)
        self.assertEqual(answers, [b"4\r\n%04d" % number for number in range(1000)])
        self.assertEqual(talk.most, 10)
        await self.served(server, 0)

    async def test_a_burst_of_a_thousand_with_refuse(self) -> None:
        server, talk = self.limited(10, when_full="refuse")
        clients = await gatherResults([Deferred.fromCoroutine(self.client(server, make=Client)) for _ in range(1000)])
        while sum(1 for client in clients if not client.lost.called) > 10 or len(server.channels) < 10:
            await turn()
        self.assertEqual(talk.most, 10)
        self.assertEqual(server.closings, {"max_connections": 990})
        # The first five, and one a second that counts.
        self.assertLess(len(self.logged("max_connections")), 20)

    async def test_the_simplified_server_logs_who_is_established(self) -> None:
        server, _ = self.limited(1)
        client = await self.client(server)
        await self.served(server, 1)
        self.assertIsNone(server.channels[1].info.established)
        self.assertEqual(self.logged("established"), [])
        port = client.transport.getHost().port
        client.send(b"1\r\na1\r\nb")
        await client.until(8)
        self.assertIsNotNone(server.channels[1].info.established)
        self.assertEqual(self.logged("established"), [f"scale 127.0.0.1:{port}: established"])

    async def test_a_conversation_that_ends_at_once_lets_the_next_one_in(self) -> None:
        async def hello(channel: Channel) -> None:
            await channel.write(b"hello")

        server = self.serve(SocketServer("clock", LOCAL, "windev", conversation=hello, max_connections=1))
        clients = [await self.client(server) for _ in range(20)]
        await gatherResults([client.lost for client in clients])
        self.assertEqual({bytes(client.received) for client in clients}, {b"5\r\nhello"})

    async def test_a_conversation_that_fails_at_once_lets_the_next_one_in(self) -> None:
        async def wrong(channel: Channel) -> None:
            raise LookupError(channel)

        server = self.serve(SocketServer("clock", LOCAL, "windev", conversation=wrong, max_connections=1))
        clients = [await self.client(server) for _ in range(5)]
        await gatherResults([client.lost for client in clients])
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 5)

    async def test_clients_that_wait_are_closed_when_the_service_stops(self) -> None:
        server, talk = self.limited(1)
        first, second = await self.client(server), await self.client(server)
        await self.served(server, 1)
        second.send(b"1\r\nb")
        await server.stopService()
        await gatherResults([first.lost, second.lost])
        self.assertEqual(talk.order, [])

    async def test_a_peer_has_so_many_connections_and_no_more(self) -> None:
        server, _ = self.limited(100, max_connections_per_peer=2)
        first, second = await self.client(server), await self.client(server)
        await self.served(server, 2)
        third = await self.client(server)
        await third.lost
        text = "refused, 127.0.0.1 already has 2 connections (max_connections_per_peer)"
        self.assertEqual(len(self.logged(text)), 1)
        other = await self.client(server, source="127.0.0.2")
        other.send(b"1\r\na")
        await other.until(4)
        first.end()
        await first.lost
        await self.served(server, 2)
        again = await self.client(server)
        for client in (second, again):
            client.send(b"1\r\nb")
            await client.until(4)
        self.assertEqual(server.closings, {"max_connections_per_peer": 1})

    async def test_who_may_not_connect_is_closed_at_once(self) -> None:
        for settings, name in (
            ({"deny": ["127.0.0.2/31"]}, "deny"),
            ({"allow": ["127.0.0.1", "10.0.0.0/8"]}, "allow"),
            ({"allow": ["127.0.0.0/8"], "deny": ["127.0.0.2"]}, "deny"),
        ):
            server, talk = self.limited(10, **settings)
            stranger = await self.client(server, source="127.0.0.2")
            stranger.send(b"1\r\na")
            await stranger.lost
            self.assertEqual(server.closings, {name: 1})
            self.assertEqual(len(self.logged(f"refused, its address may not connect ({name})")), 1)
            self.lines.clear()
            client = await self.client(server)
            client.send(b"1\r\nb")
            await client.until(4)
            self.assertEqual(talk.order, [b"b"])

    async def test_behind_a_proxy_it_is_the_client_who_may_not_connect(self) -> None:
        server, talk = self.limited(10, proxy_protocol=True, deny=["192.0.2.0/24"], max_connections_per_peer=1)
        for client, data in (("192.0.2.7", b""), ("10.0.0.1", b"1\r\na"), ("10.0.0.1", b""), ("10.0.0.2", b"1\r\na")):
            proxy = await self.client(server)
            proxy.send(b"PROXY TCP4 %b 10.0.0.9 1 2\r\n1\r\na" % client.encode())
            await (proxy.until(4) if data else proxy.lost)
            self.assertEqual(bytes(proxy.received), data)
        self.assertEqual(talk.order, [b"a", b"a"])
        self.assertEqual(server.closings, {"deny": 1, "max_connections_per_peer": 1})

    async def test_a_thousand_slow_peers_are_gone_by_the_deadline_and_a_good_one_is_served(self) -> None:
        server = self.serve(SocketServer("echo", f"{LOCAL}:backlog=1024", "windev", frame_timeout=0.5))
        slow = await gatherResults([Deferred.fromCoroutine(self.client(server)) for _ in range(1000)])
        good = await self.client(server)
        for client in slow:
            client.send(b"9\r\nx")
        for number in range(1, 11):
            good.send(b"1\r\na")
            await good.until(4 * number)
        await gatherResults([client.lost for client in slow])
        self.assertEqual(server.closings, {"frame_timeout": 1000})
        self.assertEqual(len(self.logged("a frame was not complete within 0.5 seconds (frame_timeout)")), 5)
        good.send(b"1\r\nb")
        await good.until(44)

    async def test_an_idle_peer_that_does_not_read_is_aborted(self) -> None:
        server = self.serve(SocketServer("echo", LOCAL, "raw", idle_timeout=0.4, close_timeout=0.3))
        deaf = await self.client(server, paused=True)
        deaf.send(bytes(16 << 20))
        await self.served(server, 1)
        await self.served(server, 0)
        self.assertEqual(server.closings, {"idle_timeout": 1, "close_timeout": 1})

    async def test_what_was_answered_before_a_timeout_arrives(self) -> None:
        server = self.serve(SocketServer("echo", LOCAL, "windev", idle_timeout=0.4, frame_timeout=0.4))
        client = await self.client(server)
        client.send(b"1\r\na5\r\n")
        await client.lost
        self.assertEqual(bytes(client.received), b"1\r\na")

    async def test_above_the_memory_budget_the_largest_waits_and_all_is_answered(self) -> None:
        budget = MemoryBudget(1_900_000)
        server = self.serve(SocketServer("echo", LOCAL, "int32", memory=budget))
        large, small = await self.client(server), await self.client(server)
        large.send(b"\0\x10\0\0" + bytes(1_000_000))
        small.send(b"\0\x10\0\0" + bytes(1_000_000))
        while not self.logged("more than 1900000 (memory_budget)"):
            await turn()
        large.send(bytes(0x100000 - 1_000_000))
        small.send(bytes(0x100000 - 1_000_000))
        await gatherResults([client.until(0x100004) for client in (large, small)])
        self.assertEqual(server.closings, {})

    async def served(self, server: SocketServer, count: int) -> None:
        while len(server.channels) != count:
            await turn()


class Holding(MessageProtocol):
    """Reads nothing."""

    def connectionMade(self) -> None:
        self.holdReading("test")


class Silent:
    """Nothing is said of a connection."""

    peer = ""

    def __init__(self) -> None:
        self.attributes: dict[str, object] = {}

    def tell(self, limit: str, text: str = "") -> None: ...


class Flushing:
    """A connection that counts how often it is asked whether something is owed."""

    id = looks = bytes_received = 0
    done = owing = ending = False
    address, reason = None, "peer"
    since, traffic, telling = 0.0, Traffic(), Silent()

    @property
    def flushed(self) -> bool:
        self.looks += 1
        return self.done

    def silent(self, seconds: float) -> bool:
        return False

    def drain(self) -> None: ...

    abort = dismiss = hush = start = wait = drain

    def add_traffic(self, sums: list[int], sign: int = 1) -> None: ...


class StartTests(SynchronousTestCase):
    def test_one_that_had_to_wait_and_then_reads_nothing_is_not_read_from(self) -> None:
        admission: Admission[Engine] = Admission(1)
        events = Events()
        first, second = Holding(), Holding()
        transport = StringTransport()
        for protocol, below in ((first, StringTransport()), (second, transport)):
            protocol.options = ConnectionOptions(gate=admission, reactor=Clock(), events=events)
            protocol.makeConnection(below)
        self.assertFalse(second.connected)
        first.connectionLost()
        self.assertTrue(second.connected)
        self.assertEqual(transport.producerState, "paused")

    def test_one_that_fails_when_it_starts_or_ends_keeps_no_place(self) -> None:
        class Failing(Holding):
            def connectionMade(self) -> None:
                raise LookupError

        class FailingAtTheEnd(Holding):
            framing = "windev"

            def connectionMade(self) -> None:
                pass

            def framingFailed(self, error: FramingError) -> None:
                raise LookupError

            def _connectionOver(self) -> None:
                raise LookupError

        accepting: list[bool] = []
        events = Events()
        admission: Admission[Engine] = Admission(1, accepting=accepting.append, per_peer=3)
        protocols = [FailingAtTheEnd(), Failing(), FailingAtTheEnd()]
        for protocol in protocols:
            protocol.options = ConnectionOptions(gate=admission, reactor=Clock(), events=events)
            protocol.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 4711)))
        protocols[0].dataReceived(b"5")
        for protocol, failures in zip(protocols, (3, 0, 1), strict=True):
            self.assertTrue(protocol.connected)
            protocol.connectionLost()
            self.assertEqual(len(self.flushLoggedErrors(LookupError)), failures)
        self.assertEqual((admission.running, accepting[-1]), ({}, True))
        self.assertEqual(events.counts["handler"], 4)

    def test_a_drain_does_not_look_at_all_connections_whenever_one_is_done(self) -> None:
        admission: Admission[Flushing] = Admission()
        connections = [Flushing() for _ in range(300)]
        for connection in connections:
            self.assertTrue(admission.enter(connection))
        drained = admission.drain()
        for connection in connections[::2]:
            connection.done = True
            admission.flushed(connection)
        self.assertFalse(drained.called)
        for connection in reversed(connections):
            admission.leave(connection)
        self.assertTrue(drained.called)
        self.assertLess(sum(connection.looks for connection in connections), 5 * len(connections))
