"""Named sockets as Twisted services, and the set of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from inspect import signature
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, cast

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockserve.addresses import Network, format_address
from sockserve.connection.channel import Channel
from sockserve.connection.factory import MessageFactory
from sockserve.fields import SettingError
from sockserve.framing.raw import Raw
from sockserve.handlers.durations import Durations
from sockserve.limits.access import EVERYONE, Access, AccessFactory
from sockserve.limits.admission import Admission
from sockserve.limits.arrivals import Arrivals
from sockserve.limits.descriptors import Ports
from sockserve.limits.events import Events, LimitEvent
from sockserve.limits.events import log as connection_log
from sockserve.limits.flood import FloodGuard
from sockserve.limits.memory import MemoryBudget, budget_of
from sockserve.proxy.layer import LOOPBACK, ProxyFactory
from sockserve.server.conflicts import check_addresses, check_circles
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
    from sockserve.tls.certificates import Certificates

__all__ = ["Listen", "Server", "SocketServer"]

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
    twisted.internet.error.CannotListenError if an endpoint cannot be opened; if one fails later, that is logged.

    settings: its checked settings.
    ports: the open ports.
    events: one for each connection that a limit ends or refuses; call `events.listen` to receive them.
    durations: how long the calls of its handler have taken.
    closings: how many connections were closed because of each limit since the start, by the name of its setting; and
        under "handler", because the handler failed. Logged when the service has stopped.
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
    def of(cls, settings: SocketSettings, *, memory: MemoryBudget | None = None, reactor: object = None) -> Self:
        """The service for checked settings."""
        server = cls.__new__(cls)
        server._build(settings, memory, reactor)
        return server

    def _build(self, settings: SocketSettings, memory: MemoryBudget | None, reactor: object) -> None:
        if reactor is None:
            from twisted.internet import reactor
        name = settings.name
        self.setName(name)
        self.settings = settings
        self._reactor = cast("IReactorTime", reactor)
        self._memory = budget_of(reactor) if memory is None else memory
        self._access = Access(cast("tuple[Network, ...]", settings.allow), cast("tuple[Network, ...]", settings.deny))
        self._ports = Ports(name, self._reactor)
        self._admission: Admission[Engine] = Admission(
            settings.max_connections,
            settings.when_full,
            self._ports.accept,
            per_peer=settings.max_connections_per_peer,
        )
        self._lines = FloodGuard(connection_log, self._reactor, name)
        self.events = Events(self._lines)
        self._arrivals = Arrivals(self._memory, self._admission.peers)
        self.closings = self.events.counts
        self._opening: list[Deferred[None]] = []
        self.durations = Durations()
        make = settings.answers.make(reactor, settings.max_pending, settings.threads, self.durations)
        # Each endpoint, with its factory and the certificates of its TLS.
        self._listen: list[tuple[Any, MessageFactory | DatagramSocket, Certificates | None]] = []
        options = settings.connection_options()
        for each in settings.listens:
            endpoint = each.opening.make(reactor)
            if isinstance(endpoint, DatagramEndpoint):
                self._listen.append((endpoint, self._datagrams(each.framing), None))
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
            self._listen.append((endpoint, factory, each.opening.certificates or settings.certificates))

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
        return [each for _, each, _ in self._listen if isinstance(each, DatagramSocket)]

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
        ends = [each.expires for _, _, each in self._listen if each is not None]
        return min((end for end in ends if end is not None), default=None)

    @property
    def clean(self) -> bool:
        """Whether no connection was aborted because of drain_timeout."""
        return "drain_timeout" not in self.closings

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

    def suspend(self) -> None:
        """Accept neither connections nor datagrams for now: they wait with the kernel. Who is connected is served."""
        self._ports.suspend(True)

    def resume(self) -> None:
        """Accept connections again. Raises RuntimeError while connections are being drained."""
        if self.state == "draining":
            raise RuntimeError(f"{self.name} is still draining")
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
        for endpoint, factory, certificates in self._listen:
            layered = self._layers(factory, certificates) if isinstance(factory, MessageFactory) else factory
            opening: Deferred[IListeningPort] = endpoint.listen(layered)
            if opening.called and isinstance(opening.result, Failure):
                failure = opening.result
                opening.addErrback(lambda _: None)
                failure.raiseException()
            self._opening.append(opening.addCallbacks(self._opened, self._failed))

    def startService(self) -> None:
        if not self._opening:
            self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop accepting, and drain: send what is owed, close, and abort what is left after drain_timeout seconds."""
        super().stopService()
        for opening in self._opening:
            opening.cancel()
        self._opening.clear()
        closed = DeferredList([maybeDeferred(port.stopListening) for port in self._ports.close()])
        return closed.addCallback(self._drain).addCallback(self._stopped)

    def _drain(self, _: object) -> Deferred[None]:
        return self._admission.drain().addTimeout(
            cast("float", self.settings.drain_timeout), self._reactor, self._abort
        )

    def _stopped(self, _: object) -> None:
        self._lines.flush()
        if self.closings:
            counts = ", ".join(f"{limit} {count}" for limit, count in self.closings.most_common())
            log.info("{name} closed connections because of: {counts}", name=self.name, counts=counts)

    def _abort(self, result: object, seconds: float) -> None:
        count = self._admission.abort()
        log.warn(
            "{name}: {count} connections aborted, not finished within {seconds} seconds (drain_timeout)",
            name=self.name,
            count=count,
            seconds=f"{seconds:g}",
        )

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
                name=str(self.name),
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
        self.events.tell(LimitEvent(reason, f"{self.name} {peer}", text))

    def _opened(self, port: IListeningPort) -> None:
        self._ports.add(port)
        log.info("{name} listens on {address}", name=self.name, address=format_address(port.getHost()))

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("{name} cannot listen", failure, name=self.name)


SOCKET_ARGUMENTS = tuple(each.name for each in fields(SocketArguments) if each.init)
"""The names of SocketServer's arguments."""

SocketServer.__signature__ = signature(SocketArguments)  # type: ignore[attr-defined]


def _channel(connection: Engine) -> Channel:
    return Channel(cast("MessageProtocol", connection.receiver))


class Server(MultiService):
    """Any number of named sockets.

    sockets: by name. `name in server.sockets` is what SocketExist does in WINDEV.
    """

    def __init__(self, sockets: Iterable[SocketServer] = ()) -> None:
        super().__init__()
        self.sockets: dict[str, SocketServer] = {}
        for socket in sockets:
            self.add(socket)

    def add(self, socket: SocketServer) -> None:
        """Add one; it starts now if the server is running. Raises ValueError if its name or an address is taken."""
        name = str(socket.name)
        if name in self.sockets:
            raise ValueError(f"there is already a socket named {name!r}")
        together = [one.settings for one in (*self.sockets.values(), socket)]
        check_addresses(together, lambda _: "listen")
        check_circles(together, lambda _: "handler")
        self.sockets[name] = socket
        try:
            socket.setServiceParent(self)
        except Exception:
            self.remove(name)
            raise

    def remove(self, name: str) -> Deferred[None]:
        """Stop and forget the socket with that name. Fires when it is drained. Raises KeyError."""
        return maybeDeferred(self.sockets.pop(name).disownServiceParent)
