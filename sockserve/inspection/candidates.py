"""Which framings are tried: for every kind in the table of names its plain names, and the parameters listed here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from sockserve.framing import Framing, parse
from sockserve.framing.checks import CHECKS
from sockserve.framing.escapes import escape, unescape
from sockserve.framing.names import TABLE


@dataclass(frozen=True, slots=True)
class Candidate:
    """guessed: its parameters were made up from the bytes, so it must explain more of them than one frame."""

    name: str
    framing: Framing
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Parameters:
    """What may follow the colon in the names of a kind.

    known: what is usual in the field. guessed: what these bytes suggest. What the kind does not accept is not tried.
    """

    known: tuple[str, ...] = ()
    guessed: Callable[[bytes], Iterable[str]] = lambda _: ()


# Marks at the start of a frame, and those that may end it.
_MARKS = {
    "\\x02": ("\\x03", "\\r", "\\r\\n"),
    "\\x01": ("\\x04", "\\x03"),
    "\\x0b": ("\\x1c\\r", "\\x1c"),
    "\\x10\\x02": ("\\x10\\x03",),
    "$": ("\\r\\n",),
    "!": ("\\r\\n",),
    "\\x3a": ("\\r\\n",),
    "<": (">",),
}
_LONGEST_TAG = 16


def _delimiters(data: bytes) -> Iterator[str]:
    """The marks at the end of the bytes: what is no letter, digit or space; and a tag, such as <END>."""
    yield from (escape(end) for end in (data[-1:], data[-2:]) if _unusual(end) and end != b"\r\n")
    tag = re.search(rb"<[^<>\s]{1,%d}>\Z" % _LONGEST_TAG, data[-_LONGEST_TAG - 2 :])
    if tag:
        yield escape(tag[0])


def _marks(data: bytes) -> Iterator[str]:
    """The first byte as a start mark, with an end mark, at the end or before one to three bytes of a check."""
    if not data or not _unusual(data[:1]):
        return
    start = escape(data[:1], b":")
    usual = [unescape(end) for end in _MARKS.get(start, ()) if unescape(end) in data]
    ends = (data[-1:], data[-2:], data[-2:-1], data[-3:-2], data[-3:-1], data[-4:-2])
    found = [f"{start}:{escape(end, b':')}" for end in dict.fromkeys([*usual, *ends]) if _unusual(end)]
    yield from found
    yield from (f"{marks}:{check}" for marks in found for check in CHECKS)


def _fields(_: bytes) -> Iterator[str]:
    """A length field anywhere in the first bytes of a frame."""
    for at, width, order, counts in product(range(9), "24", ("", ":little"), ("", ":inclusive")):
        yield f"{width}{order}{counts}:at={at}"


def _unusual(mark: bytes) -> bool:
    """Whether none of its bytes is a letter, a digit, a space or outside ASCII."""
    return bool(mark) and not any(byte == 0x20 or byte > 0x7F or chr(byte).isalnum() for byte in mark)


PARAMETERS = {
    "standard": Parameters(("\\n", "\\r", "\\x00", "\\x03", "\\x04", ";", "|", "\\n\\n", "\\r\\n\\r\\n"), _delimiters),
    "fixed": Parameters((), lambda data: (str(len(data)),)),
    "envelope": Parameters(
        (*(f"{start}:{end}" for start, ends in _MARKS.items() for end in ends), "\\x02:\\x03:lrc", "\\x02:\\x03:astm"),
        _marks,
    ),
    "length": Parameters(
        (
            *("".join(parts) for parts in product("12348", ("", ":little"), ("", ":inclusive"))),
            "2:at=3",
            "3:inclusive:at=1",
            "4:at=2",
            "4:little:inclusive:at=0",
            "4:little:inclusive:at=4",
        ),
        _fields,
    ),
    "digits": Parameters(tuple(f"{width}{counts}" for width in range(2, 9) for counts in ("", ":inclusive"))),
}
"""By kind. A kind that is not here is tried by its plain names, those without a parameter."""


def known_candidates() -> list[Candidate]:
    """Those that are tried with any bytes."""
    return [candidate for name in _known() if (candidate := _candidate(name)) is not None]


def candidates(data: bytes) -> list[Candidate]:
    """Those, and what these bytes suggest."""
    guesses = [
        candidate
        for kind in TABLE
        for text in (PARAMETERS[kind].guessed(data) if kind in PARAMETERS else ())
        if (candidate := _candidate(f"{kind}:{text}", guessed=True)) is not None
    ]
    unique = {candidate.name: candidate for candidate in reversed([*known_candidates(), *guesses])}
    return list(reversed(unique.values()))


_LAST = ("syslog",)
"""Kinds that take what others are for."""


@lru_cache(maxsize=1)
def plain_names() -> frozenset[str]:
    """The names without a parameter."""
    return frozenset(form for entry in TABLE.values() for form in entry.forms if form == form.lower())


@lru_cache(maxsize=1)
def _known() -> tuple[str, ...]:
    names = []
    for kind, entry in sorted(TABLE.items(), key=lambda each: each[0] in _LAST):
        names += [form for form in entry.forms if form == form.lower()]
        names += [f"{kind}:{text}" for text in PARAMETERS[kind].known] if kind in PARAMETERS else []
    return tuple(names)


@lru_cache(maxsize=512)
def _candidate(name: str, *, guessed: bool = False) -> Candidate | None:
    try:
        framing = parse(name)
    except ValueError:
        return None
    return Candidate(str(framing), framing, guessed)
