"""int8, int16, int32: the payload's length in bytes as an unsigned integer of 1, 2 or 4 bytes, then the payload.

    \\x00\\x00\\x00\\x0bHello World

Origin: Twisted's Int8StringReceiver, Int16StringReceiver and Int32StringReceiver (big-endian, network order); many
devices send the least significant byte first, hence `:little`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MessageTooLong, TruncatedMessage
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
        for size, field in ((2, "H"), (4, "I"))
    }
)


@dataclass(frozen=True, slots=True)
class Integer(PrefixedFraming):
    """size: of the length field in bytes: 1, 2 or 4. byteorder: "big" or "little".

    max_length is lowered to the largest length that the field can hold.
    """

    size: int = 4
    byteorder: ByteOrder = "big"

    def __post_init__(self) -> None:
        PrefixedFraming.__post_init__(self)
        need(int, self.size, "size")
        need(str, self.byteorder, "byteorder")
        if self.size not in (1, 2, 4):
            raise ValueError(f"a length field has 1, 2 or 4 bytes, not {self.size}")
        if self.byteorder not in ("big", "little"):
            raise ValueError(f"byteorder must be 'big' or 'little', not {self.byteorder!r}")
        object.__setattr__(self, "max_length", min(self.max_length, 256**self.size - 1))

    def __str__(self) -> str:
        return f"int{8 * self.size}" + (":little" if self.byteorder == "little" else "")

    def _header(self, length: int) -> bytes:
        return length.to_bytes(self.size, self.byteorder)

    def decoder(self) -> IntegerDecoder:
        return IntegerDecoder(self)


class IntegerDecoder(FrameDecoder):
    def __init__(self, framing: Integer) -> None:
        super().__init__(framing)
        self._size = framing.size
        self._byteorder = framing.byteorder
        self._unpack = _UNPACK.get((framing.size, framing.byteorder))

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        count = 0
        size = len(data)
        limit = self._limit
        field = self._size
        unpack = self._unpack
        usual = field == 4 and self._byteorder == "big"
        # From the most significant byte of a length to the least.
        step = 1 if self._byteorder == "big" else -1
        first = 0 if step > 0 else field - 1
        span = field * step
        start = 0
        payload = field
        while payload <= size:
            if unpack is not None:
                (length,) = unpack(data, start)
            elif usual:
                # The most usual kind of length; written out it takes half the time.
                length = ((data[start] * 256 + data[start + 1]) * 256 + data[start + 2]) * 256 + data[start + 3]
            else:
                length = 0
                at = start + first
                end = at + span
                while at != end:
                    length = length << 8 | data[at]
                    at += step
            stop = payload + length
            if length > limit:
                self._error = MessageTooLong(limit, length)
                self._bad_length = stop - start
                return start, count
            if stop > size:
                self._needed = stop - start
                return start, count
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = stop
            payload = start + field
        self._needed = field
        return start, count

    def _payload_start(self, frame: bytes | bytearray) -> int:
        return self._size

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if len(held) < self._size:
            return TruncatedMessage(None, len(held), "the rest of the header")
        return TruncatedMessage(int.from_bytes(held[: self._size], self._byteorder), len(held) - self._size)
