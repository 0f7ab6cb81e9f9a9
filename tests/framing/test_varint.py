"""varint: what it sends, and how numbers are written."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.varint import Varint, encode_number


class VarintTests(SynchronousTestCase):
    def test_length_and_message(self) -> None:
        self.assertEqual(Varint().encode(b"Hello World"), b"\x0bHello World")

    def test_empty_message(self) -> None:
        self.assertEqual(Varint().encode(b""), b"\0")

    def test_numbers_have_seven_bits_a_byte_the_lowest_first(self) -> None:
        for number, written in (
            (0, b"\0"),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (300, b"\xac\x02"),
            (2**14 - 1, b"\xff\x7f"),
            (2**14, b"\x80\x80\x01"),
        ):
            self.assertEqual(encode_number(number), written)

    def test_every_length_around_a_new_byte_is_read_back(self) -> None:
        for length in (127, 128, 2**14 - 1, 2**14):
            self.assertEqual(Varint().decoder().decode(Varint().encode(bytes(length))), [bytes(length)])

    def test_name(self) -> None:
        self.assertEqual(str(Varint()), "varint")
