"""What all decoders share: they hold an unfinished frame, report a bad one, and skip it.

Strategy: a framing's decoder supplies `_scan`, the fast loop over complete frames in one bytes object, and this class
does the rest. Bytes behind the last complete frame are kept in one bytearray that grows with what really arrived,
never by an announced length. They are scanned again only when `_ready` says that they can hold a whole frame, so the
work stays linear in the bytes received, however they were split.

A bad frame is found in one call and raised in the next (or at once, when no message came before it), so that good
messages in front of it are never lost.
"""

from __future__ import annotations

from typing import Literal

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.errors import FramingError, MessageTooLong, TruncatedMessage

# Bytes; no less than a usual read.
_PIECE = 64 * 1024

State = Literal["idle", "partial", "skipping", "failed"]


class FrameDecoder:
    """One direction of one connection: bytes in, messages out. See `sockserve.framing.Decoder` for the contract.

    The defaults here are those of a framing with a length in front; the others override `_ready`, `_recover`
    and `skip`.
    """

    def __init__(self, framing: BoundedFraming) -> None:
        self._limit = framing.max_length
        self._may_skip = framing.on_bad_frame == "skip"
        # Bytes received and not yet given out.
        self._held = bytearray()
        # _held cannot complete a frame before it has this many bytes.
        self._needed = 0
        # A bad frame that is known and not raised yet; it starts at _held[0].
        self._error: FramingError | None = None
        # Bytes of the whole bad frame, where they are known.
        self._bad_length = 0
        self._to_skip = 0
        self._failed = False

    @property
    def state(self) -> State:
        if self._failed:
            return "failed"
        if self._to_skip:
            return "skipping"
        return "partial" if self._held else "idle"

    def decode(self, data: bytes) -> list[bytes]:
        if self._held or self._error is not None or self._to_skip:
            return self._resume(data)
        return self._messages(data)

    def finish(self) -> None:
        if self._error is not None:
            self._report(self._error)
        if self._held and not self._to_skip:
            raise self._truncated(bytes(self._held))

    def take(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        if not self._failed:
            self._error = None
        return held

    def skip(self, data: bytes) -> bool:
        self._held += data
        count = min(self._to_skip, len(self._held))
        del self._held[:count]
        self._to_skip -= count
        return self._to_skip == 0

    def _resume(self, data: bytes) -> list[bytes]:
        if self._failed:
            assert self._error is not None
            raise self._error.with_traceback(None)
        if self._error is not None:
            self._held += data
            self._report(self._error)
        if self._to_skip:
            if not self.skip(data):
                return []
        else:
            self._held += data
        if not self._ready():
            if self._error is not None:
                self._report(self._error)
            return []
        return self._held_messages()

    def _held_messages(self) -> list[bytes]:
        """Scan what is held, in pieces: behind a bad frame we have to come back for the rest, perhaps many times."""
        held = self._held
        messages: list[bytes] = []
        size = max(_PIECE, self._needed)
        while held and self._error is None:
            piece = bytes(held) if size >= len(held) else bytes(held[:size])
            found, used = self._scan(piece)
            messages += found
            del held[:used]
            if len(piece) - used == len(held):
                break
            if not used:
                size = max(2 * size, self._needed)
        if self._error is not None and not messages:
            self._report(self._error)
        return messages

    def _messages(self, data: bytes) -> list[bytes]:
        messages, used = self._scan(data)
        if used < len(data):
            self._held += memoryview(data)[used:]
        if self._error is not None and not messages:
            self._report(self._error)
        return messages

    def _report(self, error: FramingError) -> None:
        """Raise the error that is due; from here on the decoder skips, or has failed for good."""
        if self._may_skip and self._recover(error):
            self._error = None
            self._needed = 0
            self.skip(b"")
        else:
            self._failed = True
            self._held.clear()
        raise error.with_traceback(None)

    # What a framing supplies.

    def _scan(self, data: bytes) -> tuple[list[bytes], int]:
        """All messages at the start of `data`, and the offset of the first byte that belongs to none of them.

        Sets `_error` (and `_bad_length`) when a bad frame starts there, else `_needed` when it is unfinished.
        """
        raise NotImplementedError

    def _truncated(self, held: bytes) -> TruncatedMessage:
        """The error for a stream that ends behind `held`, the start of a good frame."""
        raise NotImplementedError

    def _ready(self) -> bool:
        """Whether `_held` is worth a scan. May set `_error` instead."""
        return len(self._held) >= self._needed

    def _recover(self, error: FramingError) -> bool:
        """Prepare to skip the bad frame at the start of `_held`; False when its end cannot be found."""
        if not isinstance(error, MessageTooLong):
            return False
        self._to_skip = self._bad_length
        return True
