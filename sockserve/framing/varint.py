"""varint: the payload's length in bytes as a base-128 number, then the payload.

    \\x0bHello World

Seven bits in each byte, the least significant group first; the high bit says that another byte follows. Origin:
protobuf's delimited streams, https://protobuf.dev/programming-guides/encoding/#varints. An encoding longer than
necessary is refused, so that every message has exactly one wire form.
"""

from __future__ import annotations

from dataclasses import dataclass

from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.prefixed import PrefixedFraming


def encode_number(number: int) -> bytes:
    """`number` (0 or more) in base 128."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


@dataclass(frozen=True, slots=True)
class Varint(PrefixedFraming):
    def __str__(self) -> str:
        return "varint"

    def _header(self, length: int) -> bytes:
        return encode_number(length)

    def decoder(self) -> VarintDecoder:
        return VarintDecoder(self)


class VarintDecoder(FrameDecoder):
    def __init__(self, framing: Varint) -> None:
        super().__init__(framing)
        self._groups = len(encode_number(self._limit))

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        count = 0
        size = len(data)
        start = 0
        while start < size:
            at = start
            byte = data[at]
            length = byte & 0x7F
            shift = 7
            last = min(size, start + self._groups) - 1
            while byte & 0x80 and at < last:
                at += 1
                byte = data[at]
                length |= (byte & 0x7F) << shift
                shift += 7
            if byte & 0x80:
                if at + 1 - start == self._groups:
                    rule = f"more bytes than the {self._groups} that max_length ({self._limit}) needs"
                    self._error = MalformedHeader(data[start : at + 1], rule)
                self._needed = size - start + 1
                break
            if not byte and at > start:
                self._error = MalformedHeader(data[start : at + 1], "longer than its number needs")
                break
            stop = at + 1 + length
            if length > self._limit:
                self._error = MessageTooLong(self._limit, length)
                self._bad_length = stop - start
                break
            if stop > size:
                self._needed = stop - start
                break
            if messages is not None:
                messages.append(data[at + 1 : stop])
            count += 1
            start = stop
        return start, count

    def _payload_start(self, frame: bytes | bytearray) -> int:
        at = 0
        while frame[at] & 0x80:
            at += 1
        return at + 1

    def _truncated(self, held: bytes) -> TruncatedMessage:
        length = 0
        for at, byte in enumerate(held):
            length |= (byte & 0x7F) << (7 * at)
            if not byte & 0x80:
                return TruncatedMessage(length, len(held) - at - 1)
        return TruncatedMessage(None, len(held), "the rest of the header")
