"""MessageProtocol in every situation that Twisted's own test_basic.py puts its receivers into.

test_twisted_basic.md tells which of Twisted's cases each test here stands for, and where the two differ and why.
Input goes in whole, byte by byte and at every two-way split, unless a test is about the reads themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TypeVar

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineOnlyReceiver, LineReceiver, NetstringReceiver
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.wire import splits

INTEGERS = {"int8": 1, "int16": 2, "int32": 4}
LINES = parse("buffered:\\n")


class Receiver(MessageProtocol):
    """Keeps what it is told."""

    def __init__(self, framing: Framing | str) -> None:
        self.framing = framing
        self.turns = Clock()
        self.options = ConnectionOptions(reactor=self.turns)
        self.wire = StringTransport()
        self.received: list[bytes] = []
        self.errors: list[FramingError] = []

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)

    def framingFailed(self, error: FramingError) -> None:
        self.errors.append(error)

    def receive(self, *reads: bytes) -> None:
        for data in reads:
            self.dataReceived(data)


R = TypeVar("R", bound=Receiver)


def connected(receiver: R) -> R:
    receiver.makeConnection(receiver.wire)
    return receiver


def reads_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def after(framing: Framing | str, data: bytes) -> Iterator[Receiver]:
    """A receiver that has received `data`, for every way to split it."""
    for reads in splits(data):
        receiver = connected(Receiver(framing))
        receiver.receive(*reads)
        yield receiver


# LineReceiver and LineOnlyReceiver.


class LinesAndCounted(Receiver):
    """Lines; behind `len N` and an empty line N counted bytes."""

    length = 0
    counted = False

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)
        if self.counted:
            self.counted = False
            self.length = 0
            self.setFraming(self.framing)
        elif message.startswith(b"len "):
            self.length = int(message[4:])
        elif not message and self.length:
            self.counted = True
            self.setFraming(f"fixed:{self.length}")


class Commanded(Receiver):
    """Does what a line says, and goes on one turn of the clock later where it paused."""

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)
        match message:
            case b"pause":
                self.pauseProducing()
                self.turns.callLater(0, self.resumeProducing)
            case b"pause and count":
                self.pauseProducing()
                self.setFraming("fixed:5")
                self.turns.callLater(0, self.resumeProducing)
            case b"pause, resume":
                self.pauseProducing()
                self.resumeProducing()
            case b"12345":
                self.setFraming(LINES)
            case b"raw":
                self.setFraming("raw")
            case b"stop":
                self.stopProducing()
            case b"close":
                self.loseConnection()
            case b"abort":
                self.abortConnection()
            case b"fail":
                raise LookupError("failed as told")


class Flipping(Receiver):
    """A line, a raw byte, a line, and so on."""

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)
        self.setFraming("raw:1" if len(self.received) % 2 else LINES)


class RawForOneRead(Receiver):
    """What follows a line DATA in the same read, or the next read, is raw; then lines again."""

    raw = False

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)
        if self.raw:
            self.setFraming("buffered")
        elif message == b"DATA":
            self.setFraming("raw")
        self.raw = message == b"DATA" and not self.raw


class LinesTests(SynchronousTestCase):
    def test_lines_come_out_as_they_went_in(self) -> None:
        for receiver in after(LINES, b"one\n\n two\r\nthree\tfour\n five"):
            self.assertEqual(receiver.received, [b"one", b"", b" two\r", b"three\tfour"])

    def test_lines_and_counted_bytes_in_turn(self) -> None:
        data = (
            b"len 7\n\n1234567after\nlen 6\n\nab\n\ncdlen 0\n\nlen 2\nbefore\n\n\n\n"
            b"a line that is too long for the limit\nlen 1\n\n\nlen 3\n\nxy"
        )
        expected = [
            *(b"len 7", b"", b"1234567", b"after", b"len 6", b"", b"ab\n\ncd", b"len 0", b"", b"len 2", b"before"),
            *(b"", b"\n\n", b"len 1", b"", b"\n", b"len 3", b""),
        ]
        framing = parse("buffered:\\n", max_length=8, on_bad_frame="skip")
        for size in (*range(1, 10), len(data)):
            receiver = connected(LinesAndCounted(framing))
            receiver.receive(*reads_of(data, size))
            self.assertEqual(receiver.received, expected)
            self.assertEqual([type(error) for error in receiver.errors], [MessageTooLong])
            receiver.receive(b"z")
            self.assertEqual(receiver.received, [*expected, b"xyz"])


class PausingTests(SynchronousTestCase):
    def check(self, data: bytes, at_once: list[bytes], later: list[bytes]) -> None:
        for reads in splits(data):
            receiver = connected(Commanded(LINES))
            receiver.receive(*reads)
            self.assertEqual(receiver.received, at_once)
            self.assertEqual(receiver.wire.producerState, "paused")
            receiver.turns.advance(0)
            self.assertEqual(receiver.received, [*at_once, *later])
            self.assertEqual(receiver.wire.producerState, "producing")

    def test_a_pause_in_the_callback_holds_the_next_line_back(self) -> None:
        self.check(b"twiddle1\ntwiddle2\npause\ntwiddle3\n", [b"twiddle1", b"twiddle2", b"pause"], [b"twiddle3"])

    def test_a_pause_together_with_a_change_to_counted_bytes(self) -> None:
        self.check(
            b"twiddle1\npause and count\n12345twiddle2\n",
            [b"twiddle1", b"pause and count"],
            [b"12345", b"twiddle2"],
        )

    def test_a_pause_and_resume_in_one_callback_delivers_nothing_twice(self) -> None:
        for reads in splits(b"a\npause, resume\nb\npause, resume\nc\n"):
            receiver = connected(Commanded(LINES))
            receiver.receive(*reads)
            self.assertEqual(receiver.received, [b"a", b"pause, resume", b"b", b"pause, resume", b"c"])
            self.assertEqual(receiver.wire.producerState, "producing")


class ClosingTests(SynchronousTestCase):
    def check(self, order: bytes) -> None:
        for reads in splits(b"twiddle1\ntwiddle2\n%b\nmore\nstuff\n" % order):
            receiver = connected(Commanded(LINES))
            receiver.receive(*reads)
            self.assertEqual(receiver.received, [b"twiddle1", b"twiddle2", order])
            self.assertTrue(receiver.wire.disconnecting)
            self.assertEqual(receiver.wire.disconnected, order == b"abort")

    def test_nothing_is_delivered_behind_stop_producing(self) -> None:
        self.check(b"stop")

    def test_nothing_is_delivered_behind_lose_connection(self) -> None:
        self.check(b"close")

    def test_nothing_is_delivered_behind_abort_connection(self) -> None:
        self.check(b"abort")


class RawModeTests(SynchronousTestCase):
    def test_the_rest_of_a_read_as_raw_bytes(self) -> None:
        receiver = connected(Commanded(LINES))
        receiver.receive(b"raw\nbar\nbaz")
        self.assertEqual(receiver.received, [b"raw", b"bar\nbaz"])
        receiver.receive(b"quux\n")
        self.assertEqual(receiver.received, [b"raw", b"bar\nbaz", b"quux\n"])

    def test_raw_bytes_however_they_arrive(self) -> None:
        for reads in splits(b"foo\nraw\nbar\nbaz"):
            receiver = connected(Commanded(LINES))
            receiver.receive(*reads)
            self.assertEqual(receiver.received[:2], [b"foo", b"raw"])
            self.assertEqual(b"".join(receiver.received[2:]), b"bar\nbaz")

    def test_raw_for_one_read_and_back_to_lines(self) -> None:
        receiver = connected(RawForOneRead("buffered"))
        receiver.receive(b"HELO\r\nDATA\r\n", b"DATA\r\n\r\n", b"QUIT\r\nDATA\r\nbye", b"END\r\n")
        self.assertEqual(receiver.received, [b"HELO", b"DATA", b"DATA\r\n\r\n", b"QUIT", b"DATA", b"bye", b"END"])

    def test_a_change_of_framing_at_every_message_needs_no_stack(self) -> None:
        count = sys.getrecursionlimit()
        whole = b"x\ny" * count
        for reads in ([whole], reads_of(whole, 1)):
            receiver = connected(Flipping(LINES))
            receiver.receive(*reads)
            self.assertEqual(receiver.received, [b"x", b"y"] * count)


class LongLinesTests(SynchronousTestCase):
    closing = parse("buffered", max_length=6)
    skipping = parse("buffered", max_length=6, on_bad_frame="skip")

    def test_a_line_one_byte_too_long_closes(self) -> None:
        for receiver in after(self.closing, b"1234567\r\nr\r\n"):
            self.assertEqual(receiver.received, [])
            self.assertEqual([str(error) for error in receiver.errors], [str(MessageTooLong(6))])
            self.assertTrue(receiver.wire.disconnecting)

    def test_a_delimiter_split_over_reads_behind_a_line_of_the_limit(self) -> None:
        for receiver in after(self.closing, b"123456\r\n654321\r\n12"):
            self.assertEqual(receiver.received, [b"123456", b"654321"])
            self.assertFalse(receiver.wire.disconnecting)

    def test_half_a_delimiter_does_not_count_against_the_limit(self) -> None:
        for receiver in after(self.closing, b"123456\r"):
            self.assertFalse(receiver.wire.disconnecting)
            receiver.receive(b"\n")
            self.assertEqual(receiver.received, [b"123456"])

    def test_a_carriage_return_alone_counts_against_the_limit(self) -> None:
        for receiver in after(self.closing, b"123456\rx"):
            self.assertEqual(len(receiver.errors), 1)
            self.assertTrue(receiver.wire.disconnecting)

    def test_an_unfinished_line_that_cannot_fit_any_more_closes(self) -> None:
        for data in (b"1234567", b"12345678"):
            for receiver in after(self.closing, data):
                self.assertEqual(len(receiver.errors), 1)
                self.assertTrue(receiver.wire.disconnecting)

    def test_a_long_line_without_an_end_is_one_error(self) -> None:
        for receiver in after(self.skipping, b"x" * 14):
            self.assertEqual([str(error) for error in receiver.errors], [str(MessageTooLong(6))])
            self.assertFalse(receiver.wire.disconnecting)
            receiver.receive(b"more\r\n", b"short\r\n")
            self.assertEqual(receiver.received, [b"short"])
            self.assertEqual(len(receiver.errors), 1)

    def test_a_short_line_in_front_of_a_long_one_is_delivered(self) -> None:
        for receiver in after(self.closing, b"x\r\n" + b"y" * 14):
            self.assertEqual(receiver.received, [b"x"])
            self.assertEqual(len(receiver.errors), 1)
            self.assertTrue(receiver.wire.disconnecting)

    def test_each_long_line_is_one_error_when_skipping(self) -> None:
        for receiver in after(self.skipping, b"a\r\n1234567\r\n" + b"x" * 14 + b"\r\nb\r\n7654321\r\nc\r\n"):
            self.assertEqual(receiver.received, [b"a", b"b", b"c"])
            self.assertEqual(len(receiver.errors), 3)
            self.assertFalse(receiver.wire.disconnecting)

    def test_a_line_over_the_limit_or_with_a_delimiter_in_it_is_not_sent(self) -> None:
        sender = connected(Receiver(self.closing))
        sender.sendMessage(b"123456")
        self.assertRaises(MessageTooLong, sender.sendMessage, b"1234567")
        self.assertRaises(InvalidMessage, sender.sendMessage, b"a\r\nb")
        self.assertRaises(InvalidMessage, sender.sendMessages, [b"good", b"\r\n"])
        self.assertEqual(sender.wire.value(), b"123456\r\n")


class TwistedsOwnLimitsTests(SynchronousTestCase):
    """What test_twisted_basic.md says of the limits of Twisted's receivers, where they are not ours."""

    def closes(self, receiver: LineReceiver | LineOnlyReceiver | NetstringReceiver, *reads: bytes) -> bool:
        """Whether it does, with a MAX_LENGTH of 6, or 50 for netstrings."""
        receiver.MAX_LENGTH = 50 if isinstance(receiver, NetstringReceiver) else 6
        receiver.lineReceived = receiver.stringReceived = lambda _: None  # type: ignore[method-assign, union-attr]
        transport = StringTransport()
        receiver.makeConnection(transport)
        for read in reads:
            receiver.dataReceived(read)
        return transport.disconnecting

    def test_both_line_receivers_refuse_one_byte_over_the_limit(self) -> None:
        for make in (LineReceiver, LineOnlyReceiver):
            self.assertFalse(self.closes(make(), b"123456\r\n"))
            self.assertTrue(self.closes(make(), b"1234567\r\n"))

    def test_line_only_receiver_refuses_a_line_of_the_limit_whose_delimiter_comes_in_two_reads(self) -> None:
        self.assertTrue(self.closes(LineOnlyReceiver(), b"123456\r", b"\n"))
        self.assertFalse(self.closes(LineReceiver(), b"123456\r", b"\n"))

    def test_line_receiver_waits_one_byte_longer_with_an_unfinished_line(self) -> None:
        self.assertFalse(self.closes(LineReceiver(), b"1234567"))
        self.assertTrue(self.closes(LineReceiver(), b"12345678"))
        self.assertTrue(self.closes(LineOnlyReceiver(), b"1234567"))

    def test_netstring_receiver_refuses_at_the_digit_that_makes_the_number_too_large(self) -> None:
        self.assertFalse(self.closes(NetstringReceiver(), b"9"))
        self.assertTrue(self.closes(NetstringReceiver(), b"99"))
        for receiver in after(parse("netstring", max_length=50), b"99"):
            self.assertFalse(receiver.wire.disconnecting)
            receiver.receive(b":")
            self.assertTrue(receiver.wire.disconnecting)


