"""TLS between a transport and a protocol, on either side of a connection: nothing owed is lost.

Each direction ends for itself with a close_notify (RFC 8446 section 6.1), as it does over TCP. Twisted's own layer
(twisted.protocols.tls) connects the wrapped protocol before the handshake, and takes the peer's end of stream for the
end of the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, directlyProvides, implementer, providedBy

from sockserve.addresses import format_address
from sockserve.deadlines import Deadline
from sockserve.tls.session import Session, TLSError, TLSInfo
from sockserve.tls.x509 import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import (
        IAddress,
        IDelayedCall,
        IProtocol,
        IProtocolFactory,
        IReactorTime,
    )
    from twisted.internet.tcp import Connection

    from sockserve.tls.certificates import Certificates

log = Logger()

DEFAULT_HANDSHAKE_TIMEOUT = 10.0

# Bytes that go into OpenSSL at once, and that it may have for the wire before they are written: what its buffers have
# held once they keep.
_PIECE = 1 << 14
_BATCH = 1 << 16
# Bytes that a peer may send before its handshake is done, with and without a certificate: more than any takes.
_LONGEST_WITH_CERTIFICATE = 1 << 17
_LONGEST = 1 << 15
# Bytes that a program may write before the handshake is done, until its producer is paused.
_MOST_WAITING = 1 << 16
# Bytes that TLS itself may answer to a peer that does not read: key updates (RFC 8446 section 4.6.3).
_MOST_ANSWERS = 1 << 14

Report = Callable[[str, str, str], None]
"""Called with the name of the limit that closes a connection, the peer's address, and what happened."""


class IHalfCloseableTLS(Interface):
    """A TLS transport each of whose directions ends for itself: TLSTransport is one, Twisted's own is not."""

    def loseWriteConnection() -> None:
        """Send our end of stream after what was written; reading goes on."""


def log_report(_: str, peer: str, text: str) -> None:
    """A Report that is a warning in the log."""
    log.warn("{peer}: {text}", peer=peer, text=text)


@implementer(IPushProducer)
class _Producer:
    """Is told by the transport below that the peer does not read, or reads again."""

    __slots__ = ("_tls",)

    def __init__(self, tls: TLSTransport) -> None:
        self._tls = tls

    def pauseProducing(self) -> None:
        self._tls._blocked()

    def resumeProducing(self) -> None:
        self._tls._moving()

    def stopProducing(self) -> None:
        self._tls._stopped()


