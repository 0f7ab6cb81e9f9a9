"""envelope: what it sends and what it refuses to. What it reads is in `tests.support.cases`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import InvalidMessage


class EnvelopeTests(SynchronousTestCase):
    def test_stx_and_etx(self) -> None:
        self.assertEqual(Envelope(b"\x02", b"\x03").encode(b"Hello World"), b"\x02Hello World\x03")

    def test_mllp(self) -> None:
        self.assertEqual(Envelope(b"\x0b", b"\x1c\r").encode(b"MSH|\r"), b"\x0bMSH|\r\x1c\r")

    def test_empty_message(self) -> None:
        self.assertEqual(Envelope(b"<", b">").encode(b""), b"<>")

    def test_start_mark_inside_may_be_sent(self) -> None:
        self.assertEqual(Envelope(b"<", b">").encode(b"a<b"), b"<a<b>")

    def test_end_mark_inside_is_refused(self) -> None:
        error = self.assertRaises(InvalidMessage, Envelope(b"\x0b", b"\x1c\r").encode, b"ab\x1c\rc")
        self.assertEqual(str(error), r"the message contains the bytes b'\x1c\r' that end it, at byte 2")

    def test_message_that_overlaps_the_end_mark_is_refused(self) -> None:
        self.assertRaises(InvalidMessage, Envelope(b"<", b"aa").encode, b"a")
        self.assertRaises(InvalidMessage, Envelope(b"<", b"aa").encode_all, [b"b", b"a"])

    def test_empty_marks_are_refused(self) -> None:
        for start, end in ((b"", b">"), (b"<", b"")):
            error = self.assertRaises(ValueError, Envelope, start, end)
            self.assertEqual(str(error), "the start and the end of an envelope must have at least one byte each")

    def test_a_colon_in_a_mark_is_escaped_in_the_name(self) -> None:
        self.assertEqual(str(Envelope(b"\x02", b"\x03")), "envelope:\\x02:\\x03")
        self.assertEqual(str(Envelope(b":", b"::")), "envelope:\\x3a:\\x3a\\x3a")
