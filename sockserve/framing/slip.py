"""slip: a message and the byte END, \\xc0. In a message, END is sent as \\xdb\\xdc, and ESC (\\xdb) as \\xdb\\xdd.

    Hello World\\xc0

Origin: RFC 1055. Many senders begin a frame with an END as well, to end what noise on a line has left; the RFC lets a
receiver ignore the empty message that comes of it. So END bytes between two frames are ignored, and there are no empty
messages. An ESC before any other byte is a bad frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.delimited import FIRST_SPAN, DelimitedDecoder
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedPayload, MessageTooLong, TruncatedMessage

END: Final = b"\xc0"
ESC: Final = b"\xdb"
ESC_END: Final = b"\xdb\xdc"
ESC_ESC: Final = b"\xdb\xdd"

_END: Final = 0xC0

# For bytes.find, two equal bytes take twice the time.
_TWO_ENDS = re.compile(END + END)


@dataclass(frozen=True, slots=True)
class Slip(BoundedFraming):
    def __str__(self) -> str:
        return "slip"

    def encode(self, message: bytes) -> bytes:
        if not self.check_length(message):
            raise InvalidMessage("slip has no empty messages: its receivers ignore them")
        return message.replace(ESC, ESC_ESC).replace(END, ESC_END) + END

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        return b"".join([self.encode(message) for message in messages])

    def decoder(self) -> SlipDecoder:
        return SlipDecoder(self)


def _unescaped(message: bytes) -> bytes:
    """A message whose escapes are good, without them."""
    return message.replace(ESC_END, END).replace(ESC_ESC, ESC)


class SlipDecoder(DelimitedDecoder):
    def __init__(self, framing: Slip) -> None:
        super().__init__(framing, END, overlaps=False)
        # The ESC bytes in _held before `_searched`.
        self._escapes = 0

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = self._needed = self._escapes = 0
        size = len(data)
        limit = self._limit
        escaped = data.find(ESC) >= 0
        together = True
        span = FIRST_SPAN
        count = 0
        start = 0
        while start < size:
            if together:
                # Frames that end within these bytes are not too long.
                longest = min(start + limit + 1, size)
                end = min(start + span, longest)
                stop = data.rfind(END, start, end) + 1
                if stop and not (escaped and self._bad_escape(data, start, stop)):
                    found = self._frames_in(data, start, stop, messages, escaped=escaped)
                    count += found
                    start = stop
                    span *= 2
                    continue
                if not stop and end < longest:
                    span *= 2
                    continue
                together = not stop
            if data[start] == _END:
                start += 1
                continue
            stop = data.find(END, start)
            end = stop if stop >= 0 else size
            if self._is_long(end - start, data.count(ESC, start, end)):
                self._error = MessageTooLong(limit)
                break
            if stop < 0:
                break
            if self._bad_escape(data, start, stop):
                at = start
                while data.startswith((ESC_END, ESC_ESC), at) or not data.startswith(ESC, at):
                    at = data.find(ESC, at + 1)
                self._error = MalformedPayload(data[at : at + 2], f"{ESC!r} is followed by b'\\xdc' or b'\\xdd'")
                break
            if messages is not None:
                messages.append(_unescaped(data[start:stop]))
            count += 1
            start = stop + 1
        return start, count

    def _is_long(self, size: int, escapes: int) -> bool:
        """Whether so many bytes, ESC among them, are more than a message can have."""
        # Where an ESC follows another, the escapes are bad: of two bytes at least one counts.
        return size - escapes > self._limit or size > 2 * self._limit

    def _bad_escape(self, data: bytes, start: int, stop: int) -> bool:
        """Whether an ESC among these bytes does not begin an escape."""
        good = data.count(ESC_END, start, stop) + data.count(ESC_ESC, start, stop)
        return data.count(ESC, start, stop) != good

    def _frames_in(self, data: bytes, start: int, stop: int, messages: list[bytes] | None, *, escaped: bool) -> int:
        """The number of frames among these bytes, of which the last ends one, with good escapes."""
        if messages is None and _TWO_ENDS.search(data, start, stop) is None:
            return data.count(END, start, stop) - (data[start] == _END)
        # Where this is compiled, even a slice of the whole is a copy.
        found = (data[start:stop] if start or stop < len(data) else data).split(END)
        found = list(filter(None, found))
        if messages is not None:
            messages += map(_unescaped, found) if escaped else found
        return len(found)

    def _ready(self) -> bool:
        searched = self._searched
        end = self._find(END)
        if end >= 0:
            self._needed = end + 1
            return True
        self._escapes += self._held.count(ESC, searched)
        if self._is_long(len(self._held), self._escapes):
            self._error = MessageTooLong(self._limit)
        return False

    def _recover(self, error: FramingError) -> bool:
        self._escapes = 0
        return super()._recover(error)

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(None, len(held), f"the byte {END!r} that ends it")
