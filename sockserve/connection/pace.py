"""How much of a read is decoded at once, for a receiver that does not take all of it at once."""

from __future__ import annotations

from typing import Final

# A program that changes the framing at every message must not make us decode the rest of the read each time: after a
# few changes we decode small pieces, each twice as large as the one before, until the next change.
_FEW_CHANGES: Final = 4
_SMALL_PIECE: Final = 16

# For a receiver that takes messages one by one, or stops between them, thousands must not be decoded in advance: as
# objects they take 20 times the memory that they take on the wire. When this read, or one of the last few, was
# interrupted, less is decoded at once. As that is taken, the pieces grow again.
_INTERRUPTED: Final = 1 << 6
_FIRST_PIECE: Final = 1024


class Pace:
    """Begins with the first interruption of delivery, or change of framing.

    always: the receiver may stop after any message, and says so.
    """

    __slots__ = ("_changes", "_piece", "always")

    def __init__(self) -> None:
        self.always = False
        # Changes of framing within these bytes, or _INTERRUPTED; and how many bytes to decode next.
        self._changes = 0
        self._piece = _FIRST_PIECE

    @property
    def whole(self) -> bool:
        """Whether all that there is may be decoded at once, after all."""
        return self._changes <= _FEW_CHANGES and not self.always

    def piece(self) -> int:
        """How many bytes to decode now: twice as many as the last time."""
        piece = self._piece
        self._piece *= 2
        return piece

    def interrupted(self) -> None:
        """Delivery was."""
        self._changes |= _INTERRUPTED

    def changed(self) -> None:
        """The framing was."""
        self._changes += 1
        self._piece = _SMALL_PIECE

    def used_up(self) -> bool:
        """All that was received is decoded. False: after a few such reads it is as if nothing had happened."""
        self._changes >>= 1
        self._piece = _FIRST_PIECE
        return self._changes > 0 or self.always
