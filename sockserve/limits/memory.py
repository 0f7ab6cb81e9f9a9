"""One budget for the bytes that all connections of a process hold together.

What is held: messages received in part or not delivered yet, messages that a handler works on, and bytes that a peer
has not read. All of it is counted only when so much was read and written since the last count that the budget could be
exceeded: counting costs nothing as long as there is room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

log = Logger()

_REASON = "memory_budget"
# Seconds between two counts while the budget is exceeded, and until the largest holders are aborted.
_INTERVAL = 1.0
_PATIENCE = 10


class Holder(Protocol):
    """A connection; see sockserve.connection.engine."""

    @property
    def held(self) -> int:
        """Bytes that it holds."""

    def hold_reading(self, reason: str) -> None: ...

    def release_reading(self, reason: str) -> None: ...

    def abort_for(self, limit: str, text: str) -> None: ...


class MemoryBudget:
    """While more than `limit` bytes are held, the largest holders are not read from. Half as much again is never held,
    but for what comes in one turn of the reactor.

    What cannot go down because none of the peers goes on is ended: after ten seconds above the budget the largest
    holders are aborted, until the others have room.

    limit: bytes. reactor: None: the global one.
    """

    def __init__(self, limit: int, reactor: object = None) -> None:
        if limit < 1:
            raise ValueError(f"memory_budget must be at least 1, not {limit}")
        if reactor is None:
            from twisted.internet import reactor
        self.limit = limit
        self._reactor = cast("IReactorTime", reactor)
        self._holders: set[Holder] = set()
        self._paused: set[Holder] = set()
        # Bytes until the next count.
        self._left = limit
        # Counts in a row that were above the budget.
        self._above = 0
        self._call: IDelayedCall | None = None

    def join(self, holder: Holder) -> None:
        self._holders.add(holder)

    def leave(self, holder: Holder) -> None:
        self._holders.discard(holder)
        self._paused.discard(holder)
        if not self._holders and self._call is not None:
            self._call.cancel()
            self._call = None

    def grow(self, count: int) -> None:
        """So many bytes more may be held now."""
        self._left -= count
        if self._left < 0:
            self._count()

    def _count(self) -> None:
        sizes = {holder: holder.held for holder in self._holders}
        total = sum(sizes.values())
        # The count comes again when half of the room may be used, but not at every read when there is little.
        self._left = max(self.limit - total, self.limit // 8) // 2
        if total <= self.limit:
            self._above = 0
            paused, self._paused = self._paused, set()
            for holder in paused:
                # One that went on before it may have used up the room.
                if holder not in self._paused:
                    holder.release_reading(_REASON)
        else:
            self._pause(sizes, total)
        if (self._paused or total > self.limit) and self._call is None:
            self._call = self._reactor.callLater(_INTERVAL, self._again)

    def _again(self) -> None:
        self._call = None
        self._above += 1
        if self._above > _PATIENCE:
            self._abort()
        self._count()

    def _pause(self, sizes: dict[Holder, int], total: int) -> None:
        """Stop reading from the largest. The further above the budget, the less may those hold that are read from.

        One of them always goes on: what it holds can go down, and then the next one's.
        """
        if not self._paused:
            log.warn(
                "{total} bytes are held for all connections, more than {limit} (memory_budget): not reading from the"
                " largest",
                total=total,
                limit=self.limit,
            )
        room = self.limit + self.limit // 2 - total
        reading = {holder: size for holder, size in sizes.items() if size and holder not in self._paused}
        others = sum(reading.values())
        for holder in sorted(reading, key=reading.__getitem__, reverse=True)[:-1]:
            if others <= room:
                break
            others -= reading[holder]
            self._paused.add(holder)
            holder.hold_reading(_REASON)

    def _abort(self) -> None:
        sizes = {holder: holder.held for holder in self._holders}
        total = sum(sizes.values())
        for holder in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if total <= self.limit:
                break
            total -= sizes[holder]
            holder.abort_for(
                _REASON, f"aborted, {sizes[holder]} bytes are held for it, and too many for all (memory_budget)"
            )
