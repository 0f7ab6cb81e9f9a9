"""What waits for a peer that does not read: how much that is, and how much it may be."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve import Channel, QueueFull
from sockserve.connection.conversation import ConversationProtocol
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import MessageTooLong
from sockserve.handlers.function import Answering
from sockserve.limits.memory import MemoryBudget
from tests.connection.test_protocol import CountingTransport, connect, lose


class Pushing(MessageProtocol):
    framing = "int8"

    def messageReceived(self, message: bytes) -> None:
        pass


def slow(protocol: MessageProtocol, max_queued: int = 100) -> CountingTransport:
    """Connect it to a peer that does not read."""
    protocol.options = ConnectionOptions(reactor=Clock(), max_queued=max_queued)
    _, transport = connect(protocol)
    transport.slow = True
    return transport


class QueueTests(SynchronousTestCase):
    def test_a_message_past_max_queued_is_refused_and_nothing_of_it_is_queued(self) -> None:
        protocol = Pushing()
        transport = slow(protocol)
        send = protocol.sendMessage
        send(bytes(60))
        send(bytes(30))
        with self.assertRaises(QueueFull) as refused:
            send(bytes(30))
        self.assertIn("accepted: 100 together (max_queued)", str(refused.exception))
        self.assertEqual(protocol.queued, 92)
        with self.assertRaises(QueueFull):
            protocol.sendMessages([b"a", b"b", b"c" * 10])
        send(bytes(5))
        self.assertEqual((protocol.queued, len(transport.value())), (98, 98))

    def test_when_the_peer_reads_again_there_is_room_again(self) -> None:
        protocol = Pushing()
        transport = slow(protocol)
        for _ in range(5):
            protocol.sendMessage(bytes(99))
            transport.take()
            self.assertEqual(protocol.queued, 0)
        transport.slow = False
        for _ in range(5):
            protocol.sendMessage(bytes(99))

    def test_one_message_longer_than_max_queued_goes_to_a_peer_that_reads(self) -> None:
        protocol = Pushing()
        transport = slow(protocol, max_queued=10)
        protocol.sendMessage(bytes(200))
        self.assertEqual(len(transport.value()), 201)
        with self.assertRaises(QueueFull):
            protocol.sendMessage(b"")

    def test_what_the_framing_cannot_carry_is_refused_as_before_while_the_peer_does_not_read(self) -> None:
        protocol = Pushing()
        transport = slow(protocol, max_queued=1000)
        protocol.sendMessage(b"a")
        with self.assertRaises(MessageTooLong):
            protocol.sendMessage(bytes(256))
        self.assertEqual(transport.value(), b"\x01a")

    def test_a_channel_tells_what_waits_and_refuses_more(self) -> None:
        channels: list[Channel] = []

        async def talk(channel: Channel) -> None:
            channels.append(channel)
            await Deferred()

        protocol = ConversationProtocol(talk)
        protocol.framing = "int8"
        slow(protocol)
        (channel,) = channels
        channel.send(bytes(90))
        self.assertEqual(channel.queued, 91)
        with self.assertRaises(QueueFull):
            channel.send(bytes(90))
        self.assertEqual(channel.queued, 91)

    def test_a_write_that_is_awaited_is_never_refused(self) -> None:
        written: list[int] = []

        async def talk(channel: Channel) -> None:
            for number in range(10):
                await channel.write(bytes(200))
                written.append(number)

        protocol = ConversationProtocol(talk)
        protocol.framing = "int8"
        transport = slow(protocol, max_queued=10)
        while len(written) < 10:
            transport.take()
        self.assertEqual(len(transport.value()), 10 * 201)

    def test_answers_are_never_refused(self) -> None:
        asked: list[Deferred[bytes]] = []

        def answer(_: bytes, __: Channel) -> Deferred[bytes]:
            asked.append(Deferred())
            return asked[-1]

        protocol = Answering(answer)
        protocol.framing = "int8"
        transport = slow(protocol)
        protocol.dataReceived(b"\x01a" * 5)
        for each in asked:
            each.callback(bytes(200))
        self.assertEqual(len(transport.value()), 5 * 201)
        self.assertEqual(transport.producerState, "paused")


class KeptTests(SynchronousTestCase):
    """What protocols keep themselves, and give up when they are aborted."""

    def abort(self, protocol: MessageProtocol, data: bytes, act: Callable[[], object] = lambda: None) -> int:
        """Bytes that it says it holds, before it is aborted because of the budget."""
        clock = Clock()
        memory = MemoryBudget(1 << 20, clock)
        protocol.framing = "int8"
        protocol.options = ConnectionOptions(reactor=clock, memory=memory)
        connect(protocol)
        protocol.dataReceived(data)
        act()
        held = protocol._engine.held
        memory.resize(1)
        memory.grow(1)
        self.assertEqual(protocol._engine.options.events.counts, {"memory_budget": 1})
        self.assertEqual(protocol._engine.held, 0)
        return held

    def test_answers_under_way_count_with_what_a_coroutine_takes(self) -> None:
        cancelled: list[Deferred[bytes]] = []

        def answer(_: bytes, __: Channel) -> Deferred[bytes]:
            return Deferred(cancelled.append)

        self.assertGreater(self.abort(Answering(answer), b"\x02ab" * 50), 50 * 3000)
        self.assertEqual(len(cancelled), 50)

    def test_answers_that_wait_for_an_earlier_one_count(self) -> None:
        first: Deferred[bytes] = Deferred()

        def answer(message: bytes, _: Channel) -> Deferred[bytes] | bytes:
            return first if message == b"a" else bytes(10_000)

        held = self.abort(Answering(answer), b"\x01a" + b"\x01b" * 20)
        self.assertGreater(held, 20 * 10_000)
        self.assertLess(held, 21 * 11_000)

    def test_an_answer_that_has_left_does_not_count(self) -> None:
        asked: list[Deferred[bytes]] = []

        def answer(_: bytes, __: Channel) -> Deferred[bytes]:
            asked.append(Deferred())
            return asked[-1]

        protocol = Answering(answer)
        protocol.framing = "int8"
        connect(protocol)
        protocol.dataReceived(b"\x01a" * 5)
        for each in reversed(asked):
            self.assertGreater(protocol.keptBytes, 0)
            each.callback(b"answer")
        self.assertEqual(protocol.keptBytes, 0)

    def test_messages_that_are_decoded_and_wait_count_as_objects(self) -> None:
        class Stopping(Pushing):
            def messageReceived(self, message: bytes) -> None:
                self.pauseProducing()

        self.assertGreater(self.abort(Stopping(), b"\x02ab" * 1000), 3000 + 64 * 300)

    def test_few_are_decoded_for_who_takes_them_one_by_one(self) -> None:
        async def talk(channel: Channel) -> None:
            await channel.read()
            await Deferred()

        self.assertLess(self.abort(ConversationProtocol(talk), b"\x02ab" * 10_000), 30_000 + 64 * 400)

    def test_messages_left_of_a_lost_connection_count_until_they_are_read(self) -> None:
        read: list[bytes] = []
        go_on: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            await go_on
            while True:
                read.append(await channel.read())

        clock = Clock()
        memory = MemoryBudget(1 << 20, clock)
        protocol = ConversationProtocol(talk)
        protocol.framing = "int8"
        protocol.options = ConnectionOptions(reactor=clock, memory=memory)
        connect(protocol)
        protocol.dataReceived(b"\x02ab" * 100)
        lose(protocol)
        self.assertEqual(protocol.keptBytes, 100 * 66)
        self.assertEqual([*memory._weights], [protocol._engine])
        go_on.callback(None)
        self.assertEqual((len(read), protocol.keptBytes, [*memory._weights]), (100, 0, []))

    def test_messages_left_of_a_lost_connection_are_dropped_for_others_and_their_reader_is_told(self) -> None:
        ended: list[BaseException] = []
        go_on: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            await go_on
            try:
                await channel.read()
            except Exception as error:
                ended.append(error)

        protocol = ConversationProtocol(talk)
        self.abort(protocol, b"\x02ab" * 100, lambda: lose(protocol))
        go_on.callback(None)
        self.assertIn("memory_budget", str(ended[0]))
