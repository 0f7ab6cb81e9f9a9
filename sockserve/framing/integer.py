"""int8, int16, int32: the payload's length in bytes as an unsigned integer of 1, 2 or 4 bytes, then the payload.

    \\x00\\x00\\x00\\x0bHello World

Origin: Twisted's Int8StringReceiver, Int16StringReceiver and Int32StringReceiver (big-endian, network order); many
devices send the least significant byte first, hence `:little`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MessageTooLong, TruncatedMessage

ByteOrder = Literal["big", "little"]


@dataclass(frozen=True, slots=True)
class Integer(BoundedFraming):
    """size: bytes of the length field: 1, 2 or 4. byteorder: "big" or "little".

    A max_length over the largest length that the field can hold is lowered to it.
    """

    size: int = 4
    byteorder: ByteOrder = "big"

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        if self.size not in (1, 2, 4):
            raise ValueError(f"a length field has 1, 2 or 4 bytes, not {self.size}")
        if self.byteorder not in ("big", "little"):
            raise ValueError(f"byteorder must be 'big' or 'little', not {self.byteorder!r}")
        object.__setattr__(self, "max_length", min(self.max_length, 256**self.size - 1))

    def __str__(self) -> str:
        return f"int{8 * self.size}" + (":little" if self.byteorder == "little" else "")

    def encode(self, message: bytes) -> bytes:
        return self.check_length(message).to_bytes(self.size, self.byteorder) + message

    def decoder(self) -> IntegerDecoder:
        return IntegerDecoder(self)


class IntegerDecoder(FrameDecoder):
    def __init__(self, framing: Integer) -> None:
        super().__init__(framing)
        self._size = framing.size
        self._byteorder = framing.byteorder

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        count = 0
        field = self._size
        last = field - 1 if self._byteorder == "big" else 0
        step = -1 if last else 1
        size = len(data)
        start = 0
        while size - start >= field:
            # Least significant byte first, without a slice or a call for each frame.
            at = start + last
            length = data[at]
            if field > 1:
                length |= data[at + step] << 8
                if field > 2:
                    length |= data[at + 2 * step] << 16 | data[at + 3 * step] << 24
            stop = start + field + length
            if length > self._limit:
                self._error = MessageTooLong(self._limit, length)
                self._bad_length = stop - start
                return start, count
            if stop > size:
                self._needed = stop - start
                return start, count
            if messages is not None:
                messages.append(data[start + field : stop])
            count += 1
            start = stop
        self._needed = field
        return start, count

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if len(held) < self._size:
            return TruncatedMessage(None, len(held), "the rest of the header")
        return TruncatedMessage(int.from_bytes(held[: self._size], self._byteorder), len(held) - self._size)
