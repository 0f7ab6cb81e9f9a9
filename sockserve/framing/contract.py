"""What a framing is, and its decoder: the contract that each of them keeps, yours too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.decoder import State


class Decoder(Protocol):
    """Bytes in, messages out. Any split of the same bytes gives the same messages and the same errors.

    What is fed has to be bytes: TypeError otherwise.
    """

    @property
    def state(self) -> State:
        """Where the bytes so far end: "idle" between two frames; "partial" inside one; "skipping" inside a bad one
        that was reported; "failed" for good, behind a bad frame. It is read at every read: let it be an attribute."""

    @property
    def pending(self) -> int:
        """Bytes that are held: received, and part of nothing that was handed out."""

    def decode(self, data: bytes) -> list[bytes]:
        """All messages that `data` completes, in order.

        Raises FramingError for a bad frame, once the messages before it were returned: call again, with b"", until
        the list is empty. With on_bad_frame "skip" the call after the error goes on behind the bad frame; with
        "close", or when the end of the bad frame cannot be found, every later call raises the same error.
        """

    def scan(self, data: bytes) -> tuple[bytes, int]:
        """The frames that `data` completes, as they stand on the wire, and how many they are.

        `decode` without taking the frames apart, for who sends them back or drops them: the same errors, at the same
        calls. They are the very bytes that came, not the form that `encode` would give them. What a framing ignores
        between two frames may be among them, and is of no account where the number is 0. Calls of both may be mixed.
        """

    def finish(self) -> None:
        """The peer sends no more. Raises TruncatedMessage inside a frame.

        To be called when all was handed out: it raises an error that is due, and gives no messages.
        """

    def take(self, messages: int = 0) -> bytes:
        """Hand back the bytes received that belong to no message returned; the decoder forgets them.

        messages: so many messages are taken back too, the last ones of the last call of `decode` or `scan`; fewer than
        it has given. The bytes then begin at the very byte that follows the message before them.

        A connection that changes its framing calls it, and decodes these bytes anew. The decoder then stands between
        two frames, unless it is "skipping" or "failed", and gives the same messages for these bytes again.
        """

    def skip(self, data: bytes) -> bool:
        """Feed a decoder that is "skipping" no further than the end of the bad frame. True: it has come."""


class Framing(Protocol):
    """How messages become frames. Immutable, comparable, copied and pickled by its values.

    str() gives the name that `parse` takes.

    A message is bytes. Others are refused with TypeError, in every framing and both forms: a bytearray or memoryview
    may change before it leaves, and text has as many forms as it has encodings.

    A framing may be tolerant: understand several wire forms of one message, and send one of them. What it has to keep
    to is that a message ends at one place, the byte that completes it, however the bytes were split; what is ignored
    between two frames, such as white space, is not part of the one before it.
    """

    @property
    def max_length(self) -> int:
        """The largest payload in bytes, framing bytes not counted."""

    @property
    def on_bad_frame(self) -> OnBadFrame:
        """What a bad frame leads to."""

    def encode(self, message: bytes) -> bytes:
        """The frame of one message. Raises FramingError for one that this framing cannot send."""

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        """The frames of all messages as one object. Raises FramingError for the first that cannot be sent."""

    def decoder(self) -> Decoder:
        """Fresh state, for one direction of one connection."""
