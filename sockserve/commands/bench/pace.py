"""When messages are due: as soon as the window has room, or at a fixed rate, whatever the server does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sockserve.commands.bench.connection import Connection, Intended, Sent, Tally

# More than any run sends.
ENDLESS = 1 << 62


class Closed:
    """A closed loop: the next message is due when an answer makes room in the window."""

    def __init__(
        self, connections: Sequence[Connection], tally: Tally, now: int, seconds: float | None, messages: int | None
    ) -> None:
        """seconds or messages: when it ends; the other one is None."""
        self.total = messages
        self._connections = connections
        self._tally = tally
        self._end = None if seconds is None else now + int(seconds * 1e9)
        self._begun = False
        for at, connection in enumerate(connections):
            connection.begin(Sent(), tally)
            connection.due += ENDLESS if messages is None else share(messages, at, len(connections))

    def due(self, now: int) -> Iterable[Connection]:
        """The connections for which something has become due."""
        if not self._begun:
            self._begun = True
            return self._connections
        if self.total is None and self._end is not None and now >= self._end:
            for connection in self._connections:
                connection.due = connection.asked
            self.total = self._tally.asked
        return ()

    def wait(self, now: int) -> float:
        """Seconds until there is something to do."""
        return max(0.0, (self._end - now) / 1e9) if self._end is not None else 1.0


class Open:
    """An open loop: `rate` messages a second, dealt out to the connections in turn."""

    def __init__(
        self,
        connections: Sequence[Connection],
        tally: Tally,
        now: int,
        seconds: float | None,
        messages: int | None,
        rate: float,
    ) -> None:
        self.total = max(1, int(rate * (seconds or 0))) if messages is None else messages
        self._connections = connections
        self._start = now
        self._step = 1e9 / rate
        self._dealt = 0
        for at, connection in enumerate(connections):
            connection.begin(Intended(now + at * self._step, self._step * len(connections)), tally)

    def due(self, now: int) -> Iterable[Connection]:
        until = min(self.total, int((now - self._start) / self._step) + 1)
        count = until - self._dealt
        if count <= 0:
            return ()
        affected = []
        size = len(self._connections)
        for at in range(min(count, size)):
            connection = self._connections[(self._dealt + at) % size]
            connection.due += share(count, at, size)
            affected.append(connection)
        self._dealt = until
        return affected

    def wait(self, now: int) -> float:
        if self._dealt == self.total:
            return 1.0
        return max(0.0, (self._start + self._dealt * self._step - now) / 1e9)


def share(count: int, at: int, size: int) -> int:
    """How many of `count` things, dealt out in turn, number `at` of `size` gets."""
    return count // size + (at < count % size)
