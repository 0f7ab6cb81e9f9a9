"""What comes through TLS: encrypted as the transport below has brought it, or decrypted, until somebody takes it.

Strategy: OpenSSL is asked for as many records as have come to their end, and not until it says that there is no more:
it says so by an error, which costs a fifth of what it costs to decrypt the longest record.
"""

from __future__ import annotations

from typing import Final

from sockserve.tls.session import Session, TLSError

# Bytes that go into OpenSSL at once: its buffers keep the size they once had.
_PIECE: Final = 1 << 14

# RFC 8446 section 5.1, the same in every version: a type, two bytes of a version, and two of the length that follows.
_HEADER: Final = 5
_TYPES: Final = range(20, 24)
# RFC 5246 section 6.2.3.
_LONGEST: Final = (1 << 14) + 2048


class Records:
    """Counts records by their headers."""

    __slots__ = ("_begun", "_left")

    def __init__(self) -> None:
        # Bytes of a header, and how many are left of a record whose header is here.
        self._begun = b""
        self._left = 0

    def ended(self, data: bytes) -> int:
        """How many come to their end in these bytes; what is no header counts as one."""
        at, size = self._left, len(data)
        if not at and not self._begun and size >= _HEADER:
            # As a rule it is one, whole.
            length = data[3] << 8 | data[4]
            if length == size - _HEADER and data[0] in _TYPES:
                return 1
        if self._begun:
            data = self._begun + data
            size = len(data)
        count = 1 if 0 < at <= size else 0
        while at + _HEADER <= size:
            length = data[at + 3] << 8 | data[at + 4]
            right = data[at] in _TYPES and length <= _LONGEST
            at += _HEADER + length
            if at <= size or not right:
                count += 1
        self._begun, self._left = (data[at:], 0) if at < size else (b"", at - size)
        return count


class Incoming:
    """The receiving side of one session.

    ended: the peer has said close_notify after what was decrypted, or TLS has failed there. failure: why, in one line.
    """

    __slots__ = ("_plain", "_raw", "_records", "_session", "_shaken", "ended", "failure")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._raw = b""
        self._plain: list[bytes] = []
        self._records = Records()
        # Nothing was read since the handshake: nobody knows which of the records were for that.
        self._shaken = True
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
                self._records.ended(piece)
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
            if self._shaken:
                self._shaken = False
                if session.read(plain, None):
                    self.ended = True
                    return
            for start in range(0, len(raw), _PIECE):
                piece = raw[start : start + _PIECE]
                session.feed(piece)
                ended = self._records.ended(piece)
                if ended and session.read(plain, ended):
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
