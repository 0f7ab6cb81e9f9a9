"""What every framing has: a limit for a message, and what a bad frame leads to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal

from sockserve.framing.errors import MessageTooLong
from sockserve.framing.form import need, need_bytes

OnBadFrame = Literal["close", "skip"]

DEFAULT_MAX_LENGTH = 1024 * 1024
"""Bytes of payload: 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedFraming:
    """max_length: the largest payload in bytes, framing bytes not counted. At least 1.

    on_bad_frame: "close" makes the first bad frame the last one; "skip" goes on at the next frame where the framing
    can find it.

    Raises ValueError for values that are not accepted, TypeError for those of another type; all framings do.
    """

    max_length: int = DEFAULT_MAX_LENGTH
    on_bad_frame: OnBadFrame = "close"

    def __post_init__(self) -> None:
        need(int, self.max_length, "max_length")
        need(str, self.on_bad_frame, "on_bad_frame")
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1 byte, not {self.max_length}")
        if self.on_bad_frame not in ("close", "skip"):
            raise ValueError(f"on_bad_frame must be 'close' or 'skip', not {self.on_bad_frame!r}")

    def __reduce__(self) -> tuple[object, ...]:
        """For copy and pickle: it is made anew of what it was made of, whichever form it is loaded by."""
        # By a dataclass's own way each field would be set, which a frozen compiled class refuses.
        return partial(type(self), **{each.name: getattr(self, each.name) for each in fields(self) if each.init}), ()

    def check_length(self, message: bytes) -> int:
        """The message's length in bytes. Raises MessageTooLong, and TypeError for what is not bytes."""
        # Not always a call: this is on the way of every message.
        if type(message) is not bytes:
            need_bytes(message, "a message")
        length = len(message)
        if length > self.max_length:
            raise MessageTooLong(self.max_length, length)
        return length

    def encode(self, message: bytes) -> bytes:
        """The frame of one message. Raises FramingError for one that cannot be sent, TypeError for no bytes."""
        raise NotImplementedError

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        """The frames of all messages as one object. Raises FramingError for the first that cannot be sent."""
        return b"".join([self.encode(message) for message in messages])
