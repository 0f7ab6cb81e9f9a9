"""content-length and json: bounds, speed in every split, and, for any bytes, what Python's own parsers say of them.

EXAMPLES in the environment says how many of them each test tries.
"""

from __future__ import annotations

import json
import os
import re
from email.parser import BytesHeaderParser
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import compiled, parse
from sockserve.framing.content_length import MAX_HEADERS, ContentLengthDecoder
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, MessageTooLong
from sockserve.framing.json import DEEPEST, JsonDecoder, Scanner
from tests.framing.test_properties import cut
from tests.support.cases.texts import CONTENT_LENGTH
from tests.support.pure import pure_framing
from tests.support.wire import described, drain, events

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
LENGTH = b"Content-Length: 1\r\n"
TOO_MUCH = f"the headers of a message take more than {MAX_HEADERS} bytes"

places = st.lists(st.integers(0, 500), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(("]}", '"', "\\", "\\\\", '\\"')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
documents = values.filter(lambda value: isinstance(value, list | dict))
spaces = st.text(" \t\r\n", max_size=4).map(str.encode)
names = st.sampled_from(("X", "Content-Type", "content-lengthy", "A.b_c"))
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


def longest() -> bytes:
    """The headers of a message of one byte, as long as they may be."""
    return LENGTH + b"X: " + b"x" * (MAX_HEADERS - len(LENGTH) - 7) + b"\r\n\r\n"


SKIP = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+"){0,3}').match


class HeaderTests(SynchronousTestCase):
    def test_headers_are_bounded(self) -> None:
        framing = parse("content-length")
        headers = longest()
        self.assertEqual(len(headers), MAX_HEADERS)
        for wire, expected in (
            (headers + b"a" + headers + b"b", [b"a", b"b"]),
            (headers.replace(b"x", b"xx", 1), [described(MalformedHeader(b"\r", TOO_MUCH))]),
            (b"X:" + b"x" * MAX_HEADERS, [described(MalformedHeader(b"x" * 63, TOO_MUCH))]),
        ):
            for size in (1, 2, 7, 1000, MAX_HEADERS - 1, MAX_HEADERS, MAX_HEADERS + 1, len(wire)):
                reads = [wire[at : at + size] for at in range(0, len(wire), size)]
                self.assertEqual(events(framing, reads, end=True), expected, size)

    def test_usual_headers_read_at_once_are_the_same(self) -> None:
        """The compiled form does not look them up."""
        for case in CONTENT_LENGTH:
            framing = parse("content-length", max_length=case.max_length, on_bad_frame=case.on_bad_frame)
            seen = []
            for looked_up in (False, True):
                decoder = cast("ContentLengthDecoder", framing.decoder())
                decoder._lengths = {} if looked_up else None
                seen.append([*drain(decoder, case.data)])
            self.assertEqual(seen[0], seen[1], case.name)

    def test_the_error_comes_with_the_byte_that_is_wrong(self) -> None:
        for wire in (b"hello world", LENGTH + b"\n", b"Content-Length: x\r\n", b"X: y\r\n\r\n", b"X" * 5000):
            decoder = parse("content-length").decoder()
            for at in range(len(wire)):
                seen = [*drain(decoder, wire[at : at + 1])]
                if seen:
                    break
            self.assertEqual(decoder.state, "failed", wire)
            self.assertEqual(events(parse("content-length"), [wire[:at]]), [], wire)

    def test_headers_that_a_peer_makes_up_are_not_kept(self) -> None:
        framing = parse("content-length")
        decoder = framing.decoder()
        for number in range(50):
            self.assertEqual(decoder.decode(b"X: %d\r\n%b\r\na" % (number, LENGTH)), [b"a"])
        decoder.decode(framing.encode(b"a"))
        self.assertEqual([*framing.lengths], [] if compiled else [LENGTH + b"\r\n"])  # type: ignore[attr-defined]

    @settings(max_examples=EXAMPLES)
    @given(
        st.lists(
            st.tuples(st.binary(max_size=20), st.lists(st.tuples(names, texts), max_size=3), st.integers(0, 3)),
            max_size=6,
        ),
        places,
    )
    def test_other_headers_are_read_as_others_do(
        self, frames: list[tuple[bytes, list[tuple[str, str]], int]], cuts: list[int]
    ) -> None:
        wire = b""
        for message, others, at in frames:
            headers = [*others]
            headers.insert(at, ("CONTENT-length", f" {len(message)}\t"))
            block = "".join(f"{name}:{text}\r\n" for name, text in headers).encode() + b"\r\n"
            self.assertEqual(int(BytesHeaderParser().parsebytes(block)["Content-Length"]), len(message))
            wire += block + message
        seen = events(parse("content-length"), cut(wire, cuts), end=True)
        self.assertEqual(seen, [message for message, _, _ in frames])

    @settings(max_examples=EXAMPLES)
    @given(
        st.lists(
            st.sampled_from((b"Content-Length:", b"X:", b" 1", b"1", b"02", b"\r\n", b"\r", b"\n", b"a", b" "))
            | st.binary(max_size=2),
            max_size=14,
        ).map(b"".join),
        places,
    )
    def test_any_bytes_mean_the_same_however_they_are_split(self, stream: bytes, cuts: list[int]) -> None:
        for policy in ("close", "skip"):
            framing = parse("content-length", max_length=3, on_bad_frame=policy)
            whole = events(framing, [stream], end=True)
            self.assertEqual(events(framing, cut(stream, cuts), end=True), whole)
            self.assertEqual(events(framing, [bytes([byte]) for byte in stream], end=True), whole)


class JsonTests(SynchronousTestCase):
    def test_brackets_are_as_deep_as_they_may_be(self) -> None:
        framing = parse("json")
        deep = b"[" * DEEPEST + b"]" * DEEPEST
        error = described(MalformedHeader(b"[" * 32, f"more than {DEEPEST} brackets are inside each other"))
        for size in (1, 2, 100, DEEPEST, 5000):
            for wire, expected in ((deep + deep, [deep, deep]), (b"[" + deep, [error])):
                reads = [wire[at : at + size] for at in range(0, len(wire), size)]
                self.assertEqual(events(framing, reads, end=True), expected)
        self.assertEqual(framing.encode(deep), deep)
        self.assertRaises(InvalidMessage, framing.encode, b"[" + deep + b"]")

    def test_a_skipped_one_may_be_deeper(self) -> None:
        framing = parse("json", max_length=4, on_bad_frame="skip")
        wire = b"[" * 5000 + b"}" * 5000 + b" [2]"
        for size in (1, 7, 4096, 20000):
            reads = [wire[at : at + size] for at in range(0, len(wire), size)]
            self.assertEqual(events(framing, reads, end=True), [described(MessageTooLong(4)), b"[2]"])

    def test_what_is_not_one_object_or_array_cannot_be_sent(self) -> None:
        framing = parse("json")
        for message, rule in (
            (b"", "starts with { or [, not with b''"),
            (b"5", "not with b'5'"),
            (b" {}", "not with b' '"),
            (b'"a"', "not with"),
            (b"[1", "has no end"),
            (b'["]', "has no end"),
            (b"[]\n", "something follows the object or array, at byte 2"),
            (b"{}[]", "at byte 2"),
            (b"[1}", "} stands where ] is due, at byte 2"),
        ):
            for send in (framing.encode, lambda message: framing.encode_all([b"{}", message])):
                self.assertIn(rule, str(self.assertRaises(InvalidMessage, send, message)))

    def test_a_short_string_read_bytewise_is_the_same(self) -> None:
        """As the compiled form does it, and the other way round."""
        wire = b'{"a\\"]": "%b\\\\"}["short", "\\\\", "\\u005d]"][""]' % (b"x" * 40) * 3
        framing = parse("json")
        expected = framing.decoder().decode(wire)
        self.assertEqual(len(expected), 9)
        for near in (0, 1, 16):
            for size in (1, 2, 3, 11, 200):
                decoder = cast("JsonDecoder", framing.decoder())
                decoder._scanner._near = near
                decoder._scanner._skip = None if near else SKIP
                seen = [m for at in range(0, len(wire), size) for m in decoder.decode(wire[at : at + size])]
                self.assertEqual(seen, expected)

    def test_bytes_are_scanned_once(self) -> None:
        """In reads of any size."""
        wire = b"[" + b'{"key": "some value \\" of it", "list": [1, 2, 3]},' * 4000 + b"{}]"
        for size in (1000, 4096, 60_000):
            # The compiled one takes no other scanner.
            decoder = pure_framing().parse("json").decoder()
            counted: list[int] = []
            decoder._scanner = Counting(counted)
            seen = [m for at in range(0, len(wire), size) for m in decoder.decode(wire[at : at + size])]
            self.assertEqual(seen, [wire])
            self.assertLess(sum(counted), len(wire) + 2 * size)

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.tuples(documents, spaces, st.booleans()), max_size=6), spaces, places)
    def test_documents_are_found_where_a_parser_finds_them(
        self, items: list[tuple[object, bytes, bool]], space: bytes, cuts: list[int]
    ) -> None:
        wire = space + b"".join(
            json.dumps(value, ensure_ascii=plain, indent=None if plain else 1).encode() + after
            for value, after, plain in items
        )
        seen = events(parse("json"), cut(wire, cuts), end=True)
        text = wire.decode()
        at = 0
        for event, (value, _, _) in zip(seen, items, strict=True):
            at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))
            parsed, end = json.JSONDecoder().raw_decode(text, at)
            self.assertEqual((event, parsed), (text[at:end].encode(), value))
            at = end

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.sampled_from([*'{}[]"\\ \n,1a']), max_size=30).map("".join), places)
    def test_any_bytes_mean_the_same_however_they_are_split(self, text: str, cuts: list[int]) -> None:
        stream = text.encode()
        for policy in ("close", "skip"):
            framing = parse("json", max_length=8, on_bad_frame=policy)
            whole = events(framing, [stream], end=True)
            self.assertEqual(events(framing, cut(stream, cuts), end=True), whole)
            self.assertEqual(events(framing, [bytes([byte]) for byte in stream], end=True), whole)

    @settings(max_examples=EXAMPLES)
    @given(st.binary(max_size=4) | documents.map(lambda value: json.dumps(value).encode()), st.binary(max_size=2))
    def test_what_can_be_sent_is_received(self, message: bytes, more: bytes) -> None:
        framing = parse("json")
        for each in (message, message + more):
            try:
                frame = framing.encode(each)
            except FramingError:
                continue
            self.assertEqual(events(framing, [frame], end=True), [each])


class Counting:
    """A Scanner that counts the bytes it is given."""

    def __init__(self, counted: list[int]) -> None:
        self._scanner = Scanner()
        self._counted = counted
        self.begin = self._scanner.begin

    def scan(self, data: bytes, at: int, stop: int) -> int:
        self._counted.append(stop - at)
        return self._scanner.scan(data, at, stop)
