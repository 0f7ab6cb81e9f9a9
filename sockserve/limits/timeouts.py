"""The clocks of connections: how long one may be silent, and how long a frame may take.

One sweep a second looks at all connections that have such a limit, and sees what has moved since the last one. So
nothing is noted on the way of a message, and ten thousand connections need one timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

Limit = Literal["idle_timeout", "frame_timeout"]

# Seconds between two sweeps; less when a limit is shorter than eight of them.
_INTERVAL = 1.0
_PART = 8


class Watched(Protocol):
    """What a sweep asks of a connection; see MessageProtocol."""

    idle_timeout: float | None
    frame_timeout: float | None

    @property
    def progress(self) -> int:
        """Bytes that came, and bytes that the peer has taken."""

    @property
    def unfinished(self) -> int | None:
        """The number of the frame that is received in part; None: there is none, or it is not the peer who is late."""

    def timedOut(self, limit: Limit) -> None: ...


class _Clock:
    """When something of one connection moved last. Seconds of the sweep's own time."""

    __slots__ = ("begun", "frame", "moved", "progress")

    def __init__(self, now: float) -> None:
        self.moved = now
        self.progress = -1
        self.frame: int | None = None
        self.begun = now


class Watch:
    """Sweeps over the connections that have joined, and tells each when its time is over.

    A limit is exceeded by at most a second, or an eighth of the shortest limit there is.

    It counts its own time: no step of it is longer than two intervals. So a jump of the system's clock, or a reactor
    that was busy for long, does not use up the time of the peers. And before it tells one, the reactor reads once more.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._clocks: dict[Watched, _Clock] = {}
        self._interval = _INTERVAL
        self._now = 0.0
        self._last = 0.0
        self._call: IDelayedCall | None = None

    def join(self, connection: Watched) -> None:
        """Look at it from now on, until it leaves."""
        limits = [limit for limit in (connection.idle_timeout, connection.frame_timeout) if limit is not None]
        self._interval = min([self._interval, *(limit / _PART for limit in limits)])
        self._clocks[connection] = _Clock(self._now)
        if self._call is None:
            self._schedule()

    def leave(self, connection: Watched) -> None:
        """Forget it, if it has joined. Without connections there is no sweep."""
        self._clocks.pop(connection, None)
        if not self._clocks:
            if self._call is not None:
                self._call.cancel()
                self._call = None
            # The next one that comes makes another.
            _watches.pop(self._reactor, None)

    def _schedule(self) -> None:
        self._last = self._reactor.seconds()
        self._call = self._reactor.callLater(self._interval, self._sweep)

    def _sweep(self) -> None:
        self._now += min(max(self._reactor.seconds() - self._last, 0.0), 2 * self._interval)
        if self._late():
            # Timers run before the sockets are read. What came while the process stood still counts.
            self._call = self._reactor.callLater(0, self._end_late)
        else:
            self._schedule()

    def _late(self) -> list[tuple[Watched, Limit]]:
        return [(each, limit) for each, clock in self._clocks.items() if (limit := self._exceeded(each, clock))]

    def _end_late(self) -> None:
        late = self._late()
        # First, because what is called then may fail.
        self._schedule()
        for connection, limit in late:
            # The end of one may have been that of another.
            if connection in self._clocks:
                if limit == "idle_timeout":
                    # Nothing comes after this one; a connection with a late frame may go on to be idle.
                    self.leave(connection)
                connection.timedOut(limit)

    def _exceeded(self, connection: Watched, clock: _Clock) -> Limit | None:
        now = self._now
        frame = connection.unfinished
        if frame is None or frame != clock.frame:
            clock.frame = frame
            clock.begun = now
        elif connection.frame_timeout is not None and now - clock.begun >= connection.frame_timeout:
            return "frame_timeout"
        progress = connection.progress
        if progress != clock.progress:
            clock.progress = progress
            clock.moved = now
        elif connection.idle_timeout is not None and now - clock.moved >= connection.idle_timeout:
            return "idle_timeout"
        return None


# Of the reactors with connections that have limits.
_watches: dict[IReactorTime, Watch] = {}


def watch_of(reactor: IReactorTime) -> Watch:
    """The one sweep of that reactor."""
    if reactor not in _watches:
        _watches[reactor] = Watch(reactor)
    return _watches[reactor]
