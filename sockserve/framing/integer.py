"""int8, int16, int32: the payload's length in bytes as an unsigned integer of 1, 2 or 4 bytes, then the payload.

    \\x00\\x00\\x00\\x0bHello World

Origin: Twisted's Int8StringReceiver, Int16StringReceiver and Int32StringReceiver (big-endian, network order); many
devices send the least significant byte first, hence `:little`.

The decoder reads length fields anywhere in a header; `sockserve.framing.length` has the framings for those.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.form import compiled, need
from sockserve.framing.prefixed import PrefixedFraming

ByteOrder = Literal["big", "little"]

# Faster than reading a length byte by byte, unless that is compiled.
_UNPACK: dict[tuple[int, str], Callable[[bytes, int], tuple[int]]] = (
    {}
    if compiled
    else {
        (size, order): struct.Struct(mark + field).unpack_from
        for order, mark in (("big", ">"), ("little", "<"))
        for size, field in ((2, "H"), (4, "I"), (8, "Q"))
    }
)


@dataclass(frozen=True, slots=True)
class LengthField:
    """Where a frame says its length, and how.

    size: of the field in bytes. byteorder: "big" or "little".
    at: the number of bytes before it.
    extra: how many bytes more the frame has than the field says.
    whole: the message is the frame with its header; otherwise it is what follows the field.
    mark, mark_at: no bytes, one or two that every header has there. mark_rule: says so.
    """

    size: int
    byteorder: str
    at: int = 0
    extra: int = 0
    whole: bool = False
    mark: bytes = b""
    mark_at: int = 0
    mark_rule: str = ""

    def header(self) -> int:
        """The number of bytes up to the end of the field."""
        return self.at + self.size

    def start(self) -> int:
        """Where in the frame its message starts."""
        return 0 if self.whole else self.header()

    def least(self) -> int:
        """The length of the shortest message."""
        return max(self.header(), self.extra) - self.start()

    def bounded(self, max_length: int) -> int:
        """max_length, lowered to the largest length that the field can express. Raises ValueError if it allows none."""
        most = min(max_length, (1 << 8 * self.size) - 1 + self.extra - self.start())
        if most < max(self.least(), 1):
            raise ValueError(f"a message would have at least {max(self.least(), 1)} bytes, and at most {most}")
        return most

    def value(self, header: bytes) -> int:
        """What the field in these bytes says."""
        field = header[self.at : self.header()]
        value = 0
        for byte in field if self.byteorder == "big" else reversed(field):
            value = value * 256 + byte
        return value

    def fault(self, header: bytes) -> MalformedHeader | None:
        """What is wrong with a header, apart from a length over the limit."""
        for offset, byte in enumerate(self.mark, self.mark_at):
            if header[offset] != byte:
                return MalformedHeader(header[: offset + 1], self.mark_rule)
        length = self.value(header) + self.extra
        if length < self.header():
            rule = f"a frame has at least the {self.header()} bytes of its header, and this one would have {length}"
            return MalformedHeader(header, rule)
        return None


@dataclass(frozen=True, slots=True)
class Integer(PrefixedFraming):
    """size: of the length field in bytes: 1, 2 or 4. byteorder: "big" or "little".

    max_length is lowered to the largest length that the field can hold.
    """

    size: int = 4
    byteorder: ByteOrder = "big"
    # Made once for all decoders.
    length_field: LengthField = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        PrefixedFraming.__post_init__(self)
        need(int, self.size, "size")
        if self.size not in (1, 2, 4):
            raise ValueError(f"a length field has 1, 2 or 4 bytes, not {self.size}")
        need_byteorder(self.byteorder)
        object.__setattr__(self, "max_length", min(self.max_length, 256**self.size - 1))
        object.__setattr__(self, "length_field", LengthField(self.size, self.byteorder, extra=self.size))

    def __str__(self) -> str:
        return f"int{8 * self.size}" + (":little" if self.byteorder == "little" else "")

    def _header(self, length: int) -> bytes:
        return length.to_bytes(self.size, self.byteorder)

    def decoder(self) -> IntegerDecoder:
        return IntegerDecoder(self, self.length_field)


def need_byteorder(byteorder: object) -> None:
    need(str, byteorder, "byteorder")
    if byteorder not in ("big", "little"):
        raise ValueError(f"byteorder must be 'big' or 'little', not {byteorder!r}")


class IntegerDecoder(FrameDecoder):
    def __init__(self, framing: BoundedFraming, field: LengthField) -> None:
        super().__init__(framing)
        self._field = field
        self._start = field.start()
        # The smallest length that the field may say, and the largest.
        self._least = field.header() - field.extra
        self._most = self._limit + field.start() - field.extra
        self._unpack = _UNPACK.get((field.size, field.byteorder))

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        count = 0
        size = len(data)
        field = self._field
        width = field.size
        place = field.at
        header = place + width
        extra = field.extra
        least = self._least
        most = self._most
        before = self._start
        unpack = self._unpack
        big = field.byteorder == "big"
        one = width == 1
        four = width == 4 and big
        two = width == 2 and big
        eight = width == 8 and big
        mark = field.mark
        marked = len(mark) > 0
        mark_at = field.mark_at
        # From the most significant byte of a length to the least.
        step = 1 if big else -1
        first = place if big else header - 1
        span = width * step
        start = 0
        payload = header
        while payload <= size:
            if unpack is not None:
                (length,) = unpack(data, start + place)
            elif one:
                # The most usual kinds of length; written out they take half the time.
                length = data[start + place]
            elif four:
                at = start + place
                length = ((data[at] * 256 + data[at + 1]) * 256 + data[at + 2]) * 256 + data[at + 3]
            elif two:
                at = start + place
                length = data[at] * 256 + data[at + 1]
            elif eight:
                at = start + place
                high = ((data[at] * 256 + data[at + 1]) * 256 + data[at + 2]) * 256 + data[at + 3]
                length = ((data[at + 4] * 256 + data[at + 5]) * 256 + data[at + 6]) * 256 + data[at + 7]
                if high:
                    length += high * 0x1_0000_0000
            else:
                length = 0
                at = start + first
                end = at + span
                while at != end:
                    length = length * 256 + data[at]
                    at += step
            if length < least or (
                marked and (data[start + mark_at] != mark[0] or data[start + mark_at + len(mark) - 1] != mark[-1])
            ):
                self._error = field.fault(data[start:payload])
                return start, count
            stop = start + length + extra
            if length > most:
                self._error = MessageTooLong(self._limit, length - most + self._limit)
                self._bad_length = stop - start
                return start, count
            if stop > size:
                self._needed = stop - start
                return start, count
            if messages is not None:
                messages.append(data[start + before : stop])
            count += 1
            start = stop
            payload = start + header
        self._needed = header
        return start, count

    def _payload_start(self, frame: bytes | bytearray) -> int:
        return self._start

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if len(held) < self._field.header():
            return TruncatedMessage(None, len(held), "the rest of the header")
        return TruncatedMessage(self._field.value(held) + self._field.extra - self._start, len(held) - self._start)
