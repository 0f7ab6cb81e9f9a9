"""What all decoders share: holding an unfinished frame, and reporting and skipping a bad one.

Strategy: a framing's decoder supplies `_walk`, the fast loop over complete frames in one bytes object, and this class
does the rest. Bytes after the last complete frame are kept in one bytearray that grows with what really arrived,
never by an announced length. While they are no longer than the next read, they are prepended to it; a longer frame is
looked at again only when `_ready` says that it may be complete. So the work stays linear in the bytes received, however
they were split.

A long frame whose length is known is not looked at again at all: its large reads are kept as they are, in a list, and
its message is joined from them, once, when the last one has come.

A bad frame is found in one call and raised in the next (or at once, when no message came before it), so that good
messages before it are never lost.

What the last call walked over is kept until the next one, without a copy. `take` finds the place where a message ended
by walking over less and less of it; so the loops over frames need not record such places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NoReturn

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.form import need_bytes

if TYPE_CHECKING:
    from sockserve.framing.contract import Framing

# Bytes; at least as many as a usual read.
_PIECE = 64 * 1024

# A read of a long frame with at least this many bytes is kept as it is. Each is an object, which takes memory of its
# own: smaller ones are copied together.
_LARGE_READ = 16 * 1024

# Bytes that are kept of a bad frame, and of what was before it.
_SHOWN = 64
_SHOWN_BEFORE = 32

State = Literal["idle", "partial", "skipping", "failed"]


class FrameDecoder:
    """One direction of one connection: bytes in, messages out. See `sockserve.framing.Decoder` for the contract.

    evidence: of the last bad frame, how it begins, after the end of the frames before it: for people who want to know
        what was wrong.

    The defaults here suit a framing that tells the length of a frame at its start; others leave `_needed` at 0 while a
    frame is unfinished, and override `_ready`, `_recover` and `_skip`.
    """

    def __init__(self, framing: BoundedFraming) -> None:
        # Set wherever it changes, not computed: it is read more often.
        self.state: State = "idle"
        self._limit = framing.max_length
        self._may_skip = framing.on_bad_frame == "skip"
        # Bytes received, of no message returned yet: the reads of a long frame, and what comes after them.
        self._pieces: list[bytes | bytearray] | None = None
        self._in_pieces = 0
        self._held = bytearray()
        # There is no complete frame until so many bytes are held.
        self._needed = 0
        # The bytes after a payload.
        self._trailer = b""
        # The error of a bad frame, found and not raised yet; the frame starts at _held[0].
        self._error: FramingError | None = None
        # Of a message that is handed out in parts: its length, and how much of it is still to be handed out.
        self._length = 0
        self._left = -1
        # The length of the bad frame in bytes, where it is known.
        self._bad_length = 0
        self._to_skip = 0
        # What the last call walked over: one object, of which _held is the end; or pieces, each with the number of
        # its bytes that are frames.
        self._walked: bytes | list[tuple[bytes, int]] = b""
        self.evidence = (b"", b"")

    @property
    def pending(self) -> int:
        return self._in_pieces + len(self._held)

    @property
    def missing(self) -> int:
        """The number of bytes that a long frame still lacks; 0: there is none, or its length is not known."""
        return 0 if self._pieces is None else self._needed - self.pending

    def decode(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        self._feed(data, messages)
        return messages

    def scan(self, data: bytes) -> tuple[bytes, int]:
        return self._feed(data, None)

    def finish(self) -> list[bytes] | None:
        if self._error is not None:
            self._report(self._error)
        if self._left >= 0:
            raise self._cut_off(self._length, self._length - self._left + len(self._held))
        if self.pending and not self._to_skip:
            held = b"".join(self._parts())
            self._keep_evidence(self._frames(), held)
            raise self._truncated(held)
        return None

    def take(self, messages: int = 0) -> bytes:
        frames = self._frames()
        taken = b"".join(self._release())
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

    @property
    def under_way(self) -> int:
        """The length of a message whose frame does not fit a usual read and has begun; -1: there is none, or its length
        is not known yet."""
        if self.state != "partial" or self._error is not None or self._left >= 0:
            return -1
        if self._needed <= max(_PIECE, self.pending):
            return -1
        start = self._payload_start(self._parts()[0])
        return self._needed - start - len(self._trailer)

    def open(self) -> None:
        """Hand out the message that is under way in parts: `part` takes the place of `decode` until it is complete."""
        self._length = self._left = self.under_way
        frame = b"".join(self._release())
        start = self._payload_start(frame)
        self._held += memoryview(frame)[start:]

    @property
    def is_open(self) -> bool:
        """Whether a message is being handed out in parts."""
        return self._left >= 0

    def part(self, data: bytes) -> bytes:
        """The next bytes of the message that is open. It is complete when it is not open any more.

        What comes after its frame is held for `decode`. Raises FramingError when its end is bad; the last byte of the
        message has not been handed out then.
        """
        need_bytes(data, "the input")
        if self._held:
            data = bytes(self._held) + data
            self._held = bytearray()
        stop = self._left
        end = stop + len(self._trailer)
        if len(data) < end:
            if len(data) >= stop and self._trailer:
                stop -= 1
            part = data[:stop]
            self._held += memoryview(data)[stop:]
            self._left -= len(part)
            return part
        self._held += memoryview(data)[end:]
        self._left = -1
        self._needed = 0
        if data[stop:end] != self._trailer:
            self._error = self._bad_trailer(data[stop:end])
            self._report(self._error, data[:stop], data[stop:])
        self._settle()
        return data[:stop]

    def settled(self, framing: Framing) -> Framing:
        """For another decoder that goes on after the last message: this one's framing, or one that knows what this one
        has found out from the bytes before."""
        return framing

    # Below, `messages` is the list to fill, or None to only count.

    def _feed(self, data: bytes, messages: list[bytes] | None) -> tuple[bytes, int]:
        """The frames that `data` completes, b"" where messages are collected, and their number."""
        need_bytes(data, "the input")
        if self.state != "idle":
            held = self._held
            if self._error is not None or self._to_skip or self._pieces is not None or len(held) > len(data):
                return self._resume(data, messages)
            data = bytes(held) + data
            held.clear()
        used, count = self._walk(data, messages)
        self._walked = data if count else b""
        if used == len(data):
            self.state = "idle"
            return data, count
        self._hold(data, used)
        if self._error is not None and not count:
            self._report(self._error)
        return data[:used] if messages is None else b"", count

    def _hold(self, data: bytes, used: int) -> None:
        """Hold what comes after the first `used` bytes of `data`, where nothing is held yet."""
        self.state = "partial"
        size = len(data) - used
        if self._error is None and size < self._needed:
            # Where this is compiled, even a slice of the whole is a copy.
            self._keep(data[used:] if used else data)
        else:
            self._held += memoryview(data)[used:]

    def _keep(self, data: bytes) -> None:
        """Hold one more read of a frame that does not end in it."""
        if len(data) < _LARGE_READ:
            self._held += data
            return
        if self._pieces is None:
            self._pieces = []
        if self._held:
            self._pieces.append(self._held)
            self._in_pieces += len(self._held)
            self._held = bytearray()
        self._pieces.append(data)
        self._in_pieces += len(data)

    def _parts(self) -> list[bytes | bytearray]:
        """What is held, in pieces."""
        return [self._held] if self._pieces is None else [*self._pieces, self._held]

    def _release(self) -> list[bytes | bytearray]:
        """The same; from here on nothing is held."""
        parts = self._parts()
        self._pieces = None
        self._in_pieces = 0
        self._held = bytearray()
        return parts

    def _resume(self, data: bytes, messages: list[bytes] | None) -> tuple[bytes, int]:
        """The same after a bad frame, or inside a long one."""
        due = self._error
        if self.state == "failed":
            assert due is not None
            raise due.with_traceback(None)
        if due is not None:
            before = self._frames()
            self._held += data
            self._report(due, before)
        self._walked = b""
        if self._to_skip:
            if not self._skip(data):
                return b"", 0
        elif self._needed > self.pending + len(data):
            self._keep(data)
            return b"", 0
        elif self._needed > self.pending and self._needed > _LARGE_READ:
            return self._complete(data, messages)
        else:
            self._held += data
        found = self._walk_held(messages) if self._ready() else (b"", 0)
        if self._error is not None and not found[1]:
            self._report(self._error)
        self._settle()
        return found

    def _complete(self, data: bytes, messages: list[bytes] | None) -> tuple[bytes, int]:
        """The same where a long frame ends in `data`: its pieces are joined once."""
        end = self._needed - self.pending
        stop = end - len(self._trailer)
        parts = self._release()
        start = self._payload_start(parts[0])
        if data[stop:end] != self._trailer:
            # The walk finds out what is wrong.
            return self._feed(b"".join([*parts, data]), messages)
        last = memoryview(data)
        rest = data[end:]
        if messages is not None:
            messages.append(b"".join([memoryview(parts[0])[start:], *parts[1:], last[:stop]]))
        used, count = self._walk(rest, messages)
        self._walked = rest if count else b""
        self.state = "idle"
        if used < len(rest):
            self._hold(rest, used)
        return b"".join([*parts, last[: end + used]]) if messages is None else b"", count + 1

    def _walk_held(self, messages: list[bytes] | None) -> tuple[bytes, int]:
        """Walk over what is held, in pieces: after a bad frame we have to come back for the rest, perhaps often."""
        held = self._held
        pieces: list[tuple[bytes, int]] = []
        total = 0
        needed = self._needed
        size = max(_PIECE, needed)
        while held and self._error is None:
            piece = bytes(held) if size >= len(held) else bytes(memoryview(held)[:size])
            used, count = self._walk(piece, messages)
            total += count
            if used:
                pieces.append((piece, used))
                del held[:used]
            if len(piece) - used == len(held):
                break
            if not used:
                size = max(2 * size, self._needed)
        # What is ignored after a bad frame is not kept, as it is not elsewhere.
        self._walked = pieces if total else b""
        frames = self._frames() if messages is None else b""
        if pieces and pieces[0][1] == needed:
            # A long frame on its own: its end is known, so it need not be kept.
            del pieces[0]
        return frames, total

    def _keep_evidence(self, before: bytes, frame: bytes | bytearray) -> None:
        self.evidence = before[-_SHOWN_BEFORE:], bytes(frame[:_SHOWN])

    def _report(self, error: FramingError, before: bytes = b"", frame: bytes | None = None) -> NoReturn:
        """Raise the error that is due; from here on the decoder skips, or has failed for good.

        before: the frames before the bad one. frame: what is known of that one; None: it is held.
        """
        self._keep_evidence(before, self._held if frame is None else frame)
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
        self.state = "skipping" if self._to_skip else "partial" if self.pending else "idle"

    def _frames(self) -> bytes:
        """The frames that the last call walked over."""
        walked = self._walked
        if isinstance(walked, bytes):
            return walked[: len(walked) - self.pending]
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

    def _payload_start(self, frame: bytes | bytearray) -> int:
        """The number of bytes before the payload. Only asked for a frame of which `_needed` says how long it is."""
        raise NotImplementedError

    def _truncated(self, held: bytes) -> TruncatedMessage:
        """The error for a stream that ends after `held`, the start of a good frame."""
        raise NotImplementedError

    def _cut_off(self, expected: int, received: int) -> TruncatedMessage:
        """The error for a stream that ends after so many bytes of the payload."""
        return TruncatedMessage(expected, received)

    def _bad_trailer(self, found: bytes) -> FramingError:
        return MalformedHeader(found, f"{self._trailer!r} must follow the payload")

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
