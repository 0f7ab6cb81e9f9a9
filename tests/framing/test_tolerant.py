"""Framings that understand several wire forms of a message keep the rules of all others."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, parse
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.tolerant import Lines, Spaced
from tests.support.wire import Event, described, events, splits

LONG = described(MessageTooLong(3))
CASES: tuple[tuple[Framing, bytes, tuple[Event, ...]], ...] = (
    (Lines(), b"a\nb\r\n\r\n\nc\r\r\n", (b"a", b"b", b"", b"", b"c\r")),
    (Lines(), b"a\n\r", (b"a", described(TruncatedMessage(None, 1, "the line feed")))),
    (Lines(max_length=3), b"abc\nabc\r\n", (b"abc", b"abc")),
    (Lines(max_length=3), b"abc\n\nabc\r\rx", (b"abc", b"", LONG)),
    (Lines(max_length=3, on_bad_frame="skip"), b"a\nlong\r\nb\r\nlonger\nc\n", (b"a", LONG, b"b", LONG, b"c")),
    (Spaced(), b" 2ab\r\n2,ab0 0\n3,,ab \n", (b"ab", b"ab", b"", b"", b",ab")),
    (Spaced(), b"1a \n2,b", (b"a", described(TruncatedMessage(2, 2)))),
    (Spaced(), b"1a  \n:", (b"a", described(MalformedHeader(b":", "a digit must come first")))),
    (Spaced(), b"\n:", (described(MalformedHeader(b":", "a digit must come first")),)),
    (Spaced(max_length=1, on_bad_frame="skip"), b" 2,ab 1a", (described(MessageTooLong(1, 2)), b"a")),
)


class TolerantTests(SynchronousTestCase):
    def test_however_the_bytes_are_split_they_mean_the_same(self) -> None:
        for framing, wire, expected in CASES:
            for chunks in splits(wire):
                self.assertEqual(tuple(events(framing, chunks, end=True)), expected, f"{wire!r} split as {chunks}")

    def test_scan_gives_the_very_bytes(self) -> None:
        for framing, wire in ((Lines(), b"a\nb\r\n\n"), (Spaced(), b" 2ab\n2,ab0")):
            for chunks in splits(wire):
                decoder = framing.decoder()
                found = [decoder.scan(chunk) for chunk in chunks]
                self.assertEqual(sum(count for _, count in found), 3)
                if isinstance(framing, Lines):
                    self.assertEqual(b"".join(frames for frames, _ in found), wire)

    def test_what_is_ignored_after_a_message_is_taken_back(self) -> None:
        for back, rest in enumerate((b" \n ", b"\n1b \n ", b"  1,a\n1b \n ")):
            decoder = Spaced().decoder()
            self.assertEqual(decoder.decode(b" 0  1,a\n1b \n "), [b"", b"a", b"b"])
            self.assertEqual((decoder.take(back), decoder.state), (rest, "idle"))

    def test_nor_what_was_ignored_after_a_skipped_frame(self) -> None:
        for name, bad, ignored in (
            ("slip", b"long\xc0", b"\xc0\xc0"),
            ("cobs", b"\x05long\0", b"\0\0"),
            ("mllp", b"\x0blong\x1c\r", b"\n"),
        ):
            decoder = parse(name, max_length=3, on_bad_frame="skip").decoder()
            self.assertRaises(MessageTooLong, decoder.decode, bad + ignored)
            self.assertEqual((decoder.decode(b""), decoder.pending, decoder.take()), ([], 0, b""), name)

    def test_what_was_ignored_before_any_message_is_not(self) -> None:
        decoder = Spaced().decoder()
        self.assertEqual((decoder.decode(b" \n "), decoder.take()), ([], b""))
