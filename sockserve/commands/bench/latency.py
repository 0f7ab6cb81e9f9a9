"""A histogram of latencies: small, exact in its counts, at most 0.8 % off in its values.

The buckets are those of HdrHistogram (Gil Tene, https://hdrhistogram.github.io/HdrHistogram/): linear within a power of
two, 128 of them in each. Up to 256 ns each value has a bucket of its own; above, a bucket is as wide as 1/128 of its
values or less. What is read from it is a bucket's upper end, so nothing looks faster than it was.

The package hdrhistogram has the same and is kept up, but it would be a dependency, with setuptools at run time, of a
command that has to work without extras; and it counts one value a call, where here a whole window is one call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

# 2 ** BITS buckets in each power of two.
BITS = 7
EXACT = 2 << BITS


def bucket(value: int) -> int:
    """The number of the bucket that a value, 0 or more, falls in."""
    if value < EXACT:
        return value
    shift = value.bit_length() - BITS - 1
    return (shift << BITS) + (value >> shift)


def bounds(number: int) -> tuple[int, int]:
    """The smallest and the largest value in that bucket."""
    if number < EXACT:
        return number, number
    shift = (number >> BITS) - 1
    start = number - (shift << BITS)
    return start << shift, ((start + 1) << shift) - 1


class Histogram:
    """Latencies in nanoseconds. counts: how many fell in the bucket of that number. largest: exact."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0
        self.largest = 0

    def record(self, value: int, count: int = 1) -> None:
        """`count` messages took `value` ns."""
        value = max(value, 0)
        number = bucket(value)
        self.counts[number] = self.counts.get(number, 0) + count
        self.total += count
        self.largest = max(self.largest, value)

    def record_series(self, largest: float, step: float, count: int) -> None:
        """`count` messages, of which the first took `largest` ns and each next one `step` ns less, but never below 0.

        Takes a time that grows with the buckets that are met rather than with the messages.
        """
        done = 0
        while done < count:
            value = max(int(largest - done * step), 0)
            lower = bounds(bucket(value))[0]
            # How many of the rest stay in this bucket.
            same = count - done if not value else min(count - done, int((largest - done * step - lower) / step) + 1)
            self.record(value, same)
            done += same

    def merge(self, other: Histogram) -> None:
        """Count what the other has counted as well."""
        for number, count in other.counts.items():
            self.counts[number] = self.counts.get(number, 0) + count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def percentile(self, share: float) -> int | None:
        """The smallest latency that `share` percent of the messages did not exceed; None when there are none."""
        rank = max(1, math.ceil(self.total * share / 100))
        for _, upper, below in self.steps():
            if below >= rank:
                return upper
        return None

    def steps(self) -> Iterator[tuple[int, int, int]]:
        """The buckets with anything in them: smallest and largest value, and how many messages up to this one."""
        below = 0
        for number in sorted(self.counts):
            below += self.counts[number]
            lower, upper = bounds(number)
            yield lower, min(upper, self.largest), below


PERCENTILES: Mapping[str, float] = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}


def summary(histogram: Histogram) -> dict[str, float | None]:
    """The latencies that are reported, in seconds; None for all of them when there was no message."""
    values = {name: histogram.percentile(share) for name, share in PERCENTILES.items()}
    return {name: None if value is None else value / 1e9 for name, value in values.items()}
