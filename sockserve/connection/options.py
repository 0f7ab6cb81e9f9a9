"""What a connection gets when it is made: its limits, and what it belongs to."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sockserve.fields import BOOLEAN, DURATION_OR_NEVER, DURATION_VALUE, SIZE_VALUE, check_fields, setting
from sockserve.limits.events import Events
from sockserve.text import shown

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.connection.engine import Engine
    from sockserve.limits.memory import MemoryBudget


class Gate(Protocol):
    """Decides when connections start, and counts them; see sockserve.limits.admission."""

    def enter(self, connection: Engine) -> bool:
        """A connection has been made. False: it does not start now; the gate calls `start` later, or has closed it."""

    def take(self, connection: Engine) -> None:
        """A connection has been made elsewhere, has started there, and goes on here."""

    def established(self, connection: Engine) -> None:
        """Its first message has arrived."""

    def flushed(self, connection: Engine) -> None:
        """It is closing, and the kernel has all that was owed."""

    def leave(self, connection: Engine) -> None:
        """It is over, started or not."""

    def go(self, connection: Engine) -> None:
        """It goes on elsewhere."""


def _keepalive(value: object) -> object:
    seconds = DURATION_OR_NEVER.convert(value)
    if isinstance(seconds, float) and not 1 <= seconds <= _LONGEST_KEEPALIVE:
        raise ValueError(f"{shown(value)} is out of range; accepted: {KEEPALIVE.accepted}")
    return seconds


def _user_timeout(value: object) -> object:
    seconds = DURATION_OR_NEVER.convert(value)
    if seconds is not None and not hasattr(socket, "TCP_USER_TIMEOUT"):
        raise ValueError("this system has none; accepted: on Linux")
    return seconds


# What the kernel accepts.
_LONGEST_KEEPALIVE = 32767

KEEPALIVE = replace(
    DURATION_OR_NEVER,
    accepted="a time from 1s to 500min, such as 10s, 2min or 1.5 (seconds), or never",
    convert=_keepalive,
)
USER_TIMEOUT = replace(DURATION_OR_NEVER, convert=_user_timeout)

DEFAULT_CLOSE_TIMEOUT = 10.0
DEFAULT_MAX_QUEUED = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """One object for all connections of a factory. Raises SettingError, a ValueError, for a value it does not accept.

    Times are seconds, or text with a unit such as "5min"; docs/settings.md describes each.

    reactor: the clock of the time limits; None: the global reactor.
    socket: the name of the named socket.
    gate: asked before a connection starts.
    memory: the budget that what is held for the connections counts towards.
    events: told when a limit ends a connection.
    """

    close_timeout: float = setting(
        DURATION_VALUE,
        "Time",
        "How long a closing connection may go without the client reading; then it is aborted.",
        DEFAULT_CLOSE_TIMEOUT,
    )
    idle_timeout: float | None = setting(
        DURATION_OR_NEVER,
        "Time",
        "Close a connection after this long without data in either direction.",
        None,
        none="never",
    )
    frame_timeout: float | None = setting(
        DURATION_OR_NEVER,
        "Time",
        "Close a connection when a frame takes longer than this from its first byte to its last.",
        None,
        none="never",
    )
    send_timeout: float | None = setting(
        DURATION_OR_NEVER,
        "Time",
        "Abort a connection whose client reads nothing for this long while data waits for it.",
        60.0,
    )
    max_connection_age: float | None = setting(
        DURATION_OR_NEVER,
        "Time",
        "Close a connection that has lasted this long, or up to a tenth less, after its last complete message.",
        None,
        none="never",
    )
    tcp_keepalive: float | None = setting(
        KEEPALIVE,
        "Time",
        "Ask a client that is silent for this long whether it is still there; after twice the time it is lost.",
        None,
        none="never",
    )
    tcp_user_timeout: float | None = setting(
        USER_TIMEOUT,
        "Time",
        "Give up a connection when what was sent is not confirmed for this long (Linux).",
        None,
        none="never",
    )
    max_queued: int = setting(
        SIZE_VALUE,
        "Limits",
        "How many bytes may wait for a client that does not read; what a program pushes beyond them is refused.",
        DEFAULT_MAX_QUEUED,
    )
    log_traffic: bool = setting(
        BOOLEAN,
        "Program",
        "Log the number of bytes of every read and write, with the client's address.",
        False,
        datagrams=True,
    )
    reactor: IReactorTime | None = None
    socket: str = ""
    gate: Gate | None = None
    memory: MemoryBudget | None = None
    events: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def clock(self) -> IReactorTime:
        """The reactor; the global one if none was given."""
        if self.reactor is not None:
            return self.reactor
        from twisted.internet import reactor
        from twisted.internet.interfaces import IReactorTime

        return IReactorTime(reactor)


DEFAULT = ConnectionOptions()
