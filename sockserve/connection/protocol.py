"""MessageProtocol: what users override and call. The engine does the work; see sockserve.connection.engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import classImplements, implementer

from sockserve.connection.engine import Engine
from sockserve.connection.evidence import log_bad_frame
from sockserve.connection.info import ConnectionInfo, info_of
from sockserve.connection.options import DEFAULT, ConnectionOptions
from sockserve.connection.reading import Reading
from sockserve.connection.securing import start_tls
from sockserve.connection.sending import Sending
from sockserve.framing import Framing
from sockserve.framing.errors import FramingError, TruncatedMessage
from sockserve.limits.arrivals import DEFAULT_HANDSHAKE_TIMEOUT
from sockserve.tls.foreign import mended

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.error import ConnectionLost
    from twisted.internet.interfaces import IDelayedCall, ITransport

    from sockserve.connection.handover import Carried
    from sockserve.tls.starting import TLSContext

classImplements(Sending, IPushProducer)


@implementer(IHalfCloseableProtocol)
class MessageProtocol(Protocol):
    """Messages over one connection, on either side of it.

    Subclass it, override `messageReceived`, call `sendMessage`. Use it with MessageFactory; or set `framing` in the
    class and use it with any Twisted factory. Write with `sendMessage` only: `transport.write` would overtake it. A
    subclass that overrides `makeConnection` or `connectionLost` must call the inherited method too.

    Reading pauses automatically while the peer does not read what we send. When the peer has shut down its sending
    side, everything owed is still sent before the connection closes.

    framing: a Framing or its name, see sockserve.framing.parse.
    options: time limits, log, clock; see ConnectionOptions.
    keepsState: False, set in the class itself: between two messages, with nothing owed to the peer, neither this nor
        the rest of the program keeps anything for the connection. A reload then moves it to a new protocol, perhaps in
        another process, whose `connectionMade` is called; `connectionLost` of this one is not.
    """

    framing: Framing | str = "raw"
    options: ConnectionOptions = DEFAULT
    keepsState: bool = True

    transport: Any
    _engine: Engine
    # The engine's, one look-up nearer: for every read.
    _engineReading: Reading

    # What a user overrides.

    def messageReceived(self, message: bytes) -> None:
        """One message has arrived. An exception raised here is logged and closes this connection."""
        raise NotImplementedError(f"{type(self).__name__} must override messageReceived")

    def messagesReceived(self, messages: list[bytes]) -> None:
        """All messages that one read has completed, or a part when they are many; calls messageReceived for each.

        Override it to get them all at once. A change of framing, a pause or a close then takes effect after the last.
        """
        self._engine.receiving.deliver_each(messages)

    @property
    def takesFrames(self) -> bool:
        """Whether `framesReceived` is called instead of `messagesReceived`. Asked at every read."""
        return False

    def framesReceived(self, frames: bytes, count: int) -> None:
        """All frames that one read has completed, as they stand on the wire; for protocols that need no messages.

        count: the number of frames.
        """
        raise NotImplementedError(f"{type(self).__name__} must override framesReceived")

    def framingFailed(self, error: FramingError) -> None:
        """The peer sent a bad frame, or ended its stream inside a frame. Logs one line, or two for several in one read.

        After this, the messages end (`messagesEnded`), and the connection closes once everything is flushed. With
        on_bad_frame "skip", it goes on instead, if the end of the bad frame can be found.
        """
        engine = self._engine
        draining = getattr(engine.options.gate, "state", "") == "draining"
        if isinstance(error, TruncatedMessage) and engine.over and draining:
            # It was lost while the server drains: that end is ours as much as the peer's.
            return
        over = isinstance(error, TruncatedMessage) or engine.receiving.failed
        if not over:
            engine.reading.skipped += 1
            if engine.reading.skipped > 1:
                # A peer that sends only bad frames must not fill the log: the others of this read are counted.
                return
        action = "closing" if over else "skipping it"
        log_bad_frame(engine, error, action)

    def messagesEnded(self) -> None:
        """No more messages come, and all that came were delivered. Called once, unless we close first.

        The peer has shut down its sending side, or sent a bad frame; or the server is draining; or the connection is
        lost, and nothing can be sent any more (`lossReason` says whether it was cut off).

        Closes the connection; override it to send more first, and call `loseConnection` when done.
        """
        self.loseConnection()

    def writingPaused(self) -> None:
        """The peer does not read: more than 64 KiB wait for it. Holds reading from it.

        Until it reads again, a program may not send it more than `max_queued` in all.
        """
        self.holdReading("writing")

    def writingResumed(self) -> None:
        """The peer has read all that waited for it."""
        self.releaseReading("writing")

    @property
    def keptBytes(self) -> int:
        """Bytes of memory that this protocol keeps for its peer itself, such as messages in progress.

        For memory_budget, which asks often: keep the sum instead of counting anew. A message of two bytes takes about
        sixty.
        """
        return 0

    # What a user calls.

    @property
    def queued(self) -> int:
        """Bytes that wait, in this process, for the peer to take them; the kernel has more."""
        return self._engine.sending.queued

    @property
    def id(self) -> int:
        """The connection's number within its named socket, from 1; 0 outside one."""
        return self._engine.id

    @property
    def peer(self) -> str:
        """The peer's address as text, after the name of the named socket, if any: `orders 192.0.2.7:4711`."""
        return self._engine.telling.peer

    @property
    def info(self) -> ConnectionInfo:
        """What is known of this connection now."""
        return info_of(self._engine)

    @property
    def closing(self) -> bool:
        """Whether the connection is closing or closed: nothing is delivered any more, and nothing can be sent."""
        return self._engine.state.closing

    @property
    def sendingEnded(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._engine.state.sending_ended

    @property
    def lossReason(self) -> ConnectionLost | None:
        """Why the connection was lost; None while it lasts, and if we or the peer closed it."""
        return self._engine.loss

    def callLater(self, seconds: float, function: Callable[[], object]) -> IDelayedCall:
        """Call `function` after this many seconds of this protocol's clock; named as in TimeoutMixin."""
        return self._engine.options.clock.callLater(seconds, function)

    def sendMessage(self, message: bytes) -> None:
        """Send one message. Raises FramingError, and sends nothing, when the framing cannot carry it.

        Raises QueueFull, and sends nothing, when the peer does not read (`writingPaused`) and more than `max_queued`
        bytes would wait for it. A peer that reads is sent a message of any size.

        Does nothing once the connection is closing, or after `endMessages`.
        """
        # The encoder's own method replaces this one when the connection starts: every message comes through here.
        self._engine.encoder.send(message)

    def sendMessages(self, messages: Iterable[bytes]) -> None:
        """Send several messages at once: all of them, or none if one raises FramingError or QueueFull."""
        self._engine.encoder.send_all(messages)

    def endMessages(self) -> None:
        """Send no more messages: our end of stream follows what is owed, and reading goes on.

        The same as shutdown(SD_SEND) in Winsock. If the transport cannot half-close (Twisted's own TLS, SSH channels,
        stdio), the peer sees the end when the connection closes.
        """
        self._engine.end_messages()

    def whenWritable(self) -> Deferred[None]:
        """Fires when the peer reads: at once, or when all that waits for it is sent, or when the connection ends."""
        return self._engine.sending.when_writable()

    def setFraming(self, framing: Framing | str, *, incoming: bool = True, outgoing: bool = True) -> None:
        """Change the framing of both directions, or of one. Raises ValueError for an unknown name.

        outgoing: from the next message that is sent.
        incoming: from the byte after the message that is being delivered, even if that byte came with the same read.
        Called at another time, when part of a frame has been received, it takes effect after that frame.
        """
        self._engine.set_framing(framing, incoming=incoming, outgoing=outgoing)

    def startTLS(
        self,
        context: TLSContext | object,
        server_hostname: str | None = None,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
    ) -> Deferred[None]:
        """Begin TLS now. What was sent before goes out in the clear, everything after it inside TLS.

        What the peer has sent in the clear and was not delivered yet is dropped: it could have been sent by somebody in
        between. Nothing has to be waited for; what is sent at once leaves when the handshake is done. If that fails,
        there is a line in the log, and the connection is lost.

        context: an ssl.SSLContext, a TLSConfig (the server's side), a ClientTLS (the client's side), or what the
            startTLS of Twisted's transports takes.
        server_hostname: for the client's side, whom the certificate must be for.
        handshake_timeout: seconds; then the connection is aborted.

        Returns a Deferred that fires when the handshake is done or has failed. Raises ValueError for files that cannot
        be used, a name that is missing or can be nobody's, or when the connection is closing; TypeError for a context
        or a transport that cannot do this.
        """
        done = start_tls(self._engine, context, server_hostname, handshake_timeout)
        self.transport = self._engine.transport
        return done

    def holdReading(self, reason: str) -> None:
        """Deliver no more messages and read no more, from the end of the message that is being delivered.

        Each reason holds independently, until it is released.
        """
        self._engine.hold_reading(reason)

    def releaseReading(self, reason: str) -> None:
        """Undo holdReading for this reason. Messages that have already arrived are delivered before this returns."""
        self._engine.release_reading(reason)

    def pauseProducing(self) -> None:
        """Hold reading, under the name that IPushProducer gives it."""
        self.holdReading("paused")

    def resumeProducing(self) -> None:
        """Undo pauseProducing."""
        self.releaseReading("paused")

    def stopProducing(self) -> None:
        """The same as loseConnection, under the name that IPushProducer gives it."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Send what is owed, then close. Delivers no more messages.

        Gives up if the peer takes nothing for `close_timeout` seconds.
        """
        self._engine.close()

    def abortConnection(self) -> None:
        """Close at once, without sending what is owed."""
        self._engine.abort()

    def drain(self) -> None:
        """Read no more, deliver what was read, send what is owed, then close: as if the peer ended its stream now."""
        self._engine.drain()

    # What Twisted calls.

    def makeConnection(self, transport: ITransport) -> None:
        self.continueConnection(transport, None)

    def continueConnection(self, transport: ITransport, carried: Carried | None) -> None:
        """The same for a connection that was another protocol's until now. carried: what it brings along."""
        self.transport = transport = mended(transport)
        try:
            self._engine = Engine(self, transport, self.options)
        except Exception:
            # For example, the framing does not exist. Later calls find a connection that is closing.
            failure = Failure()
            self.framing = "raw"
            self._engine = Engine(self, transport, DEFAULT)
            self._engineReading = self._engine.reading
            self._engine.fail(failure)
            return
        self._engineReading = self._engine.reading
        try:
            self._engine.connect(carried)
        except Exception:
            self._engine.fail(Failure())

    def dataReceived(self, data: bytes) -> None:
        self._engineReading.received(data)

    def readConnectionLost(self) -> None:
        self._engine.peer_ended()

    def writeConnectionLost(self) -> None:
        self._engine.write_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._engine.lost(reason)

    # What the engine calls.

    def _connectionEstablished(self) -> None:
        self._engine.establish()

    def _messageBegun(self, length: int) -> bool:
        """A message of that length is under way, of a framing that tells it, and larger than a read.

        True: it goes to `_partReceived`, in parts, as they come. False: it is delivered when it is complete.
        """
        return False

    def _partReceived(self, part: bytes, last: bool) -> None:
        """The next bytes of that message. last: it ends with them; if that never comes, it is an unfinished frame."""

    def _connectionStarted(self) -> None:
        self.connected = 1
        if type(self).sendMessage is MessageProtocol.sendMessage:
            self.sendMessage = self._engine.encoder.send  # type: ignore[method-assign]
        self.connectionMade()

    def _connectionNotStarted(self, failure: Failure) -> None:
        """The connection could not start; that was logged, and it is being aborted."""

    def _dropKept(self) -> None:
        """Free what keptBytes counts, at once: the connection is aborted."""

    def _connectionOver(self) -> None:
        """The connection is lost. Called before the gate may start another one."""
