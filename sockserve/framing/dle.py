"""dle: DLE STX, the message with each DLE in it doubled, DLE ETX.

    \\x10\\x02Hello World\\x10\\x03

Origin: the transparent mode of character-oriented protocols, ISO 2111 and IBM's Binary Synchronous Communications, of
which serial devices kept the marks. A DLE before anything else than DLE or ETX is refused inside a message, so every
message has exactly one wire form. There must be nothing between two frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.envelope import EnvelopeDecoder
from sockserve.framing.errors import FramingError, MalformedHeader, MalformedPayload, MessageTooLong
from sockserve.framing.form import need_messages

DLE: Final = b"\x10"
START: Final = b"\x10\x02"
END: Final = b"\x10\x03"
DOUBLED: Final = b"\x10\x10"

# What a doubled DLE is replaced by, to find the others: as long, and with none in it, or as no other pair.
_BLANK: Final = b"\0\0"
_MARKED: Final = b"\x10\0"

_STX: Final = 2
_ETX: Final = 3


@dataclass(frozen=True, slots=True)
class Dle(BoundedFraming):
    def __str__(self) -> str:
        return "dle"

    def encode(self, message: bytes) -> bytes:
        self.check_length(message)
        return START + message.replace(DLE, DOUBLED) + END

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        messages = list(messages)
        need_messages(messages)
        for message in messages:
            self.check_length(message)
        if not messages:
            return b""
        frames = START + (END + START).join(messages) + END
        if frames.count(DLE) == 2 * len(messages):
            return frames
        return START + (END + START).join([message.replace(DLE, DOUBLED) for message in messages]) + END

    def decoder(self) -> DleDecoder:
        return DleDecoder(self)


class DleDecoder(EnvelopeDecoder):
    def __init__(self, framing: Dle) -> None:
        super().__init__(framing, START, END, overlaps=False)
        # The doubled DLEs in _held before `_searched`.
        self._doubled = 0

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._searched = self._needed = self._doubled = 0
        size = len(data)
        limit = self._limit
        # `marked` is data with the doubled DLEs replaced, once there turn out to be any.
        marked = data
        count = 0
        start = 0
        while start < size:
            # Frames that end within these bytes are not too long.
            end = min(start + limit + len(START) + len(END), size)
            stop = marked.rfind(END, start + len(START), end)
            if stop >= 0:
                # All of them are good if every DLE is a doubled one, or part of the marks between two messages, the
                # first or the last.
                doubled = 0 if marked is data else data.count(DOUBLED, start, stop)
                frames = marked.count(self._between, start, stop) + 1
                if (
                    marked.startswith(START, start)
                    and marked.count(DLE, start, stop) + 1 == 2 * frames + doubled
                    and (not doubled or marked.count(_MARKED, start, stop) == doubled)
                ):
                    if messages is not None:
                        found = marked[start + len(START) : stop].split(self._between)
                        messages += [each.replace(_MARKED, DLE) for each in found] if doubled else found
                    count += frames
                    start = stop + len(END)
                    continue
            if marked is not data:
                break
            marked = data.replace(DOUBLED, _MARKED)
            if marked == data:
                break
        return self._walk_singly(data, messages, start, count)

    def _walk_singly(self, data: bytes, messages: list[bytes] | None, start: int, count: int) -> tuple[int, int]:
        """The same, frame by frame, after the first `count` of them, which end at `start`."""
        size = len(data)
        bare = data if start == size else data.replace(DOUBLED, _BLANK)
        while start < size:
            payload = start + len(START)
            if not data.startswith(START, start):
                self._error = self._malformed(data[start:payload])
                break
            at = bare.find(DLE, payload)
            stop = at if at >= 0 else size
            if stop - payload - data.count(DOUBLED, payload, stop) > self._limit:
                self._error = MessageTooLong(self._limit)
                break
            if stop + 1 >= size:
                break
            if data[stop + 1] != _ETX:
                self._error = MalformedPayload(
                    data[stop : stop + 2], f"a message ends with {END!r}, and has {DOUBLED!r}"
                )
                break
            if messages is not None:
                messages.append(data[payload:stop].replace(DOUBLED, DLE))
            count += 1
            start = stop + len(END)
        return start, count

    def _ready(self) -> bool:
        if not self._held.startswith(START):
            return True
        self._searched = max(self._searched, len(START))
        new = bytes(memoryview(self._held)[self._searched :])
        at = new.replace(DOUBLED, _BLANK).find(DLE)
        if 0 <= at < len(new) - 1:
            self._needed = self._searched + at + len(END)
            return True
        stop = at if at >= 0 else len(new)
        self._doubled += new.count(DOUBLED, 0, stop)
        self._searched += stop
        if self._searched - len(START) - self._doubled > self._limit:
            self._error = MessageTooLong(self._limit)
        return False

    def _recover(self, error: FramingError) -> bool:
        # After a message that is too long, its end is good too; the start of the next always is.
        self._in_garbage = not isinstance(error, MessageTooLong)
        self._to_skip = 1
        self._searched = self._doubled = 0
        if not isinstance(error, MalformedHeader):
            del self._held[: len(START)]
        return True

    def _skip(self, data: bytes) -> bool:
        self._held += data
        bare = bytes(self._held).replace(DOUBLED, _BLANK)
        at = bare.find(DLE)
        while 0 <= at < len(bare) - 1:
            mark = bare[at + 1]
            if mark == _STX or (mark == _ETX and not self._in_garbage):
                del self._held[: at if mark == _STX else at + len(END)]
                self._to_skip = 0
                return True
            at = bare.find(DLE, at + 2)
        del self._held[: at if at >= 0 else len(bare)]
        return False
