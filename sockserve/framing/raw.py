"""raw: no framing. The bytes of one read are a message.

Origin: Winsock's recv and send; PC SOFT's transmission mode without an end tag, which it recommends for peers that are
not written in WINDEV.
"""

from __future__ import annotations

from dataclasses import dataclass

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import State
from sockserve.framing.form import need, need_bytes


@dataclass(frozen=True, slots=True)
class Raw(BoundedFraming):
    """read_size: the largest message in bytes; a longer read is split into several. None: max_length."""

    read_size: int | None = None

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        if self.read_size is not None:
            need(int, self.read_size, "read_size")
            if self.read_size < 1:
                raise ValueError(f"the read size of raw must be at least 1 byte, not {self.read_size}")

    def __str__(self) -> str:
        return "raw" if self.read_size is None else f"raw:{self.read_size}"

    def encode(self, message: bytes) -> bytes:
        self.check_length(message)
        return message

    def decoder(self) -> RawDecoder:
        return RawDecoder(self)


class RawDecoder:
    """Holds nothing back and refuses nothing."""

    def __init__(self, framing: Raw) -> None:
        self.state: State = "idle"
        self.pending = 0
        self._size = min(framing.read_size or framing.max_length, framing.max_length)
        # The input of the last call.
        self._read = b""

    def decode(self, data: bytes) -> list[bytes]:
        need_bytes(data, "the input")
        self._read = data
        size = self._size
        if len(data) <= size:
            return [data] if data else []
        return [data[start : start + size] for start in range(0, len(data), size)]

    def scan(self, data: bytes) -> tuple[bytes, int]:
        need_bytes(data, "the input")
        self._read = data
        return data, -(-len(data) // self._size)

    def finish(self) -> None:
        pass

    def take(self, messages: int = 0) -> bytes:
        read, self._read = self._read, b""
        count = -(-len(read) // self._size)
        return read[max(0, count - messages) * self._size :]

    def skip(self, data: bytes) -> bool:
        return True
