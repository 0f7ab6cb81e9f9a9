"""How well a framing fits bytes: what its own decoder makes of them, and of the same bytes in another order.

The score, 0 to 100, is the product of two numbers, and says nothing about framings that are not tried.

covered     the share of the bytes that are complete frames. An unfinished frame at the end counts half, and so do
            frames where all messages are empty; what begins with a bad frame counts nothing.
surprise    The same bytes are shuffled again and again. It is 1 if no shuffle is covered as well, or one in 100, and 0
            if one in ten is: then the fit is chance, or the framing takes any bytes, as raw does. In between it goes
            with the logarithm. Of messages that are not text more is asked, one in 1000 and one in 50: of so many
            framings, some fit any noise. Where parameters were guessed, the ends stay in their place. Of several
            messages none may be shorter in a shuffle than the shortest one is, since chance puts delimiters anywhere.
            It is at least a half if all messages are text and the bytes are not, because of the framing alone: text
            has no control characters, and is UTF-8.

The order is that of the scores in tens. In it, an unfinished frame at the end, no longer than all before it, counts as
a whole one, because a capture may end anywhere, and parameters that were guessed cost ten: something always ends in the
last byte. Of scores that are the same, a framing whose messages are text, perhaps in lines, comes first, then the one
with more bytes of its own, then one that would send these very bytes, then one whose name has no parameters, then the
one that was listed first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import log
from random import Random

from sockserve.framing import Framing
from sockserve.framing.errors import FramingError
from sockserve.inspection.candidates import Candidate, plain_names

MANY_SHUFFLES, FEW_SHUFFLES = 200, 40
"""How many orders are tried of short bytes, and of longer ones."""

_SHORT = 2048

# The share of shuffles that is no surprise, the one that could not be a greater one, and how many times more shuffles
# than of text show the latter.
_TEXT, _OTHER = (0.1, 0.01, 1), (0.02, 0.001, 5)

_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROLS_IN_LINES = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_LONGEST_END = 4
"""Bytes at the end that parameters are guessed from."""

_GUESSED = 10
"""What guessed parameters cost in the order."""

_LONGEST_HEADER = 16
"""So many bytes of a message are looked at, where it has its header in it."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a framing fits some bytes.

    messages: complete ones. complete: bytes of their frames. own: bytes of the framing in those that are not empty,
    such as lengths and marks, also if they are part of the message.
    error: of the bad frame after them, if any. unfinished: else, of the frame that has begun after them, if any.
    size: of all bytes. shuffles, shuffled: how many orders of the bytes were tried, and how many are covered as well.
    score: see above. same: names of other framings that find the same messages.
    """

    candidate: Candidate
    messages: int
    complete: int
    own: int
    error: FramingError | None
    unfinished: FramingError | None
    size: int
    shuffles: int = 0
    shuffled: int = 0
    score: int = 0
    same: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def standing(self) -> float:
        """The score that decides the order."""
        score = float(self.score)
        if self.messages and self.unfinished and self.rest <= self.complete:
            score *= self.size / (self.complete + self.rest / 2)
        return score - _GUESSED * self.candidate.guessed

    @property
    def rest(self) -> int:
        """Bytes after the last complete frame."""
        return self.size - self.complete


class Bytes:
    """Bytes, and the same in other orders, which are the same ones each time.

    In those for guessed parameters the ends stay, since the guess came from there.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._random = Random(1)  # noqa: S311 - any order will do
        self._shuffles: dict[bool, list[bytes]] = {False: [], True: []}

    def shuffle(self, index: int, *, guessed: bool = False) -> bytes:
        found = self._shuffles[guessed]
        first, last = (1, max(len(self.data) - _LONGEST_END, 1)) if guessed else (0, len(self.data))
        while len(found) <= index:
            order = bytearray(self.data[first:last])
            self._random.shuffle(order)
            found.append(self.data[:first] + order + self.data[last:])
        return found[index]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a framing's decoder makes of some bytes; see Fit."""

    messages: list[bytes]
    complete: int
    error: FramingError | None = None
    unfinished: FramingError | None = None

    @property
    def shortest(self) -> int:
        """The length of the shortest message."""
        return min(map(len, self.messages), default=0)

    def covered(self, size: int) -> float:
        """The share of the bytes that it accounts for."""
        whole = self.complete if any(self.messages) else self.complete / 2
        return (whole + (0 if self.error else (size - self.complete) / 2)) / size


