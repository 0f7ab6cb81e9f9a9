"""The checks of framings find what is wrong with one, and nothing wrong with ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fix_framing import Fix, FixDecoder
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, parse
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.testing import assert_framing, assert_wire
from tests.support.cases import MANY, can_carry, message_of

HEARTBEAT = b"35=0"
REQUEST = b"35=1\x01112=abc"


class OurFramingsTests(SynchronousTestCase):
    def test_ours_keep_the_contract(self) -> None:
        for name in MANY:
            if not name.startswith("raw"):
                framing = parse(name, max_length=30)
                messages = [message_of(name), b"[1]", b"", b"5"]
                assert_framing(framing, [message for message in messages if can_carry(framing, message)])

    def test_wire_is_compared_in_all_splits(self) -> None:
        windev = parse("windev", max_length=9)
        assert_wire(windev, b"2\r\nhi0\r\n", [b"hi", b""])
        assert_wire(windev, b"2\r\nhi3\r\nx", [b"hi", TruncatedMessage(3, 1)])
        assert_wire(windev, b"2\r\nhi3\r\nx", [b"hi"], end=False)
        assert_wire(windev, b"2\r\nhi99\r\n", [b"hi", MalformedHeader])
        error = self.assertRaises(AssertionError, assert_wire, windev, b"2\r\nhi", [b"ho"])
        self.assertEqual(str(error), r"windev, reads [b'2\r\nhi']: found [b'hi'], expected [b'ho']")

    def test_no_messages_check_nothing(self) -> None:
        self.assertRaises(ValueError, assert_framing, parse("windev"), [])


@dataclass(frozen=True)
class Own(Fix):
    """The example, with a decoder that has a fault."""

    kind: type[FixDecoder] = FixDecoder

    def decoder(self) -> FixDecoder:
        return self.kind(self)


class Hasty(FixDecoder):
    """Takes a read for a message's end."""

    def decode(self, data: bytes) -> list[bytes]:
        messages = super().decode(data)
        if data and data[-1] != 1:
            self._held.clear()
        return messages


class Silent(FixDecoder):
    def finish(self) -> None:
        """Nobody hears of an unfinished frame."""


class Forgetful(FixDecoder):
    def take(self, messages: int = 0) -> bytes:
        return super().take()


class Miscounting(FixDecoder):
    def scan(self, data: bytes) -> tuple[bytes, int]:
        return super().scan(data)[0], 1


class Generous(FixDecoder):
    def __init__(self, framing: Fix) -> None:
        super().__init__(Fix(max_length=99))


class Vague(FixDecoder):
    @property
    def pending(self) -> int:
        return 0


class Lax(Fix):
    def encode(self, message: bytes) -> bytes:
        return super().encode(bytes(message))


class Boundless(Fix):
    def encode(self, message: bytes) -> bytes:
        return b"" if len(message) > self.max_length else super().encode(message)


class FaultTests(SynchronousTestCase):
    def fault(self, framing: Framing) -> str:
        return str(self.assertRaises(AssertionError, assert_framing, framing, [HEARTBEAT, REQUEST]))

    def test_the_example_keeps_the_contract(self) -> None:
        assert_framing(Fix(max_length=99), [HEARTBEAT, REQUEST, b"", b"\x01", b"8=FIX.4.4\x019=1\x01"])
        assert_wire(Fix(), b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01", [HEARTBEAT])
        for wrong, error in (
            (b"8=FIX.4.2\x01", MalformedHeader),
            (b"8=FIX.4.4\x019=05\x01", MalformedHeader),
            (b"8=FIX.4.4\x019=65538\x01", MessageTooLong),
            (b"8=FIX.4.4\x019=5\x0135=0\x0110=164\x01", MalformedHeader),
            (b"8=FIX.4.4\x019=5\x0135=0\x0110=163", TruncatedMessage),
        ):
            assert_wire(Fix(), Fix().encode(REQUEST) + wrong, [REQUEST, error])

    def test_each_fault_of_a_decoder_is_found(self) -> None:
        for kind, words in (
            (Hasty, "of 61 single bytes: found"),
            (Silent, "not the same TruncatedMessage"),
            (Forgetful, "take(1) gives"),
            (Miscounting, "scan gives"),
            (Generous, "with max_length"),
            (Vague, "pending is 0"),
        ):
            self.assertIn(words, self.fault(Own(max_length=98, kind=kind)), kind.__name__)

    def test_each_fault_of_a_framing_is_found(self) -> None:
        class Mutable(Fix):
            def __setattr__(self, name: str, value: object) -> None:
                object.__setattr__(self, name, value)

        class Nameless(Fix):
            def __str__(self) -> str:
                return ""

        class Unequal(Fix):
            def __eq__(self, other: object) -> bool:
                return self is other

            __hash__ = Fix.__hash__

        class Local(Fix):
            """Cannot be found by its name."""

        kinds: tuple[tuple[Callable[[], Any], str], ...] = (
            (object, "lacks methods"),
            (Mutable, "must be immutable"),
            (Nameless, "must be its name"),
            (Unequal, "which is not equal"),
            (Lax, "encode of a bytearray must raise TypeError"),
            (Boundless, "a message over max_length is encoded"),
            (Local, "pickle fails"),
        )
        for make, words in kinds:
            self.assertIn(words, self.fault(make()), words)
