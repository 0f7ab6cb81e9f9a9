"""json: objects and arrays, one after the other, with or without white space between them.

    {"Hello": "World"}[1, 2]

Origin: what programs send that write JSON texts (RFC 8259) to a socket as they are; Netty's JsonObjectDecoder takes the
same. A message is the bytes of an object or an array, from its first bracket to its last. Space, tab, CR and LF between
two are skipped. A text that is only a string, a number or a literal is refused: where a number ends, no one can tell.

This finds the end of a text, and is no validator: brackets must come in pairs of the same kind, at most DEEPEST inside
each other, and those in strings do not count; what else is between them is for a JSON parser to judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.form import compiled

if TYPE_CHECKING:
    # An int for Python; a machine word where this is compiled, which makes the loops three times as fast.
    from mypy_extensions import i64

DEEPEST: Final = 512
"""Brackets inside each other. Many parsers give up at 1000 or so."""

# Bytes up to a wrong bracket that an error shows.
_SHOWN: Final = 32

# Where that is fast, bytes are looked at one by one; only the end of a long string is found faster otherwise.
_NEAR: Final = 64 if compiled else 0
# Elsewhere: up to the next bracket, over strings without escapes. Bounded, since each round is remembered; the whole is
# not possessive, because Python 3.11 before 3.11.5 gets that wrong.
_SKIP = None if compiled else re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+"){0,500}').match

_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C
_OPEN_ARRAY: Final = 0x5B
_OPEN_OBJECT: Final = 0x7B
_CLOSE_OBJECT: Final = 0x7D
_BRACE: Final = 0x20
# From an opening bracket to its closing one, of either kind.
_TO_CLOSING: Final = 2

_FIRST: Final = "a message is an object or an array, and starts with { or ["


@dataclass(frozen=True, slots=True)
class Json(BoundedFraming):
    """`{"Hello": "World"}`."""

    def __str__(self) -> str:
        return "json"

    def encode(self, message: bytes) -> bytes:
        length = self.check_length(message)
        if not length or message[0] not in (_OPEN_OBJECT, _OPEN_ARRAY):
            raise InvalidMessage(f"{_FIRST}, not with {message[:1]!r}")
        scanner = Scanner()
        end = scanner.scan(message, 0, length)
        if not end:
            raise InvalidMessage("the object or array has no end")
        if end < 0:
            raise InvalidMessage(f"{scanner.rule}, at byte {scanner.at}")
        if end < length:
            raise InvalidMessage(f"something follows the object or array, at byte {end}")
        return message

    def decoder(self) -> JsonDecoder:
        return JsonDecoder(self)


class Scanner:
    """Looks for the end of one object or array.

    pairs: False: only count brackets, whatever their kind and however many there are.
    rule, at: what is wrong, and where, after `scan` has returned -1.
    """

    def __init__(self) -> None:
        self._near = _NEAR
        self._skip = _SKIP
        # The closing brackets that are due.
        self._due: list[int] = []
        self.begin()

    def begin(self, *, pairs: bool = True) -> None:
        """Forget everything: the first byte of another one comes next."""
        self.pairs = pairs
        self.rule = ""
        self.at = 0
        self._depth = 0
        if self._due:
            self._due.clear()
        self._in_string = False
        # The next byte is part of an escape.
        self._escaped = False

    def scan(self, data: bytes, start: int, stop: int) -> int:
        """Go on with data[start:stop]. The place after the last bracket; 0: it is not there; -1: something is wrong."""
        skip = self._skip
        due = self._due
        at: i64 = start
        end: i64 = stop
        depth: i64 = self._depth
        pairs = self.pairs
        if self._in_string:
            at = self._string(data, start, stop)
        while at < end:
            if skip is not None:
                match = skip(data, at, end)
                assert match is not None
                at = match.end()
                if at == end:
                    break
            byte: i64 = data[at]
            at += 1
            # The brackets of arrays and objects differ in this bit.
            bracket: i64 = byte | _BRACE
            if byte == _QUOTE:
                near: i64 = min(end, at + self._near)
                while at < near:
                    byte = data[at]
                    if byte in (_QUOTE, _BACKSLASH):
                        break
                    at += 1
                if at < near and byte == _QUOTE:
                    at += 1
                else:
                    self._in_string = True
                    at = self._string(data, at, stop)
            elif bracket == _OPEN_OBJECT:
                depth += 1
                if pairs:
                    if depth > DEEPEST:
                        return self._refuse(at - 1, f"more than {DEEPEST} brackets are inside each other")
                    due.append(byte + _TO_CLOSING)
            elif bracket == _CLOSE_OBJECT:
                depth -= 1
                if pairs and due.pop() != byte:
                    wanted = "]" if byte == _CLOSE_OBJECT else "}"
                    return self._refuse(at - 1, f"{chr(byte)} stands where {wanted} is due")
                if depth == 0:
                    return at
        self._depth = depth
        return 0

    def _string(self, data: bytes, at: int, stop: int) -> int:
        """Go on inside a string. The place after its end, or `stop`."""
        if self._escaped and at < stop:
            self._escaped = False
            at += 1
        while at < stop:
            quote = data.find(b'"', at, stop)
            end = stop if quote < 0 else quote
            # After an odd number of backslashes the next byte is part of an escape.
            back = end
            while back > at and data[back - 1] == _BACKSLASH:
                back -= 1
            escaped = (end - back) % 2 == 1
            if quote < 0:
                self._escaped = escaped
                return stop
            at = quote + 1
            if not escaped:
                self._in_string = False
                break
        return at

    def _refuse(self, at: int, rule: str) -> int:
        self.at = at
        self.rule = rule
        return -1


class JsonDecoder(FrameDecoder):
    def __init__(self, framing: Json) -> None:
        super().__init__(framing)
        self._scanner = Scanner()
        # How many bytes of _held have been scanned; 0: none, and there may be white space before the text.
        self._scanned = 0

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        scanner = self._scanner
        # The end of the first text, where it is known.
        end = self._needed
        self._needed = self._scanned = 0
        count = 0
        size = len(data)
        start = 0
        while start < size:
            byte = data[start]
            if byte in (0x20, 0x0A, 0x0D, 0x09):
                start += 1
                continue
            if byte not in (_OPEN_OBJECT, _OPEN_ARRAY):
                self._error = MalformedHeader(data[start : start + 1], _FIRST)
                break
            if not end:
                stop = min(size, start + self._limit)
                scanner.begin()
                end = scanner.scan(data, start, stop)
                if end < 0:
                    self._error = self._wrong(data[start:stop], scanner.at - start)
                    break
                if not end:
                    self._scanned = stop - start
                    if stop < size:
                        self._error = MessageTooLong(self._limit)
                    break
            if messages is not None:
                messages.append(data[start:end])
            count += 1
            start = end
            end = 0
        return start, count

    def _wrong(self, frame: bytes | bytearray, at: int) -> FramingError:
        return MalformedHeader(bytes(frame[max(0, at + 1 - _SHOWN) : at + 1]), self._scanner.rule)

    def _ready(self) -> bool:
        held = self._held
        before = self._scanned
        if not before:
            return True
        fresh = bytes(memoryview(held)[before : self._limit])
        end = self._scanner.scan(fresh, 0, len(fresh))
        self._scanned += len(fresh)
        if end > 0:
            self._needed = before + end
        elif end < 0:
            self._error = self._wrong(held, before + self._scanner.at)
        elif len(held) > self._limit:
            self._error = MessageTooLong(self._limit)
        return end > 0

    def _recover(self, error: FramingError) -> bool:
        if not isinstance(error, MessageTooLong):
            return False
        self._to_skip = 1
        self._scanner.begin(pairs=False)
        return True

    def _skip(self, data: bytes) -> bool:
        rest = bytes(self._held) + data
        self._held.clear()
        end = self._scanner.scan(rest, 0, len(rest))
        if not end:
            return False
        self._held += memoryview(rest)[end:]
        self._to_skip = self._scanned = 0
        return True

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(None, len(held), f"the closing {chr(held[0] + _TO_CLOSING)}")
