"""Who may connect, and how many at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sockserve.protocol import MessageProtocol

log = Logger()

WhenFull = Literal["wait", "refuse"]


class Admission:
    """The gate of a named socket: lets no more than `limit` connections run, in the order of their arrival.

    limit: connections; None: any number.
    when_full: "wait": what comes then is connected, its bytes wait unread, and it starts when another one leaves.
        "refuse": it is closed at once.
    accepting: called with False when connections wait here, so that further ones stay with the kernel, and with True
        when none does any more.

    running: the connections that run, by their id.
    """

    def __init__(
        self, limit: int | None = None, when_full: WhenFull = "wait", accepting: Callable[[bool], None] | None = None
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"max_connections must be at least 1, not {limit}")
        if when_full not in ("wait", "refuse"):
            raise ValueError(f"when_full must be 'wait' or 'refuse', not {when_full!r}")
        self._limit = limit
        self._when_full = when_full
        self._accepting = accepting
        self._waiting: deque[MessageProtocol] = deque()
        self._last_id = 0
        self._open = True
        self._draining: list[Deferred[None]] = []
        self.running: dict[int, MessageProtocol] = {}

    def enter(self, protocol: MessageProtocol) -> bool:
        transport = protocol.transport
        if not self._open:
            transport.loseConnection()
            return False
        if self._limit is None or len(self.running) < self._limit:
            self._admit(protocol)
            return True
        if self._when_full == "refuse":
            limit = self._limit
            log.info("{peer}: refused, {limit} are served already (max_connections)", peer=protocol.peer, limit=limit)
            transport.loseConnection()
            return False
        transport.pauseProducing()
        self._waiting.append(protocol)
        self._accept(False)
        return False

    def established(self, protocol: MessageProtocol) -> None:
        if self._limit == 1:
            # In the simplified server of WINDEV this is when a client counts as connected.
            log.info("{peer}: established", peer=protocol.peer)

    def flushed(self, protocol: MessageProtocol) -> None:
        self._check_drained()

    def leave(self, protocol: MessageProtocol) -> None:
        if self.running.pop(protocol.id, None) is None:
            if protocol in self._waiting:
                self._waiting.remove(protocol)
        elif self._waiting:
            following = self._waiting.popleft()
            self._admit(following)
            # In this order: when it starts, it may hold reading.
            following.transport.resumeProducing()
            following.start()
        self._accept(not self._waiting)
        self._check_drained()

    def open(self) -> None:
        """Let connections in, again or for the first time."""
        self._open = True

    def drain(self) -> Deferred[None]:
        """Let no one in any more, and end what runs. Fires when nothing is owed to anyone."""
        self._open = False
        while self._waiting:
            self._waiting.popleft().transport.loseConnection()
        for protocol in list(self.running.values()):
            protocol.drain()
        drained: Deferred[None] = Deferred()
        self._draining.append(drained)
        self._check_drained()
        return drained

    def abort(self) -> int:
        """Abort what still owes something, and say how many that were."""
        unfinished = self._unfinished()
        for protocol in unfinished:
            protocol.abortConnection()
        return len(unfinished)

    def _admit(self, protocol: MessageProtocol) -> None:
        self._last_id += 1
        protocol.id = self._last_id
        self.running[protocol.id] = protocol

    def _accept(self, wanted: bool) -> None:
        if self._accepting is not None:
            self._accepting(wanted)

    def _unfinished(self) -> list[MessageProtocol]:
        return [protocol for protocol in self.running.values() if not protocol.flushed]

    def _check_drained(self) -> None:
        if self._draining and not self._unfinished():
            draining, self._draining = self._draining, []
            for drained in draining:
                drained.callback(None)
