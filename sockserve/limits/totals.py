"""What the connections of a named socket have done together, those that are gone included.

Nothing is counted on the way of a message: each connection has counts of its own, which are added up when somebody
asks, and kept when it leaves.
"""

from __future__ import annotations

import time
import typing
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# How many of the connections that have ended last are kept; of those with one reason, the seconds between two.
_RECENT = 50
_APART = 0.05


class Traffic(NamedTuple):
    """What a connection, or several, have received and sent, and how often reading from them was paused.

    messages_ignored: those of the received ones that were ignored (`ignore`).
    """

    messages_received: int = 0
    messages_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    pauses: int = 0
    messages_ignored: int = 0


class Connection(typing.Protocol):
    """What is asked of a connection; see sockserve.connection.engine."""

    id: int
    since: float

    @property
    def address(self) -> object: ...

    @property
    def traffic(self) -> Traffic: ...

    def add_traffic(self, sums: list[int], sign: int = 1) -> None:
        """Add what `traffic` has to these numbers, or take it off."""

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """A connection that is over.

    at, since: when it ended, and when it was made, in seconds since the epoch. id: its number; 0: it was never served.
    address: the peer's. reason: see Totals.closed. traffic: all that it has moved.
    """

    at: float
    since: float
    id: int
    address: object
    reason: str
    traffic: Traffic


class Totals:
    """The counts of one named socket since its process began. They never go down.

    accepted: connections that were made, those that were refused included.
    closed: connections that are over, by the reason: the name of the limit that has ended or refused it, "handler" or
        "tls" when these have failed; or else "peer" (it ended its stream), "lost" (the connection was cut off), "drain"
        (the server stops), "program" (a handler closed it).
    recent: the connections that have ended last; of many with the same reason, some.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.closed: Counter[str] = Counter()
        self.recent: deque[Ending] = deque(maxlen=_RECENT)
        # The traffic of connections that are gone, less what those that are here had when they came.
        self._gone = [0] * len(Traffic._fields)
        # When one with that reason was kept last.
        self._kept: dict[str, float] = {}

    def enter(self, connection: Connection) -> None:
        """A connection was made."""
        self.accepted += 1

    def leave(self, connection: Connection) -> None:
        """It is over."""
        connection.add_traffic(self._gone)
        reason, now = connection.reason, time.time()
        self.closed[reason] += 1
        # A flood leaves traces of other ends, and costs little.
        if abs(now - self._kept.get(reason, 0.0)) >= _APART:
            self._kept[reason] = now
            ending = Ending(now, connection.since, connection.id, connection.address, reason, connection.traffic)
            self.recent.append(ending)

    def refuse(self, reason: str) -> None:
        """A connection was refused before there was one for `enter`."""
        self.accepted += 1
        self.closed[reason] += 1

    def take_over(self, connection: Connection) -> None:
        """One comes from another process, which has counted what it has done so far."""
        connection.add_traffic(self._gone, -1)

    def hand_over(self, connection: Connection) -> None:
        """One goes to another process, which counts what it does from now on."""
        connection.add_traffic(self._gone)

    def traffic(self, connections: Iterable[Connection]) -> Traffic:
        """That of all connections. connections: those that are here."""
        sums = [*self._gone]
        for connection in connections:
            connection.add_traffic(sums)
        return Traffic(*sums)
