"""What a TLS server shows and asks for: certificates from files, checked, and read again when the files change."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import cast

from twisted.logger import Logger

from sockserve.fields import PEM_FILE, Setting, Value, check_fields, of, setting
from sockserve.text import described, shown
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


def _version(value: object) -> object:
    if of(str)(value) not in MINIMUM_VERSIONS:
        raise ValueError(f"{shown(value)} is unknown; accepted: {VERSION.accepted}")
    return value


VERSION = Value(" or ".join(f'"{version}"' for version in MINIMUM_VERSIONS), _version, "VERSION", written='"{}"'.format)


def _protocols(value: object) -> tuple[str, ...]:
    for protocol in of(list, tuple)(value):
        if not isinstance(protocol, str):
            raise ValueError(f"found {described(protocol)} in a list; accepted: {PROTOCOLS.accepted}")
    return tuple(cast("Iterable[str]", value))


PROTOCOLS = Value('a list of protocols, such as ["mqtt"]', _protocols, "PROTOCOLS", written=", ".join)


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
    alpn: tuple[str, ...] = setting(
        PROTOCOLS,
        "TLS",
        "The protocols to choose from, the best first, when a client offers some (ALPN, RFC 7301).",
        (),
        none="none",
    )

    def __post_init__(self) -> None:
        check_fields(self)

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

    @property
    def expires(self) -> float | None:
        """When the first of the certificates that are shown expires, in seconds since the epoch; None: not known."""
        expires: float = getattr(self.context(), "expires", inf)
        return expires if expires < inf else None

    def _refresh(self) -> None:
        try:
            self._context = self._read()
        except (OSError, ValueError) as error:
            reason = describe(error)
            log.warn(
                "{name}: new certificates refused, the old ones stay: {reason}",
                name=self._name,
                reason=reason,
                event_name="sockserve.certificates.refused",
                attributes={"sockserve.socket": self._name, "exception.message": reason},
            )
        else:
            log.info(
                "{name}: certificates read again",
                name=self._name,
                event_name="sockserve.certificates.renewed",
                attributes={"sockserve.socket": self._name},
            )

    def _look(self) -> list[tuple[str, int, int, int] | None]:
        """What changes when a file does."""
        return [_stamp(file) for file in self._files()]


def _stamp(file: str) -> tuple[str, int, int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return file, status.st_ino, status.st_mtime_ns, status.st_size