class ErrorsTests(SynchronousTestCase):
    def test_an_exception_in_the_callback_is_logged_and_closes(self) -> None:
        for reads in splits(b"a\nfail\nb\n"):
            receiver = connected(Commanded(LINES))
            receiver.receive(*reads)
            self.assertEqual(receiver.received, [b"a", b"fail"])
            self.assertTrue(receiver.wire.disconnecting)
            self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    def test_message_received_must_be_overridden(self) -> None:
        self.assertRaises(NotImplementedError, MessageProtocol().messageReceived, b"foo")


# Producers.


class OneAtATime(Receiver):
    """Sends each line back and wants no more until it is resumed."""

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message)
        self.pauseProducing()


class ProducerTests(SynchronousTestCase):
    def test_a_pause_after_every_line(self) -> None:
        receiver = connected(OneAtATime("buffered"))
        wire = receiver.wire

        receiver.receive(b"hello, ")
        self.assertEqual((wire.value(), wire.producerState), (b"", "producing"))
        receiver.receive(b"world\r\n")
        self.assertEqual((wire.value(), wire.producerState), (b"hello, world\r\n", "paused"))
        receiver.resumeProducing()
        self.assertEqual((wire.value(), wire.producerState), (b"hello, world\r\n", "producing"))

        wire.clear()
        receiver.receive(b"one\r\ntwo\r\n")
        self.assertEqual((wire.value(), wire.producerState), (b"one\r\n", "paused"))
        receiver.resumeProducing()
        self.assertEqual((wire.value(), wire.producerState), (b"one\r\ntwo\r\n", "paused"))
        receiver.receive(b"three\r\n")
        self.assertEqual((wire.value(), wire.producerState), (b"one\r\ntwo\r\n", "paused"))
        receiver.resumeProducing()
        self.assertEqual((wire.value(), wire.producerState), (b"one\r\ntwo\r\nthree\r\n", "paused"))
        receiver.resumeProducing()
        self.assertEqual((wire.value(), wire.producerState), (b"one\r\ntwo\r\nthree\r\n", "producing"))

    def test_lines_arrive_while_a_producer_is_registered(self) -> None:
        receiver = connected(Receiver(LINES))
        own = receiver.wire.producer
        assert own is not None
        self.assertTrue(receiver.wire.streaming)
        self.assertRaises(RuntimeError, receiver.wire.registerProducer, receiver, False)
        receiver.receive(b"hello\n")
        own.pauseProducing()
        receiver.receive(b"world\n")
        self.assertEqual(receiver.received, [b"hello"])
        own.resumeProducing()
        self.assertEqual(receiver.received, [b"hello", b"world"])
        receiver.loseConnection()
        self.assertIsNone(receiver.wire.producer)


