"""One budget for what a process holds for its peers, as the growth of its resident memory.

What is held: messages received in part or not delivered yet, messages that a handler works on, bytes that a peer has
not taken, and what layers below the protocols keep before there is one. Each holder says what all of it takes in
memory: a message of two bytes is an object of sixty. All of it is counted only when so much has come since the last
count that the budget could be exceeded: counting costs nothing as long as there is room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast
from weakref import WeakValueDictionary

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

log = Logger()

DEFAULT_MEMORY_BUDGET = 256 * 1024 * 1024

OBJECT = 64
"""Bytes that a bytes object takes beside its contents, its place in a list included (CPython on a 64-bit machine)."""

_REASON = "memory_budget"
# Seconds between two counts while the budget is exceeded, and until the largest holders are aborted.
_INTERVAL = 1.0
_PATIENCE = 10
_BETWEEN_LINES = 10.0


class Holder(Protocol):
    """A connection, see sockserve.connection.engine; or a layer's, before it has a protocol."""

    @property
    def held(self) -> int:
        """Bytes of memory that it holds."""

    def hold_reading(self, reason: str) -> None: ...

    def release_reading(self, reason: str) -> None: ...

    def abort_for(self, limit: str, text: str) -> None:
        """End it, and give up what it holds before this returns."""


class MemoryBudget:
    """While more than `limit` bytes are held, the largest holders are not read from. Half as much again is never held.

    Above an eighth more than the budget the largest holders are aborted at once, until the others have room: the rest
    of the half is for what an allocator cannot give back. What cannot go down because none of the peers goes on is
    aborted after ten seconds above the budget.

    limit: bytes. reactor: None: the global one.
    """

    def __init__(self, limit: int, reactor: object = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = cast("IReactorTime", reactor)
        self._holders: set[Holder] = set()
        self._paused: set[Holder] = set()
        # Counts in a row that were above the budget.
        self._above = 0
        self._call: IDelayedCall | None = None
        self._last_line: float | None = None
        self.resize(limit)

    def resize(self, limit: int) -> None:
        """From now on it is this many bytes. Raises ValueError for fewer than one."""
        if limit < 1:
            raise ValueError(f"memory_budget must be at least 1, not {limit}")
        self.limit = limit
        # Bytes until the next count.
        self._left = 0 if self._holders else limit

    def join(self, holder: Holder) -> None:
        self._holders.add(holder)

    def leave(self, holder: Holder) -> None:
        self._holders.discard(holder)
        self._paused.discard(holder)
        if not self._holders and self._call is not None:
            self._call.cancel()
            self._call = None

    def grow(self, count: int) -> None:
        """Up to this many more bytes are held now."""
        self._left -= count
        if self._left < 0:
            self._count()

    def _count(self) -> None:
        sizes, total = self._sizes()
        while total > self.limit + self.limit // 8:
            self._abort(sizes, total)
            # What several hold together is given up by the last of them.
            sizes, total = self._sizes()
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
        if (self._paused or total > self.limit) and self._call is None and self._holders:
            self._call = self._reactor.callLater(_INTERVAL, self._again)

    def _again(self) -> None:
        self._call = None
        self._above += 1
        if self._above > _PATIENCE:
            self._abort(*self._sizes())
        self._count()

    def _sizes(self) -> tuple[dict[Holder, int], int]:
        """What each holds, and all together."""
        sizes = {holder: holder.held for holder in self._holders}
        return sizes, sum(sizes.values())

    def _pause(self, sizes: dict[Holder, int], total: int) -> None:
        """Stop reading from the largest. The further above the budget, the less may those hold that are read from.

        One of them always goes on: what it holds can go down, and then the next one's.
        """
        if not self._paused:
            self._tell(total)
        room = self.limit + self.limit // 8 - total
        reading = {holder: size for holder, size in sizes.items() if size and holder not in self._paused}
        others = sum(reading.values())
        for holder in sorted(reading, key=reading.__getitem__, reverse=True)[:-1]:
            if others <= room:
                break
            others -= reading[holder]
            self._paused.add(holder)
            holder.hold_reading(_REASON)

    def _tell(self, total: int) -> None:
        now = self._reactor.seconds()
        if self._last_line is None or now - self._last_line >= _BETWEEN_LINES:
            self._last_line = now
            log.warn(
                "{total} bytes are held for all connections, more than {limit} (memory_budget): not reading from the"
                " largest",
                total=total,
                limit=self.limit,
                event_name="sockserve.memory.exceeded",
                attributes={"sockserve.memory.held": total, "sockserve.memory.budget": self.limit},
            )

    def _abort(self, sizes: dict[Holder, int], total: int) -> None:
        """Abort the largest until the others are within the budget."""
        for holder in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if total <= self.limit:
                break
            size = sizes[holder]
            total -= size
            # The end of one may have been that of another.
            if holder in self._holders:
                self.leave(holder)
                holder.abort_for(_REASON, f"aborted, {size} bytes are held for it, and too many for all ({_REASON})")


# Of the reactors that have one.
_budgets: WeakValueDictionary[object, MemoryBudget] = WeakValueDictionary()


def budget_of(reactor: object = None, limit: int | None = None) -> MemoryBudget:
    """The one budget of a process: that of its reactor, for as long as somebody has it.

    reactor: None: the global one. limit: what it is from now on; None: what it was, or DEFAULT_MEMORY_BUDGET.
    """
    if reactor is None:
        from twisted.internet import reactor
    budget = _budgets.get(reactor)
    if budget is None:
        budget = _budgets[reactor] = MemoryBudget(limit or DEFAULT_MEMORY_BUDGET, reactor)
    elif limit is not None:
        budget.resize(limit)
    return budget
