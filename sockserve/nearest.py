"""The name that was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """Words to put behind "unknown" in a message; nothing where no name is near."""
    near = difflib.get_close_matches(name, names, 1, 0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""
