"""Messages that wait to be sent in one write.

Strategy: a message is checked at the call that sends it, so that an error is raised where the mistake is, and framed
later together with all others that wait, in one loop. A large message is not copied into what leaves: it stays a piece
of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.contract import ends_stream
from sockserve.framing.delimited import Standard
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import InvalidMessage
from sockserve.framing.form import need_bytes, need_messages
from sockserve.framing.prefixed import PrefixedFraming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sockserve.framing import Framing


class Writer(Protocol):
    """Where the frames go."""

    def write(self, frames: bytes) -> object: ...

    def write_pieces(self, pieces: list[bytes]) -> object:
        """The same, with frames of large messages as pieces to be written one after the other."""

    def write_shared(self, frames: bytes) -> object:
        """The same, with frames that others are sent too, and that take memory once: large ones."""

    def end_messages(self) -> object:
        """The stream ends after what was written."""


# Bytes; to copy fewer costs less than to write one piece more.
_LARGE: Final = 16 * 1024


class Encoder:
    """The sending direction of one connection: messages in, frames out; up to `batch` bytes wait for one write.

    framing: that of the messages to come; it may be changed at any time.
    writer: its `write` is called with the frames.
    batch: how many bytes may wait for `flush`; with more, all are written at once.
    size: how many bytes wait, approximately. count: messages sent so far.
    is_open: whether a message is being sent in parts; see `open`.
    """

    def __init__(self, framing: Framing, writer: Writer) -> None:
        self.batch = 0
        self.size = 0
        self.count = 0
        self.is_open = False
        self._writer = writer
        self._closed = False
        # It is closed because this framing had one message to send, and has sent it.
        self._full: Framing | None = None
        # The framing bytes after a message that is open.
        self._tail = b""
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
        self._ends = ends_stream(framing)
        # What is sure to be right: up to this many bytes, without these in them. Every message of other framings is
        # framed by itself, and so is a large one, and every one while `check` is set.
        self._limit = -1
        self._delimiter = b""
        self._start = b""
        if self._check is not None:
            return
        if isinstance(framing, Standard) and not framing.overlaps:
            self._limit = min(framing.max_length, _LARGE)
            self._delimiter = framing.delimiter
        elif isinstance(framing, Envelope) and not framing.overlaps:
            self._limit = min(framing.max_length, _LARGE)
            self._delimiter = framing.end
            self._start = framing.start
        elif isinstance(framing, PrefixedFraming) and not framing.least():
            self._limit = min(framing.max_length, _LARGE)

    def check(self, check: Callable[[int], object] | None) -> None:
        """From now on, call it with the bytes of each message that is to be sent: what it raises refuses them."""
        self._check = check
        self.framing = self._framing

    def send(self, message: bytes) -> None:
        """Send one message. Raises FramingError, and sends nothing, when the framing cannot carry it.

        Raises TypeError for what is not bytes, and what `check` raises.
        """
        if self._closed:
            self._need_room()
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
            self._add(self._pieces(message), 1)
            if self._ends:
                self._end()
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

        encode: makes their frames, or gives those that it has made for another; None: the framing does.
        """
        messages = list(messages)
        need_messages(messages)
        if self._full is not None and messages:
            self._need_room()
        if self._check is not None:
            self._check(sum(map(len, messages)))
        if encode is None:
            self.answer_all(messages)
        else:
            frames = encode(self._framing, messages)
            if len(frames) > _LARGE and self._waiting is None and len(frames) > self.batch and not self._closed:
                need_bytes(frames, "frames")
                self.count += len(messages)
                self._writer.write_shared(frames)
                if self._ends:
                    self._end()
            else:
                self.send_frames(frames, len(messages))

    def answer_all(self, messages: list[bytes]) -> None:
        """The same without `check`."""
        need_messages(messages)
        if self._full is not None and messages:
            self._need_room()
        if messages and len(messages[0]) > _LARGE:
            # Of the messages that one read completes only the first is longer than a read.
            frames, others = self._pieces(messages[0]), messages[1:]
            if others:
                frames.append(self._framing.encode_all(others))
        else:
            frames = [self._framing.encode_all(messages)]
        self._add(frames, len(messages))
        if self._ends and messages:
            self._end()

    def open(self, length: int) -> bool:
        """Begin to send a message of that many bytes before it is complete: `add` sends its parts, and nothing else is
        sent until all of it is. False: this framing has to see it whole. Raises FramingError if it cannot be sent.
        """
        self._need_room()
        framing = self._framing
        around = framing.around(length) if isinstance(framing, BoundedFraming) else None
        if around is None:
            return False
        header, self._tail = around
        self.is_open = True
        self._add([header], 1)
        return True

    def add(self, part: bytes, *, last: bool) -> None:
        """Send the next bytes of the message that is open. last: it ends with them."""
        need_bytes(part, "a part")
        if last:
            self.is_open = False
        self._add([part, self._tail] if last and self._tail else [part], 0)

    def send_frames(self, frames: bytes, count: int) -> None:
        """Send frames of this framing as they stand on the wire. count: the number of messages in them."""
        need_bytes(frames, "frames")
        if self._full is not None and count:
            self._need_room()
        self._add([frames], count)
        if self._ends and count:
            self._end()

    def _end(self) -> None:
        """A message was sent that ends where the stream ends."""
        if not self._closed:
            self.flush()
            self._writer.end_messages()
            self._closed = True
            self._full = self._framing

    def _need_room(self) -> None:
        """Raise InvalidMessage if a framing has ended our stream with the one message that it carries."""
        if self._full is not None:
            raise InvalidMessage(f"{self._full} carries one message in each direction, and ours was sent")

    def _add(self, frames: list[bytes], count: int) -> None:
        """Let frames wait, in pieces."""
        if self._closed:
            return
        self.count += count
        size = sum(map(len, frames))
        if not size:
            return
        if self._waiting is None and size > self.batch:
            self._give(frames, size)
            return
        self._pack()
        if self._waiting is None:
            self._waiting = frames
        else:
            self._waiting += frames
        self._framed += len(frames)
        self.size += size
        if self.size > self.batch:
            self.flush()

    def _pieces(self, message: bytes) -> list[bytes]:
        framing = self._framing
        if len(message) > _LARGE and isinstance(framing, BoundedFraming):
            return framing.pieces(message)
        return [framing.encode(message)]

    def flush(self) -> None:
        """Write what waits."""
        self._pack()
        frames, size = self._waiting, self.size
        if frames is not None:
            self.drop()
            self._give(frames, size)

    def _give(self, frames: list[bytes], size: int) -> None:
        if len(frames) == 1:
            self._writer.write(frames[0])
        elif size < _LARGE * len(frames):
            self._writer.write(b"".join(frames))
        else:
            self._writer.write_pieces(frames)

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting = None
        self._framed = self.size = 0

    def close(self) -> None:
        """Send nothing from now on; calls to send are ignored."""
        self._closed = True
        self._full = None

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
