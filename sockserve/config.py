"""What users write, turned into checked values: sizes, so far."""

from __future__ import annotations

import re

SIZE = re.compile(r"([0-9]{1,15}) ?(k|M|)", re.ASCII)
UNITS = {"": 1, "k": 1024, "M": 1024 * 1024}


def parse_size(text: str) -> int:
    """Bytes: a whole number, at least 1, with k (1024) or M (1024 * 1024) behind it if wished.

    Raises ValueError.
    """
    match = SIZE.fullmatch(text)
    size = int(match[1]) * UNITS[match[2]] if match else 0
    if size < 1:
        raise ValueError(f"{text!r} is not a size in bytes; accepted: 1 or more, such as 4096, 64k or 16M")
    return size
