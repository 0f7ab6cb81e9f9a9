"""What a named socket is made of, from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sockserve.addresses import Network
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.framing.raw import Raw
from sockserve.handlers.durations import Durations
from sockserve.handlers.share import Share
from sockserve.handlers.shared import SharedRelay
from sockserve.limits.access import EVERYONE, Access, AccessFactory
from sockserve.limits.arrivals import Arrivals
from sockserve.proxy.layer import LOOPBACK, ProxyFactory
from sockserve.server.dialling import Dialler
from sockserve.server.udp import DatagramSocket
from sockserve.tls.layer import TLSFactory

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory, IReactorTime

    from sockserve.client.endpoints import ClientEndpoint
    from sockserve.connection.engine import Engine
    from sockserve.framing import Framing
    from sockserve.handlers.names import ProtocolFactory
    from sockserve.limits.admission import Admission
    from sockserve.limits.memory import MemoryBudget
    from sockserve.redis.address import RedisAddress
    from sockserve.server.settings import SocketSettings
    from sockserve.server.telling import Telling
    from sockserve.tls.certificates import Certificates


class Parts:
    """Makes the parts of one named socket, and has those that the others share.

    settings, reactor: of the named socket. memory: see SocketServer. admission: its gate. telling: what is said of it.

    arrivals: its connections before their PROXY header or handshake.
    durations: how long the calls of its handler have taken.
    relay: what its clients share with those of other processes; None without that setting.
    share: the device that its clients share; None without that handler.
    """

    def __init__(
        self,
        settings: SocketSettings,
        reactor: IReactorTime,
        memory: MemoryBudget,
        admission: Admission[Engine],
        telling: Telling,
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._memory = memory
        self._admission = admission
        self._telling = telling
        self._access = Access(cast("tuple[Network, ...]", settings.allow), cast("tuple[Network, ...]", settings.deny))
        self.arrivals = Arrivals(memory, admission.peers)
        self.durations = Durations()
        self.relay = self._shared_relay()
        self.share = self._shared_device()
        shared = self.relay or self.share
        self._make: ProtocolFactory = (
            settings.answers.make(reactor, settings.max_pending, settings.threads, self.durations)
            if shared is None
            else shared.client
        )

    def factory(self, framing: Framing) -> MessageFactory:
        """Makes the protocols of one endpoint."""
        return MessageFactory(
            framing,
            self._make,
            **self._settings.connection_options(),
            reactor=self._reactor,
            socket=self._settings.name,
            gate=self._admission,
            memory=self._memory,
            events=self._telling.events,
        )

    def layers(self, factory: MessageFactory, certificates: Certificates | None) -> IProtocolFactory:
        """What an endpoint listens with: the factory, wrapped in all that comes before its protocols are connected.

        From the outside in: the PROXY header, access, TLS, the factory.
        """
        settings = self._settings
        timeout = cast("float", settings.handshake_timeout)
        layered: IProtocolFactory = factory
        if certificates is not None:
            layered = TLSFactory(
                certificates,
                layered,
                self._reactor,
                handshake_timeout=timeout,
                report=self._refused,
                name=settings.name,
                arrivals=self.arrivals,
            )
        if self._access != EVERYONE:
            layered = AccessFactory(layered, self._access, self._refused)
        if settings.proxy_protocol:
            proxies = cast("tuple[Network, ...]", settings.proxy_from or LOOPBACK)
            layered = ProxyFactory(layered, proxies, timeout, self._refused, self._reactor, self.arrivals)
        return layered

    def _refused(self, reason: str, peer: str, text: str) -> None:
        """A layer has closed a connection, or refused it, because of a limit."""
        self._admission.totals.refuse(reason)
        self._telling.refused(reason, peer, text)

    def datagrams(self, framing: Framing) -> DatagramSocket:
        """The protocol that answers the datagrams of one endpoint."""
        settings = self._settings
        assert settings.answers.datagram is not None
        return DatagramSocket(
            settings.name,
            settings.answers.datagram,
            cast("Raw", framing),
            self._telling.lines,
            self._access,
            max_pending=settings.max_pending,
            threads=settings.threads,
            log_traffic=settings.log_traffic,
            memory=self._memory,
            durations=self.durations,
        )

    def dialler(self, endpoint: ClientEndpoint, factory: MessageFactory) -> Dialler:
        """Makes the connection of a socket that connects."""
        return Dialler(
            self._settings.name,
            endpoint,
            factory,
            self._reactor,
            timeout=cast("float", self._settings.connect_timeout),
            lines=self._telling.lines,
        )

    def _shared_relay(self) -> SharedRelay | None:
        settings = self._settings
        if settings.relay is None:
            return None
        address, room = cast("RedisAddress", settings.relay), cast("int", settings.max_queued)
        return SharedRelay(settings.name, address, room=room, memory=self._memory, reactor=self._reactor)

    def _shared_device(self) -> Share | None:
        settings = self._settings
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
                events=self._telling.events,
            ),
            max_pending=settings.max_pending,
            answer_timeout=cast("float", settings.answer_timeout),
            durations=self.durations,
        )
