"""The connections of one named socket move to another that takes its place, in this process or in another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sockserve.connection.handover import Carried, can_move, give, go
from sockserve.connection.state import Incoming, Wire
from sockserve.server.draining import QUIET

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from sockserve.connection.engine import Engine
    from sockserve.connection.protocol import MessageProtocol
    from sockserve.limits.admission import Admission
    from sockserve.limits.arrivals import Arrivals

log = Logger()

# Why reading is held.
_REASON = "handover"

# Seconds between two looks at those that could not move: at first, and at the most.
_FIRST_LOOK = 0.01
_LONGEST_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Parcel:
    """A connection on its way.

    socket: the name of its named socket. endpoint: the one that it came by. place: see Admission.place_of.
    """

    socket: str
    endpoint: str
    family: int
    carried: Carried
    place: str = ""


class Give(Protocol):
    """Passes a connection on."""

    def __call__(self, parcel: Parcel, go: Callable[[], int]) -> None:
        """`go` returns the descriptor; from then on the connection is not here any more.

        Raises an exception, before it calls `go`, for a parcel that cannot be passed on.
        """


class Handover:
    """Moves what can move, until nothing is left to move, or the time is over.

    All else is served here meanwhile, and ends as when a socket stops: as soon as its client is silent between two
    messages; see sockserve.server.draining.

    name: of the named socket. admission, arrivals: where its connections are, and those that are still to come.
    coming: whoever still passes connections on to this one; they go on with the others.
    endpoints: what each of its factories listens at, if the other side has that endpoint too.

    done: fires, with the number of those that have moved, when nothing more moves.
    """

    def __init__(
        self,
        name: str,
        admission: Admission[Engine],
        arrivals: Arrivals,
        coming: Sized,
        endpoints: Mapping[object, str],
        give: Give,
        reactor: IReactorTime,
        seconds: float,
    ) -> None:
        self._name = name
        self._admission = admission
        self._arrivals = arrivals
        self._coming = coming
        self._endpoints = endpoints
        self._give = give
        self._reactor = reactor
        self._end = reactor.seconds() + seconds
        self._quiet = min(QUIET, seconds / 10)
        self._pause = _FIRST_LOOK
        # Those that are still to move, and those that cannot: with what they had sent, and when that was seen.
        self._moving: set[Engine] = set()
        self._staying: dict[Engine, tuple[int, float]] = {}
        self._moved = 0
        self._call: IDelayedCall | None = None
        self.done: Deferred[int] = Deferred(lambda _: self.stop())

    def start(self) -> None:
        """Begin, before this returns."""
        self._look()

    def stop(self) -> None:
        """Move no more, and be done; what has not moved goes on here."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for connection in self._moving:
            connection.release_reading(_REASON)
        self._moving.clear()
        if not self.done.called:
            self.done.callback(self._moved)

    def _look(self) -> None:
        self._call = None
        here = set(self._admission.connections)
        self._moving &= here
        for connection in self._staying.keys() - here:
            del self._staying[connection]
        inside = set()
        for connection in here - self._staying.keys() - self._moving:
            if connection.receiving.inside and can_move(connection):
                # It is read from, until that frame is over.
                inside.add(connection)
            else:
                self._meet(connection)
        for connection in self._staying:
            self._end_if_quiet(connection)
        waiting = [each for each in self._staying if not each.started]
        for connection in waiting:
            self._admission.stay(connection)
        for connection in [each for each in self._moving if each.started]:
            self._try(connection)
        if not any(each.started for each in self._moving):
            # They would take the place of one that has not moved yet.
            for connection in list(self._moving):
                self._try(connection)
        if (
            not (self._moving or inside or waiting or self._arrivals or self._coming)
            or self._reactor.seconds() >= self._end
        ):
            self.stop()
        else:
            self._call = self._reactor.callLater(self._pause, self._look)
            self._pause = min(2 * self._pause, _LONGEST_LOOK)

    def _meet(self, connection: Engine) -> None:
        if can_move(connection) and _factory(connection) in self._endpoints:
            connection.hold_reading(_REASON)
            self._moving.add(connection)
        else:
            self._staying[connection] = connection.bytes_received, self._reactor.seconds()

    def _stay(self, connection: Engine) -> None:
        self._moving.discard(connection)
        self._staying[connection] = connection.bytes_received, self._reactor.seconds()
        connection.release_reading(_REASON)

    def _end_if_quiet(self, connection: Engine) -> None:
        received, since = self._staying[connection]
        now = self._reactor.seconds()
        if connection.bytes_received != received:
            self._staying[connection] = connection.bytes_received, now
        elif (
            connection.started
            and not connection.owing
            and (now - since >= self._quiet or connection.silent(self._quiet))
        ):
            connection.drain()

    def _try(self, connection: Engine) -> None:
        state = connection.state
        if state.wire is not Wire.OPEN or state.incoming > Incoming.OPEN or state.sending_ended:
            # It is ending by itself.
            self._stay(connection)
            return
        carried = give(connection)
        if carried is None:
            return
        endpoint, place = self._endpoints[_factory(connection)], self._admission.place_of(connection)
        family = int(connection.transport.socket.family)
        parcel = Parcel(self._name, endpoint, family, carried, place)
        try:
            self._give(parcel, partial(go, connection))
        except Exception as error:
            log.warn(
                "{peer}: it cannot move: {error}",
                peer=connection.telling.peer,
                error=str(error),
                event_name="sockserve.connection.stays",
                attributes=connection.telling.attributes,
            )
            self._stay(connection)
        else:
            self._moving.discard(connection)
            self._moved += 1


def _factory(connection: Engine) -> object:
    return cast("MessageProtocol", connection.receiver).factory
