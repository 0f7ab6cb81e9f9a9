"""Messages that wait to be sent in one write.

Strategy: a message is checked at the call that sends it, so that an error is raised where the mistake is, and framed
later together with all others that wait, in one loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sockserve.framing.delimited import Standard
from sockserve.framing.envelope import Envelope
from sockserve.framing.form import need_bytes, need_messages
from sockserve.framing.prefixed import PrefixedFraming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sockserve.framing import Framing


class Writer(Protocol):
    """Where the frames go."""

    def write(self, frames: bytes) -> object: ...


class Encoder:
    """The sending direction of one connection: messages in, frames out; up to `batch` bytes wait for one write.

    framing: that of the messages to come; it may be changed at any time.
    writer: its `write` is called with the frames.
    batch: how many bytes may wait for `flush`; with more, all are written at once.
    size: how many bytes wait, approximately. count: messages sent so far.
    """

    def __init__(self, framing: Framing, writer: Writer) -> None:
        self.batch = 0
        self.size = 0
        self.count = 0
        self._writer = writer
        self._closed = False
        self._check: Callable[[int], object] | None = None
        # What waits: first this many pieces that are framed, then messages that have passed the check. None: nothing.
        self._framed = 0
        self._waiting: list[bytes] | None = None
        self.framing = framing

    @property
    def framing(self) -> Framing:
        return self._framing

    @framing.setter
    def framing(self, framing: Framing) -> None:
        self._pack()
        self._framing = framing
        # What is sure to be right: up to this many bytes, without these in them. Every message of other framings is
        # framed by itself, and so is every one while `check` is set.
        self._limit = -1
        self._delimiter = b""
        self._start = b""
        if self._check is not None:
            return
        if isinstance(framing, Standard) and not framing.overlaps:
            self._limit = framing.max_length
            self._delimiter = framing.delimiter
        elif isinstance(framing, Envelope) and not framing.overlaps:
            self._limit = framing.max_length
            self._delimiter = framing.end
            self._start = framing.start
        elif isinstance(framing, PrefixedFraming):
            self._limit = framing.max_length

    def check(self, check: Callable[[int], object] | None) -> None:
        """From now on, call it with the bytes of each message that is to be sent: what it raises refuses them."""
        self._check = check
        self.framing = self._framing

    def send(self, message: bytes) -> None:
        """Send one message. Raises FramingError, and sends nothing, when the framing cannot carry it.

        Raises TypeError for what is not bytes, and what `check` raises.
        """
        if self._closed:
            return
        # When it is framed, it is too late to say so.
        if type(message) is not bytes:
            need_bytes(message, "a message")
        length = len(message)
        delimiter = self._delimiter
        # find, because `in` would first try whether the delimiter is a number.
        if length > self._limit or (delimiter and message.find(delimiter) >= 0):
            if self._check is not None:
                self._check(length)
            self.send_frames(self._framing.encode(message), 1)
            return
        if self._waiting is None:
            self._waiting = [message]
        else:
            self._waiting.append(message)
        self.count += 1
        # At least one byte, so that an empty message counts too.
        self.size += length + 1
        if self.size > self.batch:
            self.flush()

    def send_all(
        self, messages: Iterable[bytes], encode: Callable[[Framing, list[bytes]], bytes] | None = None
    ) -> None:
        """Send several messages: all, or none when one raises FramingError or TypeError, or `check` does.

        encode: makes their frames; None: the framing does.
        """
        messages = list(messages)
        need_messages(messages)
        if self._check is not None:
            self._check(sum(map(len, messages)))
        frames = self._framing.encode_all(messages) if encode is None else encode(self._framing, messages)
        self.send_frames(frames, len(messages))

    def answer_all(self, messages: list[bytes]) -> None:
        """The same without `check`."""
        need_messages(messages)
        self.send_frames(self._framing.encode_all(messages), len(messages))

    def send_frames(self, frames: bytes, count: int) -> None:
        """Send frames of this framing as they stand on the wire. count: the number of messages in them."""
        if self._closed:
            return
        need_bytes(frames, "frames")
        self.count += count
        if not frames:
            return
        if not self._waiting and len(frames) > self.batch:
            self._writer.write(frames)
            return
        self._pack()
        if self._waiting is None:
            self._waiting = [frames]
        else:
            self._waiting.append(frames)
        self._framed += 1
        self.size += len(frames)
        if self.size > self.batch:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self._pack()
        frames = self._waiting
        if frames is not None:
            self.drop()
            self._writer.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting = None
        self._framed = self.size = 0

    def close(self) -> None:
        """Send nothing from now on; calls to send are ignored."""
        self._closed = True

    def _pack(self) -> None:
        """Frame the messages that wait."""
        framed, waiting = self._framed, self._waiting
        if waiting is None or len(waiting) == framed:
            return
        messages = waiting[framed:] if framed else waiting
        if self._delimiter:
            # No message contains the delimiter: that was checked.
            messages[0] = self._start + messages[0]
            messages[-1] += self._delimiter
            frames = (self._delimiter + self._start).join(messages)
        elif len(messages) == 1:
            frames = self._framing.encode(messages[0])
        else:
            frames = self._framing.encode_all(messages)
        self._waiting = [*waiting[:framed], frames] if framed else [frames]
        self._framed = framed + 1
