"""What a TLS server shows and asks for: certificates from files, checked, and read again when the files change.

pyOpenSSL comes with `twisted[tls]`. It is imported when a certificate is read, not with this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from sockserve.addresses import endpoint_arguments

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection, Context
    from twisted.internet.interfaces import IStreamServerEndpoint
    from twisted.protocols.tls import TLSMemoryBIOProtocol

log = Logger()

MinimumVersion = Literal["1.2", "1.3"]
MINIMUM_VERSIONS: tuple[MinimumVersion, ...] = get_args(MinimumVersion)
Creator = Callable[["TLSMemoryBIOProtocol"], "Connection"]
"""Makes OpenSSL's side of a connection."""

# Seconds between two looks at the files.
_LOOK_INTERVAL = 1.0


class CertificateError(ValueError):
    """What a setting of TLS names cannot be used. str() is one line, with the file.

    key: the setting's name in a [socket.NAME.tls] table; "" where none is at fault.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """The TLS of a named socket, as [socket.NAME.tls] has it. The files are PEM.

    certificate: the server's certificate; those of its chain may follow it.
    key: its private key, without a passphrase; None: in the file of the certificate.
    chain: the certificates between the server's and one that clients trust.
    client_ca: what the certificates of clients must be signed by; with it a client has to show one.
    minimum_version: of TLS.
    """

    certificate: str
    key: str | None = None
    chain: str | None = None
    client_ca: str | None = None
    minimum_version: MinimumVersion = "1.2"

    def files(self) -> list[str]:
        """What has to be read again when it changes."""
        return [file for file in (self.certificate, self.key, self.chain, self.client_ca) if file is not None]

    def read(self) -> Creator:
        """What makes connections with these settings. Raises CertificateError."""
        require_openssl()
        from OpenSSL import SSL
        from OpenSSL.crypto import X509StoreFlags
        from twisted.internet.ssl import CertificateOptions, TLSVersion

        minimum = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}.get(self.minimum_version)
        if minimum is None:
            accepted = " or ".join(map(repr, MINIMUM_VERSIONS))
            raise CertificateError("minimum_version", f"{self.minimum_version!r} is unknown; accepted: {accepted}")
        # Twisted's choice of ciphers and curves; no sessions: each client shows its certificate each time.
        context = CertificateOptions(raiseMinimumTo=minimum).getContext()
        self._use_certificate(context)
        if self.client_ca is not None:
            _certificates("client_ca", self.client_ca)
            context.load_verify_locations(self.client_ca)
            store = context.get_cert_store()
            assert store is not None
            # Whatever is in the file is trusted, an authority below another one too.
            store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
            # Clients choose their certificate by these names.
            context.load_client_ca(self.client_ca.encode())
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verified)
        return lambda _: SSL.Connection(context)

    def _use_certificate(self, context: Context) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from OpenSSL import SSL

        certificate, *chain = _certificates("certificate", self.certificate)
        if self.chain is not None:
            chain += _certificates("chain", self.chain)
        name, file = ("certificate", self.certificate) if self.key is None else ("key", self.key)
        content = _content(name, file)
        try:
            key: Any = load_pem_private_key(content, None)
        except TypeError:
            raise CertificateError(name, f"{file}: the key is encrypted; accepted: a key without passphrase") from None
        except (ValueError, UnsupportedAlgorithm):
            raise CertificateError(name, f"{file}: has no private key that can be read; accepted: PEM") from None
        try:
            context.use_certificate(certificate)
            for each in chain:
                context.add_extra_chain_cert(each)
        except SSL.Error as error:
            raise CertificateError("certificate", f"{self.certificate}: {describe(error)}") from None
        try:
            context.use_privatekey(key)
            context.check_privatekey()
        except (SSL.Error, TypeError):
            raise CertificateError(name, f"{file}: the key does not belong to {self.certificate}") from None


def require_openssl() -> None:
    """Raises CertificateError when pyOpenSSL is not installed."""
    try:
        import twisted.internet.ssl  # noqa: F401 - it needs OpenSSL
    except ImportError as error:
        raise CertificateError("", f"TLS needs twisted[tls], which is not installed ({error})") from None


def describe(error: BaseException) -> str:
    """An OpenSSL error in words: the reasons it has, without the names of functions."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(reason for *_, reason in reasons) or str(error) or type(error).__name__


