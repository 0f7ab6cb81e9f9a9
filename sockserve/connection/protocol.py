"""One framing on one connection: MessageProtocol, the factory that makes them, and Echo.

The way of a message: dataReceived -> Delivery -> messagesReceived -> messageReceived, yours; sendMessage -> framing ->
transport. Frames sent while messages are being delivered leave as one write.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from zope.interface import implementer

from sockserve.addresses import format_address
from sockserve.connection.closing import Ending, unsent, untaken
from sockserve.connection.info import ConnectionInfo
from sockserve.connection.receiving import Delivery
from sockserve.connection.sending import Sending
from sockserve.framing import Framing, as_framing
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import FramingError, TruncatedMessage
from sockserve.limits.timeouts import Limit, watch_of
from sockserve.tls.foreign import agreed, handshaking, mended, peer_certificate
from sockserve.tls.starting import TLSContext, begin, session_for
from sockserve.tls.transport import DEFAULT_HANDSHAKE_TIMEOUT

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITransport
    from twisted.internet.tcp import Connection
    from twisted.python.failure import Failure

    from sockserve.limits.memory import MemoryBudget

log = Logger()

# Bytes of answers to one read that may wait for its end, to leave as one write.
_BATCH_SIZE = 256 * 1024


class Gate(typing.Protocol):
    """Who decides when connections start, and counts them."""

    def enter(self, protocol: MessageProtocol) -> bool:
        """A connection is there. False: it does not start now; the gate calls `start` later, or has closed it."""

    def established(self, protocol: MessageProtocol) -> None:
        """Its first message has arrived."""

    def flushed(self, protocol: MessageProtocol) -> None:
        """It is closing, and all that was owed is with the kernel."""

    def leave(self, protocol: MessageProtocol) -> None:
        """It is over, started or not."""

    def count(self, limit: str) -> None:
        """One connection more was closed because of that limit."""


@implementer(IHalfCloseableProtocol)
class MessageProtocol(Protocol):
    """Messages over one connection, either side of it.

    Subclass it, override `messageReceived`, call `sendMessage`. Use it with MessageFactory; or set `framing` in the
    class and use it with any Twisted factory. Write with `sendMessage` only: `transport.write` would overtake it. A
    subclass that overrides `makeConnection` or `connectionLost` must call these here too.

    Reading pauses by itself while the peer does not read what we send. When the peer has shut down its sending side,
    everything owed is still sent before the connection closes.

    framing: a Framing or its name, see sockserve.framing.parse.
    close_timeout: seconds in which a peer has to take some of what is owed when we close, or it is aborted.
    idle_timeout: seconds in which nothing comes and the peer takes nothing of what is sent; then it is closed.
    frame_timeout: seconds from a frame's first byte to its last; then the messages end, as with a bad frame.
    log_traffic: log the number of bytes of every read and write.
    reactor: the clock of the timeouts; None: the global reactor.
    id, socket: the connection's number within its named socket, and that socket's name.
    gate: asked before the connection starts.
    memory: the budget that the bytes held for this connection count for.
    """

    framing: Framing | str = "raw"
    close_timeout: float = 10.0
    idle_timeout: float | None = None
    frame_timeout: float | None = None
    log_traffic: bool = False
    reactor: IReactorTime | None = None
    id: int = 0
    socket: str = ""
    gate: Gate | None = None
    memory: MemoryBudget | None = None

    transport: Connection

    # It has begun; the gate let it in.
    started = False
    # Why it was lost, when that was not a close of ours or the peer's.
    lossReason: ConnectionLost | None = None

    # State. Defaults in the class keep an idle connection small.
    _delivery: Delivery
    _ending: Ending
    _encoder: Encoder
    _sending: Sending
    _since: datetime
    _local: IAddress
    _established: datetime | None = None
    # Why reading is held up, and whether the transport reads.
    _holds: frozenset[str] = frozenset()
    _reading = True
    _draining = False
    # Bad frames skipped in this read.
    _skipped = 0
    _end_told = False
    # Bytes came behind the end of the messages.
    _talks_on = False
    # The connection is lost, and what had arrived is being delivered.
    _gone = False
    # Bytes that came before the start: a layer beneath had read them together with its own.
    _early = b""
    _bytes_sent = 0
    _bytes_received = 0

    # What a user overrides.

    def messageReceived(self, message: bytes) -> None:
        """One message has arrived. An exception raised here is logged and closes this connection."""
        raise NotImplementedError(f"{type(self).__name__} must override messageReceived")

    def messagesReceived(self, messages: list[bytes]) -> None:
        """All messages that one read has completed; calls messageReceived for each.

        Override it to take them at once. A change of framing, a pause or a close then takes effect behind the last.
        """
        self._delivery.deliver_each(messages)

    @property
    def takesFrames(self) -> bool:
        """Whether `framesReceived` is called, and not `messagesReceived`. Asked at every read."""
        return False

    def framesReceived(self, frames: bytes, count: int) -> None:
        """All frames that one read has completed, as they stand on the wire; for what needs no messages.

        count: how many they are.
        """
        raise NotImplementedError(f"{type(self).__name__} must override framesReceived")

    def framingFailed(self, error: FramingError) -> None:
        """The peer sent a bad frame, or ended its stream inside one. Logs it in one line; several in a read, in two.

        When this returns, the messages have ended (`messagesEnded`), and the connection closes with everything flushed;
        only with on_bad_frame "skip", and where the end of the bad frame can be found, it goes on.
        """
        over = isinstance(error, TruncatedMessage) or self._delivery.failed
        if not over:
            self._skipped += 1
            if self._skipped > 1:
                # A peer that sends nothing else must not fill the log: the rest of the read is counted.
                return
        action = "closing" if over else "skipping it"
        log.warn("{peer}: {error}; {action}", peer=self.peer, error=error, action=action)

    def messagesEnded(self) -> None:
        """No more messages come, and all that came were delivered. Called once, unless we close first.

        The peer has shut down its sending side, or sent a bad frame; or the server drains; or the connection is lost,
        and then nothing can be sent any more (`lossReason` says whether it was cut off).

        Closes the connection; override it to send more first, and call `loseConnection` when done.
        """
        self.loseConnection()

    def writingPaused(self) -> None:
        """The peer does not read: more than 64 KiB wait for it. Holds up reading from it."""
        self.holdReading("writing")

    def writingResumed(self) -> None:
        """The peer has read all that waited for it."""
        self.releaseReading("writing")

    # What a user calls.

    @property
    def peer(self) -> str:
        """The peer's address as text, behind the name of the named socket, if any: `orders 192.0.2.7:4711`."""
        address = format_address(self.transport.getPeer())
        return f"{self.socket} {address}" if self.socket else address

    @property
    def info(self) -> ConnectionInfo:
        """What is known of this connection now."""
        transport = self.transport
        return ConnectionInfo(
            id=self.id,
            socket=self.socket,
            peer=transport.getPeer(),
            local=self._local_address(),
            framing=self._delivery.framing,
            sending=self._encoder.framing,
            certificate=peer_certificate(transport),
            tls=agreed(transport),
            connected=self._since,
            established=self._established,
            messages_received=self._delivery.count,
            messages_sent=self._encoder.count,
            bytes_received=self._bytes_received,
            bytes_sent=self._bytes_sent,
            # From sockserve.proxy; a transport with TLS hands on what it does not have itself.
            proxy=getattr(transport, "proxy", None),
        )

    @property
    def closing(self) -> bool:
        """The connection is closing or closed: nothing is delivered any more, and nothing can be sent."""
        return self._ending.closing

    @property
    def sendingEnded(self) -> bool:
        """Nothing can be sent any more."""
        return self._ending.sending_ended

    @property
    def flushed(self) -> bool:
        """The connection is closing, and nothing is owed any more.

        Not while the peer goes on sending: the end of the process would reset the connection, and that could destroy
        what the peer has not read yet.
        """
        return self._ending.closing and self._ending.flushed and not self._talks_on

    @property
    def framingHasFailed(self) -> bool:
        """A bad frame has ended the incoming messages."""
        return self._delivery.failed

    @property
    def held(self) -> int:
        """Bytes that are held for this connection: received and not delivered, or not taken by the peer."""
        if not self.started:
            return 0
        return self._delivery.pending + self._encoder.size + unsent(self.transport)

    def callLater(self, seconds: float, function: Callable[[], object]) -> IDelayedCall:
        """Call `function` in so many seconds of this protocol's reactor; the same name as in TimeoutMixin."""
        return self._clock().callLater(seconds, function)

    def sendMessage(self, message: bytes) -> None:
        """Send one message. Raises FramingError, and sends nothing, when the framing cannot carry it.

        Does nothing once the connection is closing, or behind `endMessages`.
        """
        # `start` has put the encoder's own method in the place of this one: it is the way of every message.
        self._encoder.send(message)

    def sendMessages(self, messages: Iterable[bytes]) -> None:
        """Send several messages at once: all, or none when one of them raises FramingError."""
        self._encoder.send_all(messages)

    def endMessages(self) -> None:
        """Send no more messages: our end of stream follows what is owed, and reading goes on.

        What shutdown(SD_SEND) is in Winsock. Through Twisted's own TLS the peer sees it when the connection closes.
        """
        self._encoder.flush()
        self._encoder.close()
        self._ending.end_sending()

    def whenWritable(self) -> Deferred[None]:
        """Fires when the peer reads: at once, or when all that waits for it has gone, or when the connection ends."""
        return self._sending.when_writable()

    def setFraming(self, framing: Framing | str, *, incoming: bool = True, outgoing: bool = True) -> None:
        """Change the framing, of both directions or one of them. Raises ValueError for an unknown name.

        outgoing: from the next message that is sent.
        incoming: from the byte behind the message that is being delivered, even when more bytes of the same read are
        here already. Called elsewhere with part of a frame received, it takes effect behind that frame.
        """
        framing = as_framing(framing)
        if outgoing:
            self._encoder.framing = framing
        if incoming:
            self._delivery.set_framing(framing)

    def startTLS(
        self,
        context: TLSContext | object,
        server_hostname: str | None = None,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
    ) -> Deferred[None]:
        """Begin TLS now. What was sent before goes out in the clear, everything after it inside TLS.

        What the peer has sent in the clear and was not delivered yet is dropped: who stands between could have sent it.
        Nothing has to be waited for; what is sent at once leaves when the handshake is done. If that fails, there is a
        line in the log, and the connection is lost.

        context: an ssl.SSLContext, a TLSConfig (the server's side), a ClientTLS (the client's side), or what the
            startTLS of Twisted's transports takes.
        server_hostname: for the client's side, whom the certificate must be for.
        handshake_timeout: seconds; then the connection is aborted.

        Gives a Deferred that fires when the handshake is done or has failed. Raises ValueError for files that cannot be
        used, a name that is missing or can be nobody's, or when the connection is closing; TypeError for a context or
        a transport that cannot do this.
        """
        if self._ending.sending_ended or self._ending.peer_ended:
            raise ValueError("startTLS comes too late: one side has ended its stream")
        session = session_for(context, self.transport, server_hostname)
        self._encoder.flush()
        below = self.transport
        below.unregisterProducer()
        tls, done = begin(
            below,
            self,
            session,
            self._clock(),
            self.noteClosing,
            handshake_timeout=handshake_timeout,
            reading=self._reading,
            name=self.socket,
        )
        self.transport = cast("Connection", tls)
        self._delivery.discard(tls)
        self._ending.over()
        waiting, self._ending = self._sending, Ending(self.transport, self)
        self._sending = Sending(self.transport, self._ending, self)
        self.transport.registerProducer(self._sending, True)
        waiting.resumeProducing()
        return done

    def holdReading(self, reason: str) -> None:
        """Deliver no more messages and read no more, from the end of the message that is being delivered.

        Each reason holds for itself, until it is released.
        """
        if self._ending.closing or self._gone:
            return
        self._holds |= {reason}
        self._delivery.held = True
        self._delivery.interrupt()
        if not self._delivery.running:
            self._adjust_reading()

    def releaseReading(self, reason: str) -> None:
        """Undo holdReading for this reason. Messages that have arrived already are delivered before this returns."""
        if self._ending.closing or reason not in self._holds:
            return
        self._holds -= {reason}
        if self._holds:
            return
        self._delivery.held = False
        if not self._delivery.running:
            self._run()

    def pauseProducing(self) -> None:
        """Hold up reading, as Twisted names it."""
        self.holdReading("paused")

    def resumeProducing(self) -> None:
        """Undo pauseProducing."""
        self.releaseReading("paused")

    def stopProducing(self) -> None:
        """The same as loseConnection: the name that IPushProducer gives it."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Send what is owed, then close. Delivers no more messages.

        The connection is given up when the peer takes nothing for `close_timeout` seconds.
        """
        if not self._ending.closing:
            self._encoder.flush()
            self._stop()
            if not self._gone:
                self._ending.close()

    def drain(self) -> None:
        """Read no more, deliver what was read, send what is owed, then close: as if the peer ended its stream now.

        Does nothing when it has: that end is the one that counts, with the unfinished frame in front of it.
        """
        if self._draining or self._ending.closing or self._ending.peer_ended:
            return
        self._draining = True
        self._adjust_reading()
        if not self._delivery.held and not self._delivery.running:
            self._end()

    def abortConnection(self) -> None:
        """Close at once, without sending what is owed."""
        if not self._ending.closing:
            self._stop()
        self._encoder.drop()
        self.transport.abortConnection()

    def abortFor(self, limit: str, text: str) -> None:
        """Close at once because of a limit: say so in one line, `text` behind the peer's address, and count it."""
        self.noteClosing(limit, text)
        self.abortConnection()

    def noteClosing(self, limit: str, text: str) -> None:
        """Log in one line why this connection closes, and count it under the limit's name."""
        log.info("{peer}: {text}", peer=self.peer, text=text)
        self.countClosing(limit)

    def countClosing(self, limit: str) -> None:
        """Count, for the named socket, that this connection closes because of that limit."""
        if self.gate is not None:
            self.gate.count(limit)

    # What Twisted calls.

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast("Connection", mended(transport))
        self._since = datetime.now(UTC)
        if self.gate is None or self.gate.enter(self):
            self.start()

    def start(self) -> None:
        """Begin: `connectionMade`, then messages. Called by makeConnection, or by the gate that kept it waiting."""
        transport = self.transport
        framing = as_framing(self.framing)
        self.started = True
        # What changes with the first messages is here from the start: an attribute that many objects get late costs
        # each of them a dict of its own.
        self._bytes_received = self._bytes_sent = 0
        self._established = None
        self._holds = frozenset()
        self._reading = True
        self._local = transport.getHost()
        # It is asked behind every message, and found faster in an object than in its class.
        transport.disconnecting = transport.disconnecting
        self._delivery = Delivery(framing, self, transport)
        self._ending = Ending(transport, self)
        self._encoder = Encoder(framing, self._write)
        if type(self).sendMessage is MessageProtocol.sendMessage:
            self.sendMessage = self._encoder.send  # type: ignore[method-assign]
        self._sending = Sending(transport, self._ending, self)
        transport.registerProducer(self._sending, True)
        if self.idle_timeout is not None or self.frame_timeout is not None:
            watch_of(self._clock()).join(self)
        if self.memory is not None:
            self.memory.join(self)
        self.connected = 1
        self._call(self.connectionMade)
        if self._early:
            early, self._early = self._early, b""
            self.dataReceived(early)

    def dataReceived(self, data: bytes) -> None:
        if not self.started:
            self._early += data
            return
        self._bytes_received += len(data)
        if self.memory is not None:
            self.memory.grow(len(data))
        if self.log_traffic:
            log.info("{peer}: Bytes received: {count}", peer=self.peer, count=len(data))
        if self._ending.closing or self._end_told:
            self._talks_on = True
            return
        delivery = self._delivery
        delivery.receive(data)
        if delivery.held:
            self._adjust_reading()
        elif not delivery.running:
            self._run()

    def readConnectionLost(self) -> None:
        self._ending.peer_ended = True
        if self._ending.closing:
            self.transport.loseConnection()
        elif not self._delivery.held and not self._delivery.running:
            self._end()

    def writeConnectionLost(self) -> None:
        self._ending.flushed = True
        if self.gate is not None:
            self.gate.flushed(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.started:
            if not self._ending.closing:
                if not reason.check(ConnectionDone):
                    self.lossReason = _loss(reason)
                self._ending.peer_ended = True
                self._deliver_rest()
            if not self._ending.closing:
                self._stop()
            self._ending.over()
            self._sending.wake()
            if self.memory is not None:
                self.memory.leave(self)
            self._call(self.connectionOver)
        if self.gate is not None:
            self.gate.leave(self)

    def connectionOver(self) -> None:
        """The connection is lost; called before the gate may start another one."""

    def connectionEstablished(self) -> None:
        """The first message is about to be delivered."""
        self._established = datetime.now(UTC)
        if self.gate is not None:
            self.gate.established(self)

    # Receiving.

    def _run(self) -> None:
        """Deliver what was received; then send the answers."""
        delivery = self._delivery
        encoder = self._encoder
        encoder.batch = _BATCH_SIZE
        try:
            if not self._end_told:
                delivery.run()
        except Exception:
            self._callback_failed()
        if self._skipped:
            if self._skipped > 1:
                log.warn("{peer}: {count} more bad frames skipped", peer=self.peer, count=self._skipped - 1)
            self._skipped = 0
        if self.transport.disconnecting:
            self.loseConnection()
        encoder.flush()
        encoder.batch = 0
        if encoder.size:
            # From writingPaused.
            encoder.flush()
        if delivery.failed or ((self._ending.peer_ended or self._draining) and not delivery.held):
            self._end()
        self._adjust_reading()

    def _deliver_rest(self) -> None:
        """The connection is lost: deliver what had arrived before that, whatever held it up."""
        self._gone = True
        self._encoder.drop()
        self._encoder.close()
        self._holds = frozenset()
        self._delivery.held = False
        if not self._delivery.running:
            self._run()

    def _end(self) -> None:
        """The peer has ended its stream, or a bad frame has, and all messages are delivered: say so, once."""
        if self._end_told:
            return
        self._end_told = True
        if self._delivery.failed:
            self.countClosing("on_bad_frame")
        try:
            if not self._draining and not self._delivery.failed:
                self._delivery.finish()
            if not self._ending.closing:
                self.messagesEnded()
        except Exception:
            self._callback_failed()

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            self._callback_failed()

    def _callback_failed(self) -> None:
        log.failure("{peer}: {protocol} failed; closing", peer=self.peer, protocol=type(self).__name__)
        self.countClosing("handler")
        self.loseConnection()

    def _adjust_reading(self) -> None:
        wanted = not self._holds and not self._draining and not self._delivery.failed
        if not wanted and handshaking(self.transport):
            # What comes after it is held up.
            return
        ending = self._ending
        if wanted != self._reading and not ending.closing and not ending.peer_ended and not self._gone:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _local_address(self) -> IAddress:
        try:
            return cast("IAddress", self.transport.getHost())
        except AttributeError:
            # Twisted's sockets forget it when the connection is lost.
            return self._local

    # Sending and closing.

    def _write(self, data: bytes) -> None:
        self._bytes_sent += len(data)
        if self.log_traffic:
            log.info("{peer}: Bytes sent: {count}", peer=self.peer, count=len(data))
        if self._encoder.batch:
            self._sending.write(data)
        else:
            # Many messages that a program sends one by one are one write of the transport's.
            self.transport.write(data)
        if self.memory is not None:
            # Behind the write: it may let delivery go on, and the answers must not overtake this.
            self.memory.grow(len(data))

    def _stop(self) -> None:
        """Deliver nothing more."""
        if self.log_traffic:
            log.info("{peer}: Connection closing...", peer=self.peer)
        self._ending.stop()
        self._delivery.drop()
        self._encoder.close()
        self._sending.wake()
        if self.idle_timeout is not None or self.frame_timeout is not None:
            watch_of(self._clock()).leave(self)

    def _clock(self) -> IReactorTime:
        if self.reactor is None:
            from twisted.internet import reactor

            self.reactor = cast("IReactorTime", reactor)
        return self.reactor

    # Time limits; see sockserve.limits.timeouts and sockserve.connection.closing.

    @property
    def progress(self) -> int:
        """Bytes that came, and bytes that the peer has taken."""
        return self._bytes_received + self.taken

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken."""
        return self._bytes_sent - untaken(self.transport)

    @property
    def unfinished(self) -> int | None:
        """The number of the frame that is received in part; None: there is none, or we do not read."""
        waits = self._delivery.partial and not self._delivery.held and not self._end_told
        return self._delivery.count if waits else None

    def closeTimedOut(self) -> None:
        """For close_timeout seconds the peer has taken nothing of what is owed at the end."""
        seconds = self.close_timeout
        self.abortFor(
            "close_timeout", f"aborted, it has read nothing of what was owed for {seconds:g} seconds (close_timeout)"
        )

    def timedOut(self, limit: Limit) -> None:
        """A time limit was exceeded."""
        if limit == "idle_timeout":
            self.noteClosing(limit, f"idle for {self.idle_timeout:g} seconds (idle_timeout); closing")
            self.loseConnection()
        else:
            self.noteClosing(
                limit, f"a frame was not complete within {self.frame_timeout:g} seconds (frame_timeout); closing"
            )
            self.drain()


def _loss(reason: Failure) -> ConnectionLost:
    """A ConnectionLost of this connection's own: Twisted has one for all."""
    if isinstance(reason.value, ConnectionLost):
        return ConnectionLost(*reason.value.args)
    return ConnectionLost(reason.getErrorMessage())
