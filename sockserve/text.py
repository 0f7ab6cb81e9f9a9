"""Text for people and from them: sizes and times as they write them, the name that was perhaps meant, and what a peer
says or is called, made fit for a line of a log."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

SIZE = re.compile(r"([0-9]{1,15}) ?(k|M|)", re.ASCII)
UNITS = {"": 1, "k": 1024, "M": 1024 * 1024}
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|)", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1, "": 1, "min": 60}
FOREVER = 1e9

PRINTABLE = 200
"""Characters of what a peer says that a line of the log shows at the most."""
_CUT = "…"


def parse_size(text: str) -> int:
    """Bytes: a whole number, at least 1, with k (1024) or M (1024 * 1024) behind it if wished.

    Raises ValueError.
    """
    match = SIZE.fullmatch(text)
    size = int(match[1]) * UNITS[match[2]] if match else 0
    if size < 1:
        raise ValueError(f"{text!r} is not a size in bytes; accepted: 1 or more, such as 4096, 64k or 16M")
    return size


def parse_duration(value: str | float) -> float:
    """Seconds: a number above 0, or one with ms, s or min behind it.

    Zero is refused: some would mean "at once" by it, others "never". Raises ValueError.
    """
    seconds = 0.0
    if not isinstance(value, str):
        seconds = value if value < FOREVER else 0.0
    elif match := DURATION.fullmatch(value):
        seconds = float(match[1]) * SECONDS[match[2]]
    if not seconds > 0:
        raise ValueError(f"{value!r} is not a time; accepted: more than 0, such as 10s, 500ms, 2min or 1.5 (seconds)")
    return float(seconds)


def nearest(name: str, names: Iterable[str]) -> str:
    """Words to put behind "unknown" in a message; nothing where no name is near."""
    near = difflib.get_close_matches(name, names, 1, 0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""


def printable(said: bytes | str | object, limit: int = PRINTABLE) -> str:
    """What a peer says or is called, for a line of a log or of an error.

    said: bytes, which are read as UTF-8; text; or what str() makes text of, such as an error.
    limit: the characters of the result at the most; what is longer ends with an ellipsis.

    Only printable characters remain. All others, line breaks and the marks that turn the direction of text among them,
    and bytes that are not UTF-8, become Python's escapes. What is printable and short enough stays as it is.
    """
    if isinstance(said, bytes):
        # A character has four bytes at the most.
        text = said[: 4 * limit + 4].decode(errors="backslashreplace")
    else:
        text = said if isinstance(said, str) else str(said)
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - len(_CUT)] + _CUT
