"""lines and lines:lf: lines of text. A line ends in LF; a CR before that is not part of it.

    Hello World\\r\\n       lines
    Hello World\\n         lines:lf

Both understand both, so a peer may send whichever it likes; they differ in what is sent. Origin: telnet and the
Internet's line protocols end a line with CR LF (RFC 854, RFC 5321 section 2.3.8); Unix programs, chats and
newline-delimited JSON (https://github.com/ndjson/ndjson-spec, which accepts both) with LF.

Where a lone CR or LF is data, use `buffered`; where a CR before LF is, `buffered:\\n`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.delimited import DelimitedDecoder, may_still_end
from sockserve.framing.errors import InvalidMessage, MessageTooLong, TruncatedMessage
from sockserve.framing.form import need, need_messages


@dataclass(frozen=True, slots=True)
class Lines(BoundedFraming):
    """lf_only: lines are sent with LF alone, not with CR LF."""

    lf_only: bool = False

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        need(bool, self.lf_only, "lf_only")

    def __str__(self) -> str:
        return "lines:lf" if self.lf_only else "lines"

    def encode(self, message: bytes) -> bytes:
        self._check(message)
        return message + self._ending()

    def pieces(self, message: bytes) -> list[bytes]:
        self._check(message)
        return [message, self._ending()]

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        messages = list(messages)
        need_messages(messages)
        frames = self._ending().join([*messages, b""])
        # If it has no more line ends than were put there, no message contains one.
        if (
            len(frames) <= self.max_length
            and frames.count(b"\n") == len(messages)
            and not (self.lf_only and frames.find(b"\r\n") >= 0)
        ):
            return frames
        return b"".join([self.encode(message) for message in messages])

    def _ending(self) -> bytes:
        return b"\n" if self.lf_only else b"\r\n"

    def _check(self, message: bytes) -> None:
        self.check_length(message)
        found = message.find(b"\n")
        if found >= 0:
            raise InvalidMessage(f"the message contains the byte b'\\n' that ends it, at byte {found}")
        if self.lf_only and message.endswith(b"\r"):
            raise InvalidMessage(f"a line that ends in b'\\r' would be read without it, at byte {len(message) - 1}")

    def decoder(self) -> LinesDecoder:
        return LinesDecoder(self)


class LinesDecoder(DelimitedDecoder):
    def __init__(self, framing: Lines) -> None:
        super().__init__(framing, b"\n", overlaps=False)

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = self._needed = 0
        walked = walk_lines(data, self._limit, messages)
        if is_long(data, walked[0], self._limit):
            self._error = MessageTooLong(self._limit)
        return walked

    def _ready(self) -> bool:
        end = self._find(b"\n")
        if end >= 0:
            self._needed = end + 1
            return True
        if is_long(self._held, 0, self._limit):
            self._error = MessageTooLong(self._limit)
        return False

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(None, len(held), "the line end b'\\n'")


def walk_lines(data: bytes, limit: int, messages: list[bytes] | None) -> tuple[int, int]:
    """For `_walk` of a decoder: the lines of at most `limit` bytes, up to one that is too long or not complete."""
    size = len(data)
    count = 0
    start = 0
    while start < size:
        # A line that ends within these bytes is not too long, with its CR or without.
        end = min(start + limit + 1, size)
        stop = data.rfind(b"\n", start, end) + 1
        if stop:
            if messages is None:
                count += data.count(b"\n", start, stop)
            else:
                # Where this is compiled, even a slice of the whole is a copy.
                found = _lines(data[start:stop] if start or stop < size else data)
                messages += found
                count += len(found)
        elif end < size and data[end - 1] == 13 and data[end] == 10:
            # The longest line, with its CR.
            if messages is not None:
                messages.append(data[start : end - 1])
            count += 1
            stop = end + 1
        else:
            break
        start = stop
    return start, count


def is_long(data: bytes | bytearray, start: int, limit: int) -> bool:
    """Whether a line that starts there, and has not ended, has more than `limit` bytes, whatever comes."""
    # Only a line over the limit is looked at: the slice copies it.
    return len(data) - start > limit and not may_still_end(data[start : start + limit + 2], b"\r\n", limit)


def _lines(data: bytes) -> list[bytes]:
    """The lines in `data`, of which the last byte ends one."""
    if data.find(b"\r") < 0:
        lines = data.split(b"\n")
    else:
        # Mostly all of them end in the same way.
        lines = data.split(b"\r\n")
        if data.count(b"\n") != len(lines) - 1:
            lines = data.replace(b"\r\n", b"\n").split(b"\n")
    lines.pop()
    return lines
