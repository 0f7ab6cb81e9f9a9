"""A connection's share of a turn of the reactor.

One read can hold 64,000 messages. With a handler that takes ten microseconds, all other connections would wait for most
of a second, and for one more with each peer that does the same. So who has had its share, and has more, goes on in
another turn: between them the reactor reads from everybody else, and those that wait have a small part of each turn
together, one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

REASON = "turn"
"""Why reading is held of who waits."""

SHARE = 0.005
"""Seconds of a turn that the messages of one connection may take."""

# The same for all together that have had their share and wait.
_ALL = 0.01

_waiting: dict[IReactorTime, deque[Callable[[], object]]] = {}


def wait(reactor: IReactorTime, go_on: Callable[[], object]) -> None:
    """Have `go_on` called in another turn, after those that wait already."""
    waiting = _waiting.get(reactor)
    if waiting is None:
        waiting = _waiting[reactor] = deque()
        reactor.callLater(0, _turn, reactor)
    waiting.append(go_on)


def _turn(reactor: IReactorTime) -> None:
    waiting = _waiting[reactor]
    end = monotonic() + _ALL
    try:
        # Those that wait again do so until the next turn.
        for _ in range(len(waiting)):
            waiting.popleft()()
            if monotonic() >= end:
                break
    finally:
        if waiting:
            reactor.callLater(0, _turn, reactor)
        else:
            del _waiting[reactor]
