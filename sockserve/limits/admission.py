"""How many connections run at once, and how many one peer may have."""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sockserve.limits.peers import PeerCount
from sockserve.limits.totals import Connection as Counted
from sockserve.limits.totals import Totals

log = Logger()

WhenFull = Literal["wait", "refuse"]


class Connection(Counted, typing.Protocol):
    """What the gate uses of a connection; see sockserve.connection.engine."""

    @property
    def peer(self) -> str: ...

    @property
    def flushed(self) -> bool: ...

    def wait(self) -> None: ...

    def start(self) -> None: ...

    def dismiss(self) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...

    def tell(self, limit: str, text: str = "") -> None: ...


C = TypeVar("C", bound=Connection)


class Admission(Generic[C]):
    """The gate of a named socket: lets at most `limit` connections run, in the order of their arrival.

    limit: how many may run; None: any number.
    when_full: what happens to further ones. "wait": they stay connected, with their bytes unread, and each starts when
        another one leaves. "refuse": they are closed at once.
    accepting: called with False while connections wait here, so that further ones stay with the kernel, and with True
        when none waits any more.
    per_peer: how many connections one peer may have, waiting ones included; further ones are closed at once. A peer is
        an IPv4 address, or a /64 network of IPv6 (RFC 6177); clients of a unix socket are not counted.

    running: the connections that run, by their id.
    peers: how many connections each peer has.
    totals: what all of them have done so far.
    """

    def __init__(
        self,
        limit: int | None = None,
        when_full: WhenFull = "wait",
        accepting: Callable[[bool], None] | None = None,
        *,
        per_peer: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"max_connections must be at least 1, not {limit}")
        if when_full not in ("wait", "refuse"):
            raise ValueError(f"when_full must be 'wait' or 'refuse', not {when_full!r}")
        self._limit = limit
        self._when_full = when_full
        self._accepting = accepting
        self.peers = PeerCount(per_peer)
        self.totals = Totals()
        self._waiting: deque[C] = deque()
        self._last_id = 0
        self._open = True
        self._draining: list[Deferred[None]] = []
        # While draining: the connections that owed something when all were last looked at.
        self._owing: list[C] = []
        self.running: dict[int, C] = {}

    def enter(self, connection: C) -> bool:
        self.totals.enter(connection)
        if not self._open:
            connection.dismiss()
            return False
        if not self._welcome(connection):
            return False
        if self._limit is None or len(self.running) < self._limit:
            self._admit(connection)
            return True
        if self._when_full == "refuse":
            return self._refuse(
                connection, "max_connections", f"refused, {self._limit} already connected (max_connections)"
            )
        connection.wait()
        self._waiting.append(connection)
        self._accept(False)
        return False

    def established(self, connection: C) -> None:
        if self._limit == 1:
            # In WINDEV's simplified server, this is when a client counts as connected.
            log.info("{peer}: established", peer=connection.peer)

    def flushed(self, connection: C) -> None:
        self._check_drained()

    def leave(self, connection: C) -> None:
        self.totals.leave(connection)
        self.peers.leave(connection)
        if self.running.pop(connection.id, None) is None:
            if connection in self._waiting:
                self._waiting.remove(connection)
        elif self._waiting:
            following = self._waiting.popleft()
            self._admit(following)
            following.start()
        self._accept(not self._waiting)
        self._check_drained()

    @property
    def waiting(self) -> Sequence[C]:
        """The connections that wait to run, in the order of their arrival."""
        return self._waiting

    @property
    def state(self) -> Literal["open", "draining", "drained"]:
        """Whether connections are let in, or those that run are being drained, or that is done."""
        return "open" if self._open else "draining" if self._draining else "drained"

    def open(self) -> None:
        """Let connections in, for the first time or again."""
        self._open = True

    def drain(self) -> Deferred[None]:
        """Let no more connections in, and drain those that run. Fires when nothing is owed to any of them."""
        self._open = False
        while self._waiting:
            self._waiting.popleft().dismiss()
        for connection in list(self.running.values()):
            connection.drain()
        drained: Deferred[None] = Deferred()
        self._draining.append(drained)
        self._check_drained()
        return drained

    def abort(self) -> int:
        """Abort the connections that still owe something. Returns how many there were."""
        unfinished = self._unfinished()
        for connection in unfinished:
            connection.tell("drain_timeout")
            connection.abort()
        return len(unfinished)

    def _welcome(self, connection: C) -> bool:
        """Whether its peer may have one more connection; counts it if so."""
        if self.peers.limit is None:
            # To ask for its address would cost more than all else here.
            return True
        text = self.peers.take(connection, connection.address)
        return not text or self._refuse(connection, "max_connections_per_peer", text)

    def _refuse(self, connection: C, limit: str, text: str) -> Literal[False]:
        connection.tell(limit, text)
        connection.dismiss()
        return False

    def _admit(self, connection: C) -> None:
        self._last_id += 1
        connection.id = self._last_id
        self.running[connection.id] = connection

    def _accept(self, wanted: bool) -> None:
        if self._accepting is not None:
            self._accepting(wanted)

    def _unfinished(self) -> list[C]:
        return [connection for connection in self.running.values() if not connection.flushed]

    def _check_drained(self) -> None:
        if not self._draining:
            return
        # With ten thousand connections, do not look at all of them each time one is done.
        owing = self._owing
        while owing and (owing[-1].flushed or owing[-1].id not in self.running):
            owing.pop()
        if not owing:
            self._owing = self._unfinished()
            if not self._owing:
                draining, self._draining = self._draining, []
                for drained in draining:
                    drained.callback(None)
