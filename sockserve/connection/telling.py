"""What is said of a connection: to the log, and to those who listen for events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twisted.logger import Logger

from sockserve.addresses import address_attributes, format_address
from sockserve.connection.failures import users_failure
from sockserve.limits.events import BadFrame, LimitEvent
from sockserve.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.python.failure import Failure

    from sockserve.connection.engine import Engine
    from sockserve.framing.errors import FramingError

# The log shows the names of rooms, not of modules.
log = Logger("sockserve.connection")


def log_moved(log: Logger, peer: str, attributes: Mapping[str, object], direction: str, count: int) -> None:
    """Log that so many bytes of a peer were received, or sent; see log_traffic."""
    log.info(
        "{peer}: Bytes {direction}: {count}",
        peer=peer,
        direction=direction,
        count=count,
        event_name="sockserve.traffic",
        attributes={**attributes, "sockserve.traffic.direction": direction, "sockserve.traffic.bytes": count},
    )


class Telling:
    """Everything that is said of one connection, and by what name.

    bad_frames: how many the peer has sent. evidence: the first one.
    """

    __slots__ = ("_engine", "bad_frames", "evidence")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.bad_frames = 0
        self.evidence: BadFrame | None = None

    @property
    def peer(self) -> str:
        """The peer's address as text, after the name of the named socket, if any: `orders 192.0.2.7:4711`."""
        engine = self._engine
        address, socket = format_address(engine.address), engine.options.socket
        return f"{socket} {address}" if socket else address

    @property
    def attributes(self) -> dict[str, object]:
        """What the log says of it to programs."""
        engine = self._engine
        return {
            "sockserve.socket": engine.options.socket,
            "sockserve.connection.id": engine.id,
            **address_attributes(format_address(engine.address)),
        }

    def tell(self, limit: str, text: str = "") -> None:
        """Report that a limit ends this connection. text: what happened, for the log."""
        self._engine.limit = self._engine.limit or limit
        self._engine.options.events.tell(LimitEvent(limit, self.peer, text, self.attributes))

    def warn(self, kind: str, text: str, event_name: str = "sockserve.frame.bad") -> None:
        """Log one line about the peer. kind: see FloodGuard. event_name: for programs that read the log."""
        self._engine.options.events.warn(
            kind, "{peer}: {text}", peer=self.peer, text=text, event_name=event_name, attributes=self.attributes
        )

    def bad_frame(self, error: FramingError, before: bytes, frame: bytes) -> None:
        """The peer has sent a bad frame. before, frame: see FrameDecoder.evidence."""
        engine = self._engine
        events = engine.options.events
        events.bad_frames[type(error).__name__] += 1
        self.bad_frames += 1
        if not engine.reading.skipped:
            # The others of this read are counted only.
            kind, text, framing = type(error).__name__, printable(error), engine.receiving.framing
            kept = BadFrame(time.time(), engine.address, engine.id, kind, text, framing, before, frame)
            events.last_bad_frames.append(kept)
            self.evidence = self.evidence or kept

    def failed(self, form: str, what: str, failure: Failure) -> None:
        """Log that the user's code has failed. form: of the line. what: names that code."""
        log.failure(
            form,
            users_failure(failure),
            peer=self.peer,
            what=what,
            event_name="sockserve.handler.failed",
            attributes=self.attributes,
        )

    def moved(self, direction: str, count: int) -> None:
        """Log a read or a write; see log_traffic."""
        log_moved(log, self.peer, self.attributes, direction, count)

    def closing(self) -> None:
        """Log that it closes; see log_traffic."""
        log.info(
            "{peer}: Connection closing...",
            peer=self.peer,
            event_name="sockserve.connection.closing",
            attributes=self.attributes,
        )
