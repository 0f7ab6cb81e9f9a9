"""What leaves through TLS, a peer that does not read, and who is to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from sockserve.sockets import is_socket, write_now
from sockserve.tls.session import Session, TLSError

# Bytes of plain text in the longest record (RFC 8446 section 5.1), which are encrypted at once: OpenSSL's buffers keep
# the size they once had.
_RECORD = 1 << 14
# Bytes of records from which on they are written: with one record more, no more than Twisted's sockets send at once.
_WRITE = 96 << 10
# Bytes that a program may write before the handshake is done, until its producer is paused.
_MOST_WAITING = 1 << 16
# Bytes that TLS itself may answer to a peer that does not read: key updates (RFC 8446 section 4.6.3).
_MOST_ANSWERS = 1 << 14


def records(pieces: Iterable[bytes]) -> Iterator[memoryview]:
    """The same bytes in pieces as long as a record; what is long is not copied, but for its ends."""
    begun = bytearray()
    for piece in pieces:
        rest = memoryview(piece)
        if begun:
            room = _RECORD - len(begun)
            begun += rest[:room]
            rest = rest[room:]
            if len(begun) < _RECORD:
                continue
            yield memoryview(begun)
            begun = bytearray()
        whole = len(rest) - len(rest) % _RECORD
        for start in range(0, whole, _RECORD):
            yield rest[start : start + _RECORD]
        begun += rest[whole:]
    if begun:
        yield memoryview(begun)


class Owner(Protocol):
    """See TLSTransport."""

    def failed(self, text: str) -> None:
        """Nothing can be encrypted any more."""

    def answered(self) -> None:
        """TLS itself may answer again to what the peer sends."""


@implementer(IPushProducer)
class Outgoing:
    """The sending side of one session. It is the producer of the transport below.

    transport: below. owner: is told.

    open: the handshake is done; what is written before waits for that.
    collecting: what is encrypted leaves later, with one `flush`.
    choked: a peer that does not read goes on making TLS itself answer: no more of it may be read.
    """

    __slots__ = (
        "_answers",
        "_collected",
        "_direct",
        "_full",
        "_owner",
        "_producer",
        "_pulling",
        "_registered",
        "_session",
        "_stalled",
        "_transport",
        "_waiting",
        "choked",
        "collecting",
        "open",
    )

    def __init__(self, session: Session, transport: Any, owner: Owner) -> None:  # noqa: ANN401 - any transport
        self._session = session
        self._transport = transport
        self._owner = owner
        self._direct = is_socket(transport)
        self._waiting: list[bytes] = []
        # Of the protocol above: its producer; it is asked for each piece; it was paused because of what waits here.
        self._producer: Any = None
        self._pulling = False
        self._stalled = False
        # The transport below has a producer; it has said that the peer does not read.
        self._registered = False
        self._full = False
        # Bytes of TLS itself since then.
        self._answers = 0
        # Bytes that were encrypted and not written yet.
        self._collected = 0
        self.open = False
        self.collecting = False
        self.choked = False
        self._register(self, True)

    @property
    def size(self) -> int:
        """Bytes that are held here: plain ones that wait for the handshake, and what OpenSSL has for the wire."""
        return sum(map(len, self._waiting)) + self._session.pending

    @property
    def waiting(self) -> bool:
        """Something waits for the handshake."""
        return bool(self._waiting)

    @property
    def producing(self) -> bool:
        """The protocol above has a producer registered."""
        return self._producer is not None

    # Bytes.

    def write(self, data: bytes) -> None:
        if not self.open:
            self._wait(data)
        elif len(data) <= _RECORD:
            try:
                self._session.write(data)
            except TLSError as error:
                self._owner.failed(f"TLS failed: {error}")
                return
            self._collected += len(data)
            if not self.collecting or self._collected > _RECORD:
                self.flush()
        else:
            self._encrypt(records((data,)))

    def write_all(self, pieces: Iterable[bytes]) -> None:
        """Write them one after the other; they are joined only where a record is."""
        if self.open:
            self._encrypt(records(pieces))
        else:
            for piece in pieces:
                self._wait(piece)

    def flush(self) -> None:
        """Write what OpenSSL has for the peer."""
        self._collected = 0
        data = self._session.output()
        if data:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._direct and not self._pulling:
            # Who is asked for each piece is asked by the transport when that has written one.
            data = write_now(self._transport, data)
        if data:
            self._transport.write(data)

    def _encrypt(self, plain: Iterable[memoryview]) -> None:
        """Encrypt records, and write them, some at a time."""
        session = self._session
        encrypted = []
        size = 0
        try:
            for record in plain:
                session.write(record)
                data = session.output()
                encrypted.append(data)
                size += len(data)
                if size > _WRITE:
                    self._send(b"".join(encrypted))
                    encrypted.clear()
                    size = 0
        except TLSError as error:
            self._owner.failed(f"TLS failed: {error}")
            return
        if encrypted:
            self._send(b"".join(encrypted))

    def _wait(self, data: bytes) -> None:
        """Keep it until the handshake is done."""
        self._waiting.append(data)
        if self._producer is not None and not self._stalled and self.size > _MOST_WAITING:
            self._stalled = True
            self._producer.pauseProducing()

    def begin(self) -> None:
        """The handshake is done: send what waits for that."""
        self.open = True
        self.flush()
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.write_all(waiting)

    def go_on(self) -> None:
        """Ask for more, if it was paused because of what had to wait."""
        if self._stalled:
            self._stalled = False
            if not self._full and self._producer is not None:
                self._producer.resumeProducing()

    def drop(self) -> None:
        """TLS has failed: what waits is lost, and a producer waits for the end of the connection."""
        self._waiting = []
        if self._producer is not None and not self._pulling:
            self._producer.pauseProducing()

    def answer(self, answers: bytes) -> None:
        """Send what TLS itself says to what was read. A peer that takes none of it is not to be read on."""
        self._send(answers)
        if self._full:
            self._answers += len(answers)
            self.choked = self._answers > _MOST_ANSWERS

    def end(self) -> None:
        """Say close_notify after all that was written."""
        self._session.end()
        self.flush()
        self.release()

    # The producer of the protocol above, and that of the transport below.

    def register(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401 - IPushProducer, IPullProducer
        if self._producer is not None:
            raise RuntimeError(f"cannot register {producer}: {self._producer} is registered")
        self._producer = producer
        self._pulling = not streaming
        if self._pulling:
            # The transport below knows best when it wants more.
            self.release()
            self._register(producer, False)

    def unregister(self) -> None:
        self._producer = None
        if self._pulling:
            self._pulling = False
            self.release()
            self._register(self, True)

    def release(self) -> None:
        """A transport with a producer waits for more from it before it ends."""
        if self._registered:
            self._registered = False
            self._transport.unregisterProducer()

    def _register(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401
        if hasattr(self._transport, "registerProducer"):
            self._registered = True
            self._transport.registerProducer(producer, streaming)

    def pauseProducing(self) -> None:
        """The peer does not read."""
        self._full = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The peer has read all that waited for it."""
        self._full = False
        self._answers = 0
        if self.choked:
            self.choked = False
            self._owner.answered()
        if self._producer is not None and self.open:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost; connectionLost follows."""
        self._registered = False
        if self._producer is not None:
            self._producer.stopProducing()
