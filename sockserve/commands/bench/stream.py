"""What one connection sends, and so what has to come back: endless frames that need no memory of their own.

A message holds its running number, the number of its connection, and bytes that look random; how much of it, its size
says. The messages that are in flight all differ, where the size allows: one that is lost, doubled, swapped with another
or given to another connection changes the bytes of the stream. As a message has one form only on the wire, and all
have one size, comparing bytes checks frames too, and counting frames is a division.

Cycle has the frames of a whole round in one piece of memory: for small frames, of which thousands are sent and compared
at once. Long puts each frame together from three pieces, of which all connections share the longest.
"""

from __future__ import annotations

import random

from sockserve.commands.program import around_text, not_in_text
from sockserve.framing import Framing

SMALL = 4096
"""Bytes; the frames of longer messages are put together anew each time."""
# Small frames in a round, at least: a prime, so that what goes wrong in steps of a buffer's size is seen.
ROUND = 101
NUMBER = 4
CONNECTION = 4
# In how many places the filler may begin.
PLACES = 251


class Stream:
    """frame: bytes of each frame."""

    frame: int

    def piece(self, start: int, most: int) -> memoryview:
        """Bytes of the stream from `start` on: at least 1, at most `most`."""
        source, at, length = self._at(start)
        return memoryview(source)[at : at + min(most, length)]

    def wrong(self, start: int, data: memoryview) -> int:
        """Where `data` differs from the stream at `start`: the offset of its first wrong byte, or -1."""
        done = 0
        while done < len(data):
            source, at, length = self._at(start + done)
            part = data[done : done + length]
            # Compares in C, without a copy; two memoryviews are compared item by item.
            if not source.startswith(part, at):
                return done + next(offset for offset, byte in enumerate(part) if byte != source[at + offset])
            done += len(part)
        return -1

    def _at(self, start: int) -> tuple[bytes, int, int]:
        """Where the stream's bytes from `start` on are: in which object, from where, and how many are in it."""
        raise NotImplementedError


class Messages:
    """The messages of all connections.

    frame: bytes of each frame. before, behind: its bytes that are not the message's.

    Raises FramingError when the framing cannot send messages of that size, and ValueError when its marks leave no
    bytes for them, or its frames are not made up of the same bytes and the message: then up to SMALL bytes, with frames
    of one length.
    """

    def __init__(self, framing: Framing, size: int) -> None:
        marks = not_in_text(framing)
        self._start, self._end = start, end = around_text(framing)
        size -= len(start + end)
        if size < 1:
            raise ValueError(f"a message of {framing} has at least {len(start + end) + 1} bytes here")
        self.alphabet = bytes(set(range(256)) - set(marks))
        if len(self.alphabet) < 2:
            raise ValueError("the delimiter leaves no bytes for messages")
        self.size = size
        self._number = min(NUMBER, size)
        self._connection = min(CONNECTION, size - self._number)
        self._rest = size - self._number - self._connection
        table = bytes(byte if byte not in marks else self.alphabet[byte % len(self.alphabet)] for byte in range(256))
        self.fillers = random.Random(27015).randbytes(self._rest + PLACES).translate(table)  # noqa: S311
        # The message stands where the frames of two that differ in each byte differ first.
        frame, other = (framing.encode(start + self.alphabet[at : at + 1] * size + end) for at in (0, 1))
        at = next(at for at in range(len(frame)) if frame[at] != other[at])
        self.frame = len(frame)
        self.before, self.behind = frame[:at], frame[at + size :]
        self._between: list[bytes] = []
        # Of a framing with a checksum each frame is its own.
        self._framing: Framing | None = None
        first = self.message(1, 1)
        if framing.encode(first) != self.before + first + self.behind:
            self._framing = framing
            if size > SMALL:
                raise ValueError(f"its frames depend on the message; accepted: up to {SMALL} bytes")
            if any(len(framing.encode(self.message(number, 0))) != self.frame for number in range(ROUND)):
                raise ValueError(
                    "the length of its frames depends on the message; accepted: a framing where it does not"
                )

    def message(self, number: int, connection: int) -> bytes:
        return self._start + self.head(number, connection) + self._filler(number) + self._end

    def head(self, number: int, connection: int) -> bytes:
        """Its running number and its connection, as far as the size allows."""
        return self._digits(number, self._number) + self._digits(connection, self._connection)

    def frames(self, count: int, connection: int) -> bytes:
        """The frames of the first `count` messages of a connection."""
        if self._framing is not None:
            return self._framing.encode_all([self.message(number, connection) for number in range(count)])
        if len(self._between) != count + 1:
            # All but the connection's number is the same for every connection.
            starts = [self.before + self._digits(number, self._number) for number in range(count)]
            ends = [self._filler(number) + self.behind for number in range(count)]
            self._between = [end + start for end, start in zip([b"", *ends], [*starts, b""], strict=True)]
        return self._digits(connection, self._connection).join(self._between)

    def stream(self, connection: int, window: int) -> Stream:
        """The stream of one connection, of which `window` messages may be in flight."""
        return Cycle(self, connection, window) if self.size <= SMALL else Long(self, connection)

    def _filler(self, number: int) -> bytes:
        place = number % PLACES
        return self.fillers[place : place + self._rest]

    def _digits(self, value: int, count: int) -> bytes:
        """The last `count` digits of a number, the least significant first."""
        digits = bytearray()
        for _ in range(count):
            value, digit = divmod(value, len(self.alphabet))
            digits.append(self.alphabet[digit])
        return bytes(digits)


class Cycle(Stream):
    """A round of small frames, over and over. It is longer than the window: what is in flight differs."""

    def __init__(self, messages: Messages, connection: int, window: int) -> None:
        self.frame = messages.frame
        count = max(window + 1, ROUND)
        self._length = count * self.frame
        # Twice: a piece as long as a round is in one piece from anywhere, and leaves in one write.
        self._frames = 2 * messages.frames(count, connection)

    def _at(self, start: int) -> tuple[bytes, int, int]:
        return self._frames, start % self._length, self._length


class Long(Stream):
    """Frames in three pieces: what is before the message's filler, the filler, and what is after it."""

    def __init__(self, messages: Messages, connection: int) -> None:
        self.frame = messages.frame
        self._messages = messages
        self._connection = connection

    def _at(self, start: int) -> tuple[bytes, int, int]:
        messages = self._messages
        number, at = divmod(start, self.frame)
        filler = len(messages.before) + NUMBER + CONNECTION
        behind = self.frame - len(messages.behind)
        if at < filler:
            return messages.before + messages.head(number, self._connection), at, filler - at
        if at < behind:
            return messages.fillers, number % PLACES + at - filler, behind - at
        return messages.behind, at - behind, self.frame - at
