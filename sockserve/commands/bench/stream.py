"""What one connection sends, and so what has to come back: endless frames that need no memory of their own.

A message holds its running number, the number of its connection, and bytes that look random; how much of it, its size
says. The messages that are in flight all differ, where the size allows: one that is lost, doubled, swapped with another
or given to another connection changes the bytes of the stream. As a message is sent in one form only, has no bytes that
its framing would escape, and all have one size, comparing bytes checks frames too, and counting frames is a division.

Cycle has the frames of a whole round in one piece of memory: for small frames, of which thousands are sent and compared
at once. Long puts each frame together from three pieces, of which all connections share the longest. Encoded makes each
frame when it is needed: where a long message is not in its frame as it is, or has a checksum.
"""

from __future__ import annotations

import random

from sockserve.commands.messages import Shape
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

    frame: bytes of each frame. before, behind: those of its bytes that are the same in each; between them is the text.

    Raises FramingError when the framing cannot send messages of that size, and ValueError when its marks leave no
    bytes for them, or its frames have different lengths.
    """

    def __init__(self, framing: Framing, size: int) -> None:
        shape = Shape.of(framing)
        if size <= shape.around:
            raise ValueError(f"a message of {framing} has at least {shape.around + 1} bytes here")
        self.alphabet = shape.plain
        if len(self.alphabet) < 2:
            raise ValueError("the delimiter leaves no bytes for messages")
        self.size = size
        self._framing = framing
        self._start, self._end = start, end = shape.parts(size)
        text = size - shape.around
        self._number = min(NUMBER, text)
        self._connection = min(CONNECTION, text - self._number)
        self._rest = text - self._number - self._connection
        table = bytes(
            byte if byte in self.alphabet else self.alphabet[byte % len(self.alphabet)] for byte in range(256)
        )
        self.fillers = random.Random(27015).randbytes(self._rest + PLACES).translate(table)  # noqa: S311
        # The text stands where the frames of two that differ in each byte differ first.
        frame, other = (framing.encode(start + self.alphabet[at : at + 1] * text + end) for at in (0, 1))
        at = next(at for at in range(len(frame)) if frame[at] != other[at])
        self.frame = len(frame)
        self.before, self.behind = frame[:at], frame[at + text :]
        self._between: list[bytes] = []
        numbers = range(ROUND if size <= SMALL else 2)
        frames = [framing.encode(self.message(number, 1)) for number in numbers]
        if any(len(frame) != self.frame for frame in frames):
            raise ValueError("the length of its frames depends on the message; accepted: a framing where it does not")
        # In the others, a frame has more than the text that depends on the message.
        self._alike = frames == [self.before + self._text(number, 1) + self.behind for number in numbers]

    def message(self, number: int, connection: int) -> bytes:
        return self._start + self._text(number, connection) + self._end

    def encoded(self, number: int, connection: int) -> bytes:
        """The frame of one message."""
        return self._framing.encode(self.message(number, connection))

    def head(self, number: int, connection: int) -> bytes:
        """Its running number and its connection, as far as the size allows."""
        return self._digits(number, self._number) + self._digits(connection, self._connection)

    def frames(self, count: int, connection: int) -> bytes:
        """The frames of the first `count` messages of a connection."""
        if not self._alike:
            return self._framing.encode_all([self.message(number, connection) for number in range(count)])
        if len(self._between) != count + 1:
            # All but the connection's number is the same for every connection.
            starts = [self.before + self._digits(number, self._number) for number in range(count)]
            ends = [self._filler(number) + self.behind for number in range(count)]
            self._between = [end + start for end, start in zip([b"", *ends], [*starts, b""], strict=True)]
        return self._digits(connection, self._connection).join(self._between)

    def stream(self, connection: int, window: int) -> Stream:
        """The stream of one connection, of which `window` messages may be in flight."""
        if self.size <= SMALL:
            return Cycle(self, connection, window)
        return Long(self, connection) if self._alike else Encoded(self, connection)

    def _text(self, number: int, connection: int) -> bytes:
        return self.head(number, connection) + self._filler(number)

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


class Encoded(Stream):
    """Frames that are made when they are needed; the two needed last, one to send and one to compare, are kept."""

    def __init__(self, messages: Messages, connection: int) -> None:
        self.frame = messages.frame
        self._messages = messages
        self._connection = connection
        self._kept: dict[int, bytes] = {}

    def _at(self, start: int) -> tuple[bytes, int, int]:
        number, at = divmod(start, self.frame)
        frame = self._kept.pop(number, None) or self._messages.encoded(number, self._connection)
        if len(self._kept) > 1:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = frame
        return frame, at, self.frame - at
