"""A deadline for what a peer has to do, which does not count the time that the process stood still."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

_STEPS = 8


class Deadline:
    """Calls `function` once, when `seconds` of the process's own time are over, unless it is cancelled before.

    A process that is stopped, swapped out or busy in a callback reads nothing: a step that takes longer than two
    counts as two. And the timers of a reactor run before its sockets, so these are read once more before `function` is
    called.
    """

    __slots__ = ("_call", "_clock", "_function", "_last", "_left", "_step")

    def __init__(self, clock: IReactorTime, seconds: float, function: Callable[[], object]) -> None:
        self._clock = clock
        self._function = function
        self._left = seconds
        self._step = seconds / _STEPS
        self._last = clock.seconds()
        self._call: IDelayedCall | None = clock.callLater(self._step, self._look)

    def cancel(self) -> None:
        """Call nothing any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        now = self._clock.seconds()
        self._left -= min(max(now - self._last, 0.0), 2 * self._step)
        self._last = now
        if self._left > 0:
            self._call = self._clock.callLater(min(self._step, self._left), self._look)
        else:
            # The sockets are read once before this.
            self._call = self._clock.callLater(0, self._over)

    def _over(self) -> None:
        self._call = None
        self._function()
