"""How long the calls of a handler take: a histogram."""

from __future__ import annotations

from bisect import bisect_left
from time import perf_counter as clock

__all__ = ["BOUNDS", "Durations", "clock"]

BOUNDS = (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the buckets in seconds; one more bucket has what takes longer."""

SAMPLE = 8
"""Of the reads whose messages are answered at once, one in this many is timed: that costs as much as a short call."""


class Durations:
    """The calls of the handler of one named socket, from the call to the answer.

    reads: how many reads have had all or some of their messages answered at once.
    untimed: the calls among these that nobody has timed: they took as long as those that were timed last.
    """

    __slots__ = ("_counts", "_last", "_sum", "reads", "untimed")

    def __init__(self) -> None:
        self.reads = 0
        self.untimed = 0
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0
        # Seconds that one of the calls took that were timed last.
        self._last = 0.0

    @property
    def counts(self) -> list[int]:
        """How many calls fall into each bucket."""
        self._settle()
        return self._counts

    @property
    def sum(self) -> float:
        """The seconds that all calls have taken together."""
        self._settle()
        return self._sum

    def add(self, seconds: float, calls: int = 1) -> None:
        """Count calls that have taken this long together: those of one read are not timed one by one."""
        if self.untimed:
            self._settle()
        self._last = seconds / calls
        self._counts[bisect_left(BOUNDS, self._last)] += calls
        self._sum += seconds

    def _settle(self) -> None:
        calls, self.untimed = self.untimed, 0
        self._counts[bisect_left(BOUNDS, self._last)] += calls
        self._sum += calls * self._last
