"""lines, mllp, envelope with CHECK, dle, slip and cobs: what they send. What they read is in `tests.support.cases`."""

from __future__ import annotations

from functools import reduce
from operator import xor
from random import Random

from cobs import cobs
from crccheck.crc import Crc16Ibm3740, Crc32, CrcArc, CrcKermit, CrcModbus, CrcX25, CrcXmodem
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.checks import CHECKS
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedPayload, MessageTooLong, WrongCheck
from tests.framing.test_properties import EXAMPLES
from tests.support.wire import Written, events

ORACLES = {
    "lrc": lambda data: reduce(xor, data),
    "sum": lambda data: sum(data) & 0xFF,
    "crc16": CrcArc.calc,
    "crc16-modbus": CrcModbus.calc,
    "crc16-kermit": CrcKermit.calc,
    "crc16-x25": CrcX25.calc,
    "crc16-xmodem": CrcXmodem.calc,
    "crc16-ccitt-false": Crc16Ibm3740.calc,
    "crc32": Crc32.calc,
}
BLOCKS = (0, 1, 2, 253, 254, 255, 256, 507, 508, 509, 510, 761, 762, 763)
"""Lengths of runs, around those where a block of cobs is full."""


class CheckTests(SynchronousTestCase):
    def test_each_gives_what_the_catalogue_says(self) -> None:
        random = Random(0)
        for length in (1, 2, 3, 9, 33, 95, 96, 97, 255, 256, 257, 1000, 5000):
            data = random.randbytes(length)
            for name, oracle in ORACLES.items():
                number = oracle(data)
                self.assertEqual(CHECKS[name].number(data, 0, len(data)), number, (name, length))
        for data in (b"\xff" * 256, b"\xff" * 100_000):
            self.assertEqual(CHECKS["sum"].number(data, 0, len(data)), sum(data) & 0xFF)

    def test_how_it_is_sent(self) -> None:
        for name, sent in (
            ("crc16-modbus", b"\x37\x4b"),
            ("crc16-modbus-little", b"\x37\x4b"),
            ("crc16-modbus-big", b"\x4b\x37"),
            ("crc16-modbus-hex", b"4B37"),
            ("crc16-xmodem", b"\x31\xc3"),
            ("crc16-xmodem-little", b"\xc3\x31"),
            ("crc32", b"\x26\x39\xf4\xcb"),
            ("crc32-hex", b"CBF43926"),
            ("lrc", b"1"),
            ("sum-hex", b"DD"),
            ("astm", b"DD\r\n"),
        ):
            self.assertEqual(CHECKS[name].of(b"123456789"), sent, name)
            self.assertEqual(CHECKS[name].width, len(sent))

    def test_every_check_is_found_right_and_wrong(self) -> None:
        for name in CHECKS:
            framing = parse(f"envelope:\\x02:\\x03:{name}", on_bad_frame="skip")
            frame = framing.encode(b"Hello World")
            for at in range(len(b"\x02Hello World\x03"), len(frame)):
                wrong = bytearray(frame)
                wrong[at] ^= 1
                seen = events(framing, [frame + wrong + frame])
                self.assertEqual((seen[0], seen[1][0], seen[2]), (b"Hello World", WrongCheck.__name__, b"Hello World"))

    def test_an_end_mark_inside_is_refused(self) -> None:
        self.assertRaises(InvalidMessage, parse("envelope:<:>:lrc").encode, b"a>")

    def test_errors_say_both_values(self) -> None:
        error = self.assertRaises(WrongCheck, parse("envelope:<:>:sum-hex").decoder().decode, b"<a>9E")
        self.assertEqual(str(error), "wrong check b'9E': the bytes of the frame give b'9F' (sum-hex)")
        self.assertEqual((error.check, error.found, error.expected), ("sum-hex", b"9E", b"9F"))
        payload = self.assertRaises(MalformedPayload, parse("slip").decoder().decode, b"\xdba\xc0")
        self.assertEqual(str(payload), "malformed payload b'\\xdba': b'\\xdb' is followed by b'\\xdc' or b'\\xdd'")