def _content(key: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CertificateError(key, f"{file}: cannot be read: {error.strerror}") from None


def _certificates(key: str, file: str) -> list[Any]:
    from cryptography.x509 import load_pem_x509_certificates

    content = _content(key, file)
    try:
        return load_pem_x509_certificates(content)
    except ValueError:
        raise CertificateError(key, f"{file}: has no certificate that can be read; accepted: PEM") from None


def _verified(connection: Connection, certificate: object, error: int, _: int, good: int) -> bool:
    """Called by OpenSSL for each certificate that a client shows: keeps why one was refused."""
    if not good:
        connection.get_app_data().refused(certificate, error)
    return bool(good)


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """Makes the TLS connections of new clients from files, which it reads again when one of them has changed.

    Files that cannot be used are logged in one line, and those before them stay in use. What is connected stays as
    it is.

    name: of the named socket, for the log.
    read: raises ValueError or OSError.
    files: the paths that `read` reads.
    seconds: a clock.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Creator],
        files: Callable[[], Iterable[str]],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read = read
        self._files = files
        self._seconds = seconds
        self._looked = seconds()
        self._stamp = self._look()
        self._create = read()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Connection:  # noqa: N803 - as the interface
        self._refresh()
        return self._create(tlsProtocol)

    def _refresh(self) -> None:
        now = self._seconds()
        if now - self._looked < _LOOK_INTERVAL:
            return
        self._looked = now
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._create = self._read()
        except Exception as error:  # Twisted's endpoint parsers raise what they like
            reason = " ".join(describe(error).split())
            log.warn("{name}: new certificates refused, the old ones stay: {reason}", name=self._name, reason=reason)
        else:
            log.info("{name}: certificates read again", name=self._name)

    def _look(self) -> list[tuple[str, int, int, int] | None]:
        """What changes when a file does."""
        return [_stamp(file) for file in self._files()]


def _stamp(file: str) -> tuple[str, int, int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return file, status.st_ino, status.st_mtime_ns, status.st_size


class _Recorder:
    """Stands in for a reactor, and notes what an `ssl:` endpoint would listen with."""

    def listenSSL(self, port: int, factory: object, contextFactory: Any, backlog: int, interface: str) -> None:  # noqa: N803, ANN401
        self.context = contextFactory
        self.address = (port, backlog, interface)


def tls_endpoint(name: str, reactor: object, text: str) -> tuple[IStreamServerEndpoint, Certificates]:
    """An `ssl:` or `tls:` server endpoint string, taken apart: the endpoint below the TLS, and the certificates.

    name: of the named socket, for the log. Raises ValueError, or what Twisted's parsers raise.
    """
    require_openssl()
    kind, arguments = endpoint_arguments(
        text,
        {
            "ssl": ("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain"),
            "tls": ("path",),
        },
    )
    if kind == "tls":
        folder = Path(arguments["path"])
        if not any(folder.rglob("*.pem")):
            raise CertificateError("", f"{folder}: has no .pem file")
        parsed: Any = serverFromString(reactor, text)

        def read() -> Creator:
            again: Any = serverFromString(reactor, text)
            creator: Creator = again.connectionCreator.serverConnectionForTLS
            return creator

        return parsed.endpoint, Certificates(name, read, lambda: map(str, [folder, *sorted(folder.rglob("*.pem"))]))

    def recorded() -> _Recorder:
        recorder = _Recorder()
        serverFromString(recorder, text).listen(None)
        return recorder

    def read_files() -> Creator:
        from OpenSSL import SSL

        context = recorded().context.getContext()
        return lambda _: SSL.Connection(context)

    keys = ("privateKey", "certKey", "extraCertChain", "dhParameters")
    files = [arguments[key] for key in keys if key in arguments] or ["server.pem"]
    return TCP4ServerEndpoint(reactor, *recorded().address), Certificates(name, read_files, lambda: files)
