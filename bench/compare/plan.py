"""Which cases a run consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from bench.compare.cases import KIB, MIB, Case, Connections, Messages
from bench.compare.peers import FRAMINGS

Mode = Literal["pipelined", "one"]

# The connections that the targets are about.
USUAL: dict[Mode, int] = {"pipelined": 8, "one": 50}

# The most frames in flight on one connection, and on all of them; and the most bytes on one.
_MOST_EACH = 2000
_MOST = 100_000
_MOST_BYTES = MIB


@dataclass(frozen=True)
class Pace:
    """rounds: for each server in a case. seconds, warmup: for each round. large_seconds: with the largest messages.

    held, made: see Connections.
    """

    rounds: int
    seconds: float
    warmup: float
    large_seconds: float
    held: int
    made: int


USUAL_PACE = Pace(rounds=3, seconds=0.6, warmup=0.2, large_seconds=2.0, held=10_000, made=2000)
QUICK_PACE = Pace(rounds=1, seconds=0.05, warmup=0.02, large_seconds=0.05, held=50, made=50)


def messages(pace: Pace, framings: Sequence[str], size: int, mode: Mode, connections: int) -> Messages:
    window = 1
    if mode == "pipelined":
        window = max(1, min(_MOST_EACH, _MOST // connections, _MOST_BYTES // max(1, size)))
    # Enough for a few dozen of the largest messages.
    seconds = max(pace.seconds, pace.large_seconds) if size >= MIB else pace.seconds
    return Messages(tuple(framings), size, connections, window, seconds, pace.warmup)


def usual(pace: Pace, framings: Sequence[str] = FRAMINGS) -> list[Case]:
    """What the targets need, and variations of one thing at a time: other sizes, other numbers of connections.

    With all peers, this takes about a quarter of an hour.
    """

    def some(*names: str) -> list[str]:
        return [name for name in names if name in framings]

    plan: list[Case] = [
        messages(pace, framings, 32, "pipelined", 8),
        messages(pace, some("raw", "int32", "standard", "windev"), 32, "one", 50),
        *(messages(pace, some("int32"), size, "pipelined", 8) for size in (16, KIB, 64 * KIB)),
        messages(pace, some("raw", "int32"), 16 * MIB, "one", 1),
        *(messages(pace, some("int32"), 32, "one", count) for count in (1, 1000)),
        *(messages(pace, some("int32"), 32, "pipelined", count) for count in (1, 50, 1000)),
        connections(pace, framings),
    ]
    return [case for case in plan if case.framings]


def quick(pace: Pace, framings: Sequence[str] = ("int32",)) -> list[Case]:
    """Enough to see whether everything works."""
    return [messages(pace, framings, 32, "pipelined", 8), connections(pace, framings)]


def every(
    pace: Pace,
    framings: Sequence[str] = FRAMINGS,
    sizes: Sequence[int] = (16, 32, KIB, 64 * KIB, 16 * MIB),
    modes: Sequence[Mode] = ("pipelined", "one"),
    counts: Sequence[int] = (1, 50, 1000),
) -> list[Case]:
    """All combinations. The largest messages go over at most 8 connections, because of the memory they take."""
    chosen = product(sizes, modes, counts)
    plan = [
        messages(pace, framings, size, mode, min(count, 8) if size >= MIB else count) for size, mode, count in chosen
    ]
    return [*dict.fromkeys(plan)]


def connections(pace: Pace, framings: Sequence[str]) -> Connections:
    """One framing is enough; the server in C has only bytes."""
    chosen = [name for name in ("int32", "raw") if name in framings] or framings[:1]
    return Connections(tuple(chosen[:1]), pace.held, pace.made)
