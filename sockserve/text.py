"""Text for people and from them: sizes and times as they write them, and the name that was perhaps meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

SIZE = re.compile(r"([0-9]{1,15}) ?(k|M|)", re.ASCII)
UNITS = {"": 1, "k": 1024, "M": 1024 * 1024}
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|)", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1, "": 1, "min": 60}
FOREVER = 1e9


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