class SentTests(SynchronousTestCase):
    def test_each_as_its_source_has_it(self) -> None:
        for name, message, frame in (
            ("lines", b"a\rb\r", b"a\rb\r\r\n"),
            ("lines:lf", b"a\rb", b"a\rb\n"),
            ("mllp", b"MSH|\r", b"\x0bMSH|\r\x1c\r"),
            ("dle", b"\x10a\x10\x10\x03", b"\x10\x02\x10\x10a\x10\x10\x10\x10\x03\x10\x03"),
            ("slip", b"\xc0\xdb\xdc\xdd", b"\xdb\xdc\xdb\xdd\xdc\xdd\xc0"),
            ("cobs", b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33\x00"),
        ):
            self.assertEqual(parse(name).encode(message), frame)
            self.assertEqual(parse(name).encode_all([message, message]), frame * 2)
            self.assertEqual(parse(name).decoder().decode(frame * 2), [message, message])

    def test_what_a_reader_would_take_for_another_message_is_refused(self) -> None:
        for name, wrong, reason in (
            ("lines", b"a\nb", "the message contains the byte b'\\n' that ends it, at byte 1"),
            ("lines:lf", b"\n", "the message contains the byte b'\\n' that ends it, at byte 0"),
            ("lines:lf", b"ab\r", "a line that ends in b'\\r' would be read without it, at byte 2"),
            ("slip", b"", "slip has no empty messages: its receivers ignore them"),
        ):
            framing = parse(name)
            for send in (framing.encode, lambda message, framing=framing: framing.encode_all([b"ok", message])):
                self.assertEqual(str(self.assertRaises(InvalidMessage, send, wrong)), reason)

    def test_none_is_no_frame(self) -> None:
        for name in ("lines", "dle", "slip", "cobs", "mllp"):
            self.assertEqual(parse(name).encode_all([]), b"")

    def test_a_large_message_is_a_piece_of_its_own(self) -> None:
        message = bytes(range(11, 256)) * 400
        for name in ("lines", "lines:lf"):
            written = Written()
            Encoder(parse(name), written).send(message)
            self.assertIs(written[0], message)
            self.assertEqual(b"".join(written), parse(name).encode(message))
            self.assertRaises(FramingError, Encoder(parse(name), written).send, message + b"\n")

    def test_lines_that_are_sent_are_lines_of_bool(self) -> None:
        from sockserve.framing.lines import Lines

        self.assertRaises(TypeError, Lines, "lf")


class CobsTests(SynchronousTestCase):
    def test_blocks_of_every_length_around_full_ones(self) -> None:
        for first in BLOCKS:
            for second in BLOCKS:
                for message in (b"x" * first, b"x" * first + b"\0" + b"y" * second, b"\0" + b"x" * first + b"\0\0"):
                    self.check(message)

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.binary(max_size=3) | st.sampled_from([b"x" * n for n in BLOCKS]), max_size=5).map(b"\0".join))
    def test_as_the_package_from_pypi(self, message: bytes) -> None:
        self.check(message)

    def check(self, message: bytes) -> None:
        framing = parse("cobs")
        frame = framing.encode(message)
        self.assertEqual(frame, cobs.encode(message) + b"\0")
        self.assertEqual(framing.decoder().decode(frame + frame), [message, message])
        for limit in {max(1, len(message)), max(1, len(message) - 1)}:
            limited = parse("cobs", max_length=limit)
            if len(message) <= limit:
                self.assertEqual(limited.decoder().scan(frame + frame), (frame + frame, 2))
            else:
                self.assertRaises(MessageTooLong, limited.decoder().scan, frame + frame)

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.sampled_from([0, 1, 2, 3, 255]), min_size=1, max_size=12).map(bytes))
    def test_what_the_package_refuses_is_refused(self, blocks: bytes) -> None:
        for body in filter(None, blocks.split(b"\0")):
            seen = events(parse("cobs"), [body + b"\0"])
            try:
                self.assertEqual(seen, [cobs.decode(body)])
            except cobs.DecodeError:
                self.assertEqual(seen[0][0], MalformedPayload.__name__)


class LargeTests(SynchronousTestCase):
    def test_reads_of_any_size_give_the_same(self) -> None:
        for name in ("lines", "mllp", "envelope:\\x02:\\x03:crc32", "dle", "slip", "cobs"):
            random = Random(name)
            framing = parse(name, max_length=300_000)
            anything = random.randbytes(200_000)
            if name in ("lines", "mllp", "envelope:\\x02:\\x03:crc32"):
                anything = anything.translate(None, b"\n\x1c\x03")
            messages = [b"a", anything, b"b" * 100_000, b"\x10\xc0\xdb\0" * 30_000, b"c"]
            wire = framing.encode_all(messages)
            for size in (1000, 16 * 1024, 64 * 1024, len(wire)):
                reads = [wire[at : at + size] for at in range(0, len(wire), size)]
                self.assertEqual(events(framing, reads, end=True), messages, name)

    def test_a_limit_shorter_than_a_read(self) -> None:
        for name in ("lines", "mllp", "envelope:\\x02:\\x03:crc32", "dle", "slip", "cobs"):
            framing = parse(name, max_length=8, on_bad_frame="skip")
            longer = parse(name, max_length=100)
            messages = [b"12345678", b"1", b"\x10\xc0\xdb\0", b"1234567", b"\x10" * 8, b"\xdb" * 8, b"\0" * 8]
            wire = framing.encode_all(messages * 20)
            self.assertEqual(events(framing, [wire], end=True), messages * 20, name)
            bad = longer.encode(b"123456789")
            seen = events(framing, [bad.join(framing.encode(message) for message in messages)], end=True)
            self.assertEqual([each for each in seen if isinstance(each, bytes)], messages, name)
            self.assertEqual([each[0] for each in seen if not isinstance(each, bytes)], ["MessageTooLong"] * 6, name)


class BadFrameTests(SynchronousTestCase):
    def test_a_wrong_escape_long_before_the_end(self) -> None:
        framing = parse("dle", on_bad_frame="skip")
        wire = b"\x10\x02a\x10x" + b"b" * 60_000 + b"\x10\x03" + framing.encode(b"ok")
        for reads in ([wire], [wire[:30_000], wire[30_000:]]):
            error, message = events(framing, reads)
            self.assertEqual((error[0], message), ("MalformedPayload", b"ok"))

    def test_what_is_ignored_after_one_is_not_taken_back(self) -> None:
        for name, bad, ignored, begun in (
            ("slip", b"\xdbx\xc0", b"\xc0\xc0", b"a"),
            ("cobs", b"\5x\0", b"\0\0", b"\2"),
        ):
            for rest in ([ignored + begun], [ignored, begun]):
                decoder = parse(name, on_bad_frame="skip").decoder()
                first = rest[0] if len(rest) == 1 else b""
                self.assertRaises(MalformedPayload, decoder.decode, bad + first)
                for read in (b"", *rest[len(rest) == 1 :]):
                    self.assertEqual(decoder.decode(read), [])
                self.assertEqual(decoder.take(), begun, (name, rest))
