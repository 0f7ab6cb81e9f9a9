"""Channels and conversations: in memory, and over real sockets."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Coroutine
from operator import methodcaller
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sockserve.connection.channel import Channel, ChannelClosed, ReadProtocol, ReadTimeout
from sockserve.connection.conversation import Conversation, ConversationProtocol
from sockserve.connection.coroutine import run
from sockserve.connection.engine import Engine
from sockserve.connection.options import ConnectionOptions
from sockserve.framing import Framing, parse
from sockserve.framing.errors import InvalidMessage, MalformedHeader
from sockserve.handlers.echo import Echo
from sockserve.limits.admission import Admission
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import CountingTransport, connect, lose
from tests.support.sockets import LOCAL, Client, SocketCase, turn
from tests.support.wire import splits

T = TypeVar("T")


class Reading(ReadProtocol):
    def __init__(self, framing: Framing | str = "windev") -> None:
        self.framing = framing
        self.clock = Clock()
        self.options = ConnectionOptions(reactor=self.clock)


def opened(framing: Framing | str = "windev") -> tuple[Channel, Reading, CountingTransport]:
    protocol, transport = connect(Reading(framing))
    return Channel(protocol), protocol, transport


def start(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    return ensureDeferred(coroutine)


async def ending(coroutine: Coroutine[Any, Any, bytes]) -> bytes | str:
    """What a read ended as: its message, or the name of its exception."""
    try:
        return await coroutine
    except Exception as error:
        return type(error).__name__


async def endings(channel: Channel, count: int) -> list[bytes | str]:
    return [await ending(channel.read()) for _ in range(count)]


async def collect(channel: Channel, into: list[bytes]) -> None:
    async for message in channel:
        into += [message]


class ReadingTests(SynchronousTestCase):
    def test_async_for_gives_every_message_and_stops_at_the_end_of_the_stream(self) -> None:
        for chunks in splits(b"3\r\none0\r\n5\r\nthree"):
            channel, protocol, _ = opened()
            seen: list[bytes] = []
            done = start(collect(channel, seen))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(seen, [b"one", b"", b"three"])
            self.assertNoResult(done)
            protocol.readConnectionLost()
            self.successResultOf(done)

    def test_messages_that_were_there_before_the_read(self) -> None:
        for chunks in splits(b"1\r\na1\r\nb1\r\nc"):
            channel, protocol, _ = opened()
            for chunk in chunks:
                protocol.dataReceived(chunk)
            protocol.readConnectionLost()
            read = self.successResultOf(start(endings(channel, 5)))
            self.assertEqual(read, [b"a", b"b", b"c", "ChannelClosed", "ChannelClosed"])

    def test_reads_at_once_are_served_in_their_order(self) -> None:
        channel, protocol, transport = opened()
        reads = [start(ending(channel.read())) for _ in range(4)]
        protocol.dataReceived(b"1\r\na1\r\nb")
        self.assertEqual(transport.producerState, "producing")
        protocol.dataReceived(b"1\r\nc1\r\nd1\r\ne")
        self.assertEqual([self.successResultOf(read) for read in reads], [b"a", b"b", b"c", b"d"])
        self.assertEqual(transport.producerState, "paused")
        self.assertEqual(self.successResultOf(start(ending(channel.read()))), b"e")

    def test_a_truncated_message_is_told_to_the_first_of_several_reads(self) -> None:
        channel, protocol, _ = opened()
        reads = [start(ending(channel.read())) for _ in range(3)]
        protocol.dataReceived(b"1\r\na5\r\nhel")
        protocol.readConnectionLost()
        results = [self.successResultOf(read) for read in reads]
        self.assertEqual(results, [b"a", "TruncatedMessage", "ChannelClosed"])

    def test_a_truncated_message_nobody_waited_for_is_told_once(self) -> None:
        channel, protocol, _ = opened()
        protocol.dataReceived(b"1\r\na5\r\nhel")
        protocol.readConnectionLost()
        results = self.successResultOf(start(endings(channel, 4)))
        self.assertEqual(results, [b"a", "TruncatedMessage", "ChannelClosed", "ChannelClosed"])

    def test_a_lost_connection_inside_a_frame_is_a_truncated_message_then_the_loss(self) -> None:
        channel, protocol, _ = opened()
        protocol.dataReceived(b"1\r\na5\r\nhel")
        lose(protocol)
        results = self.successResultOf(start(endings(channel, 4)))
        self.assertEqual(results, [b"a", "TruncatedMessage", "ConnectionLost", "ConnectionLost"])

    def test_messages_unread_at_the_loss_can_be_read(self) -> None:
        for chunks in splits(b"1\r\na1\r\nb1\r\nc"):
            channel, protocol, _ = opened()
            for chunk in chunks:
                protocol.dataReceived(chunk)
            lose(protocol)
            results = self.successResultOf(start(endings(channel, 4)))
            self.assertEqual(results, [b"a", b"b", b"c", "ConnectionLost"])

    def test_messages_unread_at_the_loss_can_be_read_when_the_peer_did_not_read_either(self) -> None:
        channel, protocol, transport = opened()
        protocol.dataReceived(b"1\r\na1\r\nb")
        transport.producer.pauseProducing()
        lose(protocol)
        results = self.successResultOf(start(endings(channel, 3)))
        self.assertEqual(results, [b"a", b"b", "ConnectionLost"])

    def test_the_end_of_a_stream_comes_after_the_messages_when_the_peer_does_not_read(self) -> None:
        channel, protocol, transport = opened()
        protocol.dataReceived(b"1\r\na1\r\nb")
        transport.producer.pauseProducing()
        protocol.readConnectionLost()
        done = start(endings(channel, 3))
        transport.producer.resumeProducing()
        self.assertEqual(self.successResultOf(done), [b"a", b"b", "ChannelClosed"])

    def test_a_clean_loss_is_a_closed_channel(self) -> None:
        channel, protocol, _ = opened()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.successResultOf(start(endings(channel, 2))), ["ChannelClosed"] * 2)

    def test_a_bad_frame_is_the_cause_of_the_closed_channel(self) -> None:
        for early in (True, False):
            channel, protocol, _ = opened()
            if early:
                protocol.dataReceived(b"2\r\nok-1\r\n")
            first, second = start(channel.read()), start(channel.read())
            if not early:
                protocol.dataReceived(b"2\r\nok-1\r\n")
            self.assertEqual(self.successResultOf(first), b"ok")
            closed = self.failureResultOf(second, ChannelClosed).value
            self.assertIsInstance(closed.__cause__, MalformedHeader)

    def test_a_skipped_bad_frame_is_not_the_end(self) -> None:
        channel, protocol, _ = opened(parse("buffered", max_length=3, on_bad_frame="skip"))
        protocol.dataReceived(b"ok\r\ntoo long\r\nyes\r\n")
        self.assertEqual(self.successResultOf(start(endings(channel, 2))), [b"ok", b"yes"])

    def test_a_bad_frame_unread_at_the_loss_adds_no_writer_for_a_dead_socket(self) -> None:
        @implementer(IHalfCloseableDescriptor)
        class Gone(CountingTransport):
            calls: tuple[str, ...] = ()

            def loseWriteConnection(self) -> None:
                self.calls += ("loseWriteConnection",)

            def readConnectionLost(self, reason: Failure) -> None:
                pass

            def writeConnectionLost(self, reason: Failure) -> None:
                pass

        protocol, transport = Reading(), Gone()
        protocol.makeConnection(transport)
        protocol.dataReceived(b"1\r\na-1\r\n")
        lose(protocol)
        self.assertEqual(self.successResultOf(start(endings(Channel(protocol), 2))), [b"a", "ChannelClosed"])
        self.assertEqual(transport.calls, ())
        self.assertEqual(protocol.clock.getDelayedCalls(), [])

    def test_a_busy_conversation_leaves_the_next_message_with_the_transport(self) -> None:
        channel, protocol, transport = opened()
        self.assertEqual(transport.producerState, "paused")
        read = start(channel.read())
        self.assertEqual(transport.producerState, "producing")
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(self.successResultOf(read), b"a")
        self.assertEqual(transport.producerState, "paused")

    def test_a_reader_that_keeps_up_never_stops_the_transport_and_one_that_stops_does(self) -> None:
        channel, protocol, transport = opened()
        states: list[str] = []
        go: Deferred[None] = Deferred()

        async def talk() -> None:
            async for message in channel:
                states.append(transport.producerState)
                if message == b"s":
                    await go

        done = start(talk())
        for wire in (b"1\r\na", b"1\r\nb1\r\nc", b"1\r\nd1\r\ns1\r\ne"):
            protocol.dataReceived(wire)
        self.assertEqual(states, ["producing"] * 5)
        self.assertEqual(transport.producerState, "paused")
        go.callback(None)
        self.assertEqual(len(states), 6)
        self.assertEqual(transport.producerState, "producing")
        protocol.readConnectionLost()
        self.successResultOf(done)

    def test_a_reader_that_reads_again_does_not_overtake_another(self) -> None:
        channel, protocol, _ = opened()
        first, second = start(endings(channel, 2)), start(endings(channel, 2))
        protocol.dataReceived(b"1\r\na1\r\nb1\r\nc1\r\nd")
        self.assertEqual(self.successResultOf(first), [b"a", b"c"])
        self.assertEqual(self.successResultOf(second), [b"b", b"d"])

    def test_what_is_decoded_waits_for_another_who_holds_reading(self) -> None:
        channel, protocol, _ = opened()

        async def talk() -> list[bytes]:
            read = [await channel.read()]
            protocol.holdReading("budget")
            return [*read, await channel.read(), await channel.read()]

        done = start(talk())
        protocol.dataReceived(b"1\r\na1\r\nb1\r\nc")
        self.assertNoResult(done)
        protocol.releaseReading("budget")
        self.assertEqual(self.successResultOf(done), [b"a", b"b", b"c"])

    def test_what_is_decoded_is_dropped_by_a_close_between_two_reads(self) -> None:
        closes: tuple[Callable[[Channel, Reading], object], ...] = (
            lambda channel, _: channel.close(),
            lambda channel, _: channel.abort(),
            lambda _, protocol: protocol.transport.loseConnection(),
        )
        for close in closes:
            channel, protocol, _ = opened()
            seen: list[bytes | str] = []

            async def talk(
                close: Callable[[Channel, Reading], object] = close,
                channel: Channel = channel,
                protocol: Reading = protocol,
                seen: list[bytes | str] = seen,
            ) -> None:
                seen.append(await channel.read())
                close(channel, protocol)
                seen.append(await ending(channel.read()))

            start(talk())
            protocol.dataReceived(b"1\r\na1\r\nb1\r\nc")
            self.assertEqual(seen, [b"a", "ChannelClosed"])

    def test_a_hundred_thousand_messages_of_one_read(self) -> None:
        for early in (True, False):
            channel, protocol, _ = opened("buffered")
            seen: list[bytes] = []
            wire = b"".join(b"%d\r\n" % number for number in range(100_000))
            if early:
                protocol.dataReceived(wire)
            done = start(collect(channel, seen))
            if not early:
                protocol.dataReceived(wire)
            protocol.readConnectionLost()
            self.successResultOf(done)
            self.assertEqual(seen, [b"%d" % number for number in range(100_000)])

    def test_the_channel_of_a_handler_cannot_be_read(self) -> None:
        protocol, _ = connect(Echo())
        self.failureResultOf(start(Channel(protocol).read()), TypeError)


class TimeoutTests(SynchronousTestCase):
    def test_it_says_its_seconds_and_loses_nothing(self) -> None:
        for chunks in splits(b"1\r\na1\r\nb"):
            channel, protocol, transport = opened()
            late = start(channel.read(1.5))
            protocol.dataReceived(chunks[0][:2])
            protocol.clock.advance(1.5)
            error = self.failureResultOf(late, ReadTimeout).value
            self.assertEqual((error.seconds, str(error)), (1.5, "no message within 1.5 seconds"))
            self.assertIsInstance(error, TimeoutError)
            self.assertEqual(transport.producerState, "paused")
            protocol.dataReceived(chunks[0][2:])
            for chunk in chunks[1:]:
                protocol.dataReceived(chunk)
            self.assertEqual(self.successResultOf(start(endings(channel, 2))), [b"a", b"b"])
            self.assertEqual(protocol.clock.getDelayedCalls(), [])

    def test_zero_seconds_give_what_is_there(self) -> None:
        channel, protocol, _ = opened()
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(self.successResultOf(start(ending(channel.read(0)))), b"a")
        empty = start(ending(channel.read(0)))
        protocol.clock.advance(0)
        self.assertEqual(self.successResultOf(empty), "ReadTimeout")

    def test_a_message_in_the_very_moment_is_either_read_or_kept(self) -> None:
        for arrives in (0.999, 1.0, 1.001):
            channel, protocol, _ = opened()
            protocol.clock.callLater(arrives, protocol.dataReceived, b"1\r\na")
            first = start(ending(channel.read(1)))
            protocol.clock.pump([0.5, 0.499, 0.001, 0.001])
            results = [self.successResultOf(first)]
            if results != [b"a"]:
                results += self.successResultOf(start(endings(channel, 1)))
            self.assertIn(results, ([b"a"], ["ReadTimeout", b"a"]))
            self.assertEqual(protocol.clock.getDelayedCalls(), [])

    def test_the_next_of_several_reads_gets_the_message(self) -> None:
        channel, protocol, _ = opened()
        short, long = start(ending(channel.read(1))), start(ending(channel.read(2)))
        protocol.clock.advance(1)
        protocol.dataReceived(b"1\r\na")
        self.assertEqual((self.successResultOf(short), self.successResultOf(long)), ("ReadTimeout", b"a"))
        self.assertEqual(protocol.clock.getDelayedCalls(), [])

    def test_its_clock_is_stopped_by_the_end_of_the_channel(self) -> None:
        for end in (lose, methodcaller("readConnectionLost"), methodcaller("abortConnection")):
            channel, protocol, _ = opened()
            read = start(ending(channel.read(60)))
            end(protocol)
            self.assertIn(self.successResultOf(read), ("ConnectionLost", "ChannelClosed"))
            self.assertEqual(protocol.clock.getDelayedCalls(), [])


class CancelledReadTests(SynchronousTestCase):
    def test_it_takes_nothing(self) -> None:
        channel, protocol, transport = opened()
        first, second = start(channel.read()), start(channel.read())
        first.cancel()
        self.failureResultOf(first, CancelledError)
        protocol.dataReceived(b"1\r\na1\r\nb")
        self.assertEqual(self.successResultOf(second), b"a")
        self.assertEqual(transport.producerState, "paused")
        third = start(channel.read())
        self.assertEqual(self.successResultOf(third), b"b")

    def test_the_last_one_pauses_reading(self) -> None:
        channel, protocol, transport = opened()
        read = start(channel.read())
        read.cancel()
        self.failureResultOf(read, CancelledError)
        self.assertEqual(transport.producerState, "paused")
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(self.successResultOf(start(channel.read())), b"a")

    def test_by_the_reader_before_it(self) -> None:
        channel, protocol, _ = opened()
        first, second = start(channel.read()), start(channel.read())

        def cancel_other(message: bytes) -> bytes:
            second.cancel()
            return message

        first.addCallback(cancel_other)
        protocol.dataReceived(b"1\r\na1\r\nb1\r\nc")
        self.assertEqual(self.successResultOf(first), b"a")
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(start(endings(channel, 2))), [b"b", b"c"])

    def test_the_same_iterator_goes_on_after_it(self) -> None:
        channel, protocol, _ = opened()
        messages = aiter(channel)

        async def following() -> bytes:
            return await anext(messages)

        cancelled = start(following())
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        again = start(following())
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(self.successResultOf(again), b"a")


class ChangeOfFramingTests(SynchronousTestCase):
    def test_between_reads_with_bytes_of_the_same_read_left(self) -> None:
        async def talk(channel: Channel, seen: list[bytes]) -> None:
            seen.append(await channel.read())
            channel.set_framing("int32")
            seen.append(await channel.read())
            channel.set_framing("fixed:3")
            async for message in channel:
                seen += [message]

        wire = b"4\r\nbinx\x00\x00\x00\x02hi123456"
        for early in (True, False):
            for chunks in splits(wire):
                channel, protocol, _ = opened()
                seen: list[bytes] = []
                if early:
                    protocol.dataReceived(chunks[0])
                done = start(talk(channel, seen))
                for chunk in chunks[1 if early else 0 :]:
                    protocol.dataReceived(chunk)
                protocol.readConnectionLost()
                self.successResultOf(done)
                self.assertEqual(seen, [b"binx", b"hi", b"123", b"456"])

    def test_the_info_shows_it(self) -> None:
        channel, _, transport = opened()
        channel.set_framing("netstring", incoming=False)
        channel.send(b"a")
        info = channel.info
        self.assertEqual((info.framing, info.sending), (parse("windev"), parse("netstring")))
        self.assertEqual(transport.value(), b"1:a,")

    def test_an_unknown_name_is_refused(self) -> None:
        channel, _, _ = opened()
        with self.assertRaises(ValueError):
            channel.set_framing("windef")


class WritingTests(SynchronousTestCase):
    def test_it_waits_until_the_peer_reads(self) -> None:
        channel, _, transport = opened()
        self.successResultOf(start(channel.write(b"fast")))
        transport.slow = True
        writes = [start(channel.write(b"slow")) for _ in range(3)]
        for write in writes:
            self.assertNoResult(write)
        transport.slow = False
        transport.producer.resumeProducing()
        for write in writes:
            self.successResultOf(write)
        self.assertEqual(transport.value(), b"4\r\nfast" + b"4\r\nslow" * 3)

    def test_it_wakes_at_the_end_of_the_connection(self) -> None:
        for end in (lose, methodcaller("loseConnection"), methodcaller("abortConnection")):
            channel, protocol, transport = opened()
            transport.slow = True
            write = start(channel.write(b"slow"))
            end(protocol)
            self.successResultOf(write)

    def test_a_cancelled_one_has_sent_its_message_and_disturbs_no_other(self) -> None:
        channel, _, transport = opened()
        transport.slow = True
        first, second = start(channel.write(b"1")), start(channel.write(b"2"))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        transport.slow = False
        transport.producer.resumeProducing()
        self.successResultOf(second)
        self.assertEqual(transport.value(), b"1\r\n11\r\n2")

    def test_a_writer_that_fills_the_transport_again_as_it_wakes_waits_again(self) -> None:
        channel, protocol, transport = opened()
        start(ending(channel.read()))
        transport.slow = True

        async def write_on() -> None:
            for _ in range(3):
                await channel.write(b"much")

        writing = start(write_on())
        transport.producer.resumeProducing()
        self.assertNoResult(writing)
        transport.producer.resumeProducing()
        transport.producer.resumeProducing()
        self.successResultOf(writing)
        protocol.abortConnection()

    def test_a_peer_that_does_not_read_is_read_from_when_somebody_asks(self) -> None:
        """Else a conversation that reads in one task and writes in another waits for a peer that waits for it."""
        channel, protocol, transport = opened()
        transport.slow = True
        writing = start(channel.write(b"much"))
        reading = start(channel.read())
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(self.successResultOf(reading), b"a")
        self.assertNoResult(writing)
        transport.producer.resumeProducing()
        self.successResultOf(writing)
        protocol.abortConnection()

    def test_after_the_end(self) -> None:
        ends: tuple[tuple[Callable[[Channel, Reading], object], type[Exception]], ...] = (
            (lambda channel, _: channel.end(), ChannelClosed),
            (lambda channel, _: channel.close(), ChannelClosed),
            (lambda channel, _: channel.abort(), ChannelClosed),
            (lambda _, protocol: lose(protocol), ConnectionLost),
            (lambda _, protocol: protocol.connectionLost(Failure(ConnectionDone())), ChannelClosed),
        )
        for end, error in ends:
            channel, protocol, transport = opened()
            end(channel, protocol)
            with self.assertRaises(error):
                channel.send(b"late")
            self.failureResultOf(start(channel.write(b"late")), error)
            self.assertEqual(transport.value(), b"")

    def test_the_traceback_of_one_that_comes_too_late_does_not_keep_the_message(self) -> None:
        channel, _, _ = opened()
        channel.end()
        message = bytes(1000)
        late = []
        try:
            channel.send(message)
        except ChannelClosed as error:
            late.append(error)
        try:
            channel.write(message).send(None)
        except ChannelClosed as error:
            late.append(error)
        # Only this test has it: its variable, and the argument of the call.
        self.assertEqual((len(late), sys.getrefcount(message)), (2, 2))

    def test_what_the_framing_cannot_carry_raises_and_keeps_the_channel(self) -> None:
        channel, _, transport = opened("buffered")
        self.failureResultOf(start(channel.write(b"a\r\nb")), InvalidMessage)
        channel.send(b"ok")
        self.assertEqual(transport.value(), b"ok\r\n")

    def test_reading_goes_on_after_our_end(self) -> None:
        channel, protocol, _ = opened()
        channel.end()
        self.assertFalse(channel.closed)
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(self.successResultOf(start(channel.read())), b"a")

    def test_a_close_drops_what_is_unread(self) -> None:
        channel, protocol, transport = opened()
        protocol.dataReceived(b"1\r\na1\r\nb")
        waiting = start(endings(channel, 3))
        self.assertNoResult(waiting)
        channel.close()
        self.assertEqual(self.successResultOf(waiting), [b"a", b"b", "ChannelClosed"])
        self.assertTrue(channel.closed)
        self.assertTrue(transport.disconnecting)

    def test_many_failing_reads_and_writes_keep_no_trace_of_each_other(self) -> None:
        channel, protocol, _ = opened()
        lose(protocol)
        for _ in range(50):
            self.successResultOf(start(ending(channel.read())))
            with self.assertRaises(ConnectionLost) as caught:
                channel.send(b"late")
        depth, trace = 0, caught.exception.__traceback__
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        self.assertLess(depth, 10)


class Seventh(Admission[Engine]):
    """A gate that has let six in before."""

    def enter(self, connection: Engine) -> bool:
        self._last_id = 6
        return super().enter(connection)


class ConversationTests(SynchronousTestCase):
    def conversing(self, talk: Conversation, framing: str = "windev") -> tuple[ConversationProtocol, CountingTransport]:
        protocol = ConversationProtocol(talk)
        protocol.framing = framing
        protocol.options = ConnectionOptions(socket="orders", gate=Seventh(), reactor=Clock())
        return connect(protocol)

    def test_its_return_closes_with_everything_flushed(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                if message == b"quit":
                    channel.send(b"bye")
                    return
                await channel.write(message)

        protocol, transport = self.conversing(talk)
        protocol.dataReceived(b"1\r\na4\r\nquit1\r\nb")
        self.assertEqual(transport.value(), b"1\r\na3\r\nbye")
        self.assertTrue(transport.disconnecting)

    def test_its_reads_may_be_cancelled_time_out_and_fail(self) -> None:
        seen: list[bytes | str] = []
        reads: list[Deferred[bytes | str]] = []

        async def talk(channel: Channel) -> None:
            reads.append(run(ending(channel.read())))
            seen.append(await reads[0])
            seen.append(await ending(channel.read(1)))
            seen.append(await channel.read(1))
            while len(seen) < 6:
                seen.append(await ending(channel.read()))

        protocol, _ = self.conversing(talk)
        reads[0].cancel()
        self.assertEqual(seen, ["CancelledError"])
        cast("Clock", protocol.options.clock).advance(1)
        protocol.dataReceived(b"1\r\na")
        protocol.dataReceived(b"1\r\nb1\r\nc5\r\n")
        lose(protocol)
        self.assertEqual(seen, ["CancelledError", "ReadTimeout", b"a", b"b", b"c", "TruncatedMessage"])
        self.assertEqual(cast("Clock", protocol.options.clock).getDelayedCalls(), [])

    def test_it_may_speak_first_and_never_read(self) -> None:
        async def talk(channel: Channel) -> None:
            await channel.write(b"hello")

        _, transport = self.conversing(talk)
        self.assertEqual(transport.value(), b"5\r\nhello")
        self.assertTrue(transport.disconnecting)

    def test_it_may_answer_after_the_end_of_the_peers_stream(self) -> None:
        async def talk(channel: Channel) -> None:
            count = 0
            async for _ in channel:
                count += 1
            await channel.write(b"%d" % count)

        protocol, transport = self.conversing(talk)
        protocol.dataReceived(b"1\r\na1\r\nb")
        protocol.readConnectionLost()
        self.assertEqual(transport.value(), b"1\r\n2")
        self.assertTrue(transport.disconnecting)

    def test_an_exception_is_logged_with_the_socket_and_the_peer(self) -> None:
        async def talk(channel: Channel) -> None:
            channel.send(b"last words")
            raise LookupError(await channel.read())

        protocol, transport = self.conversing(talk)
        protocol.dataReceived(b"1\r\na")
        (failure,) = self.flushLoggedErrors(LookupError)
        self.assertEqual(failure.value.args, (b"a",))
        self.assertEqual(transport.value(), b"10\r\nlast words")
        self.assertTrue(transport.disconnecting)

    def test_what_is_no_coroutine_function_fails_as_a_conversation_does(self) -> None:
        def no_coroutine(channel: Channel) -> Any:  # noqa: ANN401 - wrong on purpose
            channel.send(b"a")

        def wrong() -> Any:  # noqa: ANN401 - wrong on purpose
            pass

        talks: tuple[Any, ...] = (no_coroutine, wrong)
        for talk in talks:
            _, transport = self.conversing(talk)
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
            self.assertTrue(transport.disconnecting)

    def test_the_ends_of_a_connection_are_no_failures(self) -> None:
        async def talk(channel: Channel) -> None:
            while True:
                await channel.read()

        names = ("readConnectionLost", "loseConnection", "abortConnection")
        ends: list[Callable[[ConversationProtocol], object]] = [lose, *map(methodcaller, names)]
        for end in ends:
            protocol, _ = self.conversing(talk)
            end(protocol)
            self.assertTrue(protocol.closing)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_two_at_once_share_nothing(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                if message == b"fail":
                    raise LookupError
                channel.send(message)

        one, lost = self.conversing(talk)
        two, kept = self.conversing(talk)
        two.dataReceived(b"1\r\na")
        one.dataReceived(b"4\r\nfail")
        two.dataReceived(b"1\r\nb")
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertTrue(lost.disconnecting)
        self.assertFalse(kept.disconnecting)
        self.assertEqual(kept.value(), b"1\r\na1\r\nb")

    def test_the_reply_to_a_bad_frame_is_sent(self) -> None:
        async def talk(channel: Channel) -> None:
            try:
                await channel.read()
            except ChannelClosed:
                await channel.write(b"sorry")

        protocol, transport = self.conversing(talk)
        protocol.dataReceived(b"-1\r\n")
        self.assertEqual(transport.value(), b"5\r\nsorry")
        self.assertTrue(transport.disconnecting)

    def test_its_repr_names_id_socket_and_peer(self) -> None:
        shown: list[str] = []

        async def talk(channel: Channel) -> None:
            shown.append(repr(channel))

        self.conversing(talk)
        self.assertEqual(shown, ["<Channel 7 orders 192.0.2.7:4711>"])

    def test_a_conversation_that_is_over_is_forgotten(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)

        ended = []
        for _ in range(20):
            protocol, _ = self.conversing(talk)
            ended.append(weakref.ref(protocol))
            protocol.dataReceived(b"1\r\na")
            protocol.readConnectionLost()
            protocol.connectionLost(Failure(ConnectionDone()))
        del protocol
        gc.collect()
        self.assertEqual([protocol for protocol in ended if protocol() is not None], [])


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.write(message)


class SocketTests(SocketCase):
    def conversing(self, talk: Conversation, framing: str = "windev") -> SocketServer:
        return self.serve(SocketServer("orders", LOCAL, framing, conversation=talk, drain_timeout=0.2))

    async def test_messages_after_a_half_close_are_all_read_and_answered(self) -> None:
        go: Deferred[None] = Deferred()

        async def late(channel: Channel) -> None:
            await go
            await echo(channel)

        client = await self.client(self.conversing(late))
        wire = b"".join(b"%d\r\n%s" % (len(b"%d" % n), b"%d" % n) for n in range(5000))
        client.send(wire)
        client.end()
        await turn()
        go.callback(None)
        await client.lost
        self.assertEqual(bytes(client.received), wire)

    async def test_a_reset_leaves_what_had_arrived_to_be_read(self) -> None:
        results: Deferred[list[bytes | str]] = Deferred()
        reset: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            read = await endings(channel, 1)
            channel.send(b"go")
            await reset
            read += await endings(channel, 3)
            results.callback(read)

        client = await self.client(self.conversing(talk))
        client.send(b"1\r\na1\r\nb1\r\nc")
        await client.until(5)
        client.reset()
        await client.lost
        reset.callback(None)
        self.assertEqual(await results, [b"a", b"b", b"c", "ConnectionLost"])

    async def test_info_before_the_first_message_after_it_and_after_the_end(self) -> None:
        channels: list[Channel] = []
        over: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            channels.append(channel)
            channel.send(b"hi")
            async for message in channel:
                channel.send(message * 2)

        server = self.conversing(talk)
        client = await self.client(server)
        await client.until(5)
        (channel,) = channels
        info = channel.info
        self.assertEqual((info.id, info.socket), (1, "orders"))
        self.assertEqual((info.peer, info.local), (client.transport.getHost(), client.transport.getPeer()))
        self.assertEqual((info.framing, info.sending), (parse("windev"), parse("windev")))
        self.assertIsNone(info.certificate)
        self.assertIsNone(info.established)
        self.assertIsNotNone(info.connected.tzinfo)
        self.assertEqual((info.messages_sent, info.bytes_sent), (1, 5))
        client.send(b"3\r\nabc1\r\n")
        await client.until(14)
        info = channel.info
        assert info.established is not None
        self.assertGreaterEqual(info.established, info.connected)
        self.assertEqual((info.messages_received, info.bytes_received), (1, 9))
        self.assertEqual((info.messages_sent, info.bytes_sent), (2, 14))
        client.send(b"!")
        client.end()
        await client.lost
        while server.channels:
            await turn()
        self.assertTrue(channel.closed)
        after = channel.info
        self.assertEqual((after.peer, after.local), (info.peer, info.local))
        self.assertEqual((after.messages_received, after.messages_sent), (2, 3))
        self.assertIn("orders 127.0.0.1:", repr(channel))
        over.callback(None)

    async def test_our_end_is_seen_and_reading_goes_on(self) -> None:
        read: Deferred[list[bytes | str]] = Deferred()

        async def talk(channel: Channel) -> None:
            channel.send(b"last")
            channel.end()
            read.callback(await endings(channel, 2))

        server = self.conversing(talk)
        client = await self.client(server, make=lambda: Client(stays=True))
        await client.ended
        self.assertEqual(bytes(client.received), b"4\r\nlast")
        client.send(b"1\r\na")
        client.end()
        self.assertEqual(await read, [b"a", "ChannelClosed"])
        while server.channels:
            await turn()

    async def test_a_write_waits_for_a_peer_that_does_not_read_and_wakes_when_it_does(self) -> None:
        size, count = 256 * 1024, 64
        state = {"written": 0}
        stalled: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            while state["written"] < count:
                write = start(channel.write(bytes(size)))
                if not write.called and not stalled.called:
                    stalled.callback(None)
                await write
                state["written"] += 1

        client = await self.client(self.conversing(talk, "raw"), paused=True)
        await stalled
        self.assertLess(state["written"], count)
        client.transport.resumeProducing()
        await client.lost
        self.assertEqual(len(client.received), size * count)

    async def test_a_push_into_a_conversation_that_does_not_read_stays_outside(self) -> None:
        go: Deferred[None] = Deferred()
        sizes: list[int] = [0]
        channels: list[Channel] = []

        async def talk(channel: Channel) -> None:
            channels.append(channel)
            await go
            async for message in channel:
                sizes[0] += len(message)

        client = await self.client(self.conversing(talk, "raw"))
        piece = bytes(1 << 20)
        pushed = 0
        while True:
            client.send(piece)
            pushed += len(piece)
            for _ in range(5):
                await turn()
            if client.transport.dataBuffer or client.transport._tempDataLen:
                break
        client.send(bytes((100 << 20) - pushed))
        for _ in range(20):
            await turn()
        self.assertEqual(channels[0].info.bytes_received, 0)
        client.end()
        go.callback(None)
        await client.lost
        self.assertEqual(sizes, [100 << 20])
        self.assertEqual(channels[0].info.bytes_received, 100 << 20)

    async def test_an_exception_closes_its_own_connection_only(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                if message == b"fail":
                    raise LookupError("orders are closed")
                await channel.write(message)

        server = self.conversing(talk)
        one, two = await self.client(server), await self.client(server)
        port = one.transport.getHost().port
        one.send(b"1\r\na4\r\nfail")
        await one.lost
        two.send(b"1\r\nb")
        await two.until(4)
        self.assertEqual((bytes(one.received), bytes(two.received)), (b"1\r\na", b"1\r\nb"))
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(
            self.logged("conversation failed"), [f"orders 127.0.0.1:{port}: the conversation failed; closing"]
        )

    async def test_twenty_at_once(self) -> None:
        server = self.conversing(echo)
        clients = [await self.client(server) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(b"2\r\n%02d" % number * 100)
            client.end()
        await gatherResults([client.lost for client in clients])
        for number, client in enumerate(clients):
            self.assertEqual(bytes(client.received), b"2\r\n%02d" % number * 100)
