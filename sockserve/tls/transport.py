"""TLS between a transport and a protocol, on either side of a connection: nothing owed is lost.

Each direction ends for itself with a close_notify (RFC 8446 section 6.1), as it does over TCP. Twisted's own layer
(twisted.protocols.tls) connects the wrapped protocol before the handshake, and takes the peer's end of stream for the
end of the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProcessTransport,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer, providedBy
from zope.interface.declarations import Provides

from sockserve.addresses import address_attributes, format_address
from sockserve.limits.arrivals import DEFAULT_HANDSHAKE_TIMEOUT
from sockserve.limits.deadlines import Deadline
from sockserve.tls.incoming import Incoming
from sockserve.tls.outgoing import Outgoing
from sockserve.tls.session import Session, TLSError, TLSInfo
from sockserve.tls.state import Phase, Reading, State, Wire, Writing
from sockserve.tls.x509 import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
    from twisted.internet.tcp import Connection

    from sockserve.limits.arrivals import Arrivals

log = Logger()

# Looked up faster than in their classes.
_OPEN, _FLOWING, _WRITING, _CONNECTED = Phase.OPEN, Reading.FLOWING, Writing.OPEN, Wire.OPEN

# Bytes that a peer may send before its handshake is done, with and without a certificate: more than any takes.
_LONGEST_WITH_CERTIFICATE = 1 << 17
_LONGEST = 1 << 15


@lru_cache(maxsize=64)
def _provided(below: Any) -> object:  # noqa: ANN401 - a Declaration, which zope's types make unhashable
    """What a layer provides whose transport provides that. zope needs about as long for it as for a handshake."""
    # TLS has one stream each way.
    return Provides(TLSTransport, below - IProcessTransport)


def _nothing() -> None:
    """What a transport does that cannot do it."""


class IHalfCloseableTLS(Interface):
    """A TLS transport each of whose directions ends for itself: TLSTransport is one, Twisted's own is not."""

    def loseWriteConnection() -> None:
        """Send our end of stream after what was written; reading goes on."""


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
        itself has failed.
    name: of the named socket, for the log.
    arrivals: what bounds the handshake; None: nothing but its deadline and its length.

    wrappedProtocol: the protocol above; None before the handshake is done (but with startTLS).
    certificate: what the peer has shown; None: nothing. Known after the end of the connection too, as is
    info: what was agreed on; None before the handshake is done.
    shaken: bytes that the peer has sent for the handshake.
    truncated: the peer has ended its stream without a close_notify: somebody on the way may have cut it short. The
        protocol has it as an end of stream, the log has a line, and the connection's end is a ConnectionLost.
    unsaid: the same, also where that is usual, after our own close_notify.
    disconnecting: it is closing, as its state says: Twisted's transports have it as an attribute.
    """

    transport: Connection
    wrappedProtocol: Any = None
    certificate: Certificate | None = None
    info: TLSInfo | None = None
    shaken = 0
    truncated = False
    unsaid = False
    disconnecting: bool | int = False

    _deadline: Deadline | None = None
    # Why the connection is lost, if the transport below does not know.
    _reason: Failure | None = None
    # What is due will be handed on then.
    _later: IDelayedCall | None = None

    _outgoing: Outgoing

    def __init__(
        self,
        session: Session,
        clock: IReactorTime,
        opened: Callable[[TLSTransport], None],
        failed: Callable[[TLSTransport, str, str], None],
        *,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
        name: str = "",
        arrivals: Arrivals | None = None,
    ) -> None:
        self._session = session
        self._state = State()
        self._incoming = Incoming(session)
        self._clock = clock
        self._opened = opened
        self._failed = failed
        self._handshake_timeout = handshake_timeout
        self._name = name
        self._arrivals = arrivals

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport below has
        if name == "transport" or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return getattr(self.transport, name)

    def logPrefix(self) -> str:
        return type(self.wrappedProtocol or self).__name__

    @property
    def address(self) -> Any:  # noqa: ANN401 - IAddress, or None
        """The peer's address; the pipes of a process have none."""
        try:
            return self.transport.getPeer()
        except (AttributeError, NotImplementedError):
            return None

    @property
    def peer(self) -> str:
        """The same as text."""
        return "pipe" if self.address is None else format_address(self.address)

    @property
    def unsent(self) -> int:
        """Bytes that are held here and that the transport below has not taken.

        Plain bytes that wait for the handshake, and what OpenSSL has for the wire. Outside the callbacks of a read,
        and after the handshake, that is nothing: what waits then waits in the transport below, encrypted.
        """
        return 0 if self._state.over else self._outgoing.size

    @property
    def unread(self) -> int:
        """Bytes that are held here and that the protocol above was not handed yet: encrypted, or decrypted."""
        return self._incoming.size

    # The handshake.

    def makeConnection(self, transport: Any) -> None:  # noqa: ANN401 - whatever a Twisted transport is
        # What is above asks for the interfaces of the transport, whatever they are.
        cast("Any", self).__provides__ = _provided(providedBy(transport))
        super().makeConnection(transport)
        self._deadline = Deadline(self._clock, self._handshake_timeout, self._too_late)
        self._outgoing = Outgoing(self._session, transport, self)
        if self._arrivals is None or self._arrivals.enter(self, self.address):
            self._shake()

    def connect(self, protocol: IProtocol) -> None:
        """Called by `opened`: this is the protocol above."""
        self.wrappedProtocol = protocol
        protocol.makeConnection(self)
        if IHandshakeListener.providedBy(protocol):
            protocol.handshakeCompleted()

    def forget(self) -> None:
        """Abort the connection, and say nothing of it: nobody is to be served here."""
        self._state.fail()
        self.abortConnection()

    def _shake(self) -> bool:
        """Go on with the handshake. False: it is not done, or has failed."""
        try:
            done = self._incoming.shake()
        except TLSError as error:
            self._disagree(str(error))
            return False
        if done:
            self._connect()
        else:
            self._outgoing.flush()
        return self._state.phase is Phase.OPEN

    def _connect(self) -> None:
        shown = self._session.certificate()
        try:
            self.certificate = None if shown is None else Certificate.from_der(shown)
        except ValueError as error:
            self._disagree(f"the peer's certificate cannot be read: {error}")
            return
        self._stop_clock()
        self._arrived()
        self.info = self._session.info
        state = self._state
        state.shaken()
        self._outgoing.begin()
        self._opened(self)
        if state.over:
            return
        if state.paused:
            self._below("pauseProducing")
        self._outgoing.go_on()
        self._close_if_ready()
        if state.writing is Writing.ENDING:
            self.loseWriteConnection()

    def _disagree(self, text: str) -> None:
        self._fail("tls", f"no agreement on TLS: {text}")
        self._hang_up()

    def _too_late(self) -> None:
        self._deadline = None
        seconds = f"{self._handshake_timeout:g} seconds (handshake_timeout)"
        self._fail("handshake_timeout", f"aborted, no TLS handshake within {seconds}")
        self.abortConnection()

    def _fail(self, reason: str, text: str) -> None:
        """TLS is over: say why, once."""
        if self._state.fail():
            self._say(reason, text)

    def _say(self, reason: str, text: str) -> None:
        self._arrived()
        self._outgoing.drop()
        if self._reason is None:
            self._reason = Failure(ConnectionLost(text))
        self._failed(self, reason, text)

    def _hang_up(self) -> None:
        """Close after the alert that says why, soon."""
        self._outgoing.flush()
        self._outgoing.release()
        self.transport.loseConnection()
        if self._deadline is None:
            self._deadline = Deadline(self._clock, self._handshake_timeout, self._too_late)

    # What bounds the handshake; see sockserve.limits.arrivals.

    @property
    def held(self) -> int:
        """Bytes that the handshake holds: what came for it is here or with OpenSSL, and so is what waits for it."""
        return 0 if self._state.over else self.shaken + self._outgoing.size

    def hold_reading(self, reason: str) -> None:
        self._below("pauseProducing")

    def release_reading(self, reason: str) -> None:
        self._below("resumeProducing")

    def abort_for(self, limit: str, text: str) -> None:
        """End it because of a limit."""
        self._fail(limit, text)
        self._incoming.drop()
        self.abortConnection()

    def _arrived(self) -> None:
        """The handshake is over, one way or the other."""
        arrivals, self._arrivals = self._arrivals, None
        if arrivals is not None:
            arrivals.leave(self)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        state = self._state
        if state.phase is not _OPEN:
            if state.phase is Phase.SHAKING:
                self._shake_on(data)
        elif state.reading is _FLOWING or state.receives:
            self._incoming.receive(data)
            self._deliver()

    def _shake_on(self, data: bytes) -> None:
        """This came for the handshake, and perhaps for what is above."""
        state = self._state
        self._incoming.receive(data)
        self.shaken += len(data)
        if self._arrivals is not None:
            self._arrivals.grow(len(data), self)
        if state.over:
            return
        if self._shake():
            self._deliver()
            return
        longest = _LONGEST_WITH_CERTIFICATE if self._session.expects_certificate else _LONGEST
        if self.shaken > longest and not state.over:
            self._fail("tls", f"no agreement on TLS: {self.shaken} bytes have come, and no end of a handshake")
            self.abortConnection()

    def readConnectionLost(self) -> None:
        """The transport's end of stream."""
        self._state.peer_ended()
        if self._state.phase is Phase.OPEN:
            self._deliver()
        elif self._state.phase is Phase.SHAKING:
            self._disagree("the peer has ended its stream")

    def pauseProducing(self) -> None:
        self._state.pause()
        if self._state.phase is not Phase.SHAKING:
            # The handshake is read all the same: without it nothing is ever written.
            self._below("pauseProducing")

    def resumeProducing(self) -> None:
        due = self._state.resume()
        self.answered()
        if due and self._later is None and not self._state.over:
            # Not from here: who resumes does not expect data before this returns, and no transport does that.
            self._later = self._clock.callLater(0, self._deliver_later)

    def answered(self) -> None:
        """Read on, unless something else is against it."""
        if self._state.wire is Wire.OPEN and not (self._state.paused or self._outgoing.choked):
            self._below("resumeProducing")

    def _deliver_later(self) -> None:
        self._later = None
        self._deliver()

    def _deliver(self) -> None:
        """Hand on what has come, as one piece; then the end of the stream, if it is there."""
        state, incoming, outgoing = self._state, self._incoming, self._outgoing
        if not state.deliver():
            return
        data = incoming.take()
        answers = self._session.output()
        if answers:
            outgoing.answer(answers)
            if outgoing.choked:
                self._below("pauseProducing")
        if data:
            outgoing.collecting = True
            try:
                self.wrappedProtocol.dataReceived(data)
            finally:
                outgoing.collecting = False
                if not state.over:
                    outgoing.flush()
        # Nobody is told of an end who does not want to hear more, or has closed.
        if (incoming.ended or state.wire is not _CONNECTED) and state.deliver():
            self._tell_end()

    def _tell_end(self) -> None:
        if self._incoming.failure:
            self.failed(self._incoming.failure)
            return
        self.unsaid = not self._incoming.ended
        if self.unsaid and self._state.writing is not Writing.ENDED:
            # A peer that has received our close_notify often just closes.
            self.truncated = True
            self._reason = Failure(ConnectionLost("the peer has ended its stream without close_notify"))
            name = f"{self._name} {self.peer}".lstrip()
            log.info(
                "{name}: its stream has ended without close_notify, it may be cut short",
                name=name,
                event_name="sockserve.tls.truncated",
                attributes={"sockserve.socket": self._name, **address_attributes(self.peer)},
            )
        self._state.told()
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.readConnectionLost()
        else:
            self.loseConnection()

    def failed(self, text: str) -> None:
        """The peer does not keep to TLS any more, or says that we do not."""
        self._fail("tls", text)
        self._hang_up()

    # Sending and closing.

    def write(self, data: bytes) -> None:
        state = self._state
        if data and ((state.writing is _WRITING and state.phase is _OPEN) or state.writes(self._outgoing.producing)):
            self._outgoing.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        if self._state.writes(self._outgoing.producing):
            self._outgoing.write_all(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401 - IPushProducer, IPullProducer
        if self.connected:
            self._outgoing.register(producer, streaming)
        else:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        if self.connected:
            self._outgoing.unregister()
            self._close_if_ready()

    def loseWriteConnection(self) -> None:
        """Send close_notify after what was written; reading goes on."""
        if not self._state.end():
            return
        self._end_writing()
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
        state = self._state
        self.disconnecting = True
        state.close()
        if state.writing is Writing.CLOSED or (state.phase is Phase.SHAKING and not self._outgoing.waiting):
            self._outgoing.release()
            self.transport.loseConnection()
        else:
            self._close_if_ready()

    def _close_if_ready(self) -> None:
        """Close if it was asked for, and waits for nothing any more."""
        if self._state.ready(self._outgoing.producing):
            self._end_writing()
            self.transport.loseConnection()

    def _end_writing(self) -> None:
        # OpenSSL looks for the peer's close_notify too, and what comes before it would be lost.
        self._incoming.decrypt()
        self._outgoing.end()

    def stopProducing(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        self.disconnecting = True
        self._state.abort()
        self._arrived()
        self._below("abortConnection" if hasattr(self.transport, "abortConnection") else "loseConnection")

    def _below(self, method: str) -> None:
        """Call that method of the transport below, if it has it."""
        getattr(self.transport, method, _nothing)()

    # The end.

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_clock()
        if self._later is not None:
            self._later.cancel()
        unread = self._state.receives
        if self._state.lost():
            self._say("tls", f"no agreement on TLS: {reason.getErrorMessage().rstrip('.')}")
        elif unread:
            self._hand_over_last()
        self.connected = 0
        wrapped = self.wrappedProtocol
        if wrapped is not None:
            wrapped.connectionLost(self._reason or reason)
        # These refer to this one.
        self.wrappedProtocol = None
        del self._session, self._outgoing, self._opened, self._failed

    def _hand_over_last(self) -> None:
        """What had come before the loss is handed on, also to somebody who did not want to hear it yet."""
        data = self._incoming.take()
        if data and self.wrappedProtocol is not None:
            try:
                self.wrappedProtocol.dataReceived(data)
            except Exception:
                log.failure(
                    "{peer}: failed at the end of the connection",
                    peer=self.peer,
                    event_name="sockserve.handler.failed",
                    attributes=address_attributes(self.peer),
                )

    def getPeerCertificate(self) -> Certificate | None:
        """What the peer has shown; None: nothing. Known after the end of the connection too."""
        return self.certificate
