"""envelope:START:END: every message is between a start mark and an end mark.

    \\x02Hello World\\x03          STX and ETX: scales, scanners
    \\x0bHello World\\x1c\\r        MLLP, HL7 version 2 (its Transport Specification, appendix C)

There must be nothing between two frames. The leftmost end mark ends the message; a start mark inside it is data.
"""

from __future__ import annotations

from dataclasses import dataclass

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.delimited import DelimitedDecoder, may_still_end, terminate
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.escapes import escape
from sockserve.framing.form import need_bytes


@dataclass(frozen=True, slots=True)
class Envelope(BoundedFraming):
    """start, end: the marks, at least one byte each."""

    start: bytes
    end: bytes

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        need_bytes(self.start, "a start mark")
        need_bytes(self.end, "an end mark")
        if not self.start or not self.end:
            raise ValueError("the start and the end of an envelope must have at least one byte each")

    def __str__(self) -> str:
        return f"envelope:{escape(self.start, b':')}:{escape(self.end, b':')}"

    def encode(self, message: bytes) -> bytes:
        return self.start + terminate(message, self.check_length(message), self.end)

    def decoder(self) -> EnvelopeDecoder:
        return EnvelopeDecoder(self)


class EnvelopeDecoder(DelimitedDecoder):
    def __init__(self, framing: Envelope) -> None:
        # Its own walk goes from mark to mark.
        super().__init__(framing, framing.end, overlaps=True)
        self._start = framing.start
        # Skipping garbage between two frames, up to the next start mark.
        self._in_garbage = False

    def _skip(self, data: bytes) -> bool:
        if not self._in_garbage:
            return super()._skip(data)
        self._held += data
        self._in_garbage = not self._skip_to(self._start, 0)
        return not self._in_garbage

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = width = len(self._start)
        count = 0
        start = 0
        while start < len(data):
            payload = start + width
            if not data.startswith(self._start, start):
                self._error = self._malformed(data[start:payload])
                break
            stop = data.find(self._delimiter, payload)
            if stop < 0:
                rest = data[payload:]
                if not may_still_end(rest, self._delimiter, self._limit):
                    self._error = MessageTooLong(self._limit)
                break
            if stop - payload > self._limit:
                self._error = MessageTooLong(self._limit)
                break
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = stop + len(self._delimiter)
        return start, count

    def _malformed(self, header: bytes) -> MalformedHeader | None:
        """What is wrong with the bytes where a start mark should be, or None if they are the beginning of one."""
        for at in range(len(header)):
            if header[at] != self._start[at]:
                return MalformedHeader(header[: at + 1], f"a message starts with {self._start!r}")
        return None

    def _ready(self) -> bool:
        width = len(self._start)
        if not self._held.startswith(self._start):
            # Short, and perhaps wrong: the walk finds out.
            return True
        if self._find(self._delimiter) >= 0:
            return True
        # Only look at a payload over the limit: the slice copies it.
        over = len(self._held) - width > self._limit
        if over and not may_still_end(self._held[width:], self._delimiter, self._limit):
            self._error = MessageTooLong(self._limit)
        return False

    def _recover(self, error: FramingError) -> bool:
        self._in_garbage = isinstance(error, MalformedHeader)
        if not self._in_garbage:
            del self._held[: len(self._start)]
        return super()._recover(error)

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if len(held) < len(self._start):
            return TruncatedMessage(None, len(held), f"the rest of the start mark {self._start!r}")
        return TruncatedMessage(None, len(held), f"the end mark {self._delimiter!r}")
