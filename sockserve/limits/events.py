"""One event when a limit ends or refuses a connection: logged, counted, and for whoever listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger, LogLevel

log = Logger()


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

    counts: how many there were, by the name of the limit.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for each event from now on. Gives what ends that. An exception of it is logged."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: LimitEvent, level: LogLevel = LogLevel.info) -> None:
        """This has happened."""
        self.counts[event.limit] += 1
        if event.text:
            log.emit(level, "{peer}: {text}", peer=event.peer, text=event.text, limit=event.limit)
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                log.failure("a listener failed: {event}", event=event)
