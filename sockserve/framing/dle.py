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
from sockserve.framing.delimited import FIRST_SPAN
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

# Bytes that are looked at together: a bad frame that ends earlier costs no more than so many.
_PIECE: Final = 4096

_STX: Final = 2
_ETX: Final = 3
_DLE: Final = 16


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
        count = 0
        start = 0
        span = FIRST_SPAN
        while start < size:
            # Frames that end within these bytes are not too long.
            longest = min(start + self._limit + len(START) + len(END), size)
            end = min(start + span, longest)
            # Where this is compiled, even a slice of the whole is a copy.
            marked = window = data[start:end] if start or end < size else data
            doubled = 0
            stop = marked.rfind(END, len(START))
            frames = self._good(marked, stop, doubled)
            if not frames:
                marked = window.replace(DOUBLED, _MARKED)
                stop = marked.rfind(END, len(START))
                doubled = window.count(DOUBLED, 0, max(stop, 0))
                frames = self._good(marked, stop, doubled)
            if frames:
                if messages is not None:
                    found = marked[len(START) : stop].split(self._between)
                    messages += [each.replace(_MARKED, DLE) for each in found] if doubled else found
                count += frames
                start += stop + len(END)
            elif stop >= 0 or end == longest:
                break
            elif marked.count(DLE, 0, len(marked) - 1) != 1 + window.count(DOUBLED):
                # What begins a message that is not complete has no other DLE, but perhaps at its end.
                break
            span *= 2
        return self._walk_singly(data, messages, start, count)

    def _good(self, marked: bytes, stop: int, doubled: int) -> int:
        """The number of frames, the last with its end mark at `stop`, if they are all good; else 0.

        They are if every DLE is one of the doubled ones, which are marked, or part of the marks between two messages,
        the first or the last.
        """
        if stop < 0 or not marked.startswith(START):
            return 0
        frames = marked.count(self._between, 0, stop) + 1
        if marked.count(DLE, 0, stop) + 1 != 2 * frames + doubled:
            return 0
        return frames

    def _walk_singly(self, data: bytes, messages: list[bytes] | None, start: int, count: int) -> tuple[int, int]:
        """The same, frame by frame, after the first `count` of them, which end at `start`."""
        size = len(data)
        while start < size:
            payload = start + len(START)
            if not data.startswith(START, start):
                self._error = self._malformed(data[start:payload])
                break
            stop = payload
            doubled = 0
            at = data.find(DLE, stop)
            while 0 <= at < size - 1 and data[at + 1] == _DLE:
                doubled += 1
                stop = at + 2
                at = data.find(DLE, stop) if stop < size and data[stop] != _DLE else stop
            stop = at if 0 <= at < size else size
            if stop - payload - doubled > self._limit:
                self._error = MessageTooLong(self._limit)
                break
            if stop + 1 >= size:
                break
            if data[stop + 1] != _ETX:
                rule = f"a message ends with {END!r}, and has {DOUBLED!r}"
                self._error = MalformedPayload(data[stop : stop + 2], rule)
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
        size = len(self._held)
        while self._searched < size:
            new = bytes(memoryview(self._held)[self._searched : self._searched + _PIECE])
            at = new.replace(DOUBLED, _BLANK).find(DLE)
            if 0 <= at < len(new) - 1:
                self._needed = self._searched + at + len(END)
                return True
            stop = at if at >= 0 else len(new)
            self._doubled += new.count(DOUBLED, 0, stop)
            self._searched += stop
            if self._searched == size - 1:
                break
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
        held = self._held
        held += data
        at = held.find(DLE)
        while 0 <= at < len(held) - 1:
            mark = held[at + 1]
            if mark == _STX or (mark == _ETX and not self._in_garbage):
                del held[: at if mark == _STX else at + len(END)]
                self._to_skip = 0
                return True
            at = held.find(DLE, at + 2)
        del held[: at if at >= 0 else len(held)]
        return False
