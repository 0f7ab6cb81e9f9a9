"""Named sockets as Twisted services."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence, Sized
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from sockserve.connection.channel import Channel
from sockserve.connection.factory import MessageFactory
from sockserve.connection.handover import take
from sockserve.fields import SettingError
from sockserve.handlers.shared import SharedRelay
from sockserve.limits.admission import Admission
from sockserve.limits.descriptors import Ports
from sockserve.limits.memory import MemoryBudget, budget_of
from sockserve.limits.places import Places, SharedAdmission
from sockserve.redis.commands import Unavailable
from sockserve.server.arguments import SocketArguments, accepts, check_names
from sockserve.server.description import identity
from sockserve.server.dialling import Dialler
from sockserve.server.draining import drain
from sockserve.server.handover import Give, Handover, Parcel
from sockserve.server.listeners import Listener, Listeners
from sockserve.server.parts import Parts
from sockserve.server.settings import SocketSettings
from sockserve.server.telling import Telling
from sockserve.server.udp import DatagramEndpoint, DatagramSocket
from sockserve.server.values import Listen

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IReactorTime

    from sockserve.connection.engine import Engine
    from sockserve.connection.protocol import MessageProtocol
    from sockserve.framing import Framing

__all__ = ["Listen", "SocketServer"]

State = Literal["open", "suspended", "draining", "drained", "stopped"]
"""open: accepts connections. suspended: accepts none, and serves those that are here. draining, drained: the same while
these are being closed, and when none is owed anything any more. stopped: its ports are closed, or not open yet.
"""


class SocketServer(Service):
    """A named socket: listens on its endpoints from the start of the service to its stop.

    SocketServer(name, listen, framing="raw", handler="echo", *, memory=None, reactor=None, ...)
    SocketServer(name, connect=endpoint, ...)

    With `connect`, it connects instead, keeps that connection, and connects again when it is lost.

    The other arguments, all by keyword, are the keys that a [socket.NAME] table of a configuration file has, and
    drain_timeout: docs/settings.md describes each, and sockserve.server.settings defines them. They accept the same
    values, and Python's: numbers are seconds and bytes; a handler, a conversation or a framing may be the object
    itself; `listen` accepts endpoints too, and a Listen for one that has its own framing; `tls` accepts a TLSConfig.

    memory: the budget that its connections count towards; None: that of the process, see sockserve.limits.memory.
    reactor: None: the global one, as it is when the socket is used or started.

    Raises ValueError, one line that begins with the argument, for a value that it does not accept. Starting raises
    twisted.internet.error.CannotListenError if an endpoint cannot be opened; if one fails later, that is logged. With
    a `relay` it first asks Redis, which blocks for a few seconds at most, and raises ValueError if that is of no use.

    settings: its checked settings.
    ports: the open ports.
    events: one for each connection that a limit ends or refuses; call `events.listen` to receive them.
    durations: how long the calls of its handler have taken.
    closings: how many connections were closed because of each limit since the start, by the name of its setting; and
        under "handler", because the handler failed. Logged when the service has stopped.
    relay: what its clients share with those of other processes; None without that setting.
    share: the device that its clients share; None without that handler.
    dialler: what makes its connection; None without `connect`.
    dials: whether it connects when it starts; False, if another process or socket has the connection: see `dial`.
    """

    settings: SocketSettings
    dials = True

    @accepts(SocketArguments)
    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - SocketArguments checks them
        check_names(settings)
        checked = SocketArguments(*arguments, **settings)
        self.settings = checked
        self.setName(checked.name)
        self._build_later = partial(self._build, checked.memory, checked.reactor)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Build what has that attribute: not before it is needed, so that a program can choose its reactor."""
            build = None if name.startswith("__") else self.__dict__.pop("_build_later", None)
            if build is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            build()
            return getattr(self, name)

    @classmethod
    def of(
        cls,
        settings: SocketSettings,
        *,
        memory: MemoryBudget | None = None,
        reactor: object = None,
        places: Places | None = None,
    ) -> Self:
        """The service for checked settings. places: where its limits count; None: here."""
        server = cls.__new__(cls)
        server.settings = settings
        server.setName(settings.name)
        server._build(memory, reactor, places)
        return server

    def _build(self, memory: MemoryBudget | None, reactor: object, places: Places | None = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        settings = self.settings
        name = settings.name
        self._reactor = cast("IReactorTime", reactor)
        self._memory = budget_of(reactor) if memory is None else memory
        self._ports = Ports(name, self._reactor)
        gate = Admission if places is None else partial(SharedAdmission, places=places, name=str(os.getpid()))
        self._admission: Admission[Engine] = gate(
            settings.max_connections,
            settings.when_full,
            self._ports.accept,
            ended=self._ended,
            per_peer=settings.max_connections_per_peer,
        )
        self._telling = Telling(settings, self._reactor)
        self.events = self._telling.events
        self.closings = self.events.counts
        parts = Parts(settings, self._reactor, self._memory, self._admission, self._telling)
        self._arrivals = parts.arrivals
        self.durations = parts.durations
        self.relay = parts.relay
        self.share = parts.share
        self._handover: Handover | None = None
        self._listen = Listeners(name, self._reactor, self._ports, parts.layers)
        # The endpoint of each factory, as it was given.
        self._endpoints: dict[MessageFactory, str] = {}
        for each in settings.listens:
            endpoint = each.opening.make(reactor)
            if isinstance(endpoint, DatagramEndpoint):
                self._listen.add(Listener(each.opening, endpoint, parts.datagrams(each.framing), None))
                continue
            factory = parts.factory(each.framing)
            self._endpoints[factory] = str(each.opening.endpoint)
            certificates = each.opening.certificates or settings.certificates
            self._listen.add(Listener(each.opening, endpoint, factory, certificates))
        self.dialler: Dialler | None = None
        if settings.connect is not None:
            factory = parts.factory(cast("Framing", settings.framing))
            # A connection that lasts as long as the program must not go on with what was set for it before.
            self._endpoints[factory] = identity(settings)
            self.dialler = parts.dialler(settings.connect, factory)

    @property
    def state(self) -> State:
        """What it does now."""
        if self._admission.state == "draining":
            return "draining"
        if not self.running:
            return "stopped"
        if self._admission.state == "drained":
            return "drained"
        return "suspended" if self._ports.suspended else "open"

    @property
    def admission(self) -> Admission[Engine]:
        """Its connections, and what all of them have done."""
        return self._admission

    @property
    def datagrams(self) -> list[DatagramSocket]:
        """Those of its endpoints that take datagrams."""
        return [*{each.factory: None for each in self._listen if isinstance(each.factory, DatagramSocket)}]

    @property
    def memory(self) -> MemoryBudget:
        """The budget that its connections count towards."""
        return self._memory

    @property
    def held(self) -> int:
        """Bytes of memory that it holds for its peers, as memory_budget counts them."""
        holders = (*self._admission.running.values(), *self._admission.waiting, *self._arrivals, *self.datagrams)
        return sum(each.held for each in holders)

    @property
    def expires(self) -> float | None:
        """When the first of its certificates expires, in seconds since the epoch; None: it has none."""
        ends = [each.certificates.expires for each in self._listen if each.certificates is not None]
        return min((end for end in ends if end is not None), default=None)

    @property
    def clean(self) -> bool:
        """Whether no connection was aborted because of drain_timeout, and nothing that came from one was lost."""
        return "drain_timeout" not in self.closings and (self.relay is None or not self.relay.unfinished)

    @property
    def ports(self) -> list[IListeningPort]:
        """The open ports."""
        return self._ports.ports

    @property
    def channels(self) -> dict[int, Channel]:
        """The connections being served, by their id."""
        return {number: _channel(each) for number, each in self._admission.running.items()}

    def channel(self, id: int) -> Channel | None:  # noqa: A002 - the name of Channel.id
        """The connection with that id; None if it is gone."""
        connection = self._admission.running.get(id)
        return None if connection is None else _channel(connection)

    def inherit(self, descriptors: Sequence[Sequence[int]]) -> None:
        """Listen, from the start, with copies of these descriptors instead of opening the endpoints.

        descriptors: any number for each endpoint, in the order of `settings.listens`. They stay open.
        """
        self._listen.inherit(descriptors)

    def takePorts(self, others: Iterable[SocketServer], claimed: set[IListeningPort]) -> None:
        """Listen, from the start, with the open ports of these sockets, where the address is the same.

        Those accept nothing there from then on. Let their connections move (`handOver`), and stop them.

        claimed: ports that are not to be taken; those that are, are added.
        """
        self._listen.take([(other.settings.name, other._listen) for other in others], claimed)

    @property
    def endpoints(self) -> list[str]:
        """Where its connections belong: those of another socket may go on here if they belong to one of these.

        With `connect`: what stands for all of its settings.
        """
        return [*self._endpoints.values()]

    def dial(self) -> None:
        """Connect, and stay connected, if it is to connect, is running and not suspended."""
        self.dials = True
        if self.dialler is not None and self.running and not self._ports.suspended:
            self.dialler.start()

    def handOver(self, endpoints: Collection[str], give: Give, coming: Sized = ()) -> Deferred[int]:
        """Accept nothing more, and let the connections move to another socket that has taken the place of this one.

        endpoints: those that it has. Connections of others, and those that cannot move, stay here. give: see Give.
        coming: whoever still calls `take` of this one.

        Fires, with the number of those that have moved, when no more can move, after drain_timeout at the latest. Then
        stop the service; if it is stopped sooner, nothing moves any more.
        """
        self.suspend()
        self._admission.move()
        self._handover = handover = Handover(
            self.settings.name,
            self._admission,
            self._arrivals,
            coming,
            {factory: endpoint for factory, endpoint in self._endpoints.items() if endpoint in endpoints},
            give,
            self._reactor,
            cast("float", self.settings.drain_timeout),
        )
        handover.start()
        return handover.done

    def take(self, parcel: Parcel, descriptor: int) -> None:
        """Go on with a connection of the socket whose place this one takes, and close the descriptor.

        Raises StopIteration for an endpoint that it does not have.
        """
        factory = next(factory for factory, endpoint in self._endpoints.items() if endpoint == parcel.endpoint)
        self._admission.taking(parcel.place)
        take(self._reactor, descriptor, parcel.family, factory, parcel.carried)
        self._admission.taking("")
        if self.dialler is not None:
            self.dialler.taken()

    def suspend(self) -> None:
        """Accept neither connections nor datagrams for now: they wait with the kernel. Who is connected is served.

        With `connect`: do not connect again.
        """
        self._ports.suspend(True)
        if self.dialler is not None:
            self.dialler.stop()

    def resume(self) -> None:
        """Accept connections again, or connect. Raises RuntimeError while connections are being drained."""
        if self.state == "draining":
            raise RuntimeError(f"{self.settings.name} is still draining")
        self._admission.open()
        self._ports.suspend(False)
        if self.dials:
            self.dial()

    def drain(self) -> Deferred[None]:
        """Suspend it, and close its connections when all is sent that they are owed, as when it stops.

        What is left after drain_timeout seconds is aborted. Fires when that is done; from then on it can be resumed.
        """
        self.suspend()
        return self._drain(None)

    def privilegedStartService(self) -> None:
        """Open the endpoints while the process still has the rights that low ports need."""
        super().privilegedStartService()
        self._admission.open()
        self.closings.clear()
        self.openPorts()
        self._listen.open()

    def openPorts(self) -> None:
        """Do what can fail, before the start: ask Redis, and open the endpoints.

        Those that are taken from other sockets are taken at the start.
        """
        if self.relay is not None and not self._listen.prepared:
            self._begin(self.relay)
        self._listen.prepare()

    def startService(self) -> None:
        if not self._listen.opened:
            self.privilegedStartService()
        super().startService()
        if self.relay is not None:
            self.relay.start()
        if self.share is not None:
            self.share.start()
        if self.dials:
            self.dial()

    def stopService(self) -> Deferred[None]:
        """Stop accepting, and drain: send what is owed, close, and abort what is left after drain_timeout seconds."""
        super().stopService()
        if self._handover is not None:
            # What moved now would come to a socket that stops too.
            self._handover.stop()
        if self.dialler is not None:
            self.dialler.stop()
        return self._listen.close().addCallback(self._drain).addCallback(self._disconnect).addCallback(self._stopped)

    def _drain(self, _: object) -> Deferred[None]:
        return Deferred.fromCoroutine(self._finish(cast("float", self.settings.drain_timeout)))

    async def _finish(self, seconds: float) -> None:
        end = self._reactor.seconds() + seconds
        aborted = await drain(self._admission, self._arrivals, self._reactor, seconds)
        if aborted:
            self._telling.aborted(aborted)
        if self.relay is not None:
            left = max(0.0, end - self._reactor.seconds())
            await self.relay.when_empty().addTimeout(left, self._reactor, lambda *_: None)
            await self.relay.stop()

    def _disconnect(self, _: object) -> Deferred[None] | None:
        return None if self.share is None else self.share.stop()

    def _stopped(self, _: object) -> None:
        self._telling.stopped(self._admission.running.values())

    def _ended(self, connection: Engine) -> None:
        if self.dialler is not None:
            self.dialler.ended(connection)
        self._telling.ended(connection)

    def _begin(self, relay: SharedRelay) -> None:
        try:
            relay.begin()
        except Unavailable as error:
            raise SettingError("relay", f"{self.settings.relay}: {error}") from None


SocketServer.__signature__ = signature(SocketArguments)  # type: ignore[attr-defined]


def _channel(connection: Engine) -> Channel:
    return Channel(cast("MessageProtocol", connection.receiver))
