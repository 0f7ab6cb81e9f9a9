"""Named sockets as Twisted services."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence, Sized
from dataclasses import dataclass, fields
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import Logger, LogLevel

from sockserve.addresses import Network, address_attributes
from sockserve.connection.channel import Channel
from sockserve.connection.closed import log_closed
from sockserve.connection.factory import MessageFactory
from sockserve.connection.handover import take
from sockserve.connection.options import ConnectionOptions
from sockserve.fields import SettingError
from sockserve.framing.raw import Raw
from sockserve.handlers.durations import Durations
from sockserve.handlers.share import Share
from sockserve.handlers.shared import SharedRelay
from sockserve.limits.access import EVERYONE, Access, AccessFactory
from sockserve.limits.admission import Admission
from sockserve.limits.arrivals import Arrivals
from sockserve.limits.events import Events, LimitEvent
from sockserve.limits.events import log as connection_log
from sockserve.limits.flood import FloodGuard
from sockserve.limits.memory import MemoryBudget, budget_of
from sockserve.limits.places import Places, SharedAdmission
from sockserve.proxy.layer import LOOPBACK, ProxyFactory
from sockserve.redis.commands import Unavailable
from sockserve.server.draining import drain
from sockserve.server.handover import Give, Handover, Parcel
from sockserve.server.listeners import Listener, Listeners
from sockserve.server.settings import SocketSettings
from sockserve.server.udp import DatagramEndpoint, DatagramSocket
from sockserve.server.values import Listen
from sockserve.text import described, suggestion
from sockserve.tls.layer import TLSFactory

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime

    from sockserve.connection.engine import Engine
    from sockserve.connection.protocol import MessageProtocol
    from sockserve.framing import Framing
    from sockserve.redis.address import RedisAddress
    from sockserve.tls.certificates import Certificates

__all__ = ["Listen", "SocketServer"]

log = Logger()

State = Literal["open", "suspended", "draining", "drained", "stopped"]
"""open: accepts connections. suspended: accepts none, and serves those that are here. draining, drained: the same while
these are being closed, and when none is owed anything any more. stopped: its ports are closed, or not open yet.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketArguments(SocketSettings):
    """The arguments of SocketServer: the settings of the socket, and what it shares with other sockets.

    memory: the budget that its connections count towards; None: that of the process, see sockserve.limits.memory.
    reactor: None: the global one.
    """

    memory: MemoryBudget | None = None
    reactor: object = None

    def __post_init__(self) -> None:
        if self.memory is not None and not isinstance(self.memory, MemoryBudget):
            raise SettingError("memory", f"found {described(self.memory)}; accepted: a MemoryBudget, or None")
        if self.reactor is not None and not IReactorCore.providedBy(self.reactor):
            raise SettingError("reactor", f"found {described(self.reactor)}; accepted: a reactor of Twisted, or None")
        SocketSettings.__post_init__(self)


P = ParamSpec("P")


