"""Bytes written as text in the name of a framing."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.escapes import escape, unescape

GOOD = (
    ("", b""),
    ("<EOF>", b"<EOF>"),
    ("\\r\\n", b"\r\n"),
    ("\\a\\b\\t\\n\\v\\f\\r", b"\a\b\t\n\v\f\r"),
    ("\\\\\\'\\\"", b"\\'\""),
    ("\\x00\\xfF", b"\x00\xff"),
    ("\\0", b"\0"),
    ("\\33[", b"\x1b["),
    ("\\0018", b"\x018"),
    ("\\377", b"\xff"),
    ("\\x41B", b"AB"),
    ("a\tb", b"a\tb"),
)
BAD = (
    ("\\", "bad escape '\\\\': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("a\\", "bad escape '\\\\': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\q", "bad escape '\\\\q': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\x", "bad escape '\\\\x': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\x0", "bad escape '\\\\x0': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\xg0", "bad escape '\\\\xg0': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\8", "bad escape '\\\\8': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\u00e9", "bad escape '\\\\u00': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\\N{BEL}", "bad escape '\\\\N{B': use \\r \\n \\t \\xNN, octal \\NNN or \\\\"),
    ("\u00a7", "'\u00a7' is not ASCII: write its bytes in your encoding as \\xNN"),
)


class EscapeTests(SynchronousTestCase):
    def test_good_escapes(self) -> None:
        for text, data in GOOD:
            self.assertEqual(unescape(text), data, text)

    def test_good_escapes_mean_what_they_mean_in_python(self) -> None:
        for text, data in GOOD:
            literal = text.replace('\\"', '"').replace('"', '\\"').replace("\t", "\\t")
            self.assertEqual(ast.literal_eval(f'b"{literal}"'), data, text)

    def test_bad_escapes(self) -> None:
        for text, reason in BAD:
            error = self.assertRaises(ValueError, unescape, text)
            self.assertEqual(str(error), reason, text)

    def test_an_octal_number_over_a_byte_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            unescape("\\400")

    def test_every_byte_can_be_written_and_read(self) -> None:
        every = bytes(range(256))
        self.assertEqual(unescape(escape(every)), every)
        self.assertTrue(escape(every).isascii() and escape(every).isprintable())

    def test_short_escapes_are_preferred(self) -> None:
        self.assertEqual(escape(b"<\r\n\t\\\x00\xff>"), "<\\r\\n\\t\\\\\\x00\\xff>")

    def test_special_bytes_are_escaped_too(self) -> None:
        self.assertEqual(escape(b"a:b", b":"), "a\\x3ab")
