"""length:W and its options, mbap, tpkt and digits:N: what they send, what they refuse, and large messages."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.digits import Digits
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong
from sockserve.framing.length import Length, LengthAt, Mbap, Tpkt
from tests.support.cases.lengths import ASSOCIATE, BSON, HELLO, READ, S7, WATCHDOG
from tests.support.wire import Written, events

FORMS = (
    ("length:4", b"Hello", b"\0\0\0\5Hello"),
    ("length:3:little", b"Hello", b"\5\0\0Hello"),
    ("length:2:inclusive", b"Hello", b"\0\7Hello"),
    ("length:8:add=-2", b"Hello", b"\0\0\0\0\0\0\0\7Hello"),
    ("length:1:inclusive:add=1", b"Hello", b"\5Hello"),
    ("digits:4", b"Hello", b"0005Hello"),
    ("digits:4:inclusive", b"Hello", b"0009Hello"),
)
WHOLE = (
    ("mbap", READ),
    ("tpkt", S7),
    ("length:3:inclusive:at=1", WATCHDOG),
    ("length:4:at=2", ASSOCIATE),
    ("length:4:little:inclusive:at=4", HELLO),
    ("length:4:little:inclusive:at=0", BSON[1]),
)
LARGE = 200_000


class SentTests(SynchronousTestCase):
    def test_the_length_says_what_its_options_say(self) -> None:
        for name, message, frame in FORMS:
            self.assertEqual(parse(name).encode(message), frame, name)
            self.assertEqual(parse(name).encode_all([message, message]), frame * 2, name)

    def test_length_4_is_int32_on_the_wire(self) -> None:
        for order in ("", ":little"):
            for message in (b"", b"a", bytes(70_000)):
                self.assertEqual(parse(f"length:4{order}").encode(message), parse(f"int32{order}").encode(message))

    def test_a_message_with_its_header_is_sent_as_it_is(self) -> None:
        for name, message in WHOLE:
            self.assertIs(parse(name).encode(message), message, name)
            self.assertEqual(parse(name).decoder().decode(message), [message], name)

    def test_a_header_that_says_something_else_is_not_sent(self) -> None:
        for name, message in WHOLE:
            error = self.assertRaises(InvalidMessage, parse(name).encode, message + b"x")
            count = len(message)
            self.assertEqual(str(error), f"the header says that the message has {count} bytes, and it has {count + 1}")
            self.assertRaises(InvalidMessage, parse(name).encode, message[:-1])

    def test_a_message_shorter_than_its_header_is_not_sent(self) -> None:
        for name, message in WHOLE:
            for short in (b"", message[:3]):
                text = str(self.assertRaises(InvalidMessage, parse(name).encode, short))
                self.assertIn("starts with a header of", text)
                self.assertEqual(len(text.splitlines()), 1)

    def test_the_fixed_bytes_of_a_preset_are_checked_before_it_is_sent(self) -> None:
        error = self.assertRaises(InvalidMessage, Mbap().encode, b"\0\1\0\1\0\1a")
        self.assertEqual(str(error), "the third and fourth byte, the protocol, are 0 for Modbus")
        error = self.assertRaises(InvalidMessage, Tpkt().encode, b"\4\0\0\5a")
        self.assertEqual(str(error), "the first byte, the version of TPKT, is 3")
        self.assertRaises(InvalidMessage, LengthAt(1, 0, inclusive=True).encode, b"\0")

    def test_a_message_that_the_field_cannot_count_is_not_sent(self) -> None:
        framing = Length(1, add=3)
        written = Written()
        encoder = Encoder(framing, written)
        encoder.batch = 100
        error = self.assertRaises(InvalidMessage, encoder.send, b"ab")
        self.assertEqual(str(error), "a message of length:1:add=3 has at least 3 bytes, not 2")
        self.assertRaises(InvalidMessage, framing.encode_all, [b"abc", b""])
        self.assertRaises(InvalidMessage, framing.around, 2)
        encoder.send(b"abc")
        encoder.flush()
        self.assertEqual(written, [b"\0abc"])

    def test_a_message_with_its_header_has_to_be_seen_whole(self) -> None:
        self.assertIsNone(Mbap().around(12))
        self.assertEqual(Digits(4).around(3), (b"0003", b""))


class LimitTests(SynchronousTestCase):
    def test_max_length_is_lowered_to_what_the_field_can_express(self) -> None:
        for name, most in (
            ("length:1", 255),
            ("length:1:inclusive", 254),
            ("length:1:add=5", 260),
            ("length:2:add=-5", 65530),
            ("length:1:at=3", 259),
            ("length:1:inclusive:at=3", 255),
            ("mbap", 65541),
            ("tpkt", 65535),
            ("digits:3", 999),
            ("digits:3:inclusive", 996),
        ):
            framing = parse(name)
            self.assertEqual(framing.max_length, most, name)
            self.assertRaises(MessageTooLong, framing.encode, bytes(most + 1))
        self.assertEqual(parse("length:3", max_length=2**40).max_length, 2**24 - 1)

    def test_the_largest_message_of_one_length_byte(self) -> None:
        for framing, message in ((Length(1), bytes(255)), (LengthAt(1, 0, inclusive=True), b"\xff" + bytes(254))):
            self.assertEqual(framing.decoder().decode(framing.encode(message)), [message])

    def test_a_limit_with_no_room_for_a_header_is_refused(self) -> None:
        error = self.assertRaises(ValueError, Mbap, max_length=5)
        self.assertEqual(str(error), "a message would have at least 6 bytes, and at most 5")


class ValueTests(SynchronousTestCase):
    def test_other_types_are_refused(self) -> None:
        wrong: Any
        for wrong in ("4", 4.0, None):
            self.assertRaises(TypeError, Length, wrong)
            self.assertRaises(TypeError, Length, 4, add=wrong)
            self.assertRaises(TypeError, Length, 4, inclusive=wrong)
            self.assertRaises(TypeError, LengthAt, 4, wrong)
            self.assertRaises(TypeError, Digits, wrong)
            self.assertRaises(TypeError, Digits, 4, wrong)
        self.assertRaises(TypeError, Length, 4, cast("Any", None))

    def test_other_values_are_refused(self) -> None:
        error = self.assertRaises(ValueError, Length, 5)
        self.assertEqual(str(error), "a length field has 1, 2, 3, 4 or 8 bytes, not 5")
        error = self.assertRaises(ValueError, LengthAt, 4, -1)
        self.assertEqual(str(error), "at must be at least 0 bytes, not -1")
        self.assertRaises(ValueError, Length, 4, cast("Any", "middle"))


class LargeTests(SynchronousTestCase):
    """Messages with their headers; the others are in test_large and test_parts."""

    def messages(self) -> list[tuple[str, bytes]]:
        body = bytes(range(250)) * (LARGE // 250)
        return [
            ("length:4:at=2", b"ab" + LARGE.to_bytes(4, "big") + body),
            ("length:3:inclusive:at=1", b"\1" + (LARGE + 4).to_bytes(3, "big") + body),
            ("length:8:little:at=0:add=-1", (LARGE + 1).to_bytes(8, "little") + body),
        ]

    def test_they_come_in_any_reads(self) -> None:
        for name, message in self.messages():
            framing = parse(name)
            wire = framing.encode_all([message, message])
            for size in (1000, 20_000, 70_000, len(message) - 1, len(wire)):
                reads = [wire[at : at + size] for at in range(0, len(wire), size)]
                self.assertEqual(events(framing, reads, end=True), [message, message], name)

    def test_they_come_in_parts(self) -> None:
        for name, message in self.messages():
            decoder = parse(name).decoder()
            assert isinstance(decoder, FrameDecoder)
            decoder.decode(message[:20_000])
            self.assertEqual(decoder.under_way, len(message), name)
            decoder.open()
            parts = [decoder.part(message[20_000:]), decoder.part(b"")] if decoder.is_open else []
            self.assertEqual(b"".join(parts), message, name)

    def test_they_are_written_without_a_copy(self) -> None:
        for name, message in self.messages():
            written = Written()
            Encoder(parse(name), written).send(message)
            self.assertIs(written[0], message, name)
            self.assertRaises(FramingError, Encoder(parse(name), written).send, message[:-1])