def accepts(_: Callable[P, object]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Tells type checkers that the method's arguments are those of the other callable."""
    return lambda method: method


class SocketServer(Service):
    """A named socket: listens on its endpoints from the start of the service to its stop.

    SocketServer(name, listen, framing="raw", handler="echo", *, memory=None, reactor=None, ...)

    The other arguments, all by keyword, are the keys that a [socket.NAME] table of a configuration file has, and
    drain_timeout: docs/settings.md describes each, and sockserve.server.settings defines them. They accept the same
    values, and Python's: numbers are seconds and bytes; a handler, a conversation or a framing may be the object
    itself; `listen` accepts endpoints too, and a Listen for one that has its own framing; `tls` accepts a TLSConfig.

    memory: the budget that its connections count towards; None: that of the process, see sockserve.limits.memory.
    reactor: None: the global one.

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
    """

    @accepts(SocketArguments)
    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - SocketArguments checks them
        for name in settings:
            if name not in SOCKET_ARGUMENTS:
                raise TypeError(
                    f"SocketServer has no argument {name!r}{suggestion(name, SOCKET_ARGUMENTS)}; "
                    f"accepted: {', '.join(SOCKET_ARGUMENTS)}"
                )
        checked = SocketArguments(*arguments, **settings)
        self._build(checked, checked.memory, checked.reactor)

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
        server._build(settings, memory, reactor, places)
        return server

    def _build(
        self, settings: SocketSettings, memory: MemoryBudget | None, reactor: object, places: Places | None = None
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        name = settings.name
        self.setName(name)
        self.settings = settings
        self._reactor = cast("IReactorTime", reactor)
        self._memory = budget_of(reactor) if memory is None else memory
        self._access = Access(cast("tuple[Network, ...]", settings.allow), cast("tuple[Network, ...]", settings.deny))
        self._listen = Listeners(name, self._reactor, self._layers)
        self._ports = self._listen.ports
        gate = Admission if places is None else partial(SharedAdmission, places=places, name=str(os.getpid()))
        self._admission: Admission[Engine] = gate(
            settings.max_connections,
            settings.when_full,
            self._ports.accept,
            ended=self._ended,
            per_peer=settings.max_connections_per_peer,
        )
        self._lines = FloodGuard(connection_log, self._reactor, name)
        self.events = Events(self._lines)
        self._arrivals = Arrivals(self._memory, self._admission.peers)
        self.closings = self.events.counts
        # The connections whose end is in the log although the peer has not closed them yet.
        self._told: set[int] = set()
        self.durations = Durations()
        self.relay = self._shared_relay(settings)
        self.share = self._shared_device(settings)
        shared = self.relay or self.share
        make = (
            settings.answers.make(reactor, settings.max_pending, settings.threads, self.durations)
            if shared is None
            else shared.client
        )
        self._handover: Handover | None = None
        # The endpoint of each factory, as it was given.
        self._endpoints: dict[MessageFactory, str] = {}
        options = settings.connection_options()
        for each in settings.listens:
            endpoint = each.opening.make(reactor)
            if isinstance(endpoint, DatagramEndpoint):
                self._listen.add(Listener(each.opening, endpoint, self._datagrams(each.framing), None))
                continue
            factory = MessageFactory(
                each.framing,
                make,
                **options,
                reactor=self._reactor,
                socket=name,
                gate=self._admission,
                memory=self._memory,
                events=self.events,
            )
            self._endpoints[factory] = str(each.opening.endpoint)
            certificates = each.opening.certificates or settings.certificates
            self._listen.add(Listener(each.opening, endpoint, factory, certificates))

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

    def handOver(self, endpoints: Collection[str], give: Give, coming: Sized = ()) -> Deferred[int]:
        """Accept nothing more, and let the connections move to another socket that has taken the place of this one.

        endpoints: those that it has. Connections of others, and those that cannot move, stay here. give: see Give.
        coming: whoever still calls `take` of this one.

        Fires, with the number of those that have moved, when no more can move, after drain_timeout at the latest. Then
        stop the service; if it is stopped sooner, nothing moves any more.
        """
        self._ports.suspend(True)
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

    def suspend(self) -> None:
        """Accept neither connections nor datagrams for now: they wait with the kernel. Who is connected is served."""
        self._ports.suspend(True)

    def resume(self) -> None:
        """Accept connections again. Raises RuntimeError while connections are being drained."""
        if self.state == "draining":
            raise RuntimeError(f"{self.settings.name} is still draining")
        self._admission.open()
        self._ports.suspend(False)

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

    def stopService(self) -> Deferred[None]:
        """Stop accepting, and drain: send what is owed, close, and abort what is left after drain_timeout seconds."""
        super().stopService()
        if self._handover is not None:
            # What moved now would come to a socket that stops too.
            self._handover.stop()
        return self._listen.close().addCallback(self._drain).addCallback(self._disconnect).addCallback(self._stopped)

    def _drain(self, _: object) -> Deferred[None]:
        return Deferred.fromCoroutine(self._finish(cast("float", self.settings.drain_timeout)))

    async def _finish(self, seconds: float) -> None:
        end = self._reactor.seconds() + seconds
        self._drained(await drain(self._admission, self._arrivals, self._reactor, seconds))
        if self.relay is not None:
            left = max(0.0, end - self._reactor.seconds())
            await self.relay.when_empty().addTimeout(left, self._reactor, lambda *_: None)
            await self.relay.stop()

    def _disconnect(self, _: object) -> Deferred[None] | None:
        return None if self.share is None else self.share.stop()

    def _stopped(self, _: object) -> None:
        # Nothing is owed to these any more, but the program may end before their peers close them.
        for connection in self._admission.running.values():
            if connection.id not in self._told:
                self._ended(connection)
                self._told.add(connection.id)
        self._lines.flush()
        if self.closings:
            counts = ", ".join(f"{limit} {count}" for limit, count in self.closings.most_common())
            log.info(
                "{name} closed connections because of: {counts}",
                name=self.settings.name,
                counts=counts,
                event_name="sockserve.socket.stopped",
                attributes={"sockserve.socket": self.settings.name, "sockserve.closings": dict(self.closings)},
            )

    def _drained(self, aborted: int) -> None:
        if aborted:
            log.warn(
                "{name}: {count} connections aborted, not finished within {seconds} seconds (drain_timeout)",
                name=self.settings.name,
                count=aborted,
                seconds=f"{self.settings.drain_timeout:g}",
                event_name="sockserve.socket.aborted",
                attributes={"sockserve.socket": self.settings.name, "sockserve.connections": aborted},
            )

    def _ended(self, connection: Engine) -> None:
        """A connection is over: the log has a line of it, of all of them with log_traffic."""
        if connection.id in self._told:
            self._told.remove(connection.id)
            return
        write = partial(log_closed, connection, time.time())
        if self.settings.log_traffic:
            write()
        else:
            self._lines.line("closed", write, LogLevel.info)

    def _shared_relay(self, settings: SocketSettings) -> SharedRelay | None:
        if settings.relay is None:
            return None
        address, room = cast("RedisAddress", settings.relay), cast("int", settings.max_queued)
        return SharedRelay(settings.name, address, room=room, memory=self._memory, reactor=self._reactor)

    def _shared_device(self, settings: SocketSettings) -> Share | None:
        device = settings.answers.device
        if device is None:
            return None
        return Share(
            device.endpoint(self._reactor),
            device.framing or cast("Framing", settings.framing),
            device.description,
            ConnectionOptions(
                **cast("dict[str, Any]", settings.connection_options()),
                reactor=self._reactor,
                socket=settings.name,
                memory=self._memory,
                events=self.events,
            ),
            max_pending=settings.max_pending,
            answer_timeout=cast("float", settings.answer_timeout),
            durations=self.durations,
        )

    def _begin(self, relay: SharedRelay) -> None:
        try:
            relay.begin()
        except Unavailable as error:
            raise SettingError("relay", f"{self.settings.relay}: {error}") from None

    def _layers(self, factory: MessageFactory, certificates: Certificates | None) -> IProtocolFactory:
        """What an endpoint listens with: the factory, wrapped in all that comes before its protocols are connected.

        From the outside in: the PROXY header, access, TLS, the factory.
        """
        layered: IProtocolFactory = factory
        if certificates is not None:
            layered = TLSFactory(
                certificates,
                layered,
                self._reactor,
                handshake_timeout=cast("float", self.settings.handshake_timeout),
                report=self._report,
                name=self.settings.name,
                arrivals=self._arrivals,
            )
        if self._access != EVERYONE:
            layered = AccessFactory(layered, self._access, self._report)
        if self.settings.proxy_protocol:
            proxies = cast("tuple[Network, ...]", self.settings.proxy_from or LOOPBACK)
            timeout = cast("float", self.settings.handshake_timeout)
            layered = ProxyFactory(layered, proxies, timeout, self._report, self._reactor, self._arrivals)
        return layered

    def _datagrams(self, framing: Framing) -> DatagramSocket:
        """The protocol that answers the datagrams of one endpoint."""
        settings = self.settings
        assert settings.answers.datagram is not None
        return DatagramSocket(
            settings.name,
            settings.answers.datagram,
            cast("Raw", framing),
            self._lines,
            self._access,
            max_pending=settings.max_pending,
            threads=settings.threads,
            log_traffic=settings.log_traffic,
            memory=self._memory,
            durations=self.durations,
        )

    def _report(self, reason: str, peer: str, text: str) -> None:
        """A layer has closed a connection, or refused it, because of a limit."""
        self._admission.totals.refuse(reason)
        attributes = {"sockserve.socket": self.settings.name, **address_attributes(peer)}
        self.events.tell(LimitEvent(reason, f"{self.settings.name} {peer}", text, attributes))


SOCKET_ARGUMENTS = tuple(each.name for each in fields(SocketArguments) if each.init)
"""The names of SocketServer's arguments."""

SocketServer.__signature__ = signature(SocketArguments)  # type: ignore[attr-defined]


def _channel(connection: Engine) -> Channel:
    return Channel(cast("MessageProtocol", connection.receiver))