# NetstringReceiver.


class NetstringsTests(SynchronousTestCase):
    def test_what_was_sent_is_received_in_reads_of_any_size(self) -> None:
        messages = [b"hello", b"", b"12:", b",", b"9:nested,", b"5", b"z" * 612]
        sender = connected(Receiver("netstring"))
        for message in messages:
            sender.sendMessage(message)
        data = sender.wire.value()
        for size in (*range(1, 10), len(data)):
            receiver = connected(Receiver("netstring"))
            receiver.receive(*reads_of(data, size))
            self.assertEqual(receiver.received, messages)

    def test_small_and_nested_netstrings(self) -> None:
        for data, message in ((b"0:,", b""), (b"1:q,", b"q"), (b"2:pq,", b"pq"), (b"5:2:pq,,", b"2:pq,")):
            for receiver in after("netstring", data):
                self.assertEqual(receiver.received, [message])
                self.assertFalse(receiver.wire.disconnecting)

    def test_a_netstring_in_portions(self) -> None:
        for reads, message in (
            ([b"4:ab", b"cd,"], b"abcd"),
            ([b"1", b"2:01234", b"56789ab", b","], b"0123456789ab"),
            ([b"2", b":", b"a", b"b", b","], b"ab"),
        ):
            receiver = connected(Receiver("netstring"))
            receiver.receive(*reads[:-1])
            self.assertEqual(receiver.received, [])
            receiver.receive(reads[-1])
            self.assertEqual(receiver.received, [message])

    def test_a_netstring_and_the_length_of_the_next_in_one_read(self) -> None:
        receiver = connected(Receiver("netstring"))
        receiver.receive(b"1:p,1")
        self.assertEqual(receiver.received, [b"p"])
        receiver.receive(b":q,")
        self.assertEqual(receiver.received, [b"p", b"q"])


