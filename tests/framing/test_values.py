"""Framings and errors are values; messages are bytes: the same in the compiled form and in the pure one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, as_framing, parse
from sockserve.framing.decimal import Windev
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.encoder import Encoder
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.fixed import Fixed
from sockserve.framing.integer import Integer
from sockserve.framing.raw import Raw
from tests.support.cases import EXAMPLES, message_of
from tests.support.wire import Written


def pickled(protocol: int, value: object) -> object:
    return pickle.loads(pickle.dumps(value, protocol))


def whole(framing: Framing, stream: bytes) -> list[bytes]:
    """The messages of a stream that ends."""
    decoder = framing.decoder()
    return [*decoder.decode(stream), *(decoder.finish() or ())]


FRAMINGS = [
    *(parse(name) for name in EXAMPLES.values()),
    *(parse(name, max_length=20, on_bad_frame="skip") for name in EXAMPLES.values()),
]

MESSAGE = b"Hello World"

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": partial(pickled, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}

# What programs send by mistake. A NumPy array or a ctypes buffer would be one more.
NO_BYTES: tuple[object, ...] = (bytearray(MESSAGE), memoryview(MESSAGE), "Hello World", ["Hello World"], None, 5)


class CopyTests(SynchronousTestCase):
    def test_a_framing_is_copied_and_pickled_with_all_that_it_says(self) -> None:
        for framing in FRAMINGS:
            framing.encode(message_of(str(framing)))
            for way, function in WAYS.items():
                same = function(framing)
                self.assertEqual(same, framing, way)
                self.assertIs(type(same), type(framing), way)
                self.assertEqual(
                    (str(same), same.max_length, same.on_bad_frame, hash(same)),
                    (str(framing), framing.max_length, framing.on_bad_frame, hash(framing)),
                )

    def test_a_copy_works(self) -> None:
        for framing in FRAMINGS:
            for function in WAYS.values():
                same = function(framing)
                message = message_of(str(framing))
                frame = framing.encode(message)
                self.assertEqual(same.encode(message), frame)
                self.assertEqual(b"".join(whole(same, frame)), message)

    def test_so_is_one_inside_something_else(self) -> None:
        for function in WAYS.values():
            self.assertEqual(function({"framings": FRAMINGS}), {"framings": FRAMINGS})

    def test_errors_are_copied_and_pickled(self) -> None:
        errors: list[FramingError] = [
            MessageTooLong(5, 6),
            MalformedHeader(b"x", "a rule"),
            TruncatedMessage(None, 3, "the rest"),
            InvalidMessage("a rule"),
        ]
        for error in errors:
            for function in WAYS.values():
                same = function(error)
                self.assertIs(type(same), type(error))
                self.assertEqual((str(same), vars(same)), (str(error), vars(error)))


class MessageTypeTests(SynchronousTestCase):
    """Only bytes are messages, and only bytes are decoded."""

    def test_what_is_not_bytes_is_refused_by_every_framing(self) -> None:
        for framing in FRAMINGS:
            for wrong in cast("tuple[Any, ...]", NO_BYTES):
                self.assertRaises(TypeError, framing.encode, wrong)
                self.assertRaises(TypeError, framing.encode_all, [message_of(str(framing)), wrong])

    def test_and_by_every_decoder(self) -> None:
        for framing in FRAMINGS:
            for wrong in cast("tuple[Any, ...]", NO_BYTES):
                self.assertRaises(TypeError, framing.decoder().decode, wrong)
                self.assertRaises(TypeError, framing.decoder().scan, wrong)

    def test_and_when_it_is_sent_and_nothing_of_it_leaves(self) -> None:
        for framing in FRAMINGS:
            written = Written()
            encoder = Encoder(framing, written)
            for wrong in cast("tuple[Any, ...]", NO_BYTES):
                self.assertRaises(TypeError, encoder.send, wrong)
                self.assertRaises(TypeError, encoder.send_all, [message_of(str(framing)), wrong])
            encoder.flush()
            self.assertEqual((written, encoder.count), ([], 0))

    def test_a_class_of_bytes_is_bytes(self) -> None:
        class Line(bytes):
            """Of a program of its own."""

        for framing in FRAMINGS:
            message = message_of(str(framing))
            frame = framing.encode(message)
            self.assertEqual(framing.encode(Line(message)), frame)
            if str(framing) != "eof":
                self.assertEqual(framing.encode_all([Line(message), message]), frame * 2)
            self.assertEqual(b"".join(whole(framing, Line(frame))), message)


class SettingTypeTests(SynchronousTestCase):
    """A setting of another type is refused where it is given, not where it is used."""

    def test_what_is_no_number_of_bytes(self) -> None:
        for wrong in cast("tuple[Any, ...]", ("5", 5.0, None, b"5")):
            for make in (Windev, Standard, Raw, Integer, partial(Fixed, 5), partial(Envelope, b"<", b">")):
                self.assertRaises(TypeError, make, max_length=wrong)
            self.assertRaises(TypeError, Fixed, wrong)
            self.assertRaises(TypeError, Integer, wrong)
            if wrong is not None:
                self.assertRaises(TypeError, parse, "windev", max_length=wrong)
        for wrong in cast("tuple[Any, ...]", ("5", 5.0, b"5")):
            self.assertRaises(TypeError, Raw, wrong)

    def test_what_is_no_mark(self) -> None:
        for wrong in cast("tuple[Any, ...]", ("ab", bytearray(b"ab"), memoryview(b"ab"), None, 5)):
            self.assertRaises(TypeError, Standard, wrong)
            self.assertRaises(TypeError, Buffered, wrong)
            self.assertRaises(TypeError, Envelope, wrong, b"x")
            self.assertRaises(TypeError, Envelope, b"x", wrong)

    def test_what_is_no_name(self) -> None:
        for wrong in cast("tuple[Any, ...]", (b"windev", None, 5)):
            self.assertRaises(TypeError, parse, wrong)
        for wrong in cast("tuple[Any, ...]", (b"close", None)):
            self.assertRaises(TypeError, Windev, on_bad_frame=wrong)
            self.assertRaises(TypeError, Integer, 4, wrong)

    def test_what_are_no_frames(self) -> None:
        written = Written()
        encoder = Encoder(parse("windev"), written)
        self.assertRaises(TypeError, encoder.send_frames, cast("Any", bytearray(b"2\r\nhi")), 1)
        self.assertEqual((written, encoder.count), ([], 0))

    def test_a_framing_may_be_given_by_its_name(self) -> None:
        self.assertEqual(as_framing("windev"), Windev())
        self.assertIs(as_framing(FRAMINGS[0]), FRAMINGS[0])
        self.assertRaises(ValueError, as_framing, "windef")
