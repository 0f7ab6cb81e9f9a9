"""One event when a limit ends or refuses a connection: logged, counted, and for whoever listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from sockserve.limits.flood import FloodGuard

log = Logger("sockserve.connection")


@dataclass(frozen=True, slots=True)
class LimitEvent:
    """A connection ended, or was refused, because of a limit.

    limit: the name of the setting, such as "idle_timeout"; "handler" and "tls" where what answers, or TLS, has failed.
    peer: who it was, after the name of the named socket, if any: `orders 192.0.2.7:4711`.
    text: what happened, in words; "" where that has a line of its own in the log.
    """

    limit: str
    peer: str
    text: str = ""


Listener = Callable[[LimitEvent], object]


class Events:
    """Where limits tell what they have done. The log has a line for each event with a text.

    lines: bounds how many lines; None: nothing does.

    counts: how many events there were, by the name of the limit.
    """

    def __init__(self, lines: FloodGuard | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._listeners: list[Listener] = []
        # What logs lines by their kind.
        self._lines = lines

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for each event from now on. Gives what ends that. An exception of it is logged."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: LimitEvent) -> None:
        """This has happened."""
        self.counts[event.limit] += 1
        if event.text:
            self.warn(event.limit, "{peer}: {text}", peer=event.peer, text=event.text)
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                log.failure("a listener failed: {event}", event=event)

    def warn(self, kind: str, form: str, **values: object) -> None:
        """One line that a peer has caused. kind: lines of one kind are counted together; see FloodGuard."""
        if self._lines is None:
            log.warn(form, **values)
        else:
            self._lines.warn(kind, form, **values)
