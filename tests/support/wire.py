"""What an Encoder has written; and, under the names that the tests know, how a decoder is run over bytes."""

from __future__ import annotations

from sockserve.testing.framings import Event, described, drain, events, splits

__all__ = ["Event", "Written", "described", "drain", "events", "splits"]


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
