"""How well a framing fits bytes: what its own decoder makes of them, and of the same bytes in another order.

The score, 0 to 100, is the product of two numbers, and says nothing about framings that are not tried.

covered     the share of the bytes that are complete frames. An unfinished frame at the end counts half, and so do
            frames where all messages are empty; what begins with a bad frame counts nothing.
surprise    The same bytes are shuffled again and again. It is 1 if no shuffle is covered as well, or one in 200, and 0
            if one in ten is: then the fit is chance, or the framing takes any bytes, as raw does. In between it goes
            with the logarithm. It is at least a half if all messages are text and the bytes are not, because of the
            framing alone: text has no control characters, and is UTF-8.

Of scores that are the same in tens, a framing whose messages are text comes first, then the one with more bytes of its
own, then the one with fewer empty messages, then one whose name has no parameters, then the one that was listed first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import log
from random import Random

from sockserve.framing import Framing
from sockserve.framing.errors import FramingError
from sockserve.inspection.candidates import Candidate

MANY_SHUFFLES, FEW_SHUFFLES = 200, 40
"""How many orders are tried of short bytes, and of longer ones."""

_SHORT = 2048

# The share of shuffles that is no surprise, and the one that could not be a greater one.
_CHANCE, _SURE = 0.1, 0.005

_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a framing fits some bytes.

    messages: complete ones. complete: bytes of their frames. own: bytes of these that are the framing's.
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
    def rest(self) -> int:
        """Bytes after the last complete frame."""
        return self.size - self.complete


class Bytes:
    """Bytes, and the same in other orders, which are the same ones each time."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._random = Random(1)  # noqa: S311 - any order will do
        self._shuffles: list[bytes] = []

    def shuffle(self, index: int) -> bytes:
        while len(self._shuffles) <= index:
            order = bytearray(self.data)
            self._random.shuffle(order)
            self._shuffles.append(bytes(order))
        return self._shuffles[index]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a framing's decoder makes of some bytes; see Fit."""

    messages: list[bytes]
    complete: int
    error: FramingError | None = None
    unfinished: FramingError | None = None

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
    tries = shuffles or (MANY_SHUFFLES if len(data) <= _SHORT else FEW_SHUFFLES)
    found = []
    for candidate in candidates:
        reading = read(candidate.framing, data)
        one = _fit(candidate, reading, of, tries, least)
        messages = reading.messages
        if one.score or not candidate.guessed:
            order = (
                -round(one.score / 10),
                one.score == 0,
                not _is_text(messages),
                -one.own,
                messages.count(b""),
                ":" in one.name,
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


def _fit(candidate: Candidate, reading: Reading, of: Bytes, tries: int, least: float) -> Fit:
    messages, size = reading.messages, len(of.data)
    own = reading.complete - sum(map(len, messages))
    found = Fit(candidate, len(messages), reading.complete, own, reading.error, reading.unfinished, size)
    covered = reading.covered(size)
    if not covered or covered < least or (candidate.guessed and len(messages) < 2):
        return found
    shuffles = shuffled = 0
    while shuffles < tries and shuffled < tries * _CHANCE:
        shuffled += read(candidate.framing, of.shuffle(shuffles)).covered(size) >= covered
        shuffles += 1
    surprise = min(max(log(_CHANCE * tries / shuffled) / log(_CHANCE / _SURE), 0), 1) if shuffled else 1
    if messages and reading.error is None and own and _is_text(messages) and not _is_text([of.data]):
        surprise = max(surprise, 0.5)
    return replace(found, shuffles=shuffles, shuffled=shuffled, score=int(100 * covered * surprise))


def _is_text(messages: Sequence[bytes]) -> bool:
    text = b"".join(messages)
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return _CONTROLS.search(text) is None