class NetstringErrorsTests(SynchronousTestCase):
    def test_what_is_no_netstring_closes(self) -> None:
        framing = parse("netstring", max_length=50)
        for data in (
            b"9999999999999999999999",
            b"pqr",
            b"4:pqrst",
            b"2:ppp,",
            b"0:p,",
            b":ppp,",
            b"3ppp,",
            b"ppp,",
            b"ppp",
            b"03:ppp,",
            b"+3:ppp,",
            b" 3:ppp,",
        ):
            for receiver in after(framing, b"2:ok," + data):
                self.assertEqual(receiver.received, [b"ok"])
                self.assertEqual([type(error) for error in receiver.errors], [MalformedHeader], data)
                self.assertTrue(receiver.wire.disconnecting)

    def test_a_length_over_the_limit_closes_before_its_payload(self) -> None:
        for receiver in after(parse("netstring", max_length=50), b"51:"):
            self.assertEqual([str(error) for error in receiver.errors], [str(MessageTooLong(50, 51))])
            self.assertTrue(receiver.wire.disconnecting)

    def test_the_limit_counts_payload_bytes_only(self) -> None:
        for limit, fits in ((13, True), (12, True), (11, False), (1, False)):
            for receiver in after(parse("netstring", max_length=limit), b"12:abcdefghijkl,"):
                self.assertEqual(receiver.received, [b"abcdefghijkl"] if fits else [])
                self.assertEqual(receiver.wire.disconnecting, not fits)


