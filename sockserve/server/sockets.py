"""Named sockets as Twisted services, and the set of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from sockserve.addresses import Network, as_network, format_address
from sockserve.connection.channel import Channel
from sockserve.connection.conversation import Conversation
from sockserve.connection.factory import MessageFactory
from sockserve.framing import as_framing
from sockserve.framing.raw import Raw
from sockserve.handlers.function import DEFAULT_MAX_PENDING, Function
from sockserve.handlers.names import conversation_maker, datagram_function, maker
from sockserve.limits.access import EVERYONE, Access, AccessFactory
from sockserve.limits.admission import Admission, WhenFull
from sockserve.limits.arrivals import Arrivals
from sockserve.limits.descriptors import Accepting
from sockserve.limits.events import Events, LimitEvent
from sockserve.limits.memory import MemoryBudget, budget_of
from sockserve.proxy.layer import LOOPBACK, ProxyFactory
from sockserve.server.udp import DatagramEndpoint, DatagramSocket
from sockserve.tls.certificates import Certificates, TLSConfig, tls_endpoint

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime, IReactorUDP

    from sockserve.connection.engine import Engine
    from sockserve.connection.protocol import MessageProtocol
    from sockserve.framing import Framing

log = Logger()

ServerEndpoint = str | IStreamServerEndpoint
"""An endpoint string, or an endpoint."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An endpoint with a framing of its own, beside others of the same named socket."""

    endpoint: ServerEndpoint
    framing: Framing | str


