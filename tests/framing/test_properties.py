"""What must hold for any messages, any bytes, any cuts, in every framing.

EXAMPLES in the environment says how many of them each test tries.
"""

from __future__ import annotations

import contextlib
import os
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, parse
from sockserve.framing.content_length import MAX_HEADERS
from sockserve.framing.errors import FramingError
from tests.support.tolerant import is_tolerant
from tests.support.wire import drain, events

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
LIMIT = 12
MARKS = len(b"\x02" + b"\x03" + b"00\r\n") + LIMIT
"""The most bytes that FRAMED puts around a message, or among its bytes."""

FRAMED = (
    "windev",
    "standard",
    "standard:aab",
    "standard:aa",
    "buffered",
    "buffered:\\n",
    "int8",
    "int16",
    "int16:little",
    "int32",
    "int32:little",
    "netstring",
    "varint",
    "fixed:3",
    "envelope:\\x02:\\x03",
    "envelope:aab:ab",
    "envelope:\\x0b:\\x1c\\r",
    "octets",
    "syslog",
    "length:1:inclusive",
    "length:3:little",
    "length:1:add=-2",
    "length:1:at=1",
    "length:2:little:inclusive:at=0",
    "mbap",
    "tpkt",
    "digits:1",
    "digits:2:inclusive",
    "envelope:aab:ab:lrc",
    "envelope:\\x02:\\x03:crc16-modbus",
    "envelope:\\x02:\\x03:astm",
    "lines",
    "lines:lf",
    "mllp",
    "dle",
    "slip",
    "cobs",
)
SKIPPABLE = tuple(name for name in FRAMED if name != "fixed:3")
PIECES = (
    *(b"", b"a", b"b", b"<", b"<E", b"<EOF>", b"\r", b"\n", b"\r\n", b"\r\n\r", b"1\r\na"),
    *(b"0", b"1", b"3", b"12", b"13", b":", b",", b"1:a,", b"3\r\nabc"),
    *(b"1 ", b"3 abc", b"01a", b"\x01\x03", b"\x01\x00", b"\x03\x00\x00\x05", b"\x00\x01\x00\x00\x00\x02ab"),
    *(b"\x00", b"\x80", b"\xff", b"\x00\x00\x00\x01a", b"\x02", b"\x03", b"\x0b", b"\x1c", b"\x1c\r"),
    *(b"\x10", b"\x10\x02", b"\x10\x03", b"\x10\x10", b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd", b"\x01\x00"),
)

framings = st.builds(
    lambda name, policy: parse(name, max_length=LIMIT, on_bad_frame=policy),
    st.sampled_from(FRAMED),
    st.sampled_from(("close", "skip")),
)
streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=30).map(b"".join)
messages = st.lists(st.lists(st.sampled_from(PIECES), max_size=5).map(b"".join), max_size=12)
mixed = st.lists(st.binary(max_size=3) | st.binary(min_size=LIMIT - 1, max_size=3 * LIMIT), max_size=8)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at each of `places` that lies inside it."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def sendable(framing: Framing, message: bytes) -> bool:
    try:
        framing.encode(message)
    except FramingError:
        return False
    return True


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=EXAMPLES)
    @given(framings, messages, st.lists(st.integers(0, 500), max_size=8))
    def test_decoding_what_was_encoded_gives_the_messages_back(
        self, framing: Framing, messages: list[bytes], places: list[int]
    ) -> None:
        messages = [message for message in messages if sendable(framing, message)]
        wire = framing.encode_all(messages)
        self.assertEqual(wire, b"".join(map(framing.encode, messages)))
        self.assertEqual(events(framing, cut(wire, places), end=True), messages)

    @settings(max_examples=EXAMPLES)
    @given(st.sampled_from(SKIPPABLE), mixed, st.lists(st.integers(0, 500), max_size=8))
    def test_skip_loses_long_messages_only(self, name: str, messages: list[bytes], places: list[int]) -> None:
        sender = parse(name, max_length=3 * LIMIT)
        messages = [message for message in messages if sendable(sender, message)]
        receiver = parse(name, max_length=LIMIT, on_bad_frame="skip")
        seen = events(receiver, cut(sender.encode_all(messages), places), end=True)
        self.assertEqual(
            [event if isinstance(event, bytes) else event[0] for event in seen],
            [message if len(message) <= LIMIT else "MessageTooLong" for message in messages],
        )

    @settings(max_examples=2 * EXAMPLES)
    @given(framings, streams, st.lists(st.integers(0, 500), max_size=8))
    def test_any_bytes_mean_the_same_however_they_are_split(
        self, framing: Framing, stream: bytes, places: list[int]
    ) -> None:
        whole = events(framing, [stream], end=True)
        self.assertEqual(events(framing, cut(stream, places), end=True), whole)
        single = [stream[at : at + 1] for at in range(len(stream))]
        self.assertEqual(events(framing, single, end=True), whole)

    @settings(max_examples=EXAMPLES)
    @given(framings, st.lists(streams, max_size=6))
    def test_a_decoder_holds_no_more_than_one_frame(self, framing: Framing, reads: list[bytes]) -> None:
        decoder = framing.decoder()
        for read in reads:
            list(drain(decoder, read))
        self.assertLess(len(decoder.take()), LIMIT + MARKS)

    def test_nor_of_one_byte_or_piece_again_and_again(self) -> None:
        for name in (*FRAMED, "json", "content-length", "eof"):
            framing = parse(name, max_length=LIMIT)
            headers = MAX_HEADERS if name == "content-length" else 0
            for start in (b"", b"a", b"\x02", b"\x10\x02", b"aab", b"\x0b", b"["):
                for again in {*PIECES, *(bytes([byte]) for byte in b"".join(PIECES))}:
                    decoder = framing.decoder()
                    with contextlib.suppress(FramingError):
                        decoder.decode(start)
                        for _ in range(10):
                            decoder.decode(again * 9)
                    self.assertLess(decoder.pending, LIMIT + MARKS + headers, (name, start, again))

    @settings(max_examples=EXAMPLES)
    @given(framings, streams, st.integers(1, 12))
    def test_bytes_taken_back_are_the_bytes_after_the_messages(
        self, framing: Framing, stream: bytes, keep: int
    ) -> None:
        """What a connection does when the framing changes after message number `keep`."""
        decoder = framing.decoder()
        try:
            found = decoder.decode(stream)
        except FramingError:
            return
        keep = min(keep, len(found))
        rest = decoder.take(len(found) - keep)
        if is_tolerant(framing):
            before = stream[: len(stream) - len(rest)]
            self.assertEqual(before + rest, stream)
            self.assertEqual(events(framing, [before], end=True), found[:keep])
            # The message ends with its last byte.
            self.assertEqual(events(framing, [before[:-1]]), found[: keep - 1] if before else [])
        else:
            self.assertEqual(framing.encode_all(found[:keep]) + rest, stream)
        self.assertEqual((decoder.state, decoder.pending), ("idle", 0))
        with contextlib.suppress(FramingError):
            self.assertEqual(decoder.decode(rest), found[keep:])


class RawPropertyTests(SynchronousTestCase):
    @given(st.sampled_from(("raw", "raw:5")), st.lists(st.binary(max_size=40), max_size=10))
    def test_raw_gives_every_byte_once_in_pieces_up_to_the_read_size(self, name: str, reads: list[bytes]) -> None:
        framing = parse(name, max_length=LIMIT)
        seen = [event for event in events(framing, reads, end=True) if isinstance(event, bytes)]
        self.assertEqual(b"".join(seen), b"".join(reads))
        self.assertLessEqual(max(map(len, seen), default=0), 5 if name == "raw:5" else LIMIT)
