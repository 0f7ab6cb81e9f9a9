"""Log lines that peers can cause: a flood of one kind becomes one line a second, with a count.

Otherwise any peer that may connect or send a datagram could fill the disk, and hide other lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

FEW = 5
"""How many lines of one kind a second are logged one by one."""
_SECOND = 1.0


class FloodGuard:
    """Lets at most FEW lines of a kind a second into the log, and one more that counts those left out.

    After more than FEW, a kind is logged as one line a second, until a second has passed without any.

    log: where the lines go.
    reactor: its clock.
    name: of the named socket, or whatever else the lines are about; the counting line begins with it.
    """

    def __init__(self, log: Logger, reactor: IReactorTime, name: str) -> None:
        self._log = log
        self._reactor = reactor
        self._name = name
        self._kinds: dict[str, _Kind] = {}

    def warn(self, kind: str, form: str, **values: Any) -> None:  # noqa: ANN401 - as Logger's
        """Log one line, as Logger.warn does.

        kind: lines of one kind are counted together; usually the name of the setting.
        """
        self.line(kind, lambda: self._log.warn(form, **values))

    def failure(self, kind: str, form: str, failure: Failure, **values: Any) -> None:  # noqa: ANN401
        """The same for a failure, with its traceback."""
        self.line(kind, lambda: self._log.failure(form, failure, **values))

    def line(self, kind: str, write: Callable[[], None], level: LogLevel = LogLevel.warn) -> None:
        """Log one line, which `write` writes if it is not left out.

        level: of the lines that count those of this kind.
        """
        now = self._reactor.seconds()
        state = self._kinds.get(kind)
        if state is None or (state.timer is None and not 0 <= now - state.begun < _SECOND):
            state = self._kinds[kind] = _Kind(now, level)
        if state.timer is None and state.written < FEW:
            state.written += 1
            write()
            return
        if state.timer is None:
            state.timer = self._reactor.callLater(max(state.begun + _SECOND - now, 0), self._second, kind, state)
        state.left_out += 1
        state.last = write

    def flush(self) -> None:
        """Log the counts that are due later now, and cancel all timers; to be called at the end."""
        for kind, state in list(self._kinds.items()):
            if state.timer is not None:
                state.timer.cancel()
                self._count(kind, state)
        self._kinds.clear()

    def _second(self, kind: str, state: _Kind) -> None:
        if state.left_out:
            state.timer = self._reactor.callLater(_SECOND, self._second, kind, state)
            self._count(kind, state)
        else:
            del self._kinds[kind]

    def _count(self, kind: str, state: _Kind) -> None:
        count, state.left_out = state.left_out, 0
        last, state.last = state.last, None
        if count == 1 and last is not None:
            last()
        elif count:
            self._log.emit(
                state.level,
                "{name}: {count} more lines of this kind ({kind})",
                name=self._name,
                count=count,
                kind=kind,
                event_name="sockserve.log.left_out",
                attributes={
                    "sockserve.socket": self._name,
                    "sockserve.log.kind": kind,
                    "sockserve.log.count": count,
                },
            )


class _Kind:
    """The lines of one kind in the second that began at `begun`. timer: set while lines are being left out."""

    __slots__ = ("begun", "last", "left_out", "level", "timer", "written")

    def __init__(self, now: float, level: LogLevel) -> None:
        self.begun = now
        self.level = level
        self.written = 0
        self.left_out = 0
        self.last: Callable[[], None] | None = None
        self.timer: IDelayedCall | None = None
