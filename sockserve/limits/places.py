"""The gate of a named socket that several processes serve: its limits hold for all of them together.

Somebody else counts, and has to be asked; see sockserve.workers.places.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Protocol, TypeVar

from sockserve.addresses import host_of, peer_of
from sockserve.limits.admission import Admission, Connection, WhenFull

C = TypeVar("C", bound=Connection)


class Asker(Protocol):
    """Who has asked for a place."""

    def granted(self, place: str) -> None: ...

    def full(self, place: str) -> None:
        """It is granted one when one is free."""

    def refused(self, place: str, limit: str, text: str) -> None:
        """There is none for it, because of that limit."""


class Places(Protocol):
    """The places of one named socket, for all processes that serve it. A place has a name, which is used once."""

    def ask(self, place: str, peer: str, asker: Asker) -> None:
        """Ask for a place. peer: whom max_connections_per_peer counts; "": nobody."""

    def keep(self, place: str, peer: str) -> None:
        """A connection that was given this place elsewhere goes on here."""

    def give_back(self, place: str) -> None:
        """It is free, or not wanted any more."""


class SharedAdmission(Admission[C]):
    """A connection waits, with its bytes unread, until it is told that it has a place; usually that takes a moment.

    places: where to ask. name: of this process, unlike those of the others. The rest is as in Admission.
    """

    def __init__(
        self,
        limit: int | None,
        when_full: WhenFull,
        accepting: Callable[[bool], None],
        *,
        ended: Callable[[C], None],
        per_peer: int | None,
        places: Places,
        name: str,
    ) -> None:
        super().__init__(limit, when_full, accepting, ended=ended, per_peer=per_peer)
        self._places = places
        self._names = (f"{name}-{number}" for number in count())
        # What each connection has, or has asked for; and those that have asked, and that were told to wait.
        self._place: dict[C, str] = {}
        self._asking: dict[str, C] = {}
        self._queued: set[str] = set()
        # The place of the connection that is being taken.
        self._taking = ""

    def enter(self, connection: C) -> bool:
        if not self._open:
            connection.dismiss()
            return False
        self.totals.enter(connection)
        connection.wait()
        self._waiting.append(connection)
        if not self._moving:
            self._ask(connection)
        return False

    def stay(self, connection: C) -> None:
        if connection in self._waiting and connection not in self._place:
            self._ask(connection)

    def _ask(self, connection: C) -> None:
        place = self._place[connection] = next(self._names)
        self._asking[place] = connection
        self._places.ask(place, _peer(connection), self)

    def granted(self, place: str) -> None:
        """There is a place for a connection, if it is still here."""
        connection = self._asked(place)
        if connection is not None:
            self._admit(connection)
            connection.start()

    def full(self, place: str) -> None:
        """A connection has to wait for a place."""
        if place in self._asking:
            self._queued.add(place)
            self._accept(False)

    def refused(self, place: str, limit: str, text: str) -> None:
        """There is no place for a connection."""
        connection = self._asked(place)
        if connection is not None:
            del self._place[connection]
            self._refuse(connection, limit, text)

    def place_of(self, connection: C) -> str:
        return self._place.get(connection, "") if connection.id else ""

    def taking(self, place: str) -> None:
        self._taking = place

    def take(self, connection: C) -> None:
        self.totals.take_over(connection)
        place = self._place[connection] = self._taking or next(self._names)
        self._places.keep(place, _peer(connection))
        self._admit(connection)

    def go(self, connection: C) -> None:
        if connection.id:
            # Its place goes with it.
            self._place.pop(connection, None)
        super().go(connection)

    def _asked(self, place: str) -> C | None:
        """Who has asked for a place, and is still here; it does not wait any more."""
        connection = self._asking.pop(place, None)
        self._queued.discard(place)
        if connection is not None:
            self._waiting.remove(connection)
            self._accept(self._room)
        return connection

    def _leaves(self, connection: C) -> None:
        place = self._place.pop(connection, "")
        if place:
            self._asking.pop(place, None)
            self._queued.discard(place)
            self._places.give_back(place)

    @property
    def _room(self) -> bool:
        return not self._queued

    def _let_next_in(self) -> None:
        """Whoever counts decides who is next."""


def _peer(connection: Connection) -> str:
    host = host_of(connection.address)
    return "" if host is None else str(peer_of(host))
