"""How long the calls of a handler take: a histogram."""

from __future__ import annotations

from bisect import bisect_left
from time import perf_counter as clock

__all__ = ["BOUNDS", "SAMPLE", "Durations", "clock"]

BOUNDS = (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the buckets in seconds; one more bucket has what takes longer."""

SAMPLE = 16
"""Of the reads whose messages are answered at once, one in this many is timed: that costs as much as a short call."""


class Durations:
    """The calls of the handler of one named socket, from the call to the answer.

    called: how many calls there were. waited: how many of them had no answer at once; each of these has a time of its
    own. rest: how many more reads are not timed.
    """

    __slots__ = ("_counts", "_last", "_seen", "_sum", "called", "rest", "waited")

    def __init__(self) -> None:
        self.called = 0
        self.waited = 0
        self.rest = 0
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0
        # Calls that were answered at once and are in a bucket, and the seconds that one of the last of these took.
        self._seen = 0
        self._last = 0.0

    @property
    def counts(self) -> list[int]:
        """How many calls fall into each bucket."""
        self.settle()
        return self._counts

    @property
    def sum(self) -> float:
        """The seconds that all calls have taken together."""
        self.settle()
        return self._sum

    def add(self, seconds: float) -> None:
        """One that was waited for has taken this long."""
        self._put(seconds, 1)

    def add_at_once(self, seconds: float) -> None:
        """The calls since `settle` that were answered at once have taken this long together."""
        calls = self.called - self.waited - self._seen
        if calls > 0:
            self._last = seconds / calls
            self.settle()

    def settle(self) -> None:
        """The calls that were answered at once and not timed took as long as the last ones that were."""
        calls = self.called - self.waited - self._seen
        # Fewer in the middle of a read.
        if calls > 0:
            self._seen += calls
            self._put(self._last, calls)

    def _put(self, seconds: float, calls: int) -> None:
        self._counts[bisect_left(BOUNDS, seconds)] += calls
        self._sum += seconds * calls