class SocketServer(Service):
    """A named socket: listens on its endpoints from the start of the service to its stop.

    name: for the log, and in Server.sockets.
    listen: an endpoint string such as "tcp:7000:interface=127.0.0.1", an endpoint, a Listen, or several of these.
        "udp:PORT" is for datagrams, see sockserve.server.udp.
    framing: a Framing or its name, for the endpoints that have none of their own.
    handler: what answers a message: "echo", "discard", "relay", "forward:ENDPOINT[,FRAMING]", "module:callable", or a
        function `answer(message, channel)`, see sockserve.handlers.function.
    conversation: instead of a handler: `async def talk(channel)`, or "module:callable".
    max_length: bytes, for the framing that a "forward:" names.
    threads, max_pending: see sockserve.handlers.function.Answering.
    max_connections: connections served at once; None: any number.
    when_full: "wait": further clients are connected and served in turn. "refuse": they are closed at once.
    max_connections_per_peer: connections of one IPv4 address, or one /64 network of IPv6, at once; further ones are
        closed.
    allow, deny: networks as text, or from `ipaddress`. With `allow`, only clients from there may connect; those in
        `deny` may not.
    tls: the TLS of all endpoints of streams. "ssl:" and "tls:" endpoint strings have their own.
    close_timeout: seconds in which a peer has to take some of what it is owed when its connection closes.
    idle_timeout: seconds in which nothing comes from a peer, and it takes nothing; then its connection is closed.
    frame_timeout: seconds from the first byte of a frame to its last; then its connection is closed.
    proxy_protocol: each connection begins with a PROXY header, which tells the client's address; see sockserve.proxy.
    proxy_from: the networks of the proxies, as text or from `ipaddress`; who else connects is refused. None: loopback.
    handshake_timeout: seconds for a PROXY header, and for the TLS handshake behind it; nobody is served before.
    memory: the budget that the connections count for; None: that of the process, see sockserve.limits.memory.
    drain_timeout: seconds for all of them together when the service stops; what is left then is aborted.
    log_traffic: log the number of bytes of every read and write.
    reactor: None: the global one.

    Raises ValueError for a value that it does not accept. Starting raises
    twisted.internet.error.CannotListenError when an endpoint cannot be opened; an endpoint that takes its time and then
    fails is logged.

    ports: the open ports.
    events: told when a limit ends or refuses a connection; `listen` to them.
    closings: how many connections were closed because of each limit since the start, by the name of its setting; and
        under "handler", because what answers has failed. Logged when the service has stopped.
    """

    def __init__(
        self,
        name: str,
        listen: ServerEndpoint | Listen | Iterable[ServerEndpoint | Listen],
        framing: Framing | str = "raw",
        handler: str | Function = "echo",
        *,
        conversation: str | Conversation | None = None,
        max_length: int | None = None,
        threads: bool = False,
        max_pending: int = DEFAULT_MAX_PENDING,
        max_connections: int | None = None,
        when_full: WhenFull = "wait",
        max_connections_per_peer: int | None = None,
        allow: Iterable[str | Network] = (),
        deny: Iterable[str | Network] = (),
        tls: TLSConfig | None = None,
        close_timeout: float = 10.0,
        idle_timeout: float | None = None,
        frame_timeout: float | None = None,
        proxy_protocol: bool = False,
        proxy_from: Iterable[str | Network] | None = None,
        handshake_timeout: float = 10.0,
        memory: MemoryBudget | None = None,
        drain_timeout: float = 10.0,
        log_traffic: bool = False,
        reactor: object = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.setName(name)
        self._reactor = cast("IReactorTime", reactor)
        self._memory = budget_of(reactor) if memory is None else memory
        self._drain_timeout = drain_timeout
        self._access = Access(tuple(map(as_network, allow)), tuple(map(as_network, deny)))
        self._accepting = Accepting(name, self._reactor)
        self._admission: Admission[Engine] = Admission(
            max_connections, when_full, self._accepting.accept, per_peer=max_connections_per_peer
        )
        self._arrivals = Arrivals(self._memory, self._admission.peers)
        self.events = Events()
        self.closings = self.events.counts
        if proxy_from is not None and not proxy_protocol:
            raise ValueError("proxy_from needs proxy_protocol")
        self._proxies = LOOPBACK if proxy_from is None else tuple(map(as_network, proxy_from))
        self._proxy_protocol = proxy_protocol
        self._opening: list[Deferred[None]] = []
        if conversation is not None:
            make = conversation_maker(conversation)
        else:
            make = maker(handler, max_pending=max_pending, threads=threads, max_length=max_length, reactor=reactor)
        self._handshake_timeout = handshake_timeout
        shared = None if tls is None else Certificates(name, tls.read, tls.files)
        one = isinstance(listen, str | Listen) or IStreamServerEndpoint.providedBy(listen)
        several = cast("Iterable[ServerEndpoint | Listen]", [listen] if one else listen)
        self._listen: list[tuple[IStreamServerEndpoint, MessageFactory, Certificates | None]] = []
        for item in several:
            endpoint, own = (item.endpoint, item.framing) if isinstance(item, Listen) else (item, framing)
            certificates = shared
            if isinstance(endpoint, str) and endpoint.startswith("haproxy:"):
                inner = endpoint.removeprefix("haproxy:")
                raise ValueError(f"{endpoint!r} loses the end of a stream; accepted: {inner!r}, with proxy_protocol")
            if isinstance(endpoint, str) and endpoint.startswith("udp:"):
                if proxy_protocol:
                    raise ValueError(
                        f"{endpoint!r}: udp has no PROXY headers; accepted: a socket without proxy_protocol"
                    )
                if shared is not None:
                    raise ValueError(f"{endpoint!r}: udp has no TLS; accepted: a socket of its own, without tls")
                datagrams = _datagrams(
                    name, handler, conversation, own, self._access, max_pending, threads, log_traffic, self._memory
                )
                endpoint = DatagramEndpoint(cast("IReactorUDP", reactor), endpoint, datagrams)
            elif isinstance(endpoint, str) and endpoint.startswith(("ssl:", "tls:")):
                if shared is not None:
                    raise ValueError(f"{endpoint!r} has TLS of its own; accepted beside tls: tcp, tcp6, unix")
                endpoint, certificates = tls_endpoint(name, reactor, endpoint)
            elif isinstance(endpoint, str):
                endpoint = cast("IStreamServerEndpoint", serverFromString(reactor, endpoint))
            factory = MessageFactory(
                own,
                make,
                close_timeout=close_timeout,
                idle_timeout=idle_timeout,
                frame_timeout=frame_timeout,
                log_traffic=log_traffic,
                reactor=self._reactor,
                socket=name,
                gate=self._admission,
                memory=self._memory,
                events=self.events,
            )
            self._listen.append((endpoint, factory, certificates))

    @property
    def clean(self) -> bool:
        """No connection was aborted because drain_timeout was over."""
        return "drain_timeout" not in self.closings

    @property
    def ports(self) -> list[IListeningPort]:
        """The open ports."""
        return self._accepting.ports

    @property
    def channels(self) -> dict[int, Channel]:
        """The connections that are served now, by their id."""
        return {number: _channel(each) for number, each in self._admission.running.items()}

    def channel(self, id: int) -> Channel | None:  # noqa: A002 - the name of Channel.id
        """The connection with that id; None when it is gone."""
        connection = self._admission.running.get(id)
        return None if connection is None else _channel(connection)

    def privilegedStartService(self) -> None:
        """Open the endpoints, while the process may still have the rights that low ports need."""
        super().privilegedStartService()
        self._admission.open()
        self.closings.clear()
        for endpoint, factory, certificates in self._listen:
            opening = endpoint.listen(self._layers(factory, certificates))
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
        """Accept no more, and drain: finish what is owed, close, abort what is left after drain_timeout."""
        super().stopService()
        for opening in self._opening:
            opening.cancel()
        self._opening.clear()
        closed = DeferredList([maybeDeferred(port.stopListening) for port in self._accepting.close()])
        return closed.addCallback(self._drain).addCallback(self._stopped)

    def _drain(self, _: object) -> Deferred[None]:
        return self._admission.drain().addTimeout(self._drain_timeout, self._reactor, self._abort)

    def _stopped(self, _: object) -> None:
        if self.closings:
            counts = ", ".join(f"{limit} {count}" for limit, count in self.closings.most_common())
            log.info("{name} closed connections because of: {counts}", name=self.name, counts=counts)

    def _abort(self, result: object, seconds: float) -> None:
        count = self._admission.abort()
        log.warn(
            "{name}: {count} connections aborted, they were not done within {seconds} seconds (drain_timeout)",
            name=self.name,
            count=count,
            seconds=f"{seconds:g}",
        )

    def _layers(self, factory: MessageFactory, certificates: Certificates | None) -> IProtocolFactory:
        """What an endpoint listens with: the factory, in what is settled before its protocols are connected.

        The order from the outside in: PROXY, who may connect at all, TLS, the factory.
        """
        layered: IProtocolFactory = factory
        if certificates is not None:
            # It needs what is not installed with every Twisted.
            from sockserve.tls.layer import TLSFactory

            layered = TLSFactory(
                certificates,
                layered,
                self._reactor,
                handshake_timeout=self._handshake_timeout,
                report=self._report,
                name=str(self.name),
            )
        if self._access != EVERYONE:
            layered = AccessFactory(layered, self._access, self._report)
        if self._proxy_protocol:
            layered = ProxyFactory(
                layered, self._proxies, self._handshake_timeout, self._report, self._reactor, self._arrivals
            )
        return layered

    def _report(self, reason: str, peer: str, text: str) -> None:
        """A layer has closed a connection, or refused it, because of a limit."""
        self.events.tell(LimitEvent(reason, f"{self.name} {peer}", text), LogLevel.warn)

    def _opened(self, port: IListeningPort) -> None:
        self._accepting.add(port)
        log.info("{name} listens on {address}", name=self.name, address=format_address(port.getHost()))

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("{name} cannot listen", failure, name=self.name)


def _channel(connection: Engine) -> Channel:
    return Channel(cast("MessageProtocol", connection.receiver))


def _datagrams(
    name: str,
    handler: str | Function,
    conversation: str | Conversation | None,
    framing: Framing | str,
    access: Access,
    max_pending: int,
    threads: bool,
    log_traffic: bool,
    memory: MemoryBudget,
) -> DatagramSocket:
    """What listens at a `udp:` endpoint. Raises ValueError for what datagrams cannot do."""
    framing = as_framing(framing)
    if not isinstance(framing, Raw):
        raise ValueError(f"udp is always raw, one datagram is one message: framing {framing} does not apply")
    if conversation is not None:
        raise ValueError("a conversation needs a connection, udp has none; accepted: a handler")
    function = datagram_function(handler)
    return DatagramSocket(
        name,
        function,
        framing,
        access,
        max_pending=max_pending,
        threads=threads,
        log_traffic=log_traffic,
        memory=memory,
    )


class Server(MultiService):
    """Any number of named sockets.

    sockets: by their names. `name in server.sockets` is what SocketExist asks in WINDEV.
    """

    def __init__(self, sockets: Iterable[SocketServer] = ()) -> None:
        super().__init__()
        self.sockets: dict[str, SocketServer] = {}
        for socket in sockets:
            self.add(socket)

    def add(self, socket: SocketServer) -> None:
        """Add one; it starts now if the server runs. Raises ValueError for a name that is taken."""
        name = str(socket.name)
        if name in self.sockets:
            raise ValueError(f"there is a socket named {name!r} already")
        self.sockets[name] = socket
        try:
            socket.setServiceParent(self)
        except Exception:
            self.remove(name)
            raise

    def remove(self, name: str) -> Deferred[None]:
        """Stop and forget one. Fires when it is drained. Raises KeyError."""
        return maybeDeferred(self.sockets.pop(name).disownServiceParent)