def read(framing: Framing, data: bytes) -> Reading:
    """Decode the bytes as a whole stream."""
    decoder = framing.decoder()
    messages: list[bytes] = []
    piece = data
    try:
        while found := decoder.decode(piece):
            messages += found
            piece = b""
    except FramingError as error:
        complete = len(framing.decoder().scan(data)[0]) if messages else 0
        return Reading(messages, complete, error)
    complete = len(data) - decoder.pending if messages else 0
    try:
        last = decoder.finish() or []
    except FramingError as error:
        return Reading(messages, complete, None, error)
    return Reading(messages + last, len(data) if last else complete)


def rank(candidates: Iterable[Candidate], data: bytes, shuffles: int | None = None, least: float = 0) -> list[Fit]:
    """How well each fits, the best first. `data` must not be empty.

    shuffles: how many orders of the bytes are tried. least: below this share of covered bytes none are, and there is no
    score. Framings that find the same messages as one before them are only named there, where they have a score; those
    with guessed parameters are left out where they have none.
    """
    of = Bytes(data)
    found = []
    for candidate in candidates:
        reading = read(candidate.framing, data)
        one = _fit(candidate, reading, of, shuffles, least)
        messages = reading.messages
        if one.score or not candidate.guessed:
            order = (
                -round(one.standing / 10),
                one.score == 0,
                not _is_text(messages, _CONTROLS_IN_LINES),
                -one.own,
                not _sends(candidate.framing, messages, data[: one.complete]),
                one.name not in plain_names(),
            )
            found.append((order, one, (one.complete, *messages)))
    found.sort(key=lambda each: each[0])
    ranked: list[Fit] = []
    places: dict[tuple[object, ...], int] = {}
    for _, one, content in found:
        place = places.setdefault(content, len(ranked)) if one.score and one.messages else len(ranked)
        if place < len(ranked):
            ranked[place] = replace(ranked[place], same=(*ranked[place].same, one.name))
        else:
            ranked.append(one)
    return ranked


def _fit(candidate: Candidate, reading: Reading, of: Bytes, wanted: int | None, least: float) -> Fit:
    messages, size = reading.messages, len(of.data)
    own = _own(candidate.framing, reading)
    found = Fit(candidate, len(messages), reading.complete, own, reading.error, reading.unfinished, size)
    covered = reading.covered(size)
    if not covered or covered < least or (candidate.guessed and len(messages) < 2):
        return found
    chance, sure, times = _TEXT if messages and _is_text(messages, _CONTROLS_IN_LINES) else _OTHER
    tries = wanted or (MANY_SHUFFLES * times if size <= _SHORT else FEW_SHUFFLES * times)
    shortest = reading.shortest if len(messages) > 1 else 0
    shuffles = shuffled = 0
    while shuffles < tries and shuffled < tries * chance:
        other = read(candidate.framing, of.shuffle(shuffles, guessed=candidate.guessed))
        shuffled += other.covered(size) >= covered and other.shortest >= shortest
        shuffles += 1
    surprise = min(max(log(chance * tries / shuffled) / log(chance / sure), 0), 1) if shuffled else 1
    if messages and reading.error is None and own and _is_text(messages) and not _is_text([of.data]):
        surprise = max(surprise, 0.5)
    return replace(found, shuffles=shuffles, shuffled=shuffled, score=int(100 * covered * surprise))


def _own(framing: Framing, reading: Reading) -> int:
    """See Fit.own."""
    filled = [message for message in reading.messages if message]
    own = reading.complete - sum(map(len, filled))
    if filled and not own:
        header = range(min(len(filled[0]), _LONGEST_HEADER))
        return len(filled) * sum(_matters(framing, filled[0], at) for at in header)
    empty = len(reading.messages) - len(filled)
    return own - (empty * len(framing.encode(b"")) if empty else 0)


def _matters(framing: Framing, frame: bytes, at: int) -> bool:
    """Whether a frame that is its own message would not be one with another byte there."""
    other = frame[:at] + bytes([frame[at] ^ 0xFF]) + frame[at + 1 :]
    try:
        return framing.decoder().decode(other) != [other]
    except FramingError:
        return True


def _sends(framing: Framing, messages: Sequence[bytes], frames: bytes) -> bool:
    """Whether these are the frames that it sends for the messages."""
    try:
        return b"".join(map(framing.encode, messages)) == frames
    except FramingError:
        return False


def _is_text(messages: Sequence[bytes], controls: re.Pattern[bytes] = _CONTROLS) -> bool:
    text = b"".join(messages)
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return controls.search(text) is None
