"""The endpoint of the admin site, as a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockserve.admin.guard import Guard
from sockserve.admin.site import AdminSite, View
from sockserve.server.listening import log_listening
from sockserve.tls.layer import TLSFactory

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory

    from sockserve.server.admin import Admin

log = Logger()

NAME = "admin"


class AdminService(Service):
    """Serves the site from its start to its stop; it is to be stopped after all that it tells of.

    settings: see Admin. view: answers requests of sockserve.server.figures. reactor: None: the global one.
    """

    name = NAME

    def __init__(self, settings: Admin, view: View, reactor: object = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        opening = settings.opening
        # A browser has no way to a unix socket, and finds out itself with TLS.
        named = opening.kind != "unix" and opening.certificates is None
        guard = Guard(settings.token, open=settings.loopback, named=named)
        self._endpoint: Any = opening.make(reactor)
        self._factory: IProtocolFactory = AdminSite(view, guard)
        if opening.certificates is not None:
            self._factory = TLSFactory(opening.certificates, self._factory, cast("Any", reactor), name=NAME)
        self._port: IListeningPort | None = None

    @property
    def port(self) -> IListeningPort | None:
        """The open port."""
        return self._port

    def privilegedStartService(self) -> None:
        """Open the endpoint. Raises CannotListenError."""
        super().privilegedStartService()
        opening: Deferred[IListeningPort] = self._endpoint.listen(self._factory)
        if opening.called and isinstance(opening.result, Failure):
            failure = opening.result
            opening.addErrback(lambda _: None)
            failure.raiseException()
        opening.addCallback(self._opened)

    def startService(self) -> None:
        if self._port is None:
            self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        port, self._port = self._port, None
        return succeed(None) if port is None else maybeDeferred(cast("Callable[[], None]", port.stopListening))

    def _opened(self, port: IListeningPort) -> None:
        self._port = port
        log_listening(NAME, port.getHost())
