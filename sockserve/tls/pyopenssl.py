"""Sessions of pyOpenSSL, for the contexts of Twisted: `startTLS(CertificateOptions(...))`.

pyOpenSSL is imported only when such a thing is here, so it is installed then.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator

from sockserve.text import one_line, openssl_reasons
from sockserve.tls.session import TLSError, TLSInfo
from sockserve.tls.x509 import Certificate

if TYPE_CHECKING:
    from OpenSSL.crypto import X509
    from OpenSSL.SSL import Connection
    from twisted.python.failure import Failure

# Bytes of one call of OpenSSL: more than a record has.
_RECORD_SIZE = 1 << 15


class OpenSSLSession:
    """A session of pyOpenSSL: of what Twisted's startTLS takes.

    context: IOpenSSLServerConnectionCreator, IOpenSSLClientConnectionCreator, or a context factory such as
    CertificateOptions, for either side. Raises TypeError for anything else.
    """

    def __init__(self, context: Any, *, server_side: bool) -> None:  # noqa: ANN401 - three interfaces
        from OpenSSL import SSL

        self._ssl = SSL
        self._server_side = server_side
        self._refused = ""
        self._pending = b""
        # Twisted's creators ask their protocol for its factory, and that one for the protocols of ALPN.
        self.factory = self
        self.wrappedFactory = None
        if server_side and IOpenSSLServerConnectionCreator.providedBy(context):
            self._connection = context.serverConnectionForTLS(cast("Any", self))
        elif not server_side and IOpenSSLClientConnectionCreator.providedBy(context):
            self._connection = context.clientConnectionForTLS(cast("Any", self))
        elif hasattr(context, "getContext"):
            self._connection = SSL.Connection(context.getContext(), None)
        else:
            raise TypeError(f"{type(context).__name__} is nothing that TLS could begin with; accepted: ssl.SSLContext")
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self._connection.set_app_data(self)

    expects_certificate = True

    def failVerification(self, reason: Failure) -> None:
        """Called by Twisted's creators: the peer is not who it should be."""
        self._refused = one_line(reason.getErrorMessage() or repr(reason.value))

    def abortConnection(self) -> None:
        """Called by Twisted's creators: there is no certificate for the name that the peer asks for."""
        self._refused = "no certificate for the name that was asked for"

    def feed(self, data: bytes) -> None:
        if data:
            self._connection.bio_write(data)

    @property
    def pending(self) -> int:
        with contextlib.suppress(self._ssl.WantReadError):
            while True:
                self._pending += self._connection.bio_read(_RECORD_SIZE)
        return len(self._pending)

    def output(self) -> bytes:
        data = self._pending if self.pending else b""
        self._pending = b""
        return data

    def handshake(self) -> bool:
        try:
            self._connection.do_handshake()
        except self._ssl.WantReadError:
            done = False
        except self._ssl.Error as error:
            raise TLSError(_reasons(error)) from None
        else:
            done = True
        if done and not self._refused and not self._server_side:
            self._refused = unnamed(self._connection)
        if self._refused:
            raise TLSError(self._refused)
        return done

    def read(self, pieces: list[bytes], count: int | None) -> bool:
        try:
            while count is None or count:
                pieces.append(self._connection.recv(_RECORD_SIZE))
                if count is not None:
                    count -= 1
        except self._ssl.WantReadError:
            return False
        except self._ssl.ZeroReturnError:
            return True
        except self._ssl.Error as error:
            raise TLSError(_reasons(error)) from None
        return False

    def write(self, data: bytes | memoryview) -> None:
        try:
            while data:
                data = memoryview(data)[self._connection.send(data[:_RECORD_SIZE]) :]
        except self._ssl.Error as error:
            raise TLSError(_reasons(error)) from None

    def end(self) -> None:
        with contextlib.suppress(self._ssl.Error):
            self._connection.shutdown()

    def certificate(self) -> bytes | None:
        shown = self._connection.get_peer_certificate()
        return None if shown is None else der_of(shown)

    @property
    def info(self) -> TLSInfo:
        return info_of(self._connection) or TLSInfo("", "", None)


def info_of(connection: Connection | None) -> TLSInfo | None:
    """What was agreed on; None: nothing yet."""
    cipher = getattr(connection, "get_cipher_name", lambda: None)()
    if connection is None or cipher is None:
        return None
    protocol = connection.get_alpn_proto_negotiated()
    return TLSInfo(connection.get_protocol_version_name(), cipher, protocol.decode("latin-1") or None)


def unnamed(connection: Connection) -> str:
    """What is wrong with the certificate of a server that is verified, and whose certificate names nobody; or "".

    Twisted lets it through: it meets an error that it does not expect there.
    """
    shown = connection.get_peer_certificate()
    if shown is None or not connection.get_verify_mode() or Certificate.from_der(der_of(shown)).names:
        return ""
    return "certificate verify failed: it names nobody (subjectAltName)"


def _reasons(error: Exception) -> str:
    """What pyOpenSSL says, in one line: its reasons, without the names of functions."""
    return openssl_reasons(error) or type(error).__name__


def der_of(certificate: X509) -> bytes:
    """A certificate of pyOpenSSL, as DER."""
    from OpenSSL import crypto

    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
