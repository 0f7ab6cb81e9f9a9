"""digits:N: the payload's length in bytes as exactly N ASCII digits, then the payload.

    0011Hello World      digits:4
    0015Hello World      digits:4:inclusive: the length counts its digits too

Origin: hosts of banks and payment terminals, which put such a length before an ISO 8583 message, and mainframes; jPOS
has it as ASCIIChannel, with four digits. A sign, a space, or any other byte that is not a digit is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sockserve.framing.decimal import ZERO, DecimalFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.form import compiled, need
from sockserve.framing.prefixed import SHORT

MOST_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class Digits(DecimalFraming):
    """digits: how many there are, from 1 to 18. inclusive: the length counts them too.

    max_length is lowered to the largest length that they can express.
    """

    digits: int
    inclusive: bool = False

    def __post_init__(self) -> None:
        DecimalFraming.__post_init__(self)
        need(int, self.digits, "digits")
        need(bool, self.inclusive, "inclusive")
        if not 1 <= self.digits <= MOST_DIGITS:
            raise ValueError(f"a length has 1 to {MOST_DIGITS} digits, not {self.digits}")
        object.__setattr__(self, "max_length", min(self.max_length, 10**self.digits - 1 - self.counted()))

    def __str__(self) -> str:
        return f"digits:{self.digits}" + (":inclusive" if self.inclusive else "")

    def counted(self) -> int:
        """How many bytes of the header the length counts."""
        return self.digits if self.inclusive else 0

    def _header(self, length: int) -> bytes:
        return b"%0*d" % (self.digits, length + self.counted())

    def decoder(self) -> DigitsDecoder:
        return DigitsDecoder(self)


class DigitsDecoder(FrameDecoder):
    def __init__(self, framing: Digits) -> None:
        super().__init__(framing)
        self._digits = framing.digits
        self._counted = framing.counted()
        self._lengths = None if compiled else framing.lengths

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        count = 0
        size = len(data)
        limit = self._limit
        digits = self._digits
        counted = self._counted
        lengths = self._lengths
        start = 0
        while start < size:
            payload = start + digits
            length = -1 if lengths is None or payload > size else lengths.get(data[start:payload], -1)
            if length < 0:
                length = 0
                at = start
                stop = min(payload, size)
                while at < stop:
                    digit = data[at] - ZERO
                    if digit < 0 or digit > 9:
                        self._error = MalformedHeader(data[start : at + 1], f"a length is {digits} ASCII digits")
                        return start, count
                    length = length * 10 + digit
                    at += 1
                if payload > size:
                    break
                length -= counted
                if length < 0:
                    rule = f"the length counts its {digits} digits too"
                    self._error = MalformedHeader(data[start:payload], rule)
                    return start, count
                if length > limit:
                    self._error = MessageTooLong(limit, length)
                    self._bad_length = digits + length
                    return start, count
                if lengths is not None and length < SHORT:
                    lengths[data[start:payload]] = length
            stop = payload + length
            if stop > size:
                self._needed = stop - start
                return start, count
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = stop
        # One byte more may show that it is none.
        self._needed = size - start + 1
        return start, count

    def _payload_start(self, frame: bytes | bytearray) -> int:
        return self._digits

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if len(held) < self._digits:
            return TruncatedMessage(None, len(held), "the rest of the header")
        return TruncatedMessage(int(held[: self._digits]) - self._counted, len(held) - self._digits)
