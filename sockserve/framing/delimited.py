"""standard and buffered: a delimiter ends every message.

    Hello World<EOF>       standard: the five bytes <EOF>, unless another delimiter is given
    Hello World\\r\\n        buffered: CR LF, unless another delimiter is given

Origin: PC SOFT's transmission modes 2 (SocketEndTag) and 3 (SocketEndTagBuffer, for the usual Internet protocols). Both
put the same kind of frame on the wire. Its documentation does not say which bytes the default end tag is, so any
delimiter can be set.

A delimiter is exact: with CR LF, a lone CR or LF is data. The leftmost match ends the message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong, TruncatedMessage
from sockserve.framing.escapes import escape
from sockserve.framing.form import need_bytes, need_messages

FIRST_SPAN = 512
"""Bytes. Where many frames are looked at together, so many are at first, and twice as many after each success. So a bad
frame among them costs no more than the good ones before it."""


@dataclass(frozen=True, slots=True)
class Standard(BoundedFraming):
    """delimiter: the bytes that end every message, at least one. overlaps: see `may_overlap`."""

    delimiter: bytes = b"<EOF>"
    overlaps: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        need_bytes(self.delimiter, "a delimiter")
        if not self.delimiter:
            raise ValueError("a delimiter must have at least one byte")
        object.__setattr__(self, "overlaps", may_overlap(self.delimiter))

    def __str__(self) -> str:
        return "standard" if self.delimiter == b"<EOF>" else f"standard:{escape(self.delimiter)}"

    def encode(self, message: bytes) -> bytes:
        return terminate(message, self.check_length(message), self.delimiter)

    def pieces(self, message: bytes) -> list[bytes]:
        if self.overlaps:
            return [self.encode(message)]
        self.check_length(message)
        found = message.find(self.delimiter)
        if found >= 0:
            raise _contains(self.delimiter, found)
        return [message, self.delimiter]

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        messages = list(messages)
        need_messages(messages)
        frames = self.delimiter.join([*messages, b""])
        # If it has no more delimiters than were put there, no message contains one.
        if len(frames) <= self.max_length and not self.overlaps and frames.count(self.delimiter) == len(messages):
            return frames
        return b"".join([self.encode(message) for message in messages])

    def decoder(self) -> DelimitedDecoder:
        return DelimitedDecoder(self, self.delimiter, overlaps=self.overlaps)


@dataclass(frozen=True, slots=True)
class Buffered(Standard):
    """delimiter: the bytes that end every message, at least one."""

    delimiter: bytes = b"\r\n"

    def __str__(self) -> str:
        return "buffered" if self.delimiter == b"\r\n" else f"buffered:{escape(self.delimiter)}"


def may_overlap(delimiter: bytes) -> bool:
    """Whether two delimiters can share bytes, as "aa" can in "aaa": only a search from the left tells them apart."""
    return any(delimiter.startswith(delimiter[at:]) for at in range(1, len(delimiter)))


def terminate(message: bytes, length: int, delimiter: bytes) -> bytes:
    """`message`, of `length` bytes, with its delimiter. Raises InvalidMessage if a reader would find one earlier."""
    frame = message + delimiter
    found = frame.find(delimiter)
    if found != length:
        raise _contains(delimiter, found)
    return frame


def _contains(delimiter: bytes, at: int) -> InvalidMessage:
    return InvalidMessage(f"the message contains the bytes {delimiter!r} that end it, at byte {at}")


def may_still_end(payload: bytes | bytearray, delimiter: bytes, limit: int) -> bool:
    """Whether `payload`, in which no delimiter was found, can still become a message of at most `limit` bytes.

    It can if the bytes over the limit are the start of a delimiter.
    """
    excess = len(payload) - limit
    if excess <= 0:
        return True
    return any(payload.endswith(delimiter[:count]) for count in range(excess, len(delimiter)))


class DelimitedDecoder(FrameDecoder):
    def __init__(self, framing: BoundedFraming, delimiter: bytes, *, overlaps: bool) -> None:
        super().__init__(framing)
        self._delimiter = delimiter
        self._overlaps = overlaps
        # No delimiter starts in _held before this offset.
        self._searched = 0

    def _skip(self, data: bytes) -> bool:
        self._held += data
        return self._skip_to(self._delimiter, len(self._delimiter))

    def _skip_to(self, mark: bytes, more: int) -> bool:
        """Drop everything before the next `mark`, and `more` bytes. False: not found; its possible start is kept."""
        end = self._find(mark)
        if end < 0:
            del self._held[: self._searched]
            self._searched = 0
            return False
        del self._held[: end + more]
        self._to_skip = self._searched = 0
        return True

    def _find(self, mark: bytes) -> int:
        found = self._held.find(mark, self._searched)
        if found < 0:
            self._searched = max(self._searched, len(self._held) - len(mark) + 1)
        return found

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = self._needed = 0
        delimiter = self._delimiter
        size = len(data)
        # A message that ends within this many bytes is not too long. Often all of data does: then one split is enough.
        longest = self._limit + len(delimiter)
        count = 0
        start = 0
        while start < size:
            end = min(start + longest, size)
            if messages is None and not self._overlaps:
                last = data.rfind(delimiter, start, end)
                if last < 0:
                    break
                stop = last + len(delimiter)
                count += data.count(delimiter, start, stop)
            else:
                # Where this is compiled, even a slice of the whole is a copy.
                window = data[start:end] if start or end < size else data
                found = window.split(delimiter)
                stop = end - len(found.pop())
                if not found:
                    break
                if messages is not None:
                    messages += found
                count += len(found)
            start = stop
        if size - start > self._limit and not may_still_end(data[start : start + longest], delimiter, self._limit):
            self._error = MessageTooLong(self._limit)
        return start, count

    def _ready(self) -> bool:
        end = self._find(self._delimiter)
        if end >= 0:
            self._needed = end + len(self._delimiter)
            return True
        if not may_still_end(self._held, self._delimiter, self._limit):
            self._error = MessageTooLong(self._limit)
        return False

    def _recover(self, error: FramingError) -> bool:
        self._to_skip = 1
        self._searched = 0
        return True

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(None, len(held), f"the delimiter {self._delimiter!r}")
