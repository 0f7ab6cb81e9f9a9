"""A deadline for the peer that does not run while our process stands still.

A process stands still in a callback that blocks, or while it is stopped (SIGSTOP, `docker pause`) or swapped out. When
it goes on, its timers run before its sockets are read: what the peer sent in time is still unread in the kernel. And
where the peer has to answer us (a TLS handshake), it could not, because we were silent.

Strategy: time is counted in eighths of the whole. An eighth that took at least twice as long as it should does not
count, because the process was not running; this happens at most eight times. When all eighths are over, the reactor
reads once more before the deadline fires. So a standstill is never counted, and a deadline that is cancelled early, as
nearly all are, costs one timer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

_PARTS = 8


class Deadline:
    """Calls `function` once, `seconds` from now, unless it is cancelled.

    reactor: its clock. Advancing a task.Clock by more than an eighth of `seconds` at once looks like a process that
        stood still: advance it in smaller steps (Clock.pump).
    seconds: from the creation of the deadline; the time in which the process stood still is added.
    """

    __slots__ = ("_call", "_due", "_function", "_late", "_left", "_part", "_reactor")

    def __init__(self, reactor: IReactorTime, seconds: float, function: Callable[[], object]) -> None:
        self._reactor = reactor
        self._function = function
        self._part = seconds / _PARTS
        # Eighths left, and how many more times the process may stand still.
        self._left = self._late = _PARTS
        self._wait(reactor.seconds())

    def cancel(self) -> None:
        """Do not call the function. Has no effect if the deadline has fired or was cancelled before."""
        if self._call.active():
            self._call.cancel()

    def _wait(self, start: float) -> None:
        """Wait for the end of the eighth that began at `start`, now or a moment ago."""
        self._due = start + self._part
        self._call = self._reactor.callLater(max(self._due - self._reactor.seconds(), 0), self._passed)

    def _passed(self) -> None:
        now = self._reactor.seconds()
        stood_still = now - self._due >= self._part
        if stood_still and self._late:
            self._late -= 1
        else:
            self._left -= 1
        if self._left:
            self._wait(now if stood_still else self._due)
        else:
            # A timer set now runs after the sockets were read.
            self._call = self._reactor.callLater(0, self._function)
