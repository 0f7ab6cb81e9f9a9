"""What every decoder keeps to: when it speaks, what it holds, where it stands."""

from __future__ import annotations

import itertools
import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Decoder, parse
from sockserve.framing.decimal import Windev
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.cases import EXAMPLES, FREE, MANY, message_of
from tests.support.wire import drain

KIB = 1024
MIB = 1024 * KIB

FRAMED = [name for name in MANY if not name.startswith("raw")]
LONG_FRAMES = {
    "windev": b"99999999\r\n",
    "standard": b"",
    "buffered": b"",
    "int32": b"\x7f\xff\xff\xff",
    "int32:little": b"\xff\xff\xff\x7f",
    "netstring": b"99999999:",
    "varint": b"\xff\xff\xff\x7f",
    "octets": b"99999999 ",
    "syslog": b"<",
    "length:8": b"\0\0\0\0\x7f\xff\xff\xff",
    "digits:8": b"99999999",
    "fixed:99999999": b"",
    "envelope:<<EOF>>:<EOF>": b"<<EOF>>",
    "eof": b"",
    "content-length": b"Content-Length: 99999999\r\n\r\n",
    "json": b'{"',
}
"""What begins a frame of many MiB, by the name of the framing."""


def failure(decoder: Decoder, data: bytes = b"") -> FramingError:
    """The error that `decode(data)` raises."""
    try:
        messages = decoder.decode(data)
    except FramingError as error:
        return error
    raise AssertionError(f"no error but {messages}")


