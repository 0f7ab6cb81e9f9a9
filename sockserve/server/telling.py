"""What is said of a named socket and its connections: to the log, and to those who listen for events."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import Logger, LogLevel

from sockserve.addresses import address_attributes
from sockserve.connection.closed import log_closed
from sockserve.limits.events import Events, LimitEvent
from sockserve.limits.events import log as connection_log
from sockserve.limits.flood import FloodGuard

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.connection.engine import Engine
    from sockserve.server.settings import SocketSettings

# As the rooms are called, not their modules.
log = Logger("sockserve.server.sockets")


class Telling:
    """settings, reactor: of the named socket.

    lines: those that its peers cause. events: one for each connection that a limit ends or refuses.
    """

    def __init__(self, settings: SocketSettings, reactor: IReactorTime) -> None:
        self.lines = FloodGuard(connection_log, reactor, settings.name)
        self.events = Events(self.lines)
        self._settings = settings
        # The connections whose end is in the log although the peer has not closed them yet.
        self._told: set[int] = set()

    def refused(self, reason: str, peer: str, text: str) -> None:
        """A layer below the protocols has closed a connection, or refused it, because of a limit."""
        name = self._settings.name
        attributes = {"sockserve.socket": name, **address_attributes(peer)}
        self.events.tell(LimitEvent(reason, f"{name} {peer}", text, attributes))

    def ended(self, connection: Engine) -> None:
        """A connection is over: the log has a line of it, of all of them with log_traffic."""
        if connection.id in self._told:
            self._told.remove(connection.id)
            return
        write = partial(log_closed, connection, time.time())
        if self._settings.log_traffic:
            write()
        else:
            self.lines.line("closed", write, LogLevel.info)

    def aborted(self, count: int) -> None:
        """So many connections were, because drain_timeout was over."""
        log.warn(
            "{name}: {count} connections aborted, not finished within {seconds} seconds (drain_timeout)",
            name=self._settings.name,
            count=count,
            seconds=f"{self._settings.drain_timeout:g}",
            event_name="sockserve.socket.aborted",
            attributes={"sockserve.socket": self._settings.name, "sockserve.connections": count},
        )

    def stopped(self, connections: Iterable[Engine]) -> None:
        """The socket has stopped. connections: those that are not closed, although nothing is owed to them."""
        # The program may end before their peers close them.
        for connection in connections:
            if connection.id not in self._told:
                self.ended(connection)
                self._told.add(connection.id)
        self.lines.flush()
        closings = self.events.counts
        if closings:
            counts = ", ".join(f"{limit} {count}" for limit, count in closings.most_common())
            log.info(
                "{name} closed connections because of: {counts}",
                name=self._settings.name,
                counts=counts,
                event_name="sockserve.socket.stopped",
                attributes={"sockserve.socket": self._settings.name, "sockserve.closings": dict(closings)},
            )
