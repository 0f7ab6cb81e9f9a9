"""What a connection gets when it is made: its limits, and what it belongs to."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sockserve.fields import (
    BOOLEAN,
    DURATION_OR_NEVER,
    DURATION_VALUE,
    SIZE_VALUE,
    SettingError,
    Value,
    check_fields,
    setting,
)
from sockserve.framing.escapes import escape, unescape
from sockserve.limits.events import Events
from sockserve.text import described, shown

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


def _message(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError
    try:
        return unescape(value)
    except ValueError as error:
        raise ValueError(f"{error}; accepted: {MESSAGE.accepted}") from None


def _messages(value: object) -> tuple[bytes, ...]:
    if isinstance(value, str | bytes):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, bytearray | Mapping):
        raise TypeError
    messages = list(value)
    for message in messages:
        if not isinstance(message, str | bytes):
            raise ValueError(f"found {described(message)} in a list; accepted: {MESSAGES.accepted}")
    return tuple(map(_message, messages))


def check_heartbeat(heartbeat: object, every: object) -> None:
    """One is of no use without the other. Raises SettingError."""
    if heartbeat is not None and every is None:
        raise SettingError("heartbeat", "heartbeat_every is not set; accepted: both of them")
    if every is not None and heartbeat is None:
        raise SettingError("heartbeat_every", "heartbeat is not set; accepted: both of them")


MESSAGE = Value(
    "text with the escapes of Python's bytes, such as HELLO or \\x05 (in Python, bytes too)",
    _message,
    "TEXT",
    written=escape,
)
MESSAGES = Value(
    "a message, such as PING or \\x00, or a list of these",
    _messages,
    "TEXT",
    lambda text: [text],
    written=escape,
    repeatable=True,
)

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
    greeting: bytes | None = setting(
        MESSAGE, "Messages", "A message that is sent first on each connection.", None, none="none"
    )
    heartbeat: bytes | None = setting(
        MESSAGE,
        "Messages",
        "A message that is sent on each connection every heartbeat_every, whatever else is sent.",
        None,
        none="none",
    )
    heartbeat_every: float | None = setting(
        DURATION_VALUE, "Messages", "How often heartbeat is sent.", None, none="never"
    )
    ignore: tuple[bytes, ...] = setting(
        MESSAGES,
        "Messages",
        "Messages, such as the heartbeats of a peer, that are counted and not delivered.",
        (),
        none="none",
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
        check_heartbeat(self.heartbeat, self.heartbeat_every)

    def for_target(self) -> ConnectionOptions:
        """Those of a connection that is made for clients: without the limits on them, and without what is said to them.

        The other limits are the same, and it counts towards the same memory budget.
        """
        return replace(
            self,
            idle_timeout=None,
            frame_timeout=None,
            max_connection_age=None,
            gate=None,
            greeting=None,
            heartbeat=None,
            heartbeat_every=None,
            ignore=(),
        )

    @property
    def clock(self) -> IReactorTime:
        """The reactor; the global one if none was given."""
        if self.reactor is not None:
            return self.reactor
        from twisted.internet import reactor
        from twisted.internet.interfaces import IReactorTime

        return IReactorTime(reactor)


DEFAULT = ConnectionOptions()