# Int8StringReceiver, Int16StringReceiver, Int32StringReceiver.


class StringsAndMarks(Receiver):
    """A string, then four bytes that belong to none, and so on."""

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)
        self.setFraming(self.framing if len(self.received) % 2 == 0 else "fixed:4")


class RawAfterAnError(Receiver):
    def framingFailed(self, error: FramingError) -> None:
        self.errors.append(error)
        self.setFraming("raw")


class IntegersTests(SynchronousTestCase):
    def test_strings_byte_by_byte(self) -> None:
        for name, width in INTEGERS.items():
            strings = [b"p", b"q" * 19, b"", b"\0" * width]
            data = b"".join(len(string).to_bytes(width, "big") + string for string in strings)
            for receiver in after(name, data):
                self.assertEqual(receiver.received, strings)

    def test_the_length_goes_in_front(self) -> None:
        for name, width in INTEGERS.items():
            sender = connected(Receiver(name))
            sender.sendMessage(b"q" * 19)
            self.assertEqual(sender.wire.value(), b"\0" * (width - 1) + b"\x13" + b"q" * 19)

    def test_strings_on_the_wire(self) -> None:
        for name, sent, arriving in (
            ("int8", b"\x02hi", b"\x05there"),
            ("int16", b"\0\x02hi", b"\0\x05there"),
            ("int32", b"\0\0\0\x02hi", b"\0\0\0\x05there"),
        ):
            for receiver in after(name, arriving):
                receiver.sendMessage(b"hi")
                self.assertEqual(receiver.wire.value(), sent)
                self.assertEqual(receiver.received, [b"there"])

    def test_nothing_is_delivered_before_it_is_whole(self) -> None:
        for name, data, expected, arrived in (
            ("int8", b"\x08seven..", 8, 7),
            ("int16", b"\0", None, 1),
            ("int16", b"\x01\0part", 256, 4),
            ("int32", b"\0\0\0", None, 3),
            ("int32", b"\0\0\x01\0part", 256, 4),
        ):
            for receiver in after(name, data):
                self.assertEqual(receiver.received, [])
                receiver.readConnectionLost()
                (error,) = receiver.errors
                assert isinstance(error, TruncatedMessage)
                self.assertEqual((error.expected, error.received), (expected, arrived))
                self.assertTrue(receiver.wire.disconnecting)

    def test_an_end_without_data_is_no_error(self) -> None:
        for name in INTEGERS:
            receiver = connected(Receiver(name))
            receiver.readConnectionLost()
            self.assertEqual((receiver.received, receiver.errors), ([], []))
            self.assertTrue(receiver.wire.disconnecting)

    def test_the_part_behind_a_message_waits_for_its_rest(self) -> None:
        for name in INTEGERS:
            framing = parse(name)
            data = framing.encode(b"first") + framing.encode(b"second")
            for receiver in after(framing, data[:-1]):
                self.assertEqual(receiver.received, [b"first"])
                receiver.receive(data[-1:])
                self.assertEqual(receiver.received, [b"first", b"second"])

    def test_other_bytes_between_strings(self) -> None:
        for name in INTEGERS:
            framing = parse(name)
            strings = [b"p", b"q" * 19, b""]
            mark = b"\0\0\0\0"
            for reads in splits(b"".join(framing.encode(string) + mark for string in strings)):
                receiver = connected(StringsAndMarks(framing))
                receiver.receive(*reads)
                self.assertEqual(receiver.received, [b"p", mark, b"q" * 19, mark, b"", mark])
                receiver.receive(framing.encode(b"last"))
                self.assertEqual(receiver.received[6:], [b"last"])


