"""What every framing has: max_length and on_bad_frame, checked once and never changed."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, BoundedFraming
from sockserve.framing.decimal import Windev
from sockserve.framing.errors import MessageTooLong
from tests.support.cases import EXAMPLES, FREE, MANY, message_of

FRAMINGS = [parse(name) for name in EXAMPLES.values()]


class BoundsTests(SynchronousTestCase):
    def test_default_is_one_mib_and_close(self) -> None:
        self.assertEqual(DEFAULT_MAX_LENGTH, 1048576)
        self.assertEqual((Windev().max_length, Windev().on_bad_frame), (1048576, "close"))

    def test_limit_below_one_byte_is_refused(self) -> None:
        for limit in (0, -1):
            error = self.assertRaises(ValueError, Windev, max_length=limit)
            self.assertEqual(str(error), f"max_length must be at least 1 byte, not {limit}")

    def test_unknown_policy_is_refused(self) -> None:
        error = self.assertRaises(ValueError, Windev, on_bad_frame="ignore")
        self.assertEqual(str(error), "on_bad_frame must be 'close' or 'skip', not 'ignore'")

    def test_bounds_are_checked_in_every_framing(self) -> None:
        for name in EXAMPLES.values():
            self.assertRaises(ValueError, parse, name, max_length=0)
            self.assertRaises(ValueError, parse, name, on_bad_frame="ignore")

    def test_bounds_are_given_by_keyword_only(self) -> None:
        self.assertRaises(TypeError, Windev, 5)

    def test_replaced_bounds_are_checked_again(self) -> None:
        for framing in FRAMINGS:
            self.assertRaises(ValueError, dataclasses.replace, cast("Any", framing), max_length=0)

    def test_framings_are_frozen(self) -> None:
        for framing in FRAMINGS:
            for field in dataclasses.fields(cast("Any", framing)):
                self.assertRaises(dataclasses.FrozenInstanceError, setattr, framing, field.name, 1)
            self.assertFalse(hasattr(framing, "__dict__"), framing)

    def test_framings_are_values(self) -> None:
        for name, framing in zip(EXAMPLES.values(), FRAMINGS, strict=True):
            self.assertEqual(framing, parse(name))
            self.assertEqual(hash(framing), hash(parse(name)))
            self.assertNotEqual(framing, parse(name, max_length=20))
            self.assertNotEqual(framing, parse(name, on_bad_frame="skip"))
        self.assertEqual(len(set(FRAMINGS)), len(FRAMINGS))

    def test_length_at_the_limit_passes(self) -> None:
        self.assertEqual(BoundedFraming(max_length=3).check_length(b"abc"), 3)

    def test_length_over_the_limit_does_not(self) -> None:
        error = self.assertRaises(MessageTooLong, BoundedFraming(max_length=3).check_length, b"abcd")
        self.assertEqual((error.limit, error.length), (3, 4))


class EncodeTests(SynchronousTestCase):
    def test_encode_all_is_the_joined_encodes(self) -> None:
        for framing in map(parse, MANY):
            if str(framing) == "raw:5":
                continue
            message = message_of(str(framing))
            messages = [message, b"12345678901" if message == b"Hello World" else message, message]
            joined = b"".join(map(framing.encode, messages))
            self.assertEqual(framing.encode_all(messages), joined, framing)
            self.assertEqual(framing.encode_all(iter(messages)), joined, framing)
            self.assertEqual(framing.encode_all([]), b"", framing)

    def test_message_over_the_limit_is_refused(self) -> None:
        for name in FREE:
            framing = parse(name, max_length=5)
            message = message_of(name, 5)
            self.assertEqual(framing.decoder().decode(framing.encode(message)), [message])
            error = self.assertRaises(MessageTooLong, framing.encode, message_of(name, 6))
            self.assertEqual((error.limit, error.length), (5, 6))

    def test_message_over_the_limit_in_a_batch_is_refused(self) -> None:
        for name in FREE:
            framing = parse(name, max_length=5)
            messages = [message_of(name, length) for length in (2, 6, 2)]
            self.assertRaises(MessageTooLong, framing.encode_all, messages)
