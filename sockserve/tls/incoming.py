"""What comes through TLS: encrypted as the transport below has brought it, or decrypted, until somebody takes it."""

from __future__ import annotations

from sockserve.tls.session import Session, TLSError

# Bytes that go into OpenSSL at once: its buffers keep the size they once had.
_PIECE = 1 << 14


class Incoming:
    """The receiving side of one session.

    ended: the peer has said close_notify after what was decrypted, or TLS has failed there. failure: why, in one line.
    """

    __slots__ = ("_plain", "_raw", "_session", "ended", "failure")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._raw = b""
        self._plain: list[bytes] = []
        self.ended = False
        self.failure = ""

    @property
    def size(self) -> int:
        """Bytes that are held here."""
        return len(self._raw) + sum(map(len, self._plain))

    def receive(self, data: bytes) -> None:
        """The transport below has brought this."""
        self._raw = self._raw + data if self._raw else data

    def drop(self) -> None:
        """Forget what is here."""
        self._raw, self._plain = b"", []

    def shake(self) -> bool:
        """Go on with the handshake. False: it needs more from the peer. Raises TLSError."""
        session = self._session
        while True:
            piece, self._raw = self._raw[:_PIECE], self._raw[_PIECE:]
            if piece:
                session.feed(piece)
            if session.handshake():
                return True
            if not self._raw:
                return False

    def decrypt(self) -> None:
        """Decrypt all that is here, and keep it."""
        if self.ended:
            return
        session, plain = self._session, self._plain
        raw, self._raw = self._raw, b""
        try:
            # Once at least: OpenSSL may have something that came after the handshake.
            for start in range(0, max(len(raw), 1), _PIECE):
                session.feed(raw[start : start + _PIECE])
                if session.read(plain):
                    self.ended = True
                    return
        except TLSError as error:
            self.ended = True
            self.failure = f"TLS failed: {error}"

    def take(self) -> bytes:
        """All that is here, decrypted."""
        self.decrypt()
        plain, self._plain = self._plain, []
        return plain[0] if len(plain) == 1 else b"".join(plain)
