"""Several certificates at one address: which one is shown is decided by the name that a client asks for (RFC 6066).

The name is read from the ClientHello (RFC 8446 section 4.1.2) before OpenSSL sees it: the standard library's own
callback for it prints a traceback when a client sends a name that is not ASCII.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from math import inf

from sockserve.tls.session import StandardSession, TLSInfo

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0


class NamedContexts:
    """contexts: by the names they are for, in small letters; `*.example.org` is for every name one label longer.

    first: for clients that ask for none of them.
    """

    def __init__(self, contexts: Mapping[str, ssl.SSLContext], first: ssl.SSLContext) -> None:
        self._contexts = contexts
        self._first = first

    def session(self) -> NamedSession:
        """The server's side of a new connection."""
        return NamedSession(self)

    def session_stats(self) -> dict[str, int]:
        """As of an ssl.SSLContext: those of the first, which every session begins with."""
        return self._first.session_stats()

    @property
    def expires(self) -> float:
        """When the first of all certificates expires, in seconds since the epoch."""
        return min(getattr(each, "expires", inf) for each in (self._first, *self._contexts.values()))

    def context(self, name: str) -> ssl.SSLContext:
        """The one for that name."""
        name = name.lower()
        parent = name.partition(".")[2]
        return self._contexts.get(name) or self._contexts.get(f"*.{parent}") or self._first


class NamedSession:
    """A session whose context is chosen when the ClientHello is here."""

    expects_certificate = False

    def __init__(self, contexts: NamedContexts) -> None:
        self._contexts = contexts
        self._begun: StandardSession | None = None
        self._early = b""

    @property
    def _session(self) -> StandardSession:
        assert self._begun is not None
        return self._begun

    def feed(self, data: bytes) -> None:
        if self._begun is None:
            self._early += data
        else:
            self._begun.feed(data)

    def output(self) -> bytes:
        return b"" if self._begun is None else self._begun.output()

    @property
    def pending(self) -> int:
        return 0 if self._begun is None else self._begun.pending

    def handshake(self) -> bool:
        if self._begun is None:
            name = server_name(self._early)
            if name is None:
                return False
            self._begun = StandardSession(self._contexts.context(name), server_side=True)
            self._begun.feed(self._early)
            self._early = b""
        return self._begun.handshake()

    def read(self, pieces: list[bytes], count: int | None) -> bool:
        return self._session.read(pieces, count)

    def write(self, data: bytes | memoryview) -> None:
        self._session.write(data)

    def end(self) -> None:
        self._session.end()

    def certificate(self) -> bytes | None:
        return self._session.certificate()

    @property
    def info(self) -> TLSInfo:
        return self._session.info


def server_name(data: bytes) -> str | None:
    """The name that a client asks for, from the first bytes that it sends; None: more of them are needed.

    "": it asks for none, or these bytes are no ClientHello: OpenSSL says what is wrong with them.
    """
    hello = b""
    at = 0
    while len(hello) < 4 or len(hello) < 4 + int.from_bytes(hello[1:4], "big"):
        if len(data) < at + 5:
            return None if not data[at:] or data[at] == _HANDSHAKE_RECORD else ""
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != _HANDSHAKE_RECORD or not size:
            return ""
        if len(data) < at + 5 + size:
            return None
        hello += data[at + 5 : at + 5 + size]
        at += 5 + size
        if hello[0] != _CLIENT_HELLO:
            return ""
    try:
        return _asked_for(hello[4:])
    except IndexError:
        return ""


def _asked_for(hello: bytes) -> str:
    """Raises IndexError for what is cut short."""
    # The version and the random bytes; then the session's id, the ciphers, the compressions.
    _, rest = hello[:34], hello[34:]
    for width in (1, 2, 1):
        _, rest = _vector(rest, width)
    extensions, _ = _vector(rest, 2)
    while extensions:
        kind = int.from_bytes(extensions[:2], "big")
        content, extensions = _vector(extensions[2:], 2)
        if kind == _SERVER_NAME:
            names, _ = _vector(content, 2)
            if names[0] == _HOST_NAME:
                return _vector(names[1:], 2)[0].decode("ascii", "replace")
    return ""


def _vector(data: bytes, width: int) -> tuple[bytes, bytes]:
    """What follows a length of that many bytes, and the rest."""
    end = width + int.from_bytes(data[:width], "big")
    if len(data) < max(end, width):
        raise IndexError
    return data[width:end], data[end:]
