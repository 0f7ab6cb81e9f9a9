"""TLS below the protocols of a server: nobody is served before the handshake is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import Factory
from twisted.logger import Logger

from sockserve.addresses import address_attributes
from sockserve.limits.arrivals import DEFAULT_HANDSHAKE_TIMEOUT, Arrivals
from sockserve.limits.events import Report
from sockserve.tls.transport import IHalfCloseableTLS, TLSTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime

    from sockserve.tls.certificates import Certificates

__all__ = ["DEFAULT_HANDSHAKE_TIMEOUT", "IHalfCloseableTLS", "Report", "TLSFactory", "TLSTransport"]

log = Logger()


def _log(_: str, peer: str, text: str) -> None:
    attributes = address_attributes(peer)
    log.warn("{peer}: {text}", peer=peer, text=text, event_name="sockserve.tls.failed", attributes=attributes)


class TLSFactory(Factory["TLSTransport"]):
    """Puts the server's side of TLS below another factory, whose protocols it builds when their handshakes are done.

    certificates: what each session begins with, such as sockserve.tls.certificates.Certificates.
    wrapped: the factory.
    handshake_timeout: seconds; then the connection is aborted.
    report: called with the name of the limit ("tls", "handshake_timeout"), the peer's address and what happened, when
        there is no connection or TLS has failed in it. None: a warning in the log. One that leaves without having sent
        anything is the look of a monitor, and nothing is wrong.
    name: of the named socket, for the log.
    arrivals: what bounds the handshakes that are under way, see sockserve.limits.arrivals; whose it is ends them. None:
        they end when the port closes.
    """

    noisy = False

    def __init__(
        self,
        certificates: Certificates,
        wrapped: IProtocolFactory,
        reactor: IReactorTime,
        *,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
        report: Report | None = None,
        name: str = "",
        arrivals: Arrivals | None = None,
    ) -> None:
        self.wrapped = wrapped
        self.handshake_timeout = handshake_timeout
        self.report = report or _log
        self.name = name
        self._arrivals = Arrivals() if arrivals is None else arrivals
        self._alone = arrivals is None
        self._certificates = certificates
        self._reactor = reactor

    def buildProtocol(self, addr: IAddress | None) -> TLSTransport:
        return TLSTransport(
            self._certificates.session(),
            self._reactor,
            self._opened,
            self._failed,
            handshake_timeout=self.handshake_timeout,
            name=self.name,
            arrivals=self._arrivals,
        )

    def startFactory(self) -> None:
        self.wrapped.doStart()

    def stopFactory(self) -> None:
        if self._alone:
            self._arrivals.forget()
        self.wrapped.doStop()

    def _opened(self, transport: TLSTransport) -> None:
        protocol = self.wrapped.buildProtocol(transport.address)
        if protocol is None:
            transport.forget()
        else:
            transport.connect(protocol)

    def _failed(self, transport: TLSTransport, limit: str, text: str) -> None:
        if limit != "tls" or transport.shaken:
            self.report(limit, transport.peer, text)
