"""One event for each connection that a limit ends or refuses: logged, counted, and passed on to listeners."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from sockserve.framing import Framing
    from sockserve.limits.flood import FloodGuard

log = Logger("sockserve.connection")

# How many bad frames are kept.
_RECENT = 16


@dataclass(frozen=True, slots=True)
class LimitEvent:
    """A connection ended, or was refused, because of a limit.

    limit: the name of the setting, such as "idle_timeout"; or "handler" or "tls", when the handler or TLS has failed.
    peer: its address, after the name of the named socket, if any: `orders 192.0.2.7:4711`.
    text: what happened, in words; "" if the log has its own line for it.
    attributes: what the log says of the connection, by the names of OpenTelemetry: see docs/operating.md.
    """

    limit: str
    peer: str
    text: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A bad frame, or one that the end of its stream has cut short.

    at: seconds since the epoch. address: the peer's. id: the connection's number. kind: the class of the error.
    text: the error, in one line. framing: of what the peer sends. before: the end of the frames before it. frame: how
    it begins.
    """

    at: float
    address: object
    id: int
    kind: str
    text: str
    framing: Framing
    before: bytes
    frame: bytes


# How the log names those that are not a limit's.
_NAMES = {"handler": "sockserve.handler.refused", "tls": "sockserve.tls.failed"}

Report = Callable[[str, str, str], None]
"""Called by a layer that ends a connection: the name of the limit that decides it, the peer's address, and why."""

Listener = Callable[[LimitEvent], object]


class Events:
    """Where limits report what they have done. The log gets a line for each event that has a text.

    lines: limits the number of lines; None: no limit.

    counts: the number of events by the name of the limit.
    bad_frames: the number of bad frames by their kind. last_bad_frames: the last ones.
    """

    def __init__(self, lines: FloodGuard | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.bad_frames: Counter[str] = Counter()
        self.last_bad_frames: deque[BadFrame] = deque(maxlen=_RECENT)
        self._listeners: list[Listener] = []
        self._lines = lines

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for each event from now on. Returns a function that ends this. Exceptions are logged."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: LimitEvent) -> None:
        """Count and log an event, and call the listeners."""
        self.counts[event.limit] += 1
        if event.text:
            self.warn(
                event.limit,
                "{peer}: {text}",
                peer=event.peer,
                text=event.text,
                event_name=_NAMES.get(event.limit, "sockserve.connection.limit"),
                attributes={**event.attributes, "sockserve.limit": event.limit},
            )
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                log.failure(
                    "a listener failed: {event}",
                    event=str(event),
                    event_name="sockserve.listener.failed",
                    attributes={**event.attributes, "sockserve.limit": event.limit},
                )

    def line(self, kind: str, write: Callable[[], None]) -> None:
        """Log one line that a peer has caused, which `write` writes if it is not left out. kind: as of `warn`."""
        if self._lines is None:
            write()
        else:
            self._lines.line(kind, write)

    def warn(self, kind: str, form: str, **values: object) -> None:
        """Log one line that a peer has caused. kind: lines of one kind are counted together; see FloodGuard."""
        if self._lines is None:
            log.warn(form, **values)
        else:
            self._lines.warn(kind, form, **values)

    def failure(self, kind: str, form: str, failure: Failure, **values: Any) -> None:  # noqa: ANN401 - as Logger's
        """The same for a failure, with its traceback."""
        if self._lines is None:
            log.failure(form, failure, **values)
        else:
            self._lines.failure(kind, form, failure, **values)
