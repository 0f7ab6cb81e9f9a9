"""The endpoints of one named socket: they are opened, inherited, or taken over from another named socket."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockserve.connection.factory import MessageFactory
from sockserve.limits.descriptors import Ports
from sockserve.server.inherited import InheritedDatagramEndpoint, InheritedEndpoint, TakenEndpoint
from sockserve.server.listening import log_listening
from sockserve.server.udp import DatagramSocket

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime

    from sockserve.server.endpoints import Opening
    from sockserve.tls.certificates import Certificates

# As the rooms are called, not their modules.
log = Logger("sockserve.server.sockets")

Layers = Callable[[MessageFactory, "Certificates | None"], "IProtocolFactory"]
"""What an endpoint of streams listens with."""


@dataclass(frozen=True, slots=True)
class Listener:
    """opening: the endpoint, as it was set. endpoint: what opens it. certificates: of its TLS; None: it has none."""

    opening: Opening
    endpoint: Any
    factory: MessageFactory | DatagramSocket
    certificates: Certificates | None


class Listeners:
    """name: of the named socket. ports: those that are open. layers: called when an endpoint is opened.

    prepared: whether `prepare` was called since they were closed.
    """

    def __init__(self, name: str, reactor: IReactorTime, ports: Ports, layers: Layers) -> None:
        self.ports = ports
        self._name = name
        self._reactor = reactor
        self._layers = layers
        self._all: list[Listener] = []
        self._inherits = False
        self.prepared = False
        self._opening: list[Deferred[None]] = []
        # The open port of each factory; and the factories of those that another socket has now.
        self._opened_by: dict[object, IListeningPort] = {}
        self._released: list[IProtocolFactory] = []

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, listener: Listener) -> None:
        """One more, before they are opened."""
        self._all.append(listener)

    def inherit(self, descriptors: Sequence[Sequence[int]]) -> None:
        """Listen, from the start, with copies of these descriptors instead of opening the endpoints.

        descriptors: any number for each endpoint, in their order. They stay open.
        """
        inherited = []
        for numbers, each in zip(descriptors, self._all, strict=True):
            kind = InheritedDatagramEndpoint if isinstance(each.factory, DatagramSocket) else InheritedEndpoint
            inherited += [replace(each, endpoint=kind(self._reactor, number)) for number in numbers]
        self._all = inherited
        self._inherits = True

    def take(self, others: Iterable[tuple[str, Listeners]], claimed: set[IListeningPort]) -> None:
        """Listen, from the start, with the open ports of these, where the address is the same.

        Those accept nothing there from then on. others: with the names of their sockets. claimed: ports that are not to
        be taken; those that are, are added.
        """
        for number, each in enumerate(self._all):
            for name, other in others:
                if each.opening.address is None and name != self._name:
                    # Port 0: another one's is another port.
                    continue
                port = other._port_at(each.opening, claimed)
                if port is not None:
                    claimed.add(port)
                    self._all[number] = replace(each, endpoint=TakenEndpoint(partial(other._release, port)))
                    break

    def _port_at(self, opening: Opening, claimed: Collection[IListeningPort]) -> IListeningPort | None:
        """The open port with that address, unless it is one of those."""
        wanted = opening.address or opening.endpoint
        for each in self._all:
            port = self._opened_by.get(each.factory)
            if (each.opening.address or each.opening.endpoint) == wanted and port is not None and port not in claimed:
                return port
        return None

    def _release(self, port: IListeningPort) -> IListeningPort:
        """Give up an open port."""
        self.ports.release(port)
        # Their PROXY headers and handshakes go on; see `close`.
        if isinstance(port, Port):
            self._released.append(cast("IProtocolFactory", port.factory))
        return port

    def prepare(self) -> None:
        """Open all that can fail, before the start; those that are taken from other sockets are taken at the start."""
        if self.prepared:
            return
        self.prepared = True
        for each in self._all:
            if not isinstance(each.endpoint, TakenEndpoint):
                self._open(each)

    def open(self) -> None:
        """Open what is not open yet. Raises what an endpoint fails with at once; one that fails later is logged."""
        self.prepare()
        for each in self._all:
            if isinstance(each.endpoint, TakenEndpoint):
                self._open(each)

    @property
    def opened(self) -> bool:
        """Whether they are open, or are being opened."""
        return bool(self._opening)

    def close(self) -> Deferred[None]:
        """Fires when no port is open any more."""
        for opening in self._opening:
            opening.cancel()
        self._opening.clear()
        self.prepared = False
        closed = DeferredList([maybeDeferred(port.stopListening) for port in self.ports.close()])
        self._opened_by.clear()
        while self._released:
            self._released.pop().doStop()
        return closed.addCallback(lambda _: None)

    def _open(self, listener: Listener) -> None:
        endpoint, factory = listener.endpoint, listener.factory
        layered = self._layers(factory, listener.certificates) if isinstance(factory, MessageFactory) else factory
        opening: Deferred[IListeningPort] = endpoint.listen(layered)
        if opening.called and isinstance(opening.result, Failure):
            failure = opening.result
            opening.addErrback(lambda _: None)
            failure.raiseException()
        self._opening.append(
            opening.addCallbacks(
                self._opened, self._failed, callbackArgs=(factory, isinstance(endpoint, TakenEndpoint))
            )
        )

    def _opened(self, port: IListeningPort, factory: object, taken: bool) -> None:
        self.ports.add(port)
        self._opened_by[factory] = port
        if self._inherits or taken:
            # Whoever has opened it has said so.
            return
        log_listening(self._name, port.getHost())

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure(
                "{name} cannot listen",
                failure,
                name=self._name,
                event_name="sockserve.socket.failed",
                attributes={"sockserve.socket": self._name},
            )
