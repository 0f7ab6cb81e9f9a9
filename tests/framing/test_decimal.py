"""windev and netstring: what they send. What they read is in `tests.support.cases`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.decimal import Netstring, Windev
from sockserve.framing.errors import MalformedHeader, MessageTooLong


class WindevTests(SynchronousTestCase):
    def test_length_crlf_message(self) -> None:
        self.assertEqual(Windev().encode(b"Hello World"), b"11\r\nHello World")

    def test_empty_message(self) -> None:
        self.assertEqual(Windev().encode(b""), b"0\r\n")

    def test_message_may_contain_anything(self) -> None:
        self.assertEqual(Windev().encode(b"\r\n1\r\n"), b"5\r\n\r\n1\r\n")

    def test_batch(self) -> None:
        self.assertEqual(Windev().encode_all([b"ok", b""]), b"2\r\nok0\r\n")

    def test_name(self) -> None:
        self.assertEqual(str(Windev()), "windev")

    def test_digits_are_refused_before_python_would_count_them(self) -> None:
        """int() raises ValueError above 4300 digits."""
        error = self.assertRaises(MalformedHeader, Windev().decoder().decode, 5000 * b"9" + b"\r\n")
        self.assertEqual(error.header, b"99999999")

    def test_a_length_over_the_limit_tells_the_setting(self) -> None:
        error = self.assertRaises(MessageTooLong, Windev(max_length=5).decoder().decode, b"9\r\n")
        self.assertEqual(str(error), "message of 9 bytes is longer than the limit of 5 bytes (max_length)")


class NetstringTests(SynchronousTestCase):
    def test_length_colon_message_comma(self) -> None:
        self.assertEqual(Netstring().encode(b"Hello World"), b"11:Hello World,")

    def test_empty_message(self) -> None:
        self.assertEqual(Netstring().encode(b""), b"0:,")

    def test_name(self) -> None:
        self.assertEqual(str(Netstring()), "netstring")
