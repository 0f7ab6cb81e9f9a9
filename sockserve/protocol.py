"""One framing on one connection: MessageProtocol, the factory that makes them, and Echo.

The way of a message: dataReceived -> Delivery -> messagesReceived -> messageReceived, yours; sendMessage -> framing ->
transport. Frames sent while messages are being delivered leave as one write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from zope.interface import implementer

from sockserve.address import format_address
from sockserve.delivery import Delivery
from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError, TruncatedMessage
from sockserve.halfclose import can_half_close, peer_has_ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITransport
    from twisted.internet.tcp import Connection
    from twisted.python.failure import Failure

log = Logger()

# Who wants reading to pause.
_BY_USER, _BY_TRANSPORT = 1, 2

# Bytes of answers to one read that may wait for its end.
_BATCH_SIZE = 256 * 1024


@lru_cache(maxsize=64)
def _parsed(name: str) -> Framing:
    return parse(name)


def as_framing(framing: Framing | str) -> Framing:
    """A framing given as a value or by its name. Raises ValueError for an unknown name."""
    return _parsed(framing) if isinstance(framing, str) else framing


@implementer(IHalfCloseableProtocol)
class MessageProtocol(Protocol):
    """Messages over one connection, either side of it.

    Subclass it, override `messageReceived`, call `sendMessage`. Use it with MessageFactory; or set `framing` in the
    class and use it with any Twisted factory. Write with `sendMessage` only: `transport.write` would overtake it. A
    subclass that overrides `makeConnection` or `connectionLost` must call these here too.

    Reading pauses by itself while the peer does not read what we send. When the peer has shut down its sending side,
    everything owed is still sent before the connection closes.

    framing: a Framing or its name, see sockserve.framing.parse.
    close_timeout: seconds that a close may take; a peer that has not read by then is aborted.
    log_traffic: log the number of bytes of every read and write.
    reactor: the clock for close_timeout; None: the global reactor.
    """

    framing: Framing | str = "raw"
    close_timeout: float = 10.0
    log_traffic: bool = False
    reactor: IReactorTime | None = None

    transport: Connection

    # State. Defaults in the class keep an idle connection small.
    _delivery: Delivery
    _outgoing: Framing
    # Who holds up reading: _BY_USER, _BY_TRANSPORT.
    _paused = 0
    # Frames that wait for the end of the delivery, and their bytes.
    _frames: list[bytes]
    _frames_size = 0
    # The peer has ended its stream; messagesEnded was called.
    _peer_ended = False
    _end_told = False
    _closing = False
    # Our end of the stream is with the kernel, and all before it.
    _write_ended = False
    _close_deadline: IDelayedCall | None = None
    _stall_check: IDelayedCall | None = None

    # What a user overrides.

    def messageReceived(self, message: bytes) -> None:
        """One message has arrived. An exception raised here is logged and closes this connection."""
        raise NotImplementedError(f"{type(self).__name__} must override messageReceived")

    def messagesReceived(self, messages: list[bytes]) -> None:
        """All messages that one read has completed; calls messageReceived for each.

        Override it to take them at once. A change of framing, a pause or a close then takes effect behind the last.
        """
        self._delivery.deliver_each(messages)

    def framingFailed(self, error: FramingError) -> None:
        """The peer sent a bad frame, or ended its stream inside one. Logs it in one line.

        When this returns, the connection is closed with everything flushed; only with on_bad_frame "skip", and where
        the end of the bad frame can be found, it goes on.
        """
        over = isinstance(error, TruncatedMessage) or self._delivery.failed
        action = "closing" if over else "skipping it"
        log.warn("{peer}: {error}; {action}", peer=self.peer, error=error, action=action)

    def messagesEnded(self) -> None:
        """The peer has shut down its sending side, and all its messages were delivered.

        Closes the connection; override it to send more first, and call `loseConnection` when done.
        """
        self.loseConnection()

    # What a user calls.

    @property
    def peer(self) -> str:
        """The peer's address, as text."""
        return format_address(self.transport.getPeer())

    def sendMessage(self, message: bytes) -> None:
        """Send one message. Raises FramingError, and sends nothing, when the framing cannot carry it.

        Does nothing once the connection is closing.
        """
        self._send(self._outgoing.encode(message))

    def sendMessages(self, messages: Iterable[bytes]) -> None:
        """Send several messages at once: all, or none when one of them raises FramingError."""
        self._send(self._outgoing.encode_all(messages))

    def setFraming(self, framing: Framing | str, *, incoming: bool = True, outgoing: bool = True) -> None:
        """Change the framing, of both directions or one of them. Raises ValueError for an unknown name.

        outgoing: from the next message that is sent.
        incoming: from the byte behind the message that is being delivered, even when more bytes of the same read are
        here already. Called elsewhere with part of a frame received, it takes effect behind that frame.
        """
        framing = as_framing(framing)
        if outgoing:
            self._outgoing = framing
        if incoming:
            self._delivery.set_framing(framing)

    def pauseProducing(self) -> None:
        """Deliver no more messages and stop reading, from the end of the message that is being delivered."""
        self._pause(_BY_USER)

    def resumeProducing(self) -> None:
        """Undo pauseProducing. Messages that have arrived already are delivered before this returns."""
        self._resume(_BY_USER)

    def stopProducing(self) -> None:
        """The same as loseConnection: the name that IPushProducer gives it."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Send what is owed, then close. Delivers no more messages.

        Unless the peer has ended its stream, our end of stream goes out first and what the peer still sends is read
        and dropped: closing with bytes unread would reset the connection and could destroy what was sent last.
        After `close_timeout` seconds the connection is given up.
        """
        if self._closing:
            return
        self._flush()
        self._stop_delivery()
        transport = self.transport
        transport.unregisterProducer()
        self._close_deadline = self._call_later(self._give_up)
        if self._peer_ended or not can_half_close(transport):
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
            transport.resumeProducing()

    def abortConnection(self) -> None:
        """Close at once, without sending what is owed."""
        if not self._closing:
            self._stop_delivery()
        self._frames.clear()
        self.transport.abortConnection()

    # What Twisted calls.

    def makeConnection(self, transport: ITransport) -> None:
        framing = as_framing(self.framing)
        self._outgoing = framing
        self._delivery = Delivery(framing, self, cast("Connection", transport))
        self._frames = []
        cast("Connection", transport).registerProducer(_BackPressure(self), True)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        if self.log_traffic:
            log.info("{peer}: Bytes received: {count}", peer=self.peer, count=len(data))
        if self._closing:
            return
        delivery = self._delivery
        delivery.receive(data)
        if not delivery.held and not delivery.running:
            self._run()

    def readConnectionLost(self) -> None:
        self._peer_ended = True
        if self._closing:
            self.transport.loseConnection()
        elif not self._paused and not self._delivery.running:
            self._end()

    def writeConnectionLost(self) -> None:
        self._write_ended = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._closing:
            self._stop_delivery()
            if not self._peer_ended:
                self._delivery.finish()
        for call in (self._close_deadline, self._stall_check):
            if call is not None and call.active():
                call.cancel()
        self._close_deadline = self._stall_check = None

    # Receiving.

    def _run(self) -> None:
        """Deliver what was received; then send the answers."""
        delivery = self._delivery
        try:
            delivery.run()
        except Exception:
            self._callback_failed()
        if delivery.failed or self.transport.disconnecting:
            self.loseConnection()
        self._flush()
        if self._peer_ended and not self._paused and not self._closing:
            self._end()

    def _end(self) -> None:
        """The peer has ended its stream and all its messages are delivered: say so, once."""
        if self._end_told:
            return
        self._end_told = True
        try:
            self._delivery.finish()
            if not self._closing:
                self.messagesEnded()
        except Exception:
            self._callback_failed()

    def _callback_failed(self) -> None:
        log.failure("{protocol} failed; closing {peer}", protocol=type(self).__name__, peer=self.peer)
        self.loseConnection()

    def _pause(self, reason: int) -> None:
        if self._closing:
            return
        if not self._paused:
            self._delivery.held = True
            self._delivery.interrupt()
            self.transport.pauseProducing()
        self._paused |= reason

    def _resume(self, reason: int) -> None:
        if self._closing or not self._paused & reason:
            return
        self._paused &= ~reason
        if self._paused:
            return
        self._delivery.held = False
        if not self._delivery.running:
            self._run()
        if not self._paused and not self._closing and not self._peer_ended:
            self.transport.resumeProducing()

    # Sending and closing.

    def _send(self, frames: bytes) -> None:
        if self._closing:
            return
        if self._delivery.running:
            self._frames.append(frames)
            self._frames_size += len(frames)
            if self._frames_size > _BATCH_SIZE:
                self._flush()
        else:
            self._write(frames)

    def _flush(self) -> None:
        if self._frames:
            frames = b"".join(self._frames)
            self._frames.clear()
            self._frames_size = 0
            self._write(frames)

    def _write(self, data: bytes) -> None:
        if self.log_traffic:
            log.info("{peer}: Bytes sent: {count}", peer=self.peer, count=len(data))
        self.transport.write(data)

    def _stop_delivery(self) -> None:
        if self.log_traffic:
            log.info("{peer}: Connection closing...", peer=self.peer)
        self._closing = True
        self._delivery.drop()

    def _give_up(self) -> None:
        if self._write_ended:
            # All is with the kernel, which goes on delivering it.
            self.transport.loseConnection()
        else:
            log.info(
                "{peer}: aborted, it has not read what was owed within {seconds} seconds (close_timeout)",
                peer=self.peer,
                seconds=self.close_timeout,
            )
            self.abortConnection()

    def _check_stall(self) -> None:
        """The peer has perhaps not read for close_timeout seconds. If it has ended its stream too, it is closing."""
        self._stall_check = None
        if self._closing or not self._paused & _BY_TRANSPORT:
            return
        if peer_has_ended(self.transport):
            self._give_up()
        else:
            self._stall_check = self._call_later(self._check_stall)

    def _call_later(self, function: Callable[[], None]) -> IDelayedCall:
        if self.reactor is None:
            from twisted.internet import reactor

            self.reactor = cast("IReactorTime", reactor)
        return self.reactor.callLater(self.close_timeout, function)


