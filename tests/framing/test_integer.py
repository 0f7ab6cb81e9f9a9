"""int8, int16, int32: what they send, and limits that their length field can express."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.errors import MessageTooLong
from sockserve.framing.integer import Integer, IntegerDecoder
from sockserve.framing.length import Length


class IntegerTests(SynchronousTestCase):
    def test_big_endian(self) -> None:
        self.assertEqual(Integer(1).encode(b"Hello"), b"\x05Hello")
        self.assertEqual(Integer(2).encode(b"Hello"), b"\0\x05Hello")
        self.assertEqual(Integer(4).encode(b"Hello"), b"\0\0\0\x05Hello")

    def test_little_endian(self) -> None:
        self.assertEqual(Integer(1, "little").encode(b"Hello"), b"\x05Hello")
        self.assertEqual(Integer(2, "little").encode(b"Hello"), b"\x05\0Hello")
        self.assertEqual(Integer(4, "little").encode(b"Hello"), b"\x05\0\0\0Hello")

    def test_empty_message(self) -> None:
        self.assertEqual(Integer().encode(b""), b"\0\0\0\0")

    def test_every_byte_of_a_length_counts(self) -> None:
        message = bytes(0x010203)
        for order in ("big", "little"):
            framing = Integer(4, order, max_length=2**24)
            self.assertEqual(framing.decoder().decode(framing.encode(message)), [message])

    def test_limit_is_lowered_to_what_the_field_can_express(self) -> None:
        self.assertEqual(Integer(1, max_length=1000).max_length, 255)
        self.assertEqual(Integer(2).max_length, 65535)
        self.assertEqual(Integer(4, max_length=2**40).max_length, 2**32 - 1)

    def test_lower_limit_stays(self) -> None:
        self.assertEqual(Integer(1, max_length=254).max_length, 254)

    def test_replaced_limit_is_lowered_too(self) -> None:
        self.assertEqual(replace(Integer(1), max_length=1000).max_length, 255)
        self.assertEqual(replace(Integer(4), size=1).max_length, 255)

    def test_largest_message_of_one_length_byte(self) -> None:
        self.assertEqual(Integer(1).encode(bytes(255)), b"\xff" + bytes(255))
        error = self.assertRaises(MessageTooLong, Integer(1).encode, bytes(256))
        self.assertEqual((error.limit, error.length), (255, 256))

    def test_other_sizes_are_refused(self) -> None:
        for size in (0, 3, 8):
            error = self.assertRaises(ValueError, Integer, size)
            self.assertEqual(str(error), f"a length field has 1, 2 or 4 bytes, not {size}")

    def test_other_byte_orders_are_refused(self) -> None:
        error = self.assertRaises(ValueError, Integer, 4, "middle")
        self.assertEqual(str(error), "byteorder must be 'big' or 'little', not 'middle'")

    def test_names(self) -> None:
        self.assertEqual([str(Integer(size)) for size in (1, 2, 4)], ["int8", "int16", "int32"])
        self.assertEqual(str(Integer(2, "little")), "int16:little")

    def test_lengths_read_byte_by_byte_are_the_same(self) -> None:
        """The compiled form does not unpack them."""
        for framing in (Integer(), Integer(2), Integer(4, "little"), Length(8), Length(8, add=-(2**40))):
            messages = [b"", b"a", bytes(300), bytes(60_000)]
            decoder = framing.decoder()
            assert isinstance(decoder, IntegerDecoder)
            decoder._unpack = None
            self.assertEqual(decoder.decode(framing.encode_all(messages)), messages)
