"""A large message in parts, while it comes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.wire import Written

KIB = 1024
MESSAGE = bytes(range(256)) * 400
LENGTHS = (
    *("int32", "int32:little", "windev", "netstring", "varint", f"fixed:{len(MESSAGE)}"),
    *("octets", "syslog", "length:8:little:add=-3", "digits:9:inclusive"),
)
"""Framings that tell a length first."""
OTHERS = ("raw", "standard", "envelope:<:>")


def decoder_of(name: str) -> FrameDecoder:
    decoder = parse(name).decoder()
    assert isinstance(decoder, FrameDecoder)
    return decoder


class ReceivedTests(SynchronousTestCase):
    def test_a_message_comes_in_parts_and_what_follows_it_as_ever(self) -> None:
        for name in LENGTHS:
            frame = parse(name).encode(MESSAGE)
            for first in (20 * KIB, 60 * KIB):
                for size in (1000, 20 * KIB, 70 * KIB):
                    decoder = decoder_of(name)
                    self.assertEqual(decoder.decode(frame[:first]), [])
                    self.assertEqual(decoder.under_way, len(MESSAGE), name)
                    decoder.open()
                    wire = frame[first:] + 2 * frame
                    parts = [decoder.part(b"")]
                    at = 0
                    while decoder.is_open:
                        self.assertEqual((decoder.state, decoder.under_way, decoder.missing), ("partial", -1, 0))
                        parts.append(decoder.part(wire[at : at + size]))
                        at += size
                        self.assertLess(decoder.pending, size)
                    self.assertEqual(b"".join(parts), MESSAGE, name)
                    self.assertEqual(decoder.decode(b"") + decoder.decode(wire[at:]), 2 * [MESSAGE], name)
                    self.assertEqual(decoder.state, "idle")

    def test_none_is_under_way(self) -> None:
        for name in LENGTHS:
            frame = parse(name).encode(MESSAGE)
            decoder = decoder_of(name)
            self.assertEqual(decoder.under_way, -1, name)
            decoder.decode(frame)
            self.assertEqual(decoder.under_way, -1, name)
        for name, start in (("windev", b"1000"), ("int32", b"\0\1"), ("windev", b"60000\r\na"), ("standard", MESSAGE)):
            decoder = decoder_of(name)
            decoder.decode(start)
            self.assertEqual(decoder.under_way, -1, name)

    def test_a_stream_that_ends_in_it(self) -> None:
        for name in LENGTHS:
            frame = parse(name).encode(MESSAGE)
            for cut in (30 * KIB, len(frame) - 2, len(frame) - 1):
                whole, parts = decoder_of(name), decoder_of(name)
                whole.decode(frame[:cut])
                parts.decode(frame[: 20 * KIB])
                parts.open()
                self.assertLess(len(parts.part(frame[20 * KIB : cut])), len(MESSAGE))
                expected = self.assertRaises(TruncatedMessage, whole.finish)
                self.assertEqual(self.assertRaises(TruncatedMessage, parts.finish).args, expected.args, name)

    def test_a_bad_end_comes_before_the_last_byte(self) -> None:
        frame = parse("netstring").encode(MESSAGE)[:-1]
        for last in (b"x", b"xyz"):
            decoder = decoder_of("netstring")
            decoder.decode(frame[: 20 * KIB])
            decoder.open()
            part = decoder.part(frame[20 * KIB :])
            self.assertFalse(part.endswith(MESSAGE[-10:]))
            error = self.assertRaises(MalformedHeader, decoder.part, last)
            self.assertEqual(error.header, b"x")
            self.assertEqual(decoder.state, "failed")


class SentTests(SynchronousTestCase):
    def test_a_message_is_sent_in_parts(self) -> None:
        for name in LENGTHS:
            written = Written()
            encoder = Encoder(parse(name), written)
            self.assertTrue(encoder.open(len(MESSAGE)), name)
            for start in range(0, len(MESSAGE), 10_000):
                encoder.add(MESSAGE[start : start + 10_000], last=start + 10_000 >= len(MESSAGE))
            self.assertEqual((b"".join(written), encoder.count), (parse(name).encode(MESSAGE), 1), name)

    def test_where_that_cannot_be(self) -> None:
        written = Written()
        for name in OTHERS:
            self.assertFalse(Encoder(parse(name), written).open(100), name)
        wrong: type[FramingError]
        for name, wrong in (("int8", MessageTooLong), ("fixed:3", FramingError), ("windev", MessageTooLong)):
            self.assertRaises(wrong, Encoder(parse(name), written).open, 1 << 30)
        self.assertEqual(written, [])
