"""How many connections run at once, and how many one peer may have."""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from sockserve.limits.peers import PeerCount
from sockserve.limits.totals import Connection as Counted
from sockserve.limits.totals import Totals

log = Logger()

WhenFull = Literal["wait", "refuse"]


class Telling(typing.Protocol):
    """What is said of a connection; see sockserve.connection.telling."""

    @property
    def peer(self) -> str: ...

    @property
    def attributes(self) -> dict[str, object]: ...

    def tell(self, limit: str, text: str = "") -> None: ...


class Connection(Counted, typing.Protocol):
    """What the gate uses of a connection; see sockserve.connection.engine."""

    @property
    def telling(self) -> Telling: ...

    @property
    def bytes_received(self) -> int: ...

    @property
    def owing(self) -> bool: ...

    @property
    def ending(self) -> bool: ...

    @property
    def flushed(self) -> bool: ...

    def silent(self, seconds: float) -> bool: ...

    def wait(self) -> None: ...

    def start(self) -> None: ...

    def dismiss(self) -> None: ...

    def hush(self) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


C = TypeVar("C", bound=Connection)


class Admission(Generic[C]):
    """The gate of a named socket: lets at most `limit` connections run, in the order of their arrival.

    limit: how many may run; None: any number.
    when_full: what happens to further ones. "wait": they stay connected, with their bytes unread, and each starts when
        another one leaves. "refuse": they are closed at once.
    accepting: called with False while connections wait here, so that further ones stay with the kernel, and with True
        when none waits any more.
    ended: called with each connection that has left, and was neither refused nor dismissed while it waited.
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
        ended: Callable[[C], None] | None = None,
        per_peer: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"max_connections must be at least 1, not {limit}")
        if when_full not in ("wait", "refuse"):
            raise ValueError(f"when_full must be 'wait' or 'refuse', not {when_full!r}")
        self._limit = limit
        self._when_full = when_full
        self._accepting = accepting
        self._ended = ended
        self.peers = PeerCount(per_peer)
        self.totals = Totals()
        self._waiting: deque[C] = deque()
        self._last_id = 0
        self._open = True
        # They are being drained, one after the other.
        self._ends = False
        # All who are here go on in another one.
        self._moving = False
        self._draining: list[Deferred[None]] = []
        self._emptying: list[Deferred[None]] = []
        # While draining begins: what each that runs had sent when all were last looked at, by its id.
        self._received: dict[int, int] = {}
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
        if not self._moving and (self._limit is None or len(self.running) < self._limit):
            self._admit(connection)
            return True
        if self._when_full == "refuse" and not self._moving:
            return self._refuse(
                connection, "max_connections", f"refused, {self._limit} already connected (max_connections)"
            )
        connection.wait()
        self._waiting.append(connection)
        self._accept(False)
        return False

    def take(self, connection: C) -> None:
        """It was let in elsewhere, and goes on here, whatever the limits say."""
        self.totals.take_over(connection)
        self.peers.count(connection, connection.address)
        self._admit(connection)

    def established(self, connection: C) -> None:
        if self._limit == 1:
            # In WINDEV's simplified server, this is when a client counts as connected.
            log.info(
                "{peer}: established",
                peer=connection.telling.peer,
                event_name="sockserve.connection.established",
                attributes=connection.telling.attributes,
            )

    def flushed(self, connection: C) -> None:
        self._check_drained()

    def leave(self, connection: C) -> None:
        self.totals.leave(connection)
        self._remove(connection, self._ended)

    def go(self, connection: C) -> None:
        """It goes on elsewhere."""
        self.totals.hand_over(connection)
        self._remove(connection, None)

    def place_of(self, connection: C) -> str:
        """The name of the place that a connection takes along when it goes on elsewhere; "": it has none."""
        return ""

    def taking(self, place: str) -> None:
        """The next connection that is taken has this place."""

    def _remove(self, connection: C, ended: Callable[[C], None] | None) -> None:
        self.peers.leave(connection)
        self._leaves(connection)
        ran = self.running.pop(connection.id, None) is not None
        waited = not ran and connection in self._waiting
        if waited:
            self._waiting.remove(connection)
        if (ran or waited) and ended is not None:
            ended(connection)
        if ran:
            self._let_next_in()
        self._accept(self._room)
        self._check_drained()
        if not self.running:
            emptying, self._emptying = self._emptying, []
            for emptied in emptying:
                emptied.callback(None)

    @property
    def connections(self) -> list[C]:
        """Those that run, and those that wait."""
        return [*self.running.values(), *self._waiting]

    def move(self) -> None:
        """Keep all who come from now on waiting, because all who are here go on in another one."""
        self._moving = True

    def stay(self, connection: C) -> None:
        """One that waits does not go on in another one: it is let in here, when there is room."""
        if connection in self._waiting and (self._limit is None or len(self.running) < self._limit):
            self._waiting.remove(connection)
            self._admit(connection)
            connection.start()

    @property
    def waiting(self) -> Sequence[C]:
        """The connections that wait to run, in the order of their arrival."""
        return self._waiting

    @property
    def state(self) -> Literal["open", "draining", "drained"]:
        """Whether connections are let in, or those that run are being drained, or that is done."""
        if self._draining or self._ends:
            return "draining"
        return "open" if self._open else "drained"

    def open(self) -> None:
        """Let connections in, for the first time or again."""
        self._open = True
        self._moving = False

    def begin_drain(self) -> None:
        """They are to be drained, one after the other; those that wait to be let in are closed now."""
        self._ends = True
        self._dismiss_waiting()
        # What a peer answers to a heartbeat would count as talk.
        for connection in self.running.values():
            connection.hush()

    def _dismiss_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().dismiss()

    def drain_quiet(self, seconds: float) -> int:
        """Drain the connections that have sent nothing for so long, or since the last call, and are owed nothing.

        Returns how many go on.
        """
        received, self._received = self._received, {}
        for number, connection in list(self.running.items()):
            silent = received[number] == connection.bytes_received if number in received else connection.silent(seconds)
            if silent and not connection.owing:
                connection.drain()
            elif not connection.ending:
                self._received[number] = connection.bytes_received
        return len(self._received)

    def emptied(self) -> Deferred[None]:
        """Fires when no connection runs: now, or when the last one leaves."""
        if not self.running:
            return succeed(None)
        emptied: Deferred[None] = Deferred()
        self._emptying.append(emptied)
        return emptied

    def drain(self) -> Deferred[None]:
        """Let no more connections in, and drain those that run. Fires when nothing is owed to any of them."""
        self._open = self._ends = False
        self._received = {}
        self._dismiss_waiting()
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
            connection.telling.tell("drain_timeout")
            connection.abort()
        return len(unfinished)

    def _leaves(self, connection: C) -> None:
        """A connection is over, or goes on elsewhere."""

    @property
    def _room(self) -> bool:
        """Whether connections need not wait."""
        return not self._waiting

    def _let_next_in(self) -> None:
        if self._waiting and not self._moving:
            following = self._waiting.popleft()
            self._admit(following)
            following.start()

    def _welcome(self, connection: C) -> bool:
        """Whether its peer may have one more connection; counts it if so."""
        if self.peers.limit is None:
            # To ask for its address would cost more than all else here.
            return True
        text = self.peers.take(connection, connection.address)
        return not text or self._refuse(connection, "max_connections_per_peer", text)

    def _refuse(self, connection: C, limit: str, text: str) -> Literal[False]:
        connection.telling.tell(limit, text)
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
