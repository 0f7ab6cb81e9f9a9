"""What a TLS server shows and asks for: certificates from files, checked, and read again when the files change."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from twisted.logger import Logger

from sockserve.tls.contexts import (
    MINIMUM_VERSIONS,
    CertificateError,
    MinimumVersion,
    choose,
    server_context,
    show,
    trust,
)
from sockserve.tls.names import NamedContexts
from sockserve.tls.session import Session, StandardSession, describe
from sockserve.tls.x509 import Certificate

__all__ = ["MINIMUM_VERSIONS", "Certificate", "CertificateError", "Certificates", "MinimumVersion", "TLSConfig"]

log = Logger()

# Seconds between two looks at the files.
_LOOK_INTERVAL = 1.0
# Sessions of TLS 1.2 that may be resumed.
_MOST_SESSIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """The TLS of a named socket, as [socket.NAME.tls] has it. The files are PEM.

    certificate: the server's certificate; those of its chain may follow it.
    key: its private key, without a passphrase; None: in the file of the certificate.
    chain: the certificates between the server's and one that clients trust.
    client_ca: what the certificates of clients must be signed by; with it a client has to show one.
    minimum_version: of TLS.
    alpn: the protocols to choose from, the best first, when a client offers some (RFC 7301). A client that offers none
        of them is served all the same.
    """

    certificate: str
    key: str | None = None
    chain: str | None = None
    client_ca: str | None = None
    minimum_version: MinimumVersion = "1.2"
    alpn: tuple[str, ...] = ()

    def files(self) -> list[str]:
        """What has to be read again when it changes."""
        return [file for file in (self.certificate, self.key, self.chain, self.client_ca) if file is not None]

    def read(self) -> ssl.SSLContext:
        """What sessions with these settings are made from. Raises CertificateError."""
        context = server_context(self.minimum_version)
        show(context, self.certificate, self.key, self.chain)
        if self.client_ca is not None:
            trust(context, "client_ca", self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        choose(context, self.alpn)
        return context


class Certificates:
    """Makes the TLS sessions of new clients from files, which it reads again when one of them has changed.

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
        read: Callable[[], ssl.SSLContext | NamedContexts],
        files: Callable[[], Iterable[str]],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read = read
        self._files = files
        self._seconds = seconds
        self._looked = seconds()
        self._stamp = self._look()
        self._context = read()

    def session(self) -> Session:
        """The server's side of a new connection."""
        context = self.context()
        return context.session() if isinstance(context, NamedContexts) else StandardSession(context, server_side=True)

    def context(self) -> ssl.SSLContext | NamedContexts:
        """What the files say now; they are looked at once a second at the most."""
        now = self._seconds()
        if now - self._looked >= _LOOK_INTERVAL:
            self._looked = now
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._refresh()
            elif self._context.session_stats()["number"] > _MOST_SESSIONS:
                # A context forgets none of TLS 1.2 for two hours, and a new one knows none.
                with contextlib.suppress(OSError, ValueError):
                    self._context = self._read()
        return self._context

    def _refresh(self) -> None:
        try:
            self._context = self._read()
        except (OSError, ValueError) as error:
            log.warn(
                "{name}: new certificates refused, the old ones stay: {reason}", name=self._name, reason=describe(error)
            )
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
