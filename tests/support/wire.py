"""What an Encoder has written; and, under the names that the tests know, how a decoder is run over bytes."""

from __future__ import annotations

from sockserve.framing import Framing
from sockserve.framing.decimal import Netstring
from sockserve.testing.framings import Event, described, drain, events, settled, splits
from tests.support.tolerant import is_tolerant

__all__ = ["Event", "Written", "described", "drain", "events", "framed", "settled", "splits"]

NETSTRING = Netstring(max_length=1 << 30)


class Written(list[bytes]):
    """The writes of an Encoder. pieces, shared: those that were written in pieces, or as shared; they are here too.

    ended: whether the stream ends after them.
    """

    def __init__(self) -> None:
        self.ended = False
        self.pieces: list[list[bytes]] = []
        self.shared: list[bytes] = []

    def write(self, frames: bytes) -> None:
        self.append(frames)

    def write_pieces(self, pieces: list[bytes]) -> None:
        self.pieces.append(pieces)
        self.extend(pieces)

    def write_shared(self, frames: bytes) -> None:
        self.shared.append(frames)
        self.append(frames)

    def end_messages(self) -> None:
        self.ended = True


def framed(framing: Framing, messages: list[bytes]) -> bytes:
    """Their frames; of a tolerant framing, which may not send all that it understands, what stands for them."""
    return (NETSTRING if is_tolerant(framing) else framing).encode_all(messages)
