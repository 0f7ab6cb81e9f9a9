"""The client's side of TLS: what it trusts and shows, and an endpoint that connects when the handshake is done."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import SSLError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.tls.contexts import CertificateError, choose, client_context, show
from sockserve.tls.session import StandardSession
from sockserve.tls.transport import TLSTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

DEFAULT_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLS:
    """What a client trusts, shows and expects. The files are PEM.

    roots: the authorities that it trusts: a file, or a folder of files (*.pem); None: those of the system.
    certificate: its own, for a server that asks for one; those of its chain may follow it.
    key: the private key of that, without a passphrase; None: in the file of the certificate.
    server_name: whom the server's certificate must be for: a name or an address; None: the host that is connected to.
    alpn: the protocols that are offered (RFC 7301).
    """

    roots: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None
    alpn: tuple[str, ...] = ()

    def read(self) -> ssl.SSLContext:
        """What sessions with these settings are made from. Raises CertificateError."""
        context = client_context(self.roots)
        if self.certificate is not None:
            show(context, self.certificate, self.key)
        elif self.key is not None:
            raise CertificateError("key", f"{self.key}: a key needs the certificate that it belongs to")
        choose(context, self.alpn)
        return context


@implementer(IStreamClientEndpoint)
class TLSClientEndpoint:
    """Connects through another endpoint, and then with TLS. Its protocols are built when their handshakes are done.

    endpoint: what connects. context: for a client.
    server_hostname: whom the certificate must be for, where the context checks that; raises ValueError for what can be
        nobody's name.
    clock: for the handshake, which has `timeout` seconds.

    `connect` fails with what the other endpoint does, with twisted.internet.error.SSLError when TLS was not agreed on,
    and with TimeoutError there. Cancelled, it leaves no connection behind.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        context: ssl.SSLContext,
        server_hostname: str | None,
        clock: IReactorTime,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._hostname = server_hostname
        self._clock = clock
        self._timeout = timeout
        self._session()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's name
        attempt = _Attempt(protocolFactory, self._session, self._clock, self._timeout)
        return attempt.through(self._endpoint)

    def _session(self) -> StandardSession:
        return _session(self._context, self._hostname)


def check_name(context: ssl.SSLContext, server_hostname: str) -> None:
    """Raises ValueError for what can be nobody's name."""
    _session(context, server_hostname)


def _session(context: ssl.SSLContext, server_hostname: str | None) -> StandardSession:
    try:
        return StandardSession(context, server_side=False, server_hostname=_certified(server_hostname))
    except ValueError as error:
        raise ValueError(f"{server_hostname!r} can be nobody's name: {error}") from None


def _certified(name: str | None) -> str | None:
    """The name as a certificate has it: without a zone, and without the dot at its end."""
    return None if name is None else name.partition("%")[0].removesuffix(".")


class _Attempt(Factory[TLSTransport]):
    """One connection on its way: the factory of its transport."""

    noisy = False

    def __init__(
        self, wrapped: IProtocolFactory, session: Callable[[], StandardSession], clock: IReactorTime, timeout: float
    ) -> None:
        self._wrapped = wrapped
        self._session = session
        self._clock = clock
        self._timeout = timeout
        self._transport: TLSTransport | None = None
        self._done: Deferred[IProtocol] = Deferred(lambda _: self._cancel())

    def through(self, endpoint: IStreamClientEndpoint) -> Deferred[IProtocol]:
        self._connecting = endpoint.connect(self)
        self._connecting.addCallbacks(self._connected, self._done.errback)
        return self._done

    def doStart(self) -> None:
        super().doStart()
        self._wrapped.doStart()

    def doStop(self) -> None:
        super().doStop()
        self._wrapped.doStop()

    def buildProtocol(self, addr: IAddress | None) -> TLSTransport:
        self._transport = TLSTransport(
            self._session(), self._clock, self._opened, self._failed, handshake_timeout=self._timeout
        )
        return self._transport

    def _connected(self, _: IProtocol) -> None:
        """The handshake goes on."""

    def _opened(self, transport: TLSTransport) -> None:
        protocol = None if self._done.called else self._wrapped.buildProtocol(transport.address)
        if protocol is None:
            transport.forget()
            if not self._done.called:
                self._done.errback(Failure(SSLError(string="nobody wants this connection")))
            return
        transport.connect(protocol)
        self._done.callback(protocol)

    def _failed(self, _: TLSTransport, limit: str, text: str) -> None:
        # Later there is somebody who is told by connectionLost.
        if not self._done.called:
            error = ConnectTimeout if limit == "handshake_timeout" else SSLError
            self._done.errback(Failure(error(string=text)))

    def _cancel(self) -> None:
        if self._transport is None:
            self._connecting.addErrback(lambda _: None)
            self._connecting.cancel()
        else:
            self._transport.forget()
