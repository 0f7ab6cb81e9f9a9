"""relay: one order for all, and nobody's slowness is another's problem."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.options import ConnectionOptions
from sockserve.framing import Framing, parse
from sockserve.handlers.relay import Relay, RelayProtocol
from sockserve.limits.memory import Holder, MemoryBudget
from sockserve.server.sockets import Listen, SocketServer
from tests.connection.test_protocol import CountingTransport, connect, lose
from tests.support.sockets import LOCAL, SocketCase, turn


def join(
    relay: Relay, framing: Framing | str = "windev", max_queued: int = 1000
) -> tuple[RelayProtocol, CountingTransport]:
    client = relay.client()
    client.options = ConnectionOptions(max_queued=max_queued, reactor=Clock())
    client.framing = framing
    return connect(client)


class RelayTests(SynchronousTestCase):
    def test_everyone_but_the_sender_gets_a_message(self) -> None:
        relay = Relay()
        members = [join(relay) for _ in range(3)]
        members[1][0].dataReceived(b"1\r\na1\r\nb")
        self.assertEqual([transport.value() for _, transport in members], [b"1\r\na1\r\nb", b"", b"1\r\na1\r\nb"])

    def test_each_in_its_own_framing(self) -> None:
        relay = Relay()
        sender, _ = join(relay)
        others = [join(relay, name)[1] for name in ("netstring", "int8", "buffered")]
        sender.dataReceived(b"2\r\nhi")
        self.assertEqual([other.value() for other in others], [b"2:hi,", b"\x02hi", b"hi\r\n"])

    def test_a_message_one_member_cannot_carry_reaches_the_others(self) -> None:
        relay = Relay()
        sender, _ = join(relay)
        (_, picky), (_, other) = join(relay, parse("buffered", max_length=5)), join(relay)
        with capturedLogs() as events:
            sender.dataReceived(b"1\r\na4\r\nx\r\ny6\r\ntoobig1\r\nb")
        self.assertEqual(picky.value(), b"a\r\nb\r\n")
        self.assertEqual(other.value(), b"1\r\na4\r\nx\r\ny6\r\ntoobig1\r\nb")
        lines = [formatEvent(event) for event in events]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertIn("not passed on", line)

    def test_a_slow_member_is_dropped_past_its_bound_with_one_line(self) -> None:
        relay = Relay()
        sender, _ = join(relay)
        (_, slow), (_, other) = join(relay, max_queued=100), join(relay)
        slow.slow = True
        with capturedLogs() as events:
            for _ in range(50):
                sender.dataReceived(b"9\r\n123456789")
        self.assertTrue(slow.disconnected)
        self.assertLess(len(slow.value()), 200)
        self.assertEqual(other.value(), b"9\r\n123456789" * 50)
        self.assertEqual(len(events), 1)
        self.assertIn("dropped", formatEvent(events[0]))
        self.assertIn("100 may (max_queued)", formatEvent(events[0]))

    def test_a_slow_member_may_go_on_speaking(self) -> None:
        relay = Relay()
        slow, transport = join(relay)
        _, other = join(relay)
        transport.producer.pauseProducing()
        slow.dataReceived(b"1\r\na")
        self.assertEqual(other.value(), b"1\r\na")
        self.assertEqual(transport.producerState, "producing")

    def test_a_member_that_reads_again_has_its_whole_bound_again(self) -> None:
        relay = Relay()
        sender, _ = join(relay)
        _, transport = join(relay, max_queued=100)
        transport.slow = True
        for _ in range(20):
            for _ in range(5):
                sender.dataReceived(b"9\r\n123456789")
            transport.take()
        self.assertFalse(transport.disconnected)
        self.assertEqual(transport.value(), b"9\r\n123456789" * 100)

    def test_a_message_longer_than_the_bound_drops_nobody_by_itself(self) -> None:
        relay = Relay()
        sender, _ = join(relay)
        _, transport = join(relay, max_queued=100)
        transport.slow = True
        sender.dataReceived(b"500\r\n" + bytes(500))
        self.assertFalse(transport.disconnected)

    def test_a_member_that_leaves_is_forgotten(self) -> None:
        relay = Relay()
        one, _ = join(relay)
        two, _ = join(relay)
        lose(one)
        two.dataReceived(b"1\r\na")
        self.assertEqual([*relay.clients], [two])

    def test_what_a_member_says_while_a_message_is_passed_on_comes_after_it_for_all(self) -> None:
        """The memory budget may have others read from again at any write."""
        relay = Relay()
        sender, _ = join(relay)
        early, late = join(relay)[1], join(relay)[1]
        speaker, _ = join(relay)
        early.then = lambda: speaker.dataReceived(b"6\r\nsecond")
        sender.dataReceived(b"5\r\nfirst")
        for heard in (early, late):
            self.assertEqual(heard.value(), b"5\r\nfirst6\r\nsecond")


class SocketTests(SocketCase):
    async def test_what_waits_for_many_members_is_held_once(self) -> None:
        class Noting(MemoryBudget):
            joined: ClassVar[list[Holder]] = []

            def join(self, holder: Holder) -> None:
                super().join(holder)
                self.joined.append(holder)

        budget = Noting(16 << 20)
        server = self.serve(SocketServer("room", LOCAL, "int32", "relay", memory=budget))
        sender = await self.client(server)
        deaf = [await self.client(server, paused=True) for _ in range(20)]
        while len(server.channels) < 21:
            await turn()
        frames = b"".join(b"\0\1\0\0" + bytes([number]) * 65536 for number in range(100))
        sender.send(frames)
        channels = [*server.channels.values()]
        while sorted(channel.info.bytes_sent for channel in channels)[1] < len(frames):
            await turn()
        self.assertGreater(sum(channel.queued for channel in channels), 4 * len(frames))
        self.assertLess(sum(holder.held for holder in budget.joined), 2 * len(frames))
        for client in deaf:
            client.transport.resumeProducing()
            self.assertTrue(await client.until(len(frames)) == frames)

    async def test_one_order_for_all_over_different_endpoints(self) -> None:
        server = SocketServer("room", [Listen(LOCAL, "windev"), Listen(LOCAL, "netstring")], handler="relay")
        self.serve(server)
        speakers = [await self.client(server) for _ in range(3)]
        listeners = [await self.client(server, 1) for _ in range(3)]
        while len(server.channels) < 6:
            await turn()
        for number in range(300):
            for name, speaker in zip("abc", speakers, strict=True):
                text = f"{name}{number:03}".encode()
                speaker.send(b"4\r\n" + text)
            if number % 50 == 0:
                await turn()
        heard = await gatherResults([listener.until(900 * 7) for listener in listeners])
        self.assertEqual(len(set(heard)), 1)
        messages = [part[2:] for part in heard[0].split(b",") if part]
        for name in "abc":
            own = [message for message in messages if message.startswith(name.encode())]
            self.assertEqual(own, [f"{name}{number:03}".encode() for number in range(300)])
        for name, speaker in zip("abc", speakers, strict=True):
            received = await speaker.until(600 * 7)
            self.assertNotIn(f"{name}000".encode(), received)
            self.assertEqual(len(received), 600 * 7)

    async def test_a_member_that_does_not_read_is_dropped_and_the_others_get_everything(self) -> None:
        server = self.serve(SocketServer("room", LOCAL, "windev", "relay"))
        sender, listener = await self.client(server), await self.client(server)
        deaf = await self.client(server, paused=True)
        while len(server.channels) < 3:
            await turn()
        frame = b"65536\r\n" + bytes(65536)
        count = 0
        while len(server.channels) > 2 or count < 50:
            count += 1
            sender.send(frame)
            await listener.until(count * len(frame))
        self.assertEqual(len(self.logged("dropped")), 1)
        deaf.transport.resumeProducing()
        await deaf.lost
        self.assertLess(len(deaf.received), count * len(frame))

    async def test_messages_longer_than_the_bound_reach_members_that_read(self) -> None:
        framing = parse("int32", max_length=8 << 20)
        server = self.serve(SocketServer("room", LOCAL, framing, "relay"))
        sender, listener = await self.client(server), await self.client(server)
        while len(server.channels) < 2:
            await turn()
        wire = framing.encode(bytes(4 << 20))
        for number in range(1, 4):
            sender.send(wire)
            await listener.until(number * len(wire))
        self.assertEqual(self.logged("dropped"), [])
