"""fixed: messages of one size."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.errors import InvalidMessage
from sockserve.framing.fixed import Fixed


class FixedTests(SynchronousTestCase):
    def test_the_message_is_the_frame(self) -> None:
        self.assertEqual(Fixed(3).encode(b"abc"), b"abc")

    def test_another_size_is_refused(self) -> None:
        for message in (b"", b"ab", b"abcd"):
            error = self.assertRaises(InvalidMessage, Fixed(3).encode, message)
            self.assertEqual(str(error), f"a message of fixed:3 has 3 bytes, not {len(message)}")
        self.assertRaises(InvalidMessage, Fixed(3).encode_all, [b"abc", b"ab"])

    def test_size_is_one_to_max_length(self) -> None:
        for size in (0, -1, 6):
            error = self.assertRaises(ValueError, Fixed, size, max_length=5)
            self.assertEqual(str(error), f"the size of fixed must be 1 to 5 bytes (max_length), not {size}")
        self.assertRaises(ValueError, replace, Fixed(6), max_length=5)

    def test_name(self) -> None:
        self.assertEqual(str(Fixed(3)), "fixed:3")
