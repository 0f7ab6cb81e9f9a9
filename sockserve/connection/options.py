"""What a connection is told when it is made: its limits, and whom it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sockserve.limits.events import Events

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.connection.engine import Engine
    from sockserve.limits.memory import MemoryBudget

DEFAULT_CLOSE_TIMEOUT = 10.0
DEFAULT_SEND_TIMEOUT = 60.0
DEFAULT_MAX_QUEUED = 8 * 1024 * 1024


class Gate(Protocol):
    """Who decides when connections start, and counts them; see sockserve.limits.admission."""

    def enter(self, connection: Engine) -> bool:
        """A connection is there. False: it does not start now; the gate calls `start` later, or has closed it."""

    def established(self, connection: Engine) -> None:
        """Its first message has arrived."""

    def flushed(self, connection: Engine) -> None:
        """It is closing, and all that was owed is with the kernel."""

    def leave(self, connection: Engine) -> None:
        """It is over, started or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """One object for all connections of a factory.

    close_timeout: seconds in which the peer has to take some of what is owed when we close, or it is aborted.
    idle_timeout: seconds without data in either direction, after which the connection is closed.
    frame_timeout: seconds from a frame's first byte to its last; then the messages end, as with a bad frame.
    send_timeout: seconds in which the peer has to take some of what waits for it, or it is aborted; None: any time.
    max_queued: bytes that may wait for a peer that does not read; a program that sends it more is refused.
    log_traffic: log the number of bytes of every read and write.
    reactor: the clock of the timeouts; None: the global reactor.
    socket: the name of the named socket.
    gate: asked before a connection starts.
    memory: the budget that what is held for the connections counts for.
    events: told when a limit ends a connection.
    """

    close_timeout: float = DEFAULT_CLOSE_TIMEOUT
    idle_timeout: float | None = None
    frame_timeout: float | None = None
    send_timeout: float | None = DEFAULT_SEND_TIMEOUT
    max_queued: int = DEFAULT_MAX_QUEUED
    log_traffic: bool = False
    reactor: IReactorTime | None = None
    socket: str = ""
    gate: Gate | None = None
    memory: MemoryBudget | None = None
    events: Events = field(default_factory=Events)

    @property
    def clock(self) -> IReactorTime:
        """The reactor, the global one where none was given."""
        if self.reactor is not None:
            return self.reactor
        from twisted.internet import reactor
        from twisted.internet.interfaces import IReactorTime

        return IReactorTime(reactor)


DEFAULT = ConnectionOptions()
