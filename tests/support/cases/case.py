"""What a user sees of some bytes in a framing: the messages, and the errors, in their order."""

from __future__ import annotations

from dataclasses import dataclass

from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.errors import FramingError


@dataclass(frozen=True)
class Case:
    """end: the peer closes after the bytes."""

    name: str
    framing: str
    data: bytes
    expected: tuple[bytes | FramingError, ...]
    max_length: int = DEFAULT_MAX_LENGTH
    on_bad_frame: OnBadFrame = "close"
    end: bool = False


REST = "the rest of the header"
