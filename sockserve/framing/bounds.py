"""What every framing has: a limit on the length of a message, and a choice of what happens after a bad frame."""

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

    on_bad_frame: "close": the first bad frame ends the connection. "skip": decoding goes on with the next frame, where
    the framing can find it.

    Like every framing, raises ValueError for values that are not accepted, and TypeError for other types.
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
        """For copy and pickle: makes it anew from its arguments, in whichever form (compiled or pure) loads it."""
        # A dataclass's own way would set each field, which a frozen compiled class refuses.
        return partial(type(self), **{each.name: getattr(self, each.name) for each in fields(self) if each.init}), ()

    def check_length(self, message: bytes) -> int:
        """The message's length in bytes. Raises MessageTooLong, and TypeError for anything but bytes."""
        # Every message comes through here: avoid a call where there is nothing to raise.
        if type(message) is not bytes:
            need_bytes(message, "a message")
        length = len(message)
        if length > self.max_length:
            raise MessageTooLong(self.max_length, length)
        return length

    @property
    def ends_stream(self) -> bool:
        """Whether a message ends where the stream ends; then there is one in each direction."""
        return False

    def encode(self, message: bytes) -> bytes:
        """The frame of one message. Raises FramingError if it cannot be sent, TypeError if it is not bytes."""
        raise NotImplementedError

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        """The frames of all messages as one object. Raises FramingError for the first that cannot be sent."""
        return b"".join([self.encode(message) for message in messages])

    def around(self, length: int) -> tuple[bytes, bytes] | None:
        """The framing bytes before and after a message of that length, of which nothing else is known.

        None: a message has to be seen whole, or a part of one would look like a whole one. Raises FramingError if no
        message of that length can be sent.
        """
        return None

    def pieces(self, message: bytes) -> list[bytes]:
        """The same as `encode` in pieces: where it can be, the message is one of them, and not copied."""
        return [self.encode(message)]
