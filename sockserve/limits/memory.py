"""One budget for what a process holds for its peers, as the growth of its resident memory.

What is held: messages received in part or not delivered yet, messages that a handler works on, bytes that a peer has
not taken, and what layers below the protocols keep before there is one. Each holder says what all of it takes in
memory: a message of two bytes is an object of sixty. It is counted only when so much has come since the last count that
the budget could be exceeded: counting costs nothing as long as there is room. Then those are weighed that have grown
since; all of them, when these alone do not show that there is room.
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
# All are weighed again when this many times as long has gone by as it took.
_BETWEEN_WEIGHINGS = 4
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
        # What each held when it was weighed, and all of them. Who has not grown since can only hold less.
        self._weights: dict[Holder, int] = {}
        self._total = 0
        self._grown: set[Holder] = set()
        # Until then, all were weighed a moment ago.
        self._fresh = 0.0
        # Whether something is held by several together: what one gives up may be the others' then.
        self._together = False
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
        self._left = 0 if self._weights else limit

    def join(self, holder: Holder) -> None:
        self._weights.setdefault(holder, 0)

    def leave(self, holder: Holder) -> None:
        self._total -= self._weights.pop(holder, 0)
        self._grown.discard(holder)
        self._paused.discard(holder)
        if not self._weights and self._call is not None:
            self._call.cancel()
            self._call = None

    def grow(self, count: int, holder: Holder | None = None) -> None:
        """Up to this many more bytes are held now. holder: by whom; None: by several together."""
        if holder is None:
            self._together = True
        else:
            self._grown.add(holder)
        self._left -= count
        if self._left < 0:
            self._count()

    def _count(self) -> None:
        self._weigh_grown()
        if self._together or self._total > self.limit:
            self._relieve()
        limit, total = self.limit, self._total
        # The count comes again when half of the room may be used, but not at every read when there is little.
        self._left = max(limit - total, limit // 8) // 2
        if total <= limit - limit // 8:
            self._release()
        if total <= limit:
            self._above = 0
        if (self._paused or total > limit) and self._call is None and self._weights:
            self._call = self._reactor.callLater(_INTERVAL, self._again)

    def _again(self) -> None:
        self._call = None
        self._above += 1
        self._weigh_all()
        if self._above > _PATIENCE:
            self._abort()
        if self._total <= self.limit:
            self._release()
        self._count()

    def _weigh_grown(self) -> None:
        for holder in self._grown:
            # Not one that has left.
            if holder in self._weights:
                self._weigh(holder)
        self._grown.clear()

    def _weigh(self, holder: Holder) -> int:
        """Returns by how much it has grown."""
        held = holder.held
        more = held - self._weights[holder]
        self._total += more
        self._weights[holder] = held
        return more

    def _weigh_all(self) -> None:
        began = self._reactor.seconds()
        self._weights = {holder: holder.held for holder in self._weights}
        self._total = sum(self._weights.values())
        self._grown.clear()
        now = self._reactor.seconds()
        self._fresh = now + (now - began) * _BETWEEN_WEIGHINGS

    def _relieve(self) -> None:
        """There may be too much: do not read from the largest, or abort them."""
        again = self._together or self._reactor.seconds() >= self._fresh
        if again:
            self._weigh_all()
        while self._total > self.limit + self.limit // 8:
            self._abort()
            if self._together:
                # It is given up by the last of them.
                self._weigh_all()
        if again and self._total > self.limit:
            self._pause()

    def _release(self) -> None:
        """Read from all again."""
        paused, self._paused = self._paused, set()
        for holder in paused:
            # One that went on before it may have used up the room.
            if holder not in self._paused:
                holder.release_reading(_REASON)

    def _pause(self) -> None:
        """Stop reading from the largest. The further above the budget, the less may those hold that are read from.

        One of them always goes on: what it holds can go down, and then the next one's.
        """
        if not self._paused:
            self._tell()
        room = self.limit + self.limit // 8 - self._total
        reading = {holder: size for holder, size in self._weights.items() if size and holder not in self._paused}
        others = sum(reading.values())
        for holder in sorted(reading, key=reading.__getitem__, reverse=True)[:-1]:
            if others <= room:
                break
            others -= reading[holder]
            self._paused.add(holder)
            holder.hold_reading(_REASON)

    def _tell(self) -> None:
        now = self._reactor.seconds()
        if self._last_line is None or now - self._last_line >= _BETWEEN_LINES:
            self._last_line = now
            log.warn(
                "{total} bytes are held for all connections, more than {limit} (memory_budget): not reading from the"
                " largest",
                total=self._total,
                limit=self.limit,
                event_name="sockserve.memory.exceeded",
                attributes={"sockserve.memory.held": self._total, "sockserve.memory.budget": self.limit},
            )

    def _abort(self) -> None:
        """Abort the largest until the others are within the budget."""
        while self._total > self.limit:
            for holder in self._largest():
                if self._total <= self.limit:
                    break
                # The end of one may have been that of another, and its peer may have taken much of it.
                if holder in self._weights and self._weigh(holder) >= 0:
                    size = self._weights[holder]
                    self.leave(holder)
                    holder.abort_for(
                        _REASON, f"aborted, {size} bytes are held for it, and too many for all ({_REASON})"
                    )

    def _largest(self) -> list[Holder]:
        """Those not below the average, the largest first: as a rule they are enough, and few to sort."""
        weights = self._weights
        average = self._total // len(weights)
        large = [holder for holder, size in weights.items() if size >= average]
        return sorted(large, key=weights.__getitem__, reverse=True)


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
