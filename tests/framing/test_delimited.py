"""standard and buffered: what they send and what they refuse to. What they read is in `tests.support.cases`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.errors import InvalidMessage, MessageTooLong


class DelimitedTests(SynchronousTestCase):
    def test_standard_ends_with_eof(self) -> None:
        self.assertEqual(Standard().encode(b"Hello World"), b"Hello World<EOF>")

    def test_buffered_ends_with_crlf(self) -> None:
        self.assertEqual(Buffered().encode(b"Hello World"), b"Hello World\r\n")

    def test_empty_message(self) -> None:
        self.assertEqual(Buffered().encode(b""), b"\r\n")

    def test_part_of_a_delimiter_may_be_sent(self) -> None:
        self.assertEqual(Buffered().encode(b"a\rb\nc\r"), b"a\rb\nc\r\r\n")

    def test_delimiter_inside_is_refused(self) -> None:
        error = self.assertRaises(InvalidMessage, Buffered().encode, b"a\r\nb")
        self.assertEqual(str(error), r"the message contains the bytes b'\r\n' that end it, at byte 1")

    def test_delimiter_at_the_end_is_refused(self) -> None:
        self.assertRaises(InvalidMessage, Standard().encode, b"a<EOF>")

    def test_message_that_overlaps_its_delimiter_is_refused(self) -> None:
        error = self.assertRaises(InvalidMessage, Standard(b"aa").encode, b"a")
        self.assertEqual(str(error), "the message contains the bytes b'aa' that end it, at byte 0")

    def test_batch_is_checked_too(self) -> None:
        for messages in ([b"ok", b"a\r\nb"], [b"a\r\nb", b"ok"], [b"\r\n"]):
            self.assertRaises(InvalidMessage, Buffered().encode_all, messages)
        self.assertRaises(InvalidMessage, Standard(b"aa").encode_all, [b"b", b"a"])

    def test_batch_longer_than_the_limit_of_one_message(self) -> None:
        self.assertEqual(Buffered(max_length=3).encode_all([b"abc", b"", b"def"]), b"abc\r\n\r\ndef\r\n")
        self.assertRaises(MessageTooLong, Buffered(max_length=3).encode_all, [b"abc", b"abcd"])

    def test_empty_delimiter_is_refused(self) -> None:
        for framing in (Standard, Buffered):
            error = self.assertRaises(ValueError, framing, b"")
            self.assertEqual(str(error), "a delimiter must have at least one byte")

    def test_the_same_wire_form_under_two_names_is_two_framings(self) -> None:
        self.assertNotEqual(Standard(b"\r\n"), Buffered(b"\r\n"))

    def test_names(self) -> None:
        self.assertEqual(str(Standard()), "standard")
        self.assertEqual(str(Standard(b"\r\n")), "standard:\\r\\n")
        self.assertEqual(str(Buffered()), "buffered")
        self.assertEqual(str(Buffered(b"<EOF>")), "buffered:<EOF>")
