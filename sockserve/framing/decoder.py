"""What all decoders share: holding an unfinished frame, and reporting and skipping a bad one.

Strategy: a framing's decoder supplies `_walk`, the fast loop over complete frames in one bytes object, and this class
does the rest. Bytes after the last complete frame are kept in one bytearray that grows with what really arrived,
never by an announced length. While they are no longer than the next read, they are prepended to it; a longer frame is
looked at again only when `_ready` says that it may be complete. So the work stays linear in the bytes received, however
they were split.

A bad frame is found in one call and raised in the next (or at once, when no message came before it), so that good
messages before it are never lost.

What the last call walked over is kept until the next one, without a copy. `take` finds the place where a message ended
by walking over less and less of it; so the loops over frames need not record such places.
"""

from __future__ import annotations

from typing import Literal, NoReturn

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.errors import FramingError, MessageTooLong, TruncatedMessage
from sockserve.framing.form import need_bytes

# Bytes; at least as many as a usual read.
_PIECE = 64 * 1024

State = Literal["idle", "partial", "skipping", "failed"]


class FrameDecoder:
    """One direction of one connection: bytes in, messages out. See `sockserve.framing.Decoder` for the contract.

    The defaults here suit a framing with a length prefix; others override `_ready`, `_recover` and `_skip`.
    """

    def __init__(self, framing: BoundedFraming) -> None:
        # Set wherever it changes, not computed: it is read more often.
        self.state: State = "idle"
        self._limit = framing.max_length
        self._may_skip = framing.on_bad_frame == "skip"
        # Bytes received, of no message returned yet.
        self._held = bytearray()
        # _held cannot contain a complete frame until it has this many bytes.
        self._needed = 0
        # The error of a bad frame, found and not raised yet; the frame starts at _held[0].
        self._error: FramingError | None = None
        # The length of the bad frame in bytes, where it is known.
        self._bad_length = 0
        self._to_skip = 0
        # What the last call walked over: one object, of which _held is the end; or pieces, each with the number of
        # its bytes that are frames.
        self._walked: bytes | list[tuple[bytes, int]] = b""

    @property
    def pending(self) -> int:
        return len(self._held)

    def decode(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        self._feed(data, messages)
        return messages

    def scan(self, data: bytes) -> tuple[bytes, int]:
        return self._feed(data, None)

    def finish(self) -> None:
        if self._error is not None:
            self._report(self._error)
        if self._held and not self._to_skip:
            raise self._truncated(bytes(self._held))

    def take(self, messages: int = 0) -> bytes:
        taken = bytes(self._held)
        frames = self._frames()
        self._held.clear()
        self._walked = b""
        if frames:
            taken = frames[self._border(frames, messages) :] + taken
        if self.state != "failed":
            self._error = None
            self._settle()
        return taken

    def skip(self, data: bytes) -> bool:
        need_bytes(data, "the input")
        self._walked = b""
        found = self._skip(data)
        self._settle()
        return found

    # Below, `messages` is the list to fill, or None to only count.

    def _feed(self, data: bytes, messages: list[bytes] | None) -> tuple[bytes, int]:
        """The frames that `data` completes, b"" where messages are collected, and their number."""
        need_bytes(data, "the input")
        if self.state != "idle":
            if self._error is not None or self._to_skip or len(self._held) > len(data):
                return self._resume(data, messages)
            data = bytes(self._held) + data
            self._held.clear()
        used, count = self._walk(data, messages)
        self._walked = data if count else b""
        if used == len(data):
            self.state = "idle"
            return data, count
        self._held += memoryview(data)[used:]
        self.state = "partial"
        if self._error is not None and not count:
            self._report(self._error)
        return data[:used] if messages is None else b"", count

    def _resume(self, data: bytes, messages: list[bytes] | None) -> tuple[bytes, int]:
        """The same after a bad frame, or inside a long one."""
        self._walked = b""
        due = self._error
        if self.state == "failed":
            assert due is not None
            raise due.with_traceback(None)
        if due is not None:
            self._held += data
            self._report(due)
        if not self._to_skip:
            self._held += data
        elif not self._skip(data):
            return b"", 0
        found = self._walk_held(messages) if self._ready() else (b"", 0)
        if self._error is not None and not found[1]:
            self._report(self._error)
        self._settle()
        return found

    def _walk_held(self, messages: list[bytes] | None) -> tuple[bytes, int]:
        """Walk over what is held, in pieces: after a bad frame we have to come back for the rest, perhaps often."""
        held = self._held
        pieces: list[tuple[bytes, int]] = []
        total = 0
        needed = self._needed
        size = max(_PIECE, needed)
        while held and self._error is None:
            piece = bytes(held) if size >= len(held) else bytes(held[:size])
            used, count = self._walk(piece, messages)
            total += count
            if used:
                pieces.append((piece, used))
                del held[:used]
            if len(piece) - used == len(held):
                break
            if not used:
                size = max(2 * size, self._needed)
        self._walked = pieces
        frames = self._frames() if messages is None else b""
        if pieces and pieces[0][1] == needed:
            # A long frame on its own: its end is known, so it need not be kept.
            del pieces[0]
        return frames, total

    def _report(self, error: FramingError) -> NoReturn:
        """Raise the error that is due; from here on the decoder skips, or has failed for good."""
        self._walked = b""
        if self._may_skip and self._recover(error):
            self._error = None
            self._needed = 0
            self._skip(b"")
            self._settle()
        else:
            self.state = "failed"
            self._held.clear()
        raise error.with_traceback(None)

    def _settle(self) -> None:
        self.state = "skipping" if self._to_skip else "partial" if self._held else "idle"

    def _frames(self) -> bytes:
        """The frames that the last call walked over."""
        walked = self._walked
        if isinstance(walked, bytes):
            return walked[: len(walked) - len(self._held)]
        # Where this is compiled, even a slice of the whole is a copy.
        return b"".join([piece if used == len(piece) else piece[:used] for piece, used in walked])

    def _border(self, frames: bytes, back: int) -> int:
        """Where in `frames` the message ends after which `back` others come: the fewest bytes that contain it."""
        # `wanted` messages end in frames[start:high], and fewer in frames[start:low].
        wanted = self._walk(frames, None)[1] - back
        if wanted <= 0:
            return 0
        start = low = 0
        high = len(frames)
        # Mostly it is at the end of the last frame, or of the one just found: with one byte fewer it is incomplete.
        last_byte = not back
        while high - low > 1:
            stop = high - 1 if last_byte else (low + high) // 2
            used, found = self._walk(frames[start:stop], None)
            if found < wanted:
                low = stop
                start += used
                wanted -= found
            elif found > wanted:
                high = stop
                last_byte = False
            else:
                high = start + used
                last_byte = not last_byte
        return high

    # What a framing supplies.

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        """The number of bytes in the complete frames at the start of `data`, and the number of these frames.

        Sets `_error` (and `_bad_length`) when a bad frame follows them, and `_needed` when an unfinished one does.
        What is ignored between two frames counts as complete too.
        """
        raise NotImplementedError

    def _truncated(self, held: bytes) -> TruncatedMessage:
        """The error for a stream that ends after `held`, the start of a good frame."""
        raise NotImplementedError

    def _ready(self) -> bool:
        """Whether `_held` is worth a walk. May set `_error` instead."""
        return len(self._held) >= self._needed

    def _recover(self, error: FramingError) -> bool:
        """Prepare to skip the bad frame at the start of `_held`; False when its end cannot be found."""
        if not isinstance(error, MessageTooLong):
            return False
        self._to_skip = self._bad_length
        return True

    def _skip(self, data: bytes) -> bool:
        """Drop what is held and `data`, up to the end of the bad frame. True: that end was found."""
        self._held += data
        count = min(self._to_skip, len(self._held))
        del self._held[:count]
        self._to_skip -= count
        return self._to_skip == 0
