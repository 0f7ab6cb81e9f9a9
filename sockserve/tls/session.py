"""One TLS session in memory: OpenSSL by the standard library's `ssl`, without a socket.

What the peer has sent is fed to it, what it has for the peer is taken from it, and the plain bytes are read from and
written to it. It decides nothing about connections: see sockserve.tls.layer.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass
from typing import Protocol

from sockserve.text import reason_of

# Bytes of one read of OpenSSL: more than a record has.
_RECORD_SIZE = 1 << 15


class TLSError(Exception):
    """The peer does not keep to TLS, or is not who it should be. str() is one line."""


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """What both sides of a TLS connection have agreed on.

    version: such as `TLSv1.3`. cipher: its name. protocol: what ALPN has chosen (RFC 7301); None: nothing.
    """

    version: str
    cipher: str
    protocol: str | None


class Session(Protocol):
    """What the layer needs of TLS."""

    expects_certificate: bool
    """The peer has to show a certificate, which makes its handshake long."""

    def feed(self, data: bytes) -> object:
        """The peer has sent this."""

    def output(self) -> bytes:
        """What is to be sent to the peer; b"": nothing."""

    @property
    def pending(self) -> int:
        """How many bytes `output` would give."""

    def handshake(self) -> bool:
        """Go on with the handshake. False: it needs more from the peer. Raises TLSError."""

    def read(self, pieces: list[bytes], count: int | None) -> bool:
        """Add what is in that many records; None: in all. True: the peer has ended its stream then. Raises TLSError."""

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt all of it. Raises TLSError."""

    def end(self) -> None:
        """Say close_notify. Everything that was fed must have been read; then reading goes on."""

    def certificate(self) -> bytes | None:
        """What the peer has shown, as DER."""

    @property
    def info(self) -> TLSInfo: ...


class StandardSession:
    """A session of an ssl.SSLContext.

    server_hostname: whom a client expects; OpenSSL checks it if the context says so. Raises ValueError for what can be
    nobody's name.
    """

    __slots__ = ("_incoming", "_outgoing", "_ssl", "expects_certificate", "feed", "output")

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.expects_certificate = not server_side or context.verify_mode != ssl.CERT_NONE
        self.feed = self._incoming.write
        self.output = self._outgoing.read
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)

    @property
    def pending(self) -> int:
        return self._outgoing.pending

    def handshake(self) -> bool:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TLSError(describe(error)) from None
        return True

    def read(self, pieces: list[bytes], count: int | None) -> bool:
        read = self._ssl.read
        try:
            while piece := read(_RECORD_SIZE):
                pieces.append(piece)
                if count is not None:
                    count -= 1
                    if not count:
                        return False
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            raise TLSError(describe(error)) from None
        return True

    def write(self, data: bytes | memoryview) -> None:
        try:
            sent = self._ssl.write(data)
            while sent < len(data):
                data = memoryview(data)[sent:]
                sent = self._ssl.write(data)
        except ssl.SSLError as error:
            raise TLSError(describe(error)) from None

    def end(self) -> None:
        # It says that it waits for the peer's, or that this is no time for it.
        with contextlib.suppress(ssl.SSLError):
            self._ssl.unwrap()

    def certificate(self) -> bytes | None:
        return self._ssl.getpeercert(True)

    @property
    def info(self) -> TLSInfo:
        name, version, _ = self._ssl.cipher() or ("", "", 0)
        return TLSInfo(self._ssl.version() or version, name, self._ssl.selected_alpn_protocol())


def describe(error: BaseException) -> str:
    """An error of OpenSSL in words, one line: its reason, without the names of functions."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLEOFError):
        return "unexpected eof"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    text = reason_of(error)
    return re.sub(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$", "", text)