def allocated(decoder: Decoder, data: bytes) -> int:
    """Bytes by which the memory in use rises above where it was, at the most, while `data` is decoded."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    decoder.decode(data)
    return tracemalloc.get_traced_memory()[1] - before


class GoodBytesTests(SynchronousTestCase):
    def test_a_fresh_decoder_is_idle(self) -> None:
        for name in EXAMPLES.values():
            decoder = parse(name).decoder()
            self.assertEqual((decoder.state, decoder.decode(b""), decoder.take()), ("idle", [], b""), name)
            decoder.finish()

    def test_each_decoder_has_its_own_state(self) -> None:
        framing = parse("windev")
        first, second = framing.decoder(), framing.decoder()
        self.assertEqual(first.decode(b"2\r\no"), [])
        self.assertEqual(second.decode(b"2\r\nno"), [b"no"])
        self.assertEqual(first.decode(b"k"), [b"ok"])

    def test_state_is_partial_inside_a_frame_and_idle_between_two(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            decoder = framing.decoder()
            frame = framing.encode(message_of(name))
            for at in range(len(frame) - 1):
                self.assertEqual(decoder.decode(frame[at : at + 1]), [], name)
                self.assertEqual(decoder.state, "partial", name)
            self.assertEqual(decoder.decode(frame[-1:]), [message_of(name)], name)
            self.assertEqual(decoder.state, "idle", name)

    def test_messages_are_bytes_of_their_own(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            decoder = framing.decoder()
            frame = framing.encode(message_of(name))
            decoder.decode(frame[:3])
            (message,) = decoder.decode(frame[3:])
            self.assertIs(type(message), bytes, name)

    def test_finish_may_be_called_twice(self) -> None:
        decoder = parse("windev").decoder()
        decoder.decode(b"2\r\no")
        for _ in range(2):
            error = self.assertRaises(TruncatedMessage, decoder.finish)
            self.assertEqual((error.expected, error.received), (2, 1))


class BadFrameTests(SynchronousTestCase):
    def test_a_bad_frame_alone_is_reported_at_once(self) -> None:
        self.assertIsInstance(failure(parse("windev").decoder(), b"x"), MalformedHeader)

    def test_good_messages_come_first_then_the_error_at_the_next_call(self) -> None:
        decoder = parse("windev").decoder()
        self.assertEqual(decoder.decode(b"1\r\na1\r\nbx"), [b"a", b"b"])
        self.assertIsInstance(failure(decoder), MalformedHeader)

    def test_good_messages_come_first_then_the_error_at_the_end(self) -> None:
        decoder = parse("windev").decoder()
        self.assertEqual(decoder.decode(b"1\r\nax"), [b"a"])
        self.assertRaises(MalformedHeader, decoder.finish)
        self.assertEqual(decoder.state, "failed")

    def test_close_raises_the_same_error_at_every_later_call(self) -> None:
        decoder = parse("windev").decoder()
        error = failure(decoder, b"x")
        self.assertEqual(decoder.state, "failed")
        self.assertIs(failure(decoder), error)
        self.assertIs(failure(decoder, b"1\r\na"), error)
        self.assertIs(self.assertRaises(MalformedHeader, decoder.finish), error)
        self.assertEqual((decoder.state, decoder.take()), ("failed", b""))

    def test_an_error_raised_often_does_not_grow(self) -> None:
        def frames(error: FramingError) -> int:
            count, link = 0, error.__traceback__
            while link is not None:
                count, link = count + 1, link.tb_next
            return count

        decoder = parse("windev").decoder()
        failure(decoder, b"x")
        self.assertEqual(frames(failure(decoder)), frames(failure(decoder)))

    def test_skip_goes_on_at_the_call_after_the_error(self) -> None:
        for name, data in (
            ("windev", b"1\r\na4\r\nlong2\r\nok"),
            ("netstring", b"1:a,4:long,2:ok,"),
            ("int8", b"\x01a\x04long\x02ok"),
            ("varint", b"\x01a\x04long\x02ok"),
            ("standard", b"a<EOF>long<EOF>ok<EOF>"),
            ("envelope:<:>", b"<a><long><ok>"),
        ):
            decoder = parse(name, max_length=3, on_bad_frame="skip").decoder()
            self.assertEqual(decoder.decode(data), [b"a"], name)
            self.assertIsInstance(failure(decoder), MessageTooLong, name)
            self.assertEqual(decoder.decode(b""), [b"ok"], name)
            self.assertEqual(decoder.state, "idle", name)
            decoder.finish()

    def test_bytes_that_come_with_the_error_are_not_lost(self) -> None:
        decoder = parse("windev", max_length=3, on_bad_frame="skip").decoder()
        self.assertEqual(decoder.decode(b"1\r\na4\r\nlo"), [b"a"])
        self.assertIsInstance(failure(decoder, b"ng2\r\nok"), MessageTooLong)
        self.assertEqual(decoder.decode(b""), [b"ok"])

    def test_a_short_message_after_a_skipped_one_after_one_of_two_reads(self) -> None:
        decoder = parse("windev", max_length=10, on_bad_frame="skip").decoder()
        self.assertEqual(decoder.decode(b"10\r\n"), [])
        self.assertEqual(decoder.decode(b"012345678911\r\n"), [b"0123456789"])
        self.assertIsInstance(failure(decoder), MessageTooLong)
        self.assertEqual(decoder.decode(b"01234567890" + b"1\r\na"), [b"a"])

    def test_skip_fails_for_good_where_the_next_frame_cannot_be_found(self) -> None:
        for name, data in (("windev", b"x"), ("netstring", b"1:aa"), ("varint", b"\x80\0")):
            decoder = parse(name, on_bad_frame="skip").decoder()
            error = failure(decoder, data)
            self.assertEqual(decoder.state, "failed", name)
            self.assertIs(failure(decoder, b"1\r\na"), error, name)

    def test_the_end_inside_a_skipped_frame_says_nothing_more(self) -> None:
        decoder = parse("windev", max_length=3, on_bad_frame="skip").decoder()
        failure(decoder, b"4\r\nlo")
        decoder.finish()


class SkipTests(SynchronousTestCase):
    def test_skip_stops_at_the_end_of_the_bad_frame(self) -> None:
        for name, start, more, last in (
            ("windev", b"4\r\nl", b"on", b"g2\r\nok"),
            ("netstring", b"4:l", b"ong", b",2:ok,"),
            ("int32", b"\0\0\0\x04l", b"on", b"g\0\0\0\x02ok"),
            ("varint", b"\x04l", b"on", b"g\x02ok"),
            ("standard", b"long", b"<EO", b"F>ok<EOF>"),
            ("envelope:<<:>>", b"<<long", b">", b"><<ok>>"),
            ("envelope:<<:>>", b"garbage", b"<", b"<ok>>"),
        ):
            decoder = parse(name, max_length=3, on_bad_frame="skip").decoder()
            failure(decoder, start)
            self.assertEqual(decoder.state, "skipping", name)
            self.assertFalse(decoder.skip(more), name)
            self.assertEqual(decoder.state, "skipping", name)
            self.assertTrue(decoder.skip(last), name)
            self.assertEqual(decoder.state, "partial", name)
            self.assertEqual(decoder.decode(b""), [b"ok"], name)

    def test_what_skip_leaves_can_be_taken(self) -> None:
        for name, start, last in (("windev", b"4\r\n", b"longnext"), ("standard", b"long", b"er<EOF>next")):
            decoder = parse(name, max_length=3, on_bad_frame="skip").decoder()
            failure(decoder, start)
            self.assertTrue(decoder.skip(last), name)
            self.assertEqual((decoder.take(), decoder.state), (b"next", "idle"), name)


class TakeTests(SynchronousTestCase):
    def test_take_gives_what_belongs_to_no_message_and_forgets_it(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            frame = framing.encode(message_of(name))
            decoder = framing.decoder()
            self.assertEqual(decoder.decode(frame + frame[:-1]), [message_of(name)], name)
            self.assertEqual((decoder.take(), decoder.take()), (frame[:-1], b""), name)
            self.assertEqual(decoder.state, "idle", name)
            decoder.finish()
            self.assertEqual(decoder.decode(frame), [message_of(name)], name)

    def test_take_gives_a_bad_frame_that_was_not_reported_and_all_after_it(self) -> None:
        decoder = parse("windev").decoder()
        self.assertEqual(decoder.decode(b"1\r\nax1\r\nb"), [b"a"])
        self.assertEqual(decoder.take(), b"x1\r\nb")

    def test_messages_taken_back_come_again(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            frame = framing.encode(message_of(name))
            for back in range(5):
                decoder = framing.decoder()
                decoder.decode(frame[:3])
                self.assertEqual(len(decoder.decode(frame[3:] + 4 * frame + frame[:-1])), 5, name)
                rest = decoder.take(back)
                self.assertEqual((rest, decoder.state), (back * frame + frame[:-1], "idle"), name)
                self.assertEqual(decoder.decode(rest), back * [message_of(name)], name)

    def test_messages_after_a_long_frame_are_taken_back(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            if name not in FREE or framing.max_length < 60_000:
                continue
            long, short = framing.encode(message_of(name, 60_000)), framing.encode(message_of(name, 2))
            for call, back in itertools.product(("decode", "scan"), range(4)):
                decoder = framing.decoder()
                decoder.decode(long[:-1])
                getattr(decoder, call)(long[-1:] + 3 * short + short[:1])
                self.assertEqual(decoder.take(back), back * short + short[:1], name)

    def test_messages_after_a_skipped_frame_are_taken_back(self) -> None:
        for name, bad, good in (("windev", b"4\r\nlong", b"2\r\nok"), ("standard", b"long<EOF>", b"ok<EOF>")):
            for back in range(3):
                decoder = parse(name, max_length=3, on_bad_frame="skip").decoder()
                failure(decoder, bad[:4] + (b"o" if name == "standard" else b""))
                decoder.decode((bad[5:] if name == "standard" else bad[4:]) + 3 * good)
                self.assertEqual(decoder.take(back), back * good, name)

    def test_a_bad_frame_that_was_taken_is_forgotten(self) -> None:
        decoder = parse("windev").decoder()
        self.assertEqual(decoder.decode(b"1\r\nax"), [b"a"])
        decoder.take()
        self.assertEqual(decoder.state, "idle")
        decoder.finish()
        self.assertEqual(decoder.decode(b"1\r\nb"), [b"b"])


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)

    def test_an_announced_length_reserves_nothing(self) -> None:
        for name, header in LONG_FRAMES.items():
            decoder = parse(name, max_length=2**31).decoder()
            self.assertLess(allocated(decoder, header + b"a"), 4 * KIB, name)

    def test_a_read_costs_what_it_brings_and_not_what_is_held(self) -> None:
        """A long message in many small reads takes linear time only where no read copies all that came before."""
        for name, header in LONG_FRAMES.items():
            decoder = parse(name, max_length=2**31).decoder()
            decoder.decode(header + bytes(4 * MIB))
            decoder.decode(b"a")
            self.assertLess(allocated(decoder, b"a"), MIB, name)

    def test_a_read_that_was_handed_out_is_not_kept(self) -> None:
        for name in (*LONG_FRAMES.keys() - {"fixed:99999999", "eof"}, "fixed:4096", "raw"):
            framing = parse(name)
            frame = framing.encode(message_of(name, 4096))
            for call in ("decode", "scan"):
                decoder = framing.decoder()
                before = tracemalloc.get_traced_memory()[0]
                reads = [16 * frame, b"", frame[:1], frame[1:-1]] if name != "raw" else [16 * frame, b""]
                while reads:
                    getattr(decoder, call)(reads.pop(0))
                self.assertLess(tracemalloc.get_traced_memory()[0] - before, 7 * KIB, name)

    def test_a_long_frame_that_was_handed_out_is_not_kept(self) -> None:
        for name in ("windev", "standard", "buffered", "int32", "netstring", "varint", "content-length", "json"):
            framing = parse(name)
            decoder = framing.decoder()
            frame = framing.encode(message_of(name, MIB))
            before = tracemalloc.get_traced_memory()[0]
            decoder.decode(frame[: -4 * KIB])
            decoder.decode(frame[-4 * KIB :] + framing.encode(message_of(name, 2)))
            self.assertLess(tracemalloc.get_traced_memory()[0] - before, 64 * KIB, name)

    def test_a_skipped_frame_is_not_held(self) -> None:
        for name in LONG_FRAMES.keys() - {"fixed:99999999", "eof"}:
            decoder = parse(name, max_length=10 * MIB, on_bad_frame="skip").decoder()
            list(drain(decoder, LONG_FRAMES[name] + bytes(10 * MIB + 1)))
            for _ in range(32):
                self.assertLess(allocated(decoder, bytes(64 * KIB)), 128 * KIB, name)
            self.assertEqual(decoder.state, "skipping", name)
            self.assertLess(len(decoder.take()), 8, name)


class LongHeldTests(SynchronousTestCase):
    def test_a_long_frame_after_a_short_one_that_was_cut(self) -> None:
        framing = parse("int32")
        long = bytes(range(256)) * 800
        wire = framing.encode_all([b"a", long, b"b"])
        decoder = framing.decoder()
        self.assertEqual(decoder.decode(wire[:3]), [])
        self.assertEqual(decoder.decode(wire[3:]), [b"a", long, b"b"])

    def test_a_long_frame_after_a_bad_one(self) -> None:
        framing = parse("int32", max_length=300 * KIB, on_bad_frame="skip")
        long = bytes(range(256)) * 800
        bad = parse("int32").encode(bytes(400 * KIB))
        wire = framing.encode_all([b"a", long, b"b"])
        decoder = framing.decoder()
        self.assertIsInstance(failure(decoder, bad + wire), MessageTooLong)
        self.assertEqual(decoder.decode(b""), [b"a", long, b"b"])
        self.assertIsInstance(failure(decoder, bad + wire), MessageTooLong)
        self.assertEqual(decoder.scan(b""), (wire, 3))


class ScanTests(SynchronousTestCase):
    """What it says is compared with what `decode` says, for each case of `tests.support.cases` and by properties."""

    def test_whole_frames_are_given_back_without_a_copy(self) -> None:
        for name in MANY:
            framing = parse(name)
            wire = framing.encode_all([message_of(name)] * 3)
            frames, count = framing.decoder().scan(wire)
            self.assertIs(frames, wire, name)
            self.assertEqual(count, {"raw": 1, "raw:5": 7}.get(name, 3), name)

    def test_the_start_of_a_frame_is_held_and_goes_in_front_of_the_next_read(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            frame = framing.encode(message_of(name))
            decoder = framing.decoder()
            self.assertEqual(decoder.scan(frame + frame[:-1]), (frame, 1), name)
            self.assertEqual((decoder.state, decoder.pending), ("partial", len(frame) - 1), name)
            self.assertEqual(decoder.scan(frame[-1:] + frame), (frame + frame, 2), name)
            self.assertEqual((decoder.state, decoder.pending), ("idle", 0), name)

    def test_decode_goes_on_where_scan_has_stopped(self) -> None:
        decoder = parse("windev").decoder()
        self.assertEqual(decoder.scan(b"1\r\na2\r\no"), (b"1\r\na", 1))
        self.assertEqual(decoder.decode(b"k"), [b"ok"])

    def test_good_frames_come_first_then_the_error(self) -> None:
        decoder = parse("buffered", max_length=3, on_bad_frame="skip").decoder()
        self.assertEqual(decoder.scan(b"a\r\nlong\r\nok\r\n"), (b"a\r\n", 1))
        self.assertRaises(MessageTooLong, decoder.scan, b"")
        self.assertEqual(decoder.scan(b""), (b"ok\r\n", 1))

    def test_delimiters_that_share_bytes_are_told_apart_from_the_left(self) -> None:
        for name, data, frames, count in (
            ("standard:aa", b"aaa", b"aa", 1),
            ("standard:aa", b"baaaa", b"baaaa", 2),
            ("standard:abab", b"abababab", b"abababab", 2),
            ("standard:abab", b"xababab", b"xabab", 1),
            ("standard:\\r\\n\\r\\n", b"\r\n\r\n\r\n", b"\r\n\r\n", 1),
        ):
            self.assertEqual(parse(name).decoder().scan(data), (frames, count), name)

    def test_frames_in_a_read_longer_than_the_limit(self) -> None:
        for name in ("standard", "standard:aa"):
            framing = parse(name, max_length=8)
            wire = framing.encode_all([b"12345678", b"", b"1", b"1234567", b"12345678", b""])
            self.assertEqual(framing.decoder().scan(wire), (wire, 6), name)


class PendingTests(SynchronousTestCase):
    def test_pending_is_the_number_of_bytes_held(self) -> None:
        for name in FRAMED:
            framing = parse(name)
            frame = framing.encode(message_of(name))
            decoder = framing.decoder()
            for at in range(len(frame)):
                self.assertEqual(decoder.pending, at, name)
                decoder.decode(frame[at : at + 1])
            self.assertEqual(decoder.pending, 0, name)

    def test_a_bad_frame_is_pending_until_it_is_reported(self) -> None:
        for framing, left in (
            (Windev(max_length=3), 0),
            (Windev(max_length=3, on_bad_frame="skip"), len(b"2\r\nok")),
        ):
            decoder = framing.decoder()
            decoder.decode(b"1\r\na4\r\nlong2\r\nok")
            self.assertEqual(decoder.pending, len(b"4\r\nlong2\r\nok"))
            failure(decoder)
            self.assertEqual(decoder.pending, left)

    def test_nothing_is_pending_after_take(self) -> None:
        decoder = parse("windev").decoder()
        decoder.decode(b"5\r\nHe")
        self.assertEqual((len(decoder.take()), decoder.pending), (5, 0))

    def test_raw_holds_nothing(self) -> None:
        decoder = parse("raw").decoder()
        decoder.decode(b"abc")
        self.assertEqual(decoder.pending, 0)


class EvidenceTests(SynchronousTestCase):
    """What is kept of a bad frame."""

    def evidence(self, name: str, *reads: bytes) -> tuple[bytes, bytes]:
        decoder = parse(name, max_length=100_000).decoder()
        assert isinstance(decoder, FrameDecoder)
        for read in reads:
            [*drain(decoder, read)]
        return decoder.evidence

    def test_it_has_the_frames_of_the_same_read_and_how_the_bad_one_begins(self) -> None:
        for name, good, bad in (
            ("windev", b"2\r\nab0\r\n", b"x\r\nabc"),
            ("netstring", b"2:ab,", b"3:abcdefg"),
            ("varint", b"\x01a", b"\xff\xff\xff\xff\xffabc"),
            ("int32", b"\0\0\0\1a", b"\x7f\xff\xff\xffabc"),
            ("envelope:\\x02:\\x03", b"\x02ab\x03", b"garbage"),
        ):
            self.assertEqual(self.evidence(name, good + bad), (good, bad), name)
            self.assertEqual(self.evidence(name, bad), (b"", bad), name)

    def test_it_is_bounded(self) -> None:
        before, frame = self.evidence("int32", b"\0\0\0\1a" * 1000 + b"\x7f" * 5000)
        self.assertEqual((before, frame), ((b"\0\0\0\1a" * 7)[-32:], b"\x7f" * 64))

    def test_a_bad_end_of_a_long_message(self) -> None:
        start = b"90000:" + b"x" * 90000
        self.assertEqual(self.evidence("netstring", start[:70000], start[70000:] + b"!rest")[1], start[:64])

    def test_a_stream_that_ends_too_early(self) -> None:
        decoder = parse("windev").decoder()
        assert isinstance(decoder, FrameDecoder)
        decoder.decode(b"1\r\na9\r\nabc")
        self.assertRaises(TruncatedMessage, decoder.finish)
        self.assertEqual(decoder.evidence, (b"1\r\na", b"9\r\nabc"))

    def test_a_bad_end_of_a_message_that_is_handed_out_in_parts(self) -> None:
        decoder = parse("netstring").decoder()
        assert isinstance(decoder, FrameDecoder)
        decoder.decode(b"90000:" + b"x" * 80000)
        decoder.open()
        decoder.part(b"x" * 9990)
        self.assertRaises(FramingError, decoder.part, b"x" * 10 + b"!rest")
        # The message has been handed out: its end stands for the frames before.
        self.assertEqual(decoder.evidence[1], b"!rest")
