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

# How many of the connections that have ended last are kept.
_RECENT = 50


class Traffic(NamedTuple):
    """What a connection, or several, have received and sent, and how often reading from them was paused."""

    messages_received: int = 0
    messages_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    pauses: int = 0


class Connection(typing.Protocol):
    """What is asked of a connection; see sockserve.connection.engine."""

    id: int
    since: float

    @property
    def address(self) -> object: ...

    @property
    def traffic(self) -> Traffic: ...

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
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.closed: Counter[str] = Counter()
        # The traffic of connections that are gone, less what those that are here had when they came.
        self._gone = [0] * len(Traffic._fields)
        self._recent: deque[tuple[float, float, int, object, str, Traffic]] = deque(maxlen=_RECENT)

    def enter(self, connection: Connection) -> None:
        """A connection was made."""
        self.accepted += 1

    def leave(self, connection: Connection) -> None:
        """It is over."""
        reason, traffic = connection.reason, connection.traffic
        self._add(traffic)
        self.closed[reason] += 1
        # No Ending yet: to make one takes longer than all else here.
        self._recent.append((time.time(), connection.since, connection.id, connection.address, reason, traffic))

    def refuse(self, reason: str) -> None:
        """A connection was refused before there was one for `enter`."""
        self.accepted += 1
        self.closed[reason] += 1

    def take_over(self, connection: Connection) -> None:
        """One comes from another process, which has counted what it has done so far."""
        self._add(connection.traffic, -1)

    def hand_over(self, connection: Connection) -> None:
        """One goes to another process, which counts what it does from now on."""
        self._add(connection.traffic)

    def traffic(self, connections: Iterable[Connection]) -> Traffic:
        """That of all connections. connections: those that are here."""
        return Traffic(*map(sum, zip(self._gone, *[each.traffic for each in connections], strict=True)))

    @property
    def recent(self) -> list[Ending]:
        """The connections that have ended last, the last one at the end."""
        return [Ending(*each) for each in self._recent]

    def _add(self, traffic: Traffic, sign: int = 1) -> None:
        gone = self._gone
        for at, count in enumerate(traffic):
            if count:
                gone[at] += sign * count
