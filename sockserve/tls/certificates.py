"""What a TLS server shows and asks for: certificates from files, checked, and read again when the files change.

pyOpenSSL comes with `twisted[tls]`. It is imported when a certificate is read, not with this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from sockserve.fields import PEM_FILE, Setting, Value, check_fields, of, setting
from sockserve.text import shown

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection, Context
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


def _version(value: object) -> object:
    if of(str)(value) not in MINIMUM_VERSIONS:
        raise ValueError(f"{shown(value)} is unknown; accepted: {VERSION.accepted}")
    return value


VERSION = Value(" or ".join(f'"{version}"' for version in MINIMUM_VERSIONS), _version, "VERSION", written='"{}"'.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """The TLS of a named socket, as [socket.NAME.tls] has it; docs/settings.md tells each. The files are PEM.

    Raises SettingError, a ValueError of one line, for a value of a wrong type.
    """

    certificate: str = field(
        metadata={"setting": Setting(PEM_FILE, "TLS", "The server's certificate; those of its chain may follow it.")}
    )
    key: str | None = setting(
        PEM_FILE, "TLS", "Its private key, without a passphrase.", None, none="in the file of certificate"
    )
    chain: str | None = setting(
        PEM_FILE, "TLS", "The certificates between the server's and one that clients trust.", None, none="none"
    )
    client_ca: str | None = setting(
        PEM_FILE,
        "TLS",
        "The authorities that sign clients' certificates; a client that shows none is not served.",
        None,
        none="none",
    )
    minimum_version: MinimumVersion = setting(VERSION, "TLS", "The oldest version of TLS to speak.", "1.2")

    def __post_init__(self) -> None:
        check_fields(self)

    def files(self) -> list[str]:
        """What has to be read again when it changes."""
        return [file for file in (self.certificate, self.key, self.chain, self.client_ca) if file is not None]

    def read(self) -> Creator:
        """What makes connections with these settings. Raises CertificateError."""
        require_openssl()
        from OpenSSL import SSL
        from OpenSSL.crypto import X509StoreFlags
        from twisted.internet.ssl import CertificateOptions, TLSVersion

        minimum = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}[self.minimum_version]
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


def folder_certificates(name: str, folder: Path) -> Certificates:
    """Those of a folder of PEM files: the one that a client asks for by name (Twisted's `tls:` endpoint).

    name: of the named socket, for the log. Raises ValueError, or what Twisted's parser raises.
    """
    require_openssl()

    def files() -> list[Path]:
        return sorted(folder.rglob("*.pem"))

    if not files():
        raise CertificateError("", f"{folder}: has no .pem file")

    def read() -> Creator:
        endpoint: Any = serverFromString(None, f"tls:{quoteStringArgument(str(folder))}")
        creator: Creator = endpoint.connectionCreator.serverConnectionForTLS
        return creator

    return Certificates(name, read, lambda: map(str, [folder, *files()]))