class IntegerErrorsTests(SynchronousTestCase):
    def test_a_length_over_the_limit_closes(self) -> None:
        for name, data in (
            ("int8", b"\0\0pppppp"),
            ("int16", b"\x10\0pppppp"),
            ("int32", b"\x10\0\0\0pppppp"),
            ("int32", b"\xff\xff\xff\xff"),
        ):
            for receiver in after(parse(name, max_length=50), data):
                self.assertEqual([type(error) for error in receiver.errors], [MessageTooLong])
                self.assertTrue(receiver.wire.disconnecting)

    def test_the_error_names_the_announced_length(self) -> None:
        for name, width in INTEGERS.items():
            for receiver in after(parse(name, max_length=10), b"\0" * (width - 1) + b"\x0b"):
                self.assertEqual([str(error) for error in receiver.errors], [str(MessageTooLong(10, 11))])

    def test_a_string_that_is_too_long_is_not_delivered(self) -> None:
        for name, width in INTEGERS.items():
            for receiver in after(parse(name, max_length=10), b"\0" * (width - 1) + b"\x0b" + b"q" * 11):
                self.assertEqual(receiver.received, [])
                self.assertTrue(receiver.wire.disconnecting)

    def test_the_string_behind_a_skipped_one_is_delivered(self) -> None:
        for name, width in INTEGERS.items():
            zeros = b"\0" * (width - 1)
            data = zeros + b"\x0b" + b"q" * 11 + zeros + b"\x01p"
            for receiver in after(parse(name, max_length=10, on_bad_frame="skip"), data):
                self.assertEqual((receiver.received, len(receiver.errors)), ([b"p"], 1))
                self.assertFalse(receiver.wire.disconnecting)

    def test_a_message_longer_than_its_length_field_is_not_sent(self) -> None:
        for name, width in (("int8", 1), ("int16", 2)):
            sender = connected(Receiver(name))
            sender.sendMessage(b"q" * (256**width - 1))
            written = len(sender.wire.value())
            for size in (256**width, 256**width + 1):
                self.assertRaises(MessageTooLong, sender.sendMessage, b"q" * size)
            self.assertEqual(len(sender.wire.value()), written)

    def test_a_message_over_the_limit_is_not_sent(self) -> None:
        for name in INTEGERS:
            sender = connected(Receiver(parse(name, max_length=10)))
            self.assertRaises(MessageTooLong, sender.sendMessage, b"q" * 11)
            self.assertRaises(MessageTooLong, sender.sendMessages, [b"p", b"q" * 11])
            self.assertEqual(sender.wire.value(), b"")

    def test_another_framing_takes_over_behind_a_skipped_frame(self) -> None:
        for name, width in INTEGERS.items():
            data = b"\0" * (width - 1) + b"\x0b" + b"q" * 11 + b"raw bytes"
            for reads in splits(data):
                receiver = connected(RawAfterAnError(parse(name, max_length=10, on_bad_frame="skip")))
                receiver.receive(*reads)
                self.assertEqual(b"".join(receiver.received), b"raw bytes")
                self.assertEqual(len(receiver.errors), 1)