@implementer(IHalfCloseableProtocol, IHalfCloseableTLS, ISSLTransport, IPushProducer)
class TLSTransport(Protocol):
    """A protocol to the transport below it, and a transport to the protocol above it, with a TLS session between.

    The protocol above is told of the peer's end of stream by readConnectionLost, if it provides IHalfCloseableProtocol,
    and what it writes after that is still sent; else the connection closes with everything written. What the transport
    below provides and has, this has too. Bytes that one read has brought are handed on as one piece, in the same turn;
    what is written meanwhile leaves together.

    session: of OpenSSL. clock: for the deadline of the handshake, which is handshake_timeout seconds.
    opened: called when the handshake is done; makes or tells the protocol above.
    failed: called with the name of the limit ("tls", "handshake_timeout") and one line, when the handshake or TLS
        itself has failed; not when a peer leaves that has sent nothing.
    name: of the named socket, for the log.

    wrappedProtocol: the protocol above; None before the handshake is done (but with startTLS).
    certificate: what the peer has shown; None: nothing. Known after the end of the connection too, as is
    info: what was agreed on; None before the handshake is done.
    truncated: the peer has ended its stream without a close_notify: somebody on the way may have cut it short. The
        protocol has it as an end of stream, the log has a line, and the connection's end is a ConnectionLost.
    disconnecting: it is closing.
    shaken: bytes that the peer has sent for the handshake.
    """

    transport: Connection
    wrappedProtocol: Any = None
    certificate: Certificate | None = None
    info: TLSInfo | None = None
    truncated = False
    disconnecting: bool | int = False
    shaken = 0

    # The handshake is done; TLS, or the connection, is over.
    _open = False
    _over = False
    _aborted = False
    # It was said why there is no connection.
    _reported = False
    _deadline: Deadline | None = None
    # Why the connection is lost, if the transport below does not know.
    _reason: Failure | None = None

    # The protocol above wants no data now; some is here: as it came, or decrypted.
    _paused = False
    _held = False
    _raw = b""
    _plain: list[bytes]
    # How the incoming stream ends behind what is held: what to call when the protocol above may be told.
    _end: Callable[[], None] | None = None
    _read_ended = False
    # The transport's end of stream has come.
    _transport_ended = False
    _later: IDelayedCall | None = None

    # Written before the handshake was done, and how to go on then.
    _waiting: list[bytes]
    _ending = False
    _stalled = False
    # Of the protocol above; whether it wants to be asked for each piece.
    _producer: Any = None
    _pulling = False
    # The transport below has a producer; it has said that the peer does not read.
    _registered = False
    _full = False
    # The protocol above is being handed something: what it writes leaves when it has returned.
    _delivering = False
    _write_ended = False
    # Bytes of TLS itself that wait for a peer that does not read; more of its are not read.
    _answers = 0
    _choked = False

    def __init__(
        self,
        session: Session,
        clock: IReactorTime,
        opened: Callable[[TLSTransport], None],
        failed: Callable[[TLSTransport, str, str], None],
        *,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
        name: str = "",
    ) -> None:
        self._session = session
        self._clock = clock
        self._opened = opened
        self._failed = failed
        self._handshake_timeout = handshake_timeout
        self._name = name
        self._plain = []
        self._waiting = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport below has
        if name == "transport" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.transport, name)

    def logPrefix(self) -> str:
        return type(self.wrappedProtocol or self).__name__

    @property
    def unsent(self) -> int:
        """Bytes that are held here and that the transport below has not taken.

        Plain bytes that wait for the handshake, and what OpenSSL has for the wire. Outside the callbacks of a read,
        and after the handshake, that is nothing: what waits then waits in the transport below, encrypted.
        """
        pending = 0 if self._over else self._session.pending
        return sum(map(len, self._waiting)) + pending

    @property
    def unread(self) -> int:
        """Bytes that are held here and that the protocol above was not handed yet: encrypted, or decrypted."""
        return len(self._raw) + sum(map(len, self._plain))

    # The handshake.

    def makeConnection(self, transport: Any) -> None:  # noqa: ANN401 - whatever a Twisted transport is
        # What is above asks for the interfaces of the transport, whatever they are.
        directlyProvides(self, providedBy(transport))
        super().makeConnection(transport)
        self._deadline = Deadline(self._clock, self._handshake_timeout, self._too_late)
        self._register(_Producer(self), True)
        self._shake()

    def _shake(self) -> bool:
        """Go on with the handshake. False: it is not done, or has failed."""
        session = self._session
        while True:
            try:
                done = session.handshake()
            except TLSError as error:
                self._fail("tls", f"no agreement on TLS: {error}")
                self._hang_up()
                return False
            if done:
                break
            piece, self._raw = self._raw[:_PIECE], self._raw[_PIECE:]
            if not piece:
                self._flush()
                return False
            session.feed(piece)
        self._flush()
        if not self._aborted:
            self._connect()
        return self._open

    def _connect(self) -> None:
        session = self._session
        self._stop_clock()
        shown = session.certificate()
        try:
            self.certificate = None if shown is None else Certificate.from_der(shown)
        except ValueError as error:
            self._fail("tls", f"no agreement on TLS: the peer's certificate cannot be read: {error}")
            self._hang_up()
            return
        self.info = session.info
        self._open = True
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._encrypt(b"".join(waiting))
            self._flush()
        self._opened(self)
        if self._over:
            return
        if self._paused:
            self.transport.pauseProducing()
        if self._stalled:
            self._stalled = False
            if not self._full and self._producer is not None:
                self._producer.resumeProducing()
        if self.disconnecting:
            self._close()
        elif self._ending:
            self.loseWriteConnection()

    def connect(self, protocol: IProtocol) -> None:
        """Called by `opened`: this is the protocol above."""
        self.wrappedProtocol = protocol
        protocol.makeConnection(self)
        if IHandshakeListener.providedBy(protocol):
            protocol.handshakeCompleted()

    def forget(self) -> None:
        """Abort the connection, and say nothing of it: nobody is to be served here."""
        self._reported = True
        self.abortConnection()

    def _too_late(self) -> None:
        self._deadline = None
        seconds = f"{self._handshake_timeout:g} seconds (handshake_timeout)"
        self._fail("handshake_timeout", f"aborted, no TLS handshake within {seconds}")
        self.abortConnection()

    def _fail(self, reason: str, text: str) -> None:
        """TLS is over: say why, once."""
        self._over = True
        self._waiting = []
        if self._reason is None:
            self._reason = Failure(ConnectionLost(text))
        if not self._reported:
            self._reported = True
            self._failed(self, reason, text)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        if self._over or self._read_ended or (self._open and self.disconnecting):
            # RFC 8446 section 6.1: what comes after a close_notify is ignored.
            return
        self._raw = self._raw + data if self._raw else data
        if not self._open:
            self.shaken += len(data)
            if not self._shake():
                longest = _LONGEST_WITH_CERTIFICATE if self._session.expects_certificate else _LONGEST
                if self.shaken > longest and not self._over:
                    self._fail("tls", f"no agreement on TLS: {self.shaken} bytes have come, and no end of a handshake")
                    self.abortConnection()
                return
        self._deliver()

    def readConnectionLost(self) -> None:
        """The transport's end of stream."""
        self._transport_ended = True
        if self._open:
            self._deliver()
        else:
            self._fail("tls", "no agreement on TLS: the peer has ended its stream")
            self._release()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        self._paused = True
        if self._open:
            # The handshake is read all the same: without it nothing is ever written.
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        self._read_on()
        if self._held and self._later is None and not self._over:
            # Not from here: who resumes does not expect data before this returns, and no transport does that.
            self._later = self._clock.callLater(0, self._deliver_later)

    def _read_on(self) -> None:
        if not (self._paused or self._choked or self._transport_ended) and self.connected:
            self.transport.resumeProducing()

    def _deliver_later(self) -> None:
        self._later = None
        self._deliver()

    def _deliver(self) -> None:
        """Hand on what has come, as one piece; then the end of the stream, if it is there."""
        if self._read_ended or self._over or self.disconnecting:
            return
        self._held = self._paused
        if self._paused:
            return
        pieces = self._decrypt()
        self._answer()
        if pieces:
            self._hand_over(b"".join(pieces))
        end = self._end
        if end is not None and not self.disconnecting and not self._over:
            # Nobody is told of an end who does not want to hear more.
            self._held = self._paused
            if not self._paused:
                end()

    def _hand_over(self, data: bytes) -> None:
        self._delivering = True
        try:
            self.wrappedProtocol.dataReceived(data)
        finally:
            self._delivering = False
            if not self._over:
                self._flush()

    def _decrypt(self) -> list[bytes]:
        """All that is here, in plain; and how the stream ends behind it is in `_end`."""
        session = self._session
        raw, self._raw = self._raw, b""
        pieces, self._plain = self._plain, []
        try:
            # Once at least: OpenSSL may have something behind the handshake.
            for start in range(0, max(len(raw), 1), _PIECE):
                session.feed(raw[start : start + _PIECE])
                while piece := session.read():
                    pieces.append(piece)
                if piece is not None:
                    self._end = self._end or self._tell_end
                    break
        except TLSError as error:
            text = f"TLS failed: {error}"
            self._end = lambda: self._break(text)
        if self._transport_ended and self._end is None:
            self._end = self._truncate
        return pieces

    def _answer(self) -> None:
        """Send what TLS itself has to say to what was read. A peer that takes none of it is not read on."""
        answers = self._session.pending
        if not answers:
            return
        self._flush()
        if self._full:
            self._answers += answers
            if self._answers > _MOST_ANSWERS and not self._choked:
                self._choked = True
                self.transport.pauseProducing()

    def _tell_end(self) -> None:
        self._read_ended = True
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.readConnectionLost()
        else:
            self.loseConnection()

    def _truncate(self) -> None:
        if not self._write_ended:
            # Whoever has had our close_notify often just closes.
            self.truncated = True
            self._reason = Failure(ConnectionLost("the peer has ended its stream without close_notify"))
            name = f"{self._name} {format_address(self.getPeer())}".lstrip()
            log.info("{name}: its stream has ended without close_notify, it may be cut short", name=name)
        self._tell_end()

    def _break(self, text: str) -> None:
        """The peer does not keep to TLS any more, or says that we do not."""
        self._fail("tls", text)
        if self._producer is not None:
            # Nothing is sent any more: whoever waits for room waits for the end.
            self._producer.pauseProducing()
        self._hang_up()

    def _hang_up(self) -> None:
        """Close after the alert that says why, soon."""
        self._flush()
        self._release()
        self.transport.loseConnection()
        if self._deadline is None:
            self._deadline = Deadline(self._clock, self._handshake_timeout, self._too_late)

    # Sending and closing.

    def write(self, data: bytes) -> None:
        if self._write_ended or self._over or not data or (self.disconnecting and self._producer is None):
            return
        if not self._open:
            self._waiting.append(data)
            if self._producer is not None and not self._stalled and self.unsent > _MOST_WAITING:
                self._stalled = True
                self._producer.pauseProducing()
            return
        self._encrypt(data)
        if not self._delivering:
            self._flush()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def _encrypt(self, data: bytes) -> None:
        session = self._session
        try:
            if len(data) <= _BATCH:
                session.write(data)
            else:
                for start in range(0, len(data), _BATCH):
                    session.write(memoryview(data)[start : start + _BATCH])
                    self._flush()
        except TLSError as error:
            self._break(f"TLS failed: {error}")
            return
        if session.pending > _BATCH:
            self._flush()

    def _flush(self) -> None:
        """Write what OpenSSL has for the peer."""
        data = self._session.output()
        if data:
            self.transport.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401 - IPushProducer, IPullProducer
        if self._producer is not None:
            raise RuntimeError(f"cannot register {producer}: {self._producer} is registered")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        self._pulling = not streaming
        if self._pulling:
            # The transport below knows best when it wants more.
            self._release()
            self._register(producer, False)

    def unregisterProducer(self) -> None:
        self._producer = None
        if self._pulling:
            self._pulling = False
            self._release()
            if not self._write_ended:
                self._register(_Producer(self), True)
        if self.disconnecting and self._open and not self._over:
            self._close()

    def _register(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401
        if self.connected and hasattr(self.transport, "registerProducer"):
            self._registered = True
            self.transport.registerProducer(producer, streaming)

    def _release(self) -> None:
        """A transport with a producer waits for more from it before it ends."""
        if self._registered:
            self._registered = False
            self.transport.unregisterProducer()

    def _blocked(self) -> None:
        """The peer does not read."""
        self._full = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def _moving(self) -> None:
        """The peer has read all that waited for it."""
        self._full = False
        self._answers = 0
        if self._choked:
            self._choked = False
            self._read_on()
        if self._producer is not None and self._open and not self._over:
            self._producer.resumeProducing()

    def _stopped(self) -> None:
        """The connection is lost."""
        self._registered = False
        if self._producer is not None:
            self._producer.stopProducing()

    def loseWriteConnection(self) -> None:
        """Send close_notify after what was written; reading goes on."""
        if self._write_ended or self._over:
            return
        if not self._open:
            self._ending = True
            return
        self._end_writing()
        self._release()
        if IHalfCloseableDescriptor.providedBy(self.transport):
            self.transport.loseWriteConnection()
        else:
            self._clock.callLater(0, self.writeConnectionLost)

    def writeConnectionLost(self) -> None:
        """The transport has sent all, and its end of stream."""
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.writeConnectionLost()

    def loseConnection(self) -> None:
        """Send what was written and close_notify, and close; with a producer, when that is unregistered."""
        if self.disconnecting:
            return
        self.disconnecting = True
        if self._over or not (self._open or self._waiting):
            self._release()
            self.transport.loseConnection()
        elif self._open and self._producer is None:
            self._close()

    def _close(self) -> None:
        if not self._write_ended:
            self._end_writing()
        self._release()
        self.transport.loseConnection()

    def _end_writing(self) -> None:
        self._write_ended = True
        # OpenSSL looks for the peer's close_notify too, and what stands in front of it would be lost.
        if not self._read_ended and self._end is None:
            self._plain = self._decrypt()
        self._session.end()
        self._flush()

    def stopProducing(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        self._aborted = self._over = self.disconnecting = True
        self.transport.abortConnection()

    # The end.

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_clock()
        if self._later is not None:
            self._later.cancel()
        wrapped = self.wrappedProtocol
        if not self._open:
            self._fail("tls", f"no agreement on TLS: {reason.getErrorMessage().rstrip('.')}")
        elif wrapped is not None and not (self._over or self._read_ended or self.disconnecting):
            # What had come before the loss is handed on, whoever did not want to hear it.
            pieces = self._decrypt()
            if pieces:
                self._over = True
                try:
                    wrapped.dataReceived(b"".join(pieces))
                except Exception:
                    log.failure("{peer}: failed at the end", peer=format_address(self.getPeer()))
        self._over = True
        self.connected = 0
        self._producer = None
        if wrapped is not None:
            wrapped.connectionLost(self._reason or reason)
        # These refer to this one.
        self.wrappedProtocol = None
        del self._session, self._opened, self._failed

    def getPeerCertificate(self) -> Certificate | None:
        """What the peer has shown; None: nothing. Known after the end of the connection too."""
        return self.certificate


class TLSFactory(Factory["TLSTransport"]):
    """Puts the server's side of TLS below another factory, whose protocols it builds when their handshakes are done.

    certificates: what each session begins with, such as sockserve.tls.certificates.Certificates.
    wrapped: the factory.
    handshake_timeout: seconds; then the connection is aborted.
    report: called with the name of the limit ("tls", "handshake_timeout"), the peer's address and what happened, when
        there is no connection or TLS has failed in it. None: a warning in the log. One that leaves without having sent
        anything is the look of a monitor, and nothing is wrong.
    name: of the named socket, for the log.

    handshakes: the connections whose handshakes are under way.
    """

    noisy = False

    def __init__(
        self,
        certificates: Certificates,
        wrapped: IProtocolFactory,
        reactor: IReactorTime,
        *,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
        report: Report | None = None,
        name: str = "",
    ) -> None:
        self.wrapped = wrapped
        self.handshake_timeout = handshake_timeout
        self.report = report or log_report
        self.name = name
        self.handshakes: set[TLSTransport] = set()
        self._certificates = certificates
        self._reactor = reactor

    def buildProtocol(self, addr: IAddress | None) -> TLSTransport:
        transport = TLSTransport(
            self._certificates.session(),
            self._reactor,
            self._opened,
            self._failed,
            handshake_timeout=self.handshake_timeout,
            name=self.name,
        )
        self.handshakes.add(transport)
        return transport

    def startFactory(self) -> None:
        self.wrapped.doStart()

    def stopFactory(self) -> None:
        """Nobody listens any more: whoever is still in the handshake is not served."""
        while self.handshakes:
            self.handshakes.pop().forget()
        self.wrapped.doStop()

    def _opened(self, transport: TLSTransport) -> None:
        self.handshakes.discard(transport)
        protocol = self.wrapped.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.forget()
        else:
            transport.connect(protocol)

    def _failed(self, transport: TLSTransport, limit: str, text: str) -> None:
        self.handshakes.discard(transport)
        if limit != "tls" or transport.shaken:
            self.report(limit, format_address(transport.getPeer()), text)
