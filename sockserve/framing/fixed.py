"""fixed:N: every message has exactly N bytes; there are no framing bytes.

Origin: industrial devices with records of one size; Netty's FixedLengthFrameDecoder.
"""

from __future__ import annotations

from dataclasses import dataclass

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import InvalidMessage, TruncatedMessage
from sockserve.framing.form import need, need_bytes


@dataclass(frozen=True, slots=True)
class Fixed(BoundedFraming):
    """size: the length of every message in bytes, from 1 to max_length."""

    size: int

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        need(int, self.size, "size")
        if not 1 <= self.size <= self.max_length:
            raise ValueError(f"the size of fixed must be 1 to {self.max_length} bytes (max_length), not {self.size}")

    def __str__(self) -> str:
        return f"fixed:{self.size}"

    def encode(self, message: bytes) -> bytes:
        if type(message) is not bytes:
            need_bytes(message, "a message")
        self.around(len(message))
        return message

    def around(self, length: int) -> tuple[bytes, bytes] | None:
        if length != self.size:
            raise InvalidMessage(f"a message of fixed:{self.size} has {self.size} bytes, not {length}")
        return b"", b""

    def decoder(self) -> FixedDecoder:
        return FixedDecoder(self)


class FixedDecoder(FrameDecoder):
    def __init__(self, framing: Fixed) -> None:
        super().__init__(framing)
        self._size = framing.size

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        size = self._needed = self._size
        count = len(data) // size
        end = count * size
        if messages is not None:
            messages += [data[start : start + size] for start in range(0, end, size)]
        return end, count

    def _payload_start(self, frame: bytes | bytearray) -> int:
        return 0

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(self._size, len(held))