@implementer(IPushProducer)
class _BackPressure:
    """Told by the transport that the peer does not read, or reads again."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: MessageProtocol) -> None:
        self._protocol = protocol

    def pauseProducing(self) -> None:
        protocol = self._protocol
        protocol._pause(_BY_TRANSPORT)
        if protocol._stall_check is None:
            protocol._stall_check = protocol._call_later(protocol._check_stall)

    def resumeProducing(self) -> None:
        self._protocol._resume(_BY_TRANSPORT)

    def stopProducing(self) -> None:
        """The connection is lost; connectionLost tells the protocol."""


class MessageFactory(Factory[MessageProtocol]):
    """Makes protocols that share a framing, for either side of a connection.

    framing: a Framing or its name; raises ValueError for an unknown name.
    protocol: a MessageProtocol subclass, or anything that returns one when called without arguments.
    close_timeout: seconds; None: what the protocol class says.
    log_traffic: log the number of bytes of every read and write.
    """

    noisy = False

    def __init__(
        self,
        framing: Framing | str,
        protocol: Callable[[], MessageProtocol],
        *,
        close_timeout: float | None = None,
        log_traffic: bool = False,
    ) -> None:
        self.framing = as_framing(framing)
        self._make = protocol
        self.close_timeout = close_timeout
        self.log_traffic = log_traffic

    def buildProtocol(self, addr: IAddress | None) -> MessageProtocol:
        protocol = self._make()
        protocol.factory = self
        protocol.framing = self.framing
        if self.close_timeout is not None:
            protocol.close_timeout = self.close_timeout
        if self.log_traffic:
            protocol.log_traffic = True
        return protocol


class Echo(MessageProtocol):
    """Sends every message back. Over raw: every byte, as RFC 862 and the Winsock sample server do."""

    def messagesReceived(self, messages: list[bytes]) -> None:
        self.sendMessages(messages)
