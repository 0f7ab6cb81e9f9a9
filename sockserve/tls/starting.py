"""startTLS: TLS begins on a live connection, between its transport and its protocol.

What had been written before is on its way in the clear; everything after it is inside TLS. What the peer has sent in
the clear after the answer that both sides agreed on must not be believed: RFC 3207 section 6, and CVE-2011-0411.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.tcp import Server

from sockserve.sockets import lowest
from sockserve.tls.certificates import Certificates, TLSConfig
from sockserve.tls.client import ClientTLS
from sockserve.tls.pyopenssl import OpenSSLSession
from sockserve.tls.session import Session, StandardSession
from sockserve.tls.transport import TLSTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IReactorTime

TLSContext = ssl.SSLContext | TLSConfig | ClientTLS | Certificates
"""What TLS begins with; and whatever of Twisted's and pyOpenSSL's the transport's own startTLS takes."""


def session_for(context: TLSContext | object, transport: object, server_hostname: str | None = None) -> Session:
    """A session for the side of the connection that the context is for; or, if that is open, that the transport has.

    server_hostname: for a client, whom the certificate must be for. Raises ValueError when a context that checks names
    has none, or when files cannot be used.
    """
    if isinstance(context, Certificates):
        return context.session()
    if isinstance(context, ClientTLS):
        server_hostname = server_hostname or context.server_name
    if isinstance(context, TLSConfig | ClientTLS):
        context = context.read()
    accepted = isinstance(lowest(transport), Server)
    if not isinstance(context, ssl.SSLContext):
        return OpenSSLSession(context, server_side=accepted)
    server = accepted if context.protocol == ssl.PROTOCOL_TLS else context.protocol == ssl.PROTOCOL_TLS_SERVER
    if context.check_hostname and not server and not server_hostname:
        raise ValueError("startTLS needs server_hostname: this context checks whom the certificate is for")
    return StandardSession(context, server_side=server, server_hostname=None if server else server_hostname)


def begin(
    transport: Any,  # noqa: ANN401 - any transport
    protocol: IProtocol,
    session: Session,
    clock: IReactorTime,
    failed: Callable[[str, str], None],
    *,
    handshake_timeout: float,
    reading: bool,
    name: str,
) -> tuple[TLSTransport, Deferred[None]]:
    """Put TLS between a transport and its protocol, which has no producer registered there. Returns the new transport.

    The Deferred fires when the handshake is done, and when it has failed; the connection is lost then.

    failed: as of TLSTransport, without the transport. reading: the protocol wants to read: it has not paused the
    transport. Raises TypeError when the transport has no protocol that could be replaced.
    """
    done: Deferred[None] = Deferred()

    def opened(_: TLSTransport) -> None:
        done.callback(None)

    def tell(_: TLSTransport, limit: str, text: str) -> None:
        failed(limit, text)
        if not done.called:
            done.callback(None)

    tls = TLSTransport(session, clock, opened, tell, handshake_timeout=handshake_timeout, name=name)
    tls.wrappedProtocol = protocol
    _replace(transport, tls)
    if not reading:
        # The handshake is read all the same.
        tls.pauseProducing()
        transport.resumeProducing()
    tls.makeConnection(transport)
    return tls, done


def _replace(transport: Any, protocol: TLSTransport) -> None:  # noqa: ANN401 - any transport
    """Let the transport hand to this protocol what it has."""
    for name in ("wrappedProtocol", "protocol"):
        # Wrappers show the attributes of what they wrap as their own.
        if name in vars(transport):
            setattr(transport, name, protocol)
            return
    raise TypeError(f"{type(transport).__name__} cannot begin TLS: it does not say whom it hands its bytes to")
