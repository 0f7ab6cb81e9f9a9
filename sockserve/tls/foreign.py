"""TLS that is not ours: contexts of pyOpenSSL and Twisted, and transports with Twisted's own TLS.

A program may bring both: `startTLS(CertificateOptions(...))`, `connect(wrapClientTLS(...))`, an application of Twisted
that listens with TLS. pyOpenSSL is imported only when such a thing is here, so it is installed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ISSLTransport

from sockserve.tls.session import TLSInfo
from sockserve.tls.x509 import Certificate

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection


def peer_certificate(transport: object) -> Certificate | None:
    """What the peer of a transport has shown in TLS; None: nothing, or it cannot be read."""
    if not ISSLTransport.providedBy(transport):
        return None
    try:
        shown: Any = transport.getPeerCertificate()
    except AttributeError:
        # Twisted's forgets it when the connection is lost.
        return None
    if shown is None or isinstance(shown, Certificate):
        return shown
    from OpenSSL import crypto

    try:
        return Certificate.from_der(crypto.dump_certificate(crypto.FILETYPE_ASN1, shown))
    except ValueError:
        return None


def agreed(transport: object) -> TLSInfo | None:
    """What was agreed on in the TLS of a transport; None: there is none, or its handshake is not done."""
    if not ISSLTransport.providedBy(transport):
        return None
    info = getattr(transport, "info", None)
    if isinstance(info, TLSInfo):
        return info
    handle: Any = getattr(transport, "getHandle", lambda: None)()
    return info_of(handle)


def info_of(connection: Connection | None) -> TLSInfo | None:
    """The same of pyOpenSSL's side of it."""
    cipher = getattr(connection, "get_cipher_name", lambda: None)()
    if connection is None or cipher is None:
        return None
    protocol = connection.get_alpn_proto_negotiated()
    return TLSInfo(connection.get_protocol_version_name(), cipher, protocol.decode("latin-1") or None)
