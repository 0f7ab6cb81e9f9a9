"""Frames that wait to leave as one write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sockserve.framing import Framing


class Encoder:
    """The sending direction of one connection: messages in, frames out, as many at once as were added.

    framing: of the messages to come; it may change at any time.
    size: bytes that wait. count: messages added so far.
    """

    def __init__(self, framing: Framing) -> None:
        self.size = 0
        self.count = 0
        self._frames: list[bytes] = []
        self._closed = False
        self._framing = framing
        # Looked up once: it is called for each message.
        self._encode: Callable[[bytes], bytes] = framing.encode

    @property
    def framing(self) -> Framing:
        return self._framing

    @framing.setter
    def framing(self, framing: Framing) -> None:
        self._framing = framing
        self._encode = framing.encode

    def add(self, message: bytes) -> int:
        """Take one message, and tell how many bytes wait. Raises FramingError for one that cannot be sent."""
        if not self._closed:
            frame = self._encode(message)
            if frame:
                self._frames.append(frame)
                self.size += len(frame)
            self.count += 1
        return self.size

    def add_all(self, messages: Iterable[bytes]) -> int:
        """Take several messages: all, or none when one of them raises FramingError."""
        messages = list(messages)
        return self.add_frames(self._framing.encode_all(messages), len(messages))

    def add_frames(self, frames: bytes, count: int) -> int:
        """Take frames of this framing as they stand on the wire; so many messages are in them."""
        if frames and not self._closed:
            self._frames.append(frames)
            self.size += len(frames)
            self.count += count
        return self.size

    def take(self) -> bytes:
        """All that waits; nothing waits any more."""
        frames = self._frames
        if not frames:
            return b""
        self._frames = []
        self.size = 0
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def close(self) -> None:
        """Take nothing any more."""
        self._closed = True
