"""envelope:START:END: every message is between a start mark and an end mark.

    \\x02Hello World\\x03          STX and ETX: scales, scanners
    \\x0bHello World\\x1c\\r        the marks of MLLP (`mllp` also ignores line ends between two frames)

There must be nothing between two frames. The leftmost end mark ends the message; a start mark inside it is data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.delimited import FIRST_SPAN, DelimitedDecoder, may_overlap, may_still_end, terminate
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.escapes import escape
from sockserve.framing.form import need_bytes, need_messages


@dataclass(frozen=True, slots=True)
class Envelope(BoundedFraming):
    """start, end: the marks, at least one byte each. overlaps: see `may_overlap`, of end marks."""

    start: bytes
    end: bytes
    overlaps: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        check_marks(self.start, self.end)
        object.__setattr__(self, "overlaps", may_overlap(self.end))

    def __str__(self) -> str:
        return f"envelope:{escape(self.start, b':')}:{escape(self.end, b':')}"

    def encode(self, message: bytes) -> bytes:
        return self.start + terminate(message, self.check_length(message), self.end)

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        messages = list(messages)
        need_messages(messages)
        if not messages:
            return b""
        frames = self.start + (self.end + self.start).join(messages) + self.end
        # If it has no more end marks than were put there, no message contains one.
        if len(frames) <= self.max_length and not self.overlaps and frames.count(self.end) == len(messages):
            return frames
        return b"".join([self.encode(message) for message in messages])

    def decoder(self) -> EnvelopeDecoder:
        return EnvelopeDecoder(self, self.start, self.end, overlaps=self.overlaps)


def check_marks(start: object, end: object) -> None:
    """Raise TypeError for what is not bytes, and ValueError for none."""
    need_bytes(start, "a start mark")
    need_bytes(end, "an end mark")
    if not start or not end:
        raise ValueError("the start and the end of an envelope must have at least one byte each")


class EnvelopeDecoder(DelimitedDecoder):
    """ignores_lines: CR and LF between two frames are ignored."""

    def __init__(
        self, framing: BoundedFraming, start: bytes, end: bytes, *, overlaps: bool, ignores_lines: bool = False
    ) -> None:
        super().__init__(framing, end, overlaps=overlaps)
        self._start = start
        self._ignores_lines = ignores_lines
        # What is between two messages. All of them can be found by it at once, unless an end mark can be somewhere else
        # in the marks themselves.
        self._between = end + start
        self._splits = not overlaps and end not in start
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
        mark = self._delimiter
        between = self._between
        splits = self._splits
        size = len(data)
        # Where no more than one bad frame can come, all can be looked at together.
        span = FIRST_SPAN if self._may_skip else size
        count = 0
        start = 0
        while start < size:
            if self._ignores_lines:
                # CR and LF.
                while start < size and (data[start] == 13 or data[start] == 10):
                    start += 1
                if start == size:
                    break
            payload = start + width
            if not data.startswith(self._start, start):
                self._error = self._malformed(data[start:payload])
                break
            # A message that ends within these bytes is not too long.
            end = min(payload + self._limit + len(mark), size)
            stop = data.rfind(mark, payload, min(start + span, end)) if splits else -1
            if stop < 0:
                stop = data.find(mark, payload, end)
            if stop < 0:
                if not may_still_end(data[payload:end], mark, self._limit):
                    self._error = MessageTooLong(self._limit)
                break
            # Up to the last end mark all is right if each one before it is followed by a start mark, and these pairs
            # share no bytes. Otherwise, go on from mark to mark.
            if messages is None:
                ends = data.count(mark, payload, stop) if splits else 0
                if ends and data.count(between, payload, stop) != ends:
                    splits = False
                    continue
                count += ends + 1
            elif splits:
                found = data[payload:stop].split(between)
                if data.count(mark, payload, stop) != len(found) - 1:
                    splits = False
                    continue
                messages += found
                count += len(found)
            else:
                messages.append(data[payload:stop])
                count += 1
            start = stop + len(mark)
            span *= 2
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
