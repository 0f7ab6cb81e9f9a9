"""envelope:START:END:CHECK: an envelope with a checksum after the end mark.

    \\x02Hello World\\x03#               envelope:\\x02:\\x03:lrc: payment terminals, scales
    \\x02Hello World\\x031F\\r\\n         envelope:\\x02:\\x03:astm: laboratory instruments

The checksum covers what is between the start mark and the end of the end mark, this included, as in ASTM E1381 section
6.3 (from the byte after STX to ETX) and ISO 1155. It is not part of the message. `sockserve.framing.checks` has the
names. The leftmost end mark ends the message; whatever follows it is the checksum, also where it looks like a mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.checks import ACCEPTED, CHECKS, Check
from sockserve.framing.delimited import may_overlap, may_still_end, terminate
from sockserve.framing.envelope import EnvelopeDecoder, check_marks
from sockserve.framing.errors import FramingError, MessageTooLong, TruncatedMessage, WrongCheck
from sockserve.framing.escapes import escape
from sockserve.framing.form import compiled, need

if TYPE_CHECKING:
    # An int for Python; a machine word where this is compiled.
    from mypy_extensions import i64

_NEAR: Final = 64 if compiled else 1
"""In so many bytes, a loop finds an end mark faster than a call does."""


@dataclass(frozen=True, slots=True)
class CheckedEnvelope(BoundedFraming):
    """start, end: the marks, at least one byte each, and different. check: the name of the checksum."""

    start: bytes
    end: bytes
    check: str

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        check_marks(self.start, self.end)
        need(str, self.check, "a check")
        if self.start == self.end:
            raise ValueError(
                "START and END of an envelope with a CHECK must differ, to be told apart after a bad frame"
            )
        if self.check not in CHECKS:
            raise ValueError(f"unknown CHECK {self.check!r}: use {ACCEPTED}")

    def __str__(self) -> str:
        return f"envelope:{escape(self.start, b':')}:{escape(self.end, b':')}:{self.check}"

    def encode(self, message: bytes) -> bytes:
        covered = terminate(message, self.check_length(message), self.end)
        return self.start + covered + CHECKS[self.check].of(covered)

    def decoder(self) -> CheckedDecoder:
        return CheckedDecoder(self)


class CheckedDecoder(EnvelopeDecoder):
    def __init__(self, framing: CheckedEnvelope) -> None:
        super().__init__(framing, framing.start, framing.end, overlaps=may_overlap(framing.end))
        self._check: Check = CHECKS[framing.check]
        # Skipping what is left of a checksum.
        self._in_check = False

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = len(self._start)
        width: i64 = len(self._start)
        first: i64 = self._start[0]
        mark = self._delimiter
        mark_size: i64 = len(mark)
        mark_first: i64 = mark[0]
        longest: i64 = self._limit + len(mark)
        check = self._check
        check_size: i64 = check.width
        size: i64 = len(data)
        count: i64 = 0
        start: i64 = 0
        while start < size:
            payload: i64 = start + width
            # To look at a byte takes less time than a call.
            if data[start] != first or (width > 1 and not data.startswith(self._start, start)):
                self._error = self._malformed(data[start:payload])
                break
            end: i64 = min(payload + longest, size)
            stop: i64 = payload
            near: i64 = min(end, payload + _NEAR)
            while stop < near and data[stop] != mark_first:
                stop += 1
            if stop >= near or mark_size > 1:
                stop = data.find(mark, stop, end)
            if stop < 0:
                if not may_still_end(data[payload:end], mark, self._limit):
                    self._error = MessageTooLong(self._limit)
                break
            after: i64 = stop + mark_size
            behind: i64 = after + check_size
            if behind > size:
                break
            if not check.stands(data, payload, after):
                self._error = WrongCheck(check.name, data[after:behind], check.of(data[payload:after]))
                self._bad_length = int(behind - start)
                break
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = behind
        return int(start), int(count)

    def _ready(self) -> bool:
        # After a bad frame the search begins anew.
        self._searched = max(self._searched, len(self._start))
        if not super()._ready():
            return False
        if not self._held.startswith(self._start):
            return True
        end = self._find(self._delimiter)
        if end - len(self._start) > self._limit:
            return True
        return len(self._held) >= end + len(self._delimiter) + self._check.width

    def _recover(self, error: FramingError) -> bool:
        self._in_check = isinstance(error, WrongCheck)
        if self._in_check:
            self._to_skip = self._bad_length
            return True
        return super()._recover(error)

    def _skip(self, data: bytes) -> bool:
        if self._in_garbage:
            return super()._skip(data)
        if not self._in_check:
            if not super()._skip(data):
                return False
            data = b""
            self._in_check = True
            self._to_skip = self._check.width
        self._held += data
        count = min(self._to_skip, len(self._held))
        del self._held[:count]
        self._to_skip -= count
        return self._to_skip == 0

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if held.find(self._delimiter, len(self._start)) >= 0:
            return TruncatedMessage(None, len(held), f"the rest of the check ({self._check.name})")
        return super()._truncated(held)
