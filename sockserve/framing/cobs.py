"""cobs: consistent overhead byte stuffing, and a zero byte after each message.

    \\x0cHello World\\x00

A message is sent in blocks of up to 254 bytes that are not zero, each after a code: the number of its bytes plus one.
After a block with a code below 255, the message has a zero byte, but not after the last one. Origin: S. Cheshire and M.
Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999.

After a last block of 254 bytes, some senders, that of the paper among them, put the code of an empty one; here it is
not sent, and understood. Zero bytes between two frames are ignored: many senders begin a frame with one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.delimited import FIRST_SPAN, DelimitedDecoder
from sockserve.framing.errors import MalformedPayload, MessageTooLong, TruncatedMessage

ZERO: Final = b"\0"
_FULL: Final = 254
"""The bytes in the longest block, which no zero byte follows."""

_CODES = [bytes([size + 1]) for size in range(_FULL + 1)]
"""The codes of blocks, by the number of their bytes."""


@dataclass(frozen=True, slots=True)
class Cobs(BoundedFraming):
    def __str__(self) -> str:
        return "cobs"

    def encode(self, message: bytes) -> bytes:
        length = self.check_length(message)
        if length <= _FULL and message.find(ZERO) < 0:
            return _CODES[length] + message + ZERO
        blocks: list[bytes] = []
        runs = message.split(ZERO)
        last = runs.pop()
        for run in runs:
            start = 0
            while len(run) - start >= _FULL:
                blocks += (_CODES[_FULL], run[start : start + _FULL])
                start += _FULL
            blocks += (_CODES[len(run) - start], run[start:])
        start = 0
        while len(last) - start > _FULL:
            blocks += (_CODES[_FULL], last[start : start + _FULL])
            start += _FULL
        blocks += (_CODES[len(last) - start], last[start:], ZERO)
        return b"".join(blocks)

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        return b"".join([self.encode(message) for message in messages])

    def decoder(self) -> CobsDecoder:
        return CobsDecoder(self)


def _unstuffed(blocks: bytes) -> bytes:
    """The message in blocks whose codes are good."""
    message = bytearray(blocks)
    parts: list[bytearray] = []
    start = 1
    code = at = blocks[0]
    while at < len(blocks):
        if code > _FULL:
            parts.append(message[start:at])
            start = at + 1
        else:
            message[at] = 0
        code = blocks[at]
        at += code
    parts.append(message[start:])
    return b"".join(parts)


class CobsDecoder(DelimitedDecoder):
    def __init__(self, framing: Cobs) -> None:
        super().__init__(framing, ZERO, overlaps=False)
        # The most bytes that the blocks of a message within the limit can have.
        self._longest = self._limit + self._limit // _FULL + 1

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = self._needed = 0
        count = 0
        start = 0
        # A bad frame may be anywhere: what is looked at in vain is no more than what was good before it.
        span = FIRST_SPAN
        while start < len(data):
            found: list[bytes] | None = None if messages is None else []
            stop, frames, zeros = self._follow(data, start, start + span, found)
            if stop == start or data.count(ZERO, start, stop) != zeros:
                # It is not good or not complete, or there is a zero byte inside a block.
                break
            if messages is not None and found is not None:
                messages += found
            count += frames
            start = stop
            span *= 2
        return self._walk_singly(data, messages, start, count)

    def _follow(self, data: bytes, start: int, end: int, messages: list[bytes] | None) -> tuple[int, int, int]:
        """Go from code to code, as if no zero byte could be inside a block, up to a frame that is not good or complete,
        or starts at `end`.

        Where that starts, the number of frames before it, and that of the zero bytes seen.
        """
        size = len(data)
        limit = self._limit
        count = zeros = 0
        end = min(end, size)
        while start < end:
            code = data[start]
            stop = start + code
            if stop >= size:
                break
            if not code:
                zeros += 1
                start += 1
                continue
            following = data[stop]
            if not following:
                if code - 1 > limit:
                    break
                if messages is not None:
                    messages.append(data[start + 1 : stop])
            else:
                # Several blocks. No byte of the message stands for a code after a full one.
                over = 1
                zero = data.find(ZERO, start)
                while stop < zero:
                    if code > _FULL:
                        over += 1
                    code = data[stop]
                    stop += code
                if stop != zero or stop - start - over > limit:
                    break
                if messages is not None:
                    messages.append(_unstuffed(data[start:stop]))
            count += 1
            zeros += 1
            start = stop + 1
        return start, count, zeros

    def _walk_singly(self, data: bytes, messages: list[bytes] | None, start: int, count: int) -> tuple[int, int]:
        """Frame by frame, after the first `count` of them, which end at `start`."""
        size = len(data)
        while start < size:
            if not data[start]:
                start += 1
                continue
            stop = data.find(ZERO, start)
            end = stop if stop >= 0 else size
            if end - start > self._longest:
                self._error = MessageTooLong(self._limit)
                break
            if stop < 0:
                break
            at = start
            code = 0
            while at < stop:
                code = data[at]
                at += code
            if at > stop:
                rule = f"a block has {code - 1} bytes, and a zero byte comes after {stop - at + code - 1}"
                self._error = MalformedPayload(data[at - code : at - code + 1], rule)
                break
            message = _unstuffed(data[start:stop])
            if len(message) > self._limit:
                self._error = MessageTooLong(self._limit)
                break
            if messages is not None:
                messages.append(message)
            count += 1
            start = stop + 1
        return start, count

    def _ready(self) -> bool:
        end = self._find(ZERO)
        if end >= 0:
            self._needed = end + 1
            return True
        if len(self._held) > self._longest:
            self._error = MessageTooLong(self._limit)
        return False

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(None, len(held), "the zero byte that ends it")
