"""A named socket: endpoints that share a name and a factory, as a Twisted service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockserve.address import format_address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint

log = Logger()


class SocketServer(Service):
    """Listens on every endpoint with one factory, from the start of the service to its stop.

    name: for the log.
    endpoints: where to listen, see twisted.internet.endpoints.serverFromString.
    factory: makes the protocol of each connection.

    Starting raises twisted.internet.error.CannotListenError when an endpoint cannot be opened; an endpoint that takes
    its time and then fails is logged. Stopping closes the endpoints and leaves connections alone.
    """

    def __init__(self, name: str, endpoints: Iterable[IStreamServerEndpoint], factory: IProtocolFactory) -> None:
        self.setName(name)
        self.endpoints = tuple(endpoints)
        self.factory = factory
        self.ports: list[IListeningPort] = []
        self._opening: list[Deferred[None]] = []

    def privilegedStartService(self) -> None:
        """Open the endpoints, while the process may still have the rights that low ports need."""
        super().privilegedStartService()
        for endpoint in self.endpoints:
            opening = endpoint.listen(self.factory)
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
        super().stopService()
        for opening in self._opening:
            opening.cancel()
        self._opening.clear()
        ports, self.ports = self.ports, []
        return DeferredList([maybeDeferred(port.stopListening) for port in ports]).addCallback(lambda _: None)

    def _opened(self, port: IListeningPort) -> None:
        self.ports.append(port)
        log.info("{name} listens on {address}", name=self.name, address=format_address(port.getHost()))

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("{name} cannot listen", failure, name=self.name)
