"""The time limits of connections: how long one may be silent or last, a frame may take, and a peer may read nothing.

One sweep a second looks at the connections that have such a limit, and at what has changed since the last sweep. So a
message costs nothing here, and ten thousand connections need one timer.
"""

from __future__ import annotations

from math import inf
from random import uniform
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

Limit = Literal["idle_timeout", "frame_timeout", "send_timeout", "max_connection_age"]

# Seconds between two sweeps; less if a limit is shorter than eight of them.
_INTERVAL = 1.0
_PART = 8

# The part of max_connection_age by which a connection may end early.
_SPREAD = 0.1


class Limits(Protocol):
    """Seconds; None: no such limit."""

    @property
    def idle_timeout(self) -> float | None: ...

    @property
    def frame_timeout(self) -> float | None: ...

    @property
    def send_timeout(self) -> float | None: ...

    @property
    def max_connection_age(self) -> float | None: ...


class Watched(Protocol):
    """What a sweep asks of a connection; see sockserve.connection.timing."""

    @property
    def options(self) -> Limits: ...

    @property
    def bytes_received(self) -> int: ...

    @property
    def bytes_sent(self) -> int: ...

    @property
    def taken(self) -> int:
        """How many of the bytes sent the peer has taken. It may go down: TLS sends bytes of its own."""

    @property
    def beaten(self) -> int:
        """How many of the bytes sent were heartbeats, which do not keep an idle connection."""

    @property
    def unfinished(self) -> int | None:
        """The number of the frame that is partly received; None: there is none, or the delay is not the peer's."""

    def timed_out(self, limit: Limit) -> None: ...

    def unwatched(self) -> None:
        """It is no longer watched; it may join again."""


class _Clock:
    """When data of one connection last moved, in seconds of the sweep's own time."""

    __slots__ = ("end", "frame", "moved", "received", "since_frame", "since_moved", "since_taken", "taken")

    def __init__(self, now: float, connection: Watched) -> None:
        age = connection.options.max_connection_age
        # Clients that came together, as they do after a restart, must not all go and come back together.
        self.end = inf if age is None else now + age * uniform(1 - _SPREAD, 1)  # noqa: S311 - no secret
        self.received = connection.bytes_received
        self.taken = connection.taken
        self.moved = self.taken - connection.beaten
        self.frame: int | None = None
        self.since_moved = self.since_frame = self.since_taken = now


class Watch:
    """Sweeps over the connections that have joined, and calls `timed_out` of each that exceeds a limit.

    A limit takes effect at most a second late, or an eighth of the shortest limit.

    It counts its own time, in steps of at most two intervals. So a jump of the system's clock, or a reactor that was
    busy for a long time, does not use up the time of the peers. And before `timed_out`, the reactor reads once more.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._clocks: dict[Watched, _Clock] = {}
        self._interval = _INTERVAL
        self._now = 0.0
        self._last = 0.0
        self._call: IDelayedCall | None = None
        self._late_call: IDelayedCall | None = None

    def join(self, connection: Watched) -> None:
        """Watch it until it leaves; or, if only send_timeout is set, until the peer has taken all that was sent."""
        options = connection.options
        limits = options.idle_timeout, options.frame_timeout, options.send_timeout, options.max_connection_age
        self._interval = min([self._interval, *(limit / _PART for limit in limits if limit is not None)])
        self._clocks[connection] = _Clock(self._now, connection)
        if self._call is None:
            self._schedule()

    def leave(self, connection: Watched) -> None:
        """Forget it, if it has joined. Without connections there are no sweeps."""
        self._clocks.pop(connection, None)
        if not self._clocks:
            for call in (self._call, self._late_call):
                if call is not None:
                    call.cancel()
            self._call = self._late_call = None
            # The next connection creates another.
            _watches.pop(self._reactor, None)

    def _schedule(self) -> None:
        self._last = self._reactor.seconds()
        self._call = self._reactor.callLater(self._interval, self._sweep)

    def _sweep(self) -> None:
        self._now += min(max(self._reactor.seconds() - self._last, 0.0), 2 * self._interval)
        # First, because what is called then may fail.
        self._schedule()
        if self._looks():
            # Timers run before the sockets are read, and what came while the process stood still must count.
            self._late_call = self._reactor.callLater(0, self._end_late)

    def _looks(self) -> list[tuple[Watched, Limit | Literal["done"]]]:
        looks = [(each, self._look(each, clock)) for each, clock in self._clocks.items()]
        return [(each, found) for each, found in looks if found is not None]

    def _end_late(self) -> None:
        self._late_call = None
        for connection, limit in self._looks():
            # The end of one may have ended another.
            if connection not in self._clocks:
                continue
            if limit not in ("frame_timeout", "max_connection_age"):
                # These are final; a connection with a late frame, or that is to end after one, may still become idle.
                self.leave(connection)
            if limit == "done":
                connection.unwatched()
            else:
                connection.timed_out(limit)

    def _look(self, connection: Watched, clock: _Clock) -> Limit | Literal["done"] | None:
        """The limit that it exceeds now, if any. "done": there is nothing left to watch."""
        now, options = self._now, connection.options
        received, sent, taken = connection.bytes_received, connection.bytes_sent, connection.taken
        moved = taken - connection.beaten
        if received != clock.received or moved > clock.moved:
            clock.since_moved = now
            clock.moved = max(moved, clock.moved)
        if taken > clock.taken or taken >= sent:
            clock.since_taken = now
        clock.received, clock.taken = received, max(taken, clock.taken)
        frame = connection.unfinished
        if frame is None or frame != clock.frame:
            clock.frame, clock.since_frame = frame, now
        elif options.frame_timeout is not None and now - clock.since_frame >= options.frame_timeout:
            return "frame_timeout"
        if options.send_timeout is not None and now - clock.since_taken >= options.send_timeout:
            return "send_timeout"
        if options.idle_timeout is not None and now - clock.since_moved >= options.idle_timeout:
            return "idle_timeout"
        if now >= clock.end:
            return "max_connection_age"
        lasting = options.idle_timeout, options.frame_timeout, options.max_connection_age
        return "done" if taken >= sent and not any(lasting) else None


# One for each reactor that has connections with limits.
_watches: dict[IReactorTime, Watch] = {}


def watch_of(reactor: IReactorTime) -> Watch:
    """The one sweep of that reactor."""
    if reactor not in _watches:
        _watches[reactor] = Watch(reactor)
    return _watches[reactor]
