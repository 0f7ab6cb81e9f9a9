"""What a framing and its decoder must do: the contract that all of them keep, your own included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.decoder import State


class Decoder(Protocol):
    """Bytes in, messages out. Any split of the same bytes gives the same messages and the same errors.

    Input must be bytes; anything else raises TypeError.
    """

    @property
    def state(self) -> State:
        """Where the bytes fed so far end: "idle" between two frames; "partial" inside one; "skipping" inside a bad one
        that was reported; "failed" for good, after a bad frame. It is looked up at every read: make it an attribute."""

    @property
    def pending(self) -> int:
        """The number of bytes held: received, and not part of anything returned so far."""

    def decode(self, data: bytes) -> list[bytes]:
        """All messages that `data` completes, in order.

        Raises FramingError for a bad frame, but only after the messages before it were returned: call again, with
        b"", until the list is empty. With on_bad_frame "skip" the call after the error goes on after the bad frame;
        with "close", or when the end of the bad frame cannot be found, every later call raises the same error.
        """

    def scan(self, data: bytes) -> tuple[bytes, int]:
        """The frames that `data` completes, as they stand on the wire, and how many there are.

        Like `decode`, but without taking the frames apart, for callers that send them back or drop them: it raises the
        same errors, at the same calls. The bytes are exactly those received, not what `encode` would make. They may
        include what the framing ignores between two frames; when the number is 0, disregard them. Calls of `decode`
        and `scan` may be mixed.
        """

    def finish(self) -> list[bytes] | None:
        """The peer sends no more. Raises TruncatedMessage when its stream ended inside a frame.

        Returns the messages that this end completes, None or an empty list: there are none, as in every framing that
        tells where a message ends. They cannot be taken back.

        Call it when all messages were returned: it raises an error that is still due. When a connection is lost, it is
        called too, and what it returns is not complete: it is dropped and reported.
        """

    def take(self, messages: int = 0) -> bytes:
        """Hand back the bytes received that belong to no message returned; the decoder forgets them.

        messages: how many of the messages returned last are taken back too; fewer than the last call of `decode` or
        `scan` returned. The result then begins with the byte after the message before them.

        A connection that changes its framing calls this and decodes the result anew. Afterwards the decoder is between
        two frames, unless it is "skipping" or "failed", and returns the same messages if it is fed these bytes again.
        """

    def skip(self, data: bytes) -> bool:
        """Feed a decoder that is "skipping"; it drops what belongs to the bad frame. True: the end of it was found."""


class Framing(Protocol):
    """How messages become frames. Immutable; compared, copied and pickled by its values.

    str() gives the name that `parse` accepts.

    A message is bytes. Anything else raises TypeError, in every framing and in both forms, compiled and pure: a
    bytearray or memoryview may change before it is sent, and text can be encoded in many ways.

    A framing may be tolerant: understand several wire forms of one message, and send one of them. But a message must
    always end at the same place, the byte that completes it, however the bytes were split; what is ignored between two
    frames, such as white space, is not part of the frame before it.

    A framing in which the end of the stream ends a message has one more attribute, `ends_stream`, which is True. Then
    our side of the stream ends after the first message sent, and a second one raises InvalidMessage.
    """

    @property
    def max_length(self) -> int:
        """The largest payload in bytes, framing bytes not counted."""

    @property
    def on_bad_frame(self) -> OnBadFrame:
        """What happens after a bad frame: "close" or "skip"."""

    def encode(self, message: bytes) -> bytes:
        """The frame of one message. Raises FramingError for one that this framing cannot send."""

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        """The frames of all messages as one object. Raises FramingError for the first that cannot be sent."""

    def decoder(self) -> Decoder:
        """Fresh state, for one direction of one connection."""


def ends_stream(framing: Framing) -> bool:
    """Whether a message of it ends where the stream ends; a framing need not have the attribute."""
    return bool(getattr(framing, "ends_stream", False))
