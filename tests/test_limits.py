"""max_connections over real sockets: in turn, never too many, nothing lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.channel import Channel
from sockserve.limits import Admission
from sockserve.protocol import MessageProtocol
from sockserve.server import SocketServer
from tests.sockets import LOCAL, Client, SocketCase, turn


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
            f"{LOCAL}:backlog=400",
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
        self.assertEqual(len(self.logged("refused, 1 are served already (max_connections)")), 1)
        first.send(b"1\r\na")
        await first.until(4)
        first.end()
        await first.lost
        await self.served(server, 0)
        third = await self.client(server)
        third.send(b"1\r\nc")
        await third.until(4)

    async def test_a_burst_of_three_hundred_is_served_ten_at_a_time(self) -> None:
        server, talk = self.limited(10)

        async def ask(number: int) -> bytes:
            client = await self.client(server)
            client.send(b"3\r\n%03d" % number)
            await client.until(6)
            client.end()
            await client.lost
            return bytes(client.received)

        asked = [Deferred.fromCoroutine(ask(number)) for number in range(300)]
        answers = await gatherResults(asked)
        self.assertEqual(answers, [b"3\r\n%03d" % number for number in range(300)])
        self.assertEqual(talk.most, 10)
        await self.served(server, 0)

    async def test_a_burst_of_three_hundred_with_refuse(self) -> None:
        server, talk = self.limited(10, when_full="refuse")
        clients = await gatherResults([Deferred.fromCoroutine(self.client(server, make=Client)) for _ in range(300)])
        while sum(1 for client in clients if not client.lost.called) > 10 or len(server.channels) < 10:
            await turn()
        self.assertEqual(talk.most, 10)
        self.assertEqual(len(self.logged("refused")), 290)

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
        def wrong(channel: Channel) -> Any:  # noqa: ANN401 - no coroutine function
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

    async def served(self, server: SocketServer, count: int) -> None:
        while len(server.channels) != count:
            await turn()


class Holding(MessageProtocol):
    """Reads nothing."""

    def connectionMade(self) -> None:
        self.holdReading("test")


class StartTests(SynchronousTestCase):
    def test_one_that_had_to_wait_and_then_reads_nothing_is_not_read_from(self) -> None:
        admission = Admission(1)
        first, second = Holding(), Holding()
        transport = StringTransport()
        for protocol, below in ((first, StringTransport()), (second, transport)):
            protocol.gate = admission
            protocol.reactor = Clock()
            protocol.makeConnection(below)
        self.assertFalse(second.started)
        first.connectionLost()
        self.assertTrue(second.started)
        self.assertEqual(transport.producerState, "paused")
