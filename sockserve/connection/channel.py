"""The pull side of a connection: a channel to read from and write to, and the protocol behind it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, Self, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger

from sockserve.connection.awaited import Awaited
from sockserve.connection.coroutine import awaitable
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError, TruncatedMessage
from sockserve.limits.memory import OBJECT

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.connection.info import ConnectionInfo
    from sockserve.framing import Framing
    from sockserve.tls.starting import TLSContext

log = Logger()

# The reason why reading is held while no read waits.
_READER = "reader"


class ReadTimeout(TimeoutError):
    """No message arrived within the read's timeout. Nothing is lost: the next read waits for the same message.

    seconds: that time.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"no message within {self.seconds} seconds"


class ChannelClosed(Exception):
    """The channel was closed, by us or by the peer, between two messages. __cause__: the bad frame that led to it."""


class Connection(Protocol):
    """What a channel needs of the protocol below it: a MessageProtocol, or the sender of a datagram."""

    @property
    def id(self) -> int: ...

    @property
    def lossReason(self) -> ConnectionLost | None: ...

    @property
    def peer(self) -> str: ...

    @property
    def info(self) -> ConnectionInfo: ...

    @property
    def closing(self) -> bool: ...

    @property
    def queued(self) -> int: ...

    @property
    def sendingEnded(self) -> bool: ...

    def sendMessage(self, message: bytes) -> None: ...

    def whenWritable(self) -> Deferred[None]: ...

    def setFraming(self, framing: Framing | str, *, incoming: bool = True, outgoing: bool = True) -> None: ...

    def endMessages(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


class Channel:
    """One connection, to read messages from and write messages to.

    Only the channel of a conversation or of `connect` can be read; the messages of other channels go to their handler.
    All other methods work on every channel, from anywhere in the program (in the reactor's thread).
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Connection) -> None:
        self._protocol = protocol

    def __repr__(self) -> str:
        return f"<Channel {self._protocol.id} {self._protocol.peer}>"

    @property
    def id(self) -> int:
        """The connection's number within its named socket, from 1; 0 outside one."""
        return self._protocol.id

    @property
    def info(self) -> ConnectionInfo:
        """What is known of the connection now, even after its end."""
        return self._protocol.info

    @property
    def closed(self) -> bool:
        """Whether the connection is closing or closed."""
        return self._protocol.closing

    @property
    def queued(self) -> int:
        """Bytes that wait, in this process, for the peer to take them; the kernel has more."""
        return self._protocol.queued

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            # As in read: one coroutine less is a quarter of what a message costs.
            protocol = self._readable()
            message = None if protocol.readers else protocol._engineReading.take(_READER)
            return await awaitable(protocol.read()) if message is None else message
        except ChannelClosed:
            raise StopAsyncIteration from None

    async def read(self, timeout: float | None = None) -> bytes:
        """The next message.

        timeout: the most seconds to wait; None: as long as the connection lasts.

        Returns the message, or raises exactly one of: ReadTimeout, ChannelClosed (the end of the stream, or closed by
        us), twisted.internet.error.ConnectionLost, or TruncatedMessage (the stream ended inside a frame; the next read
        raises ChannelClosed). If cancelled or timed out, it has taken nothing. Messages that nobody reads stay with the
        peer: at most one read of the socket is kept here.
        """
        protocol = self._readable()
        message = None if protocol.readers else protocol._engineReading.take(_READER)
        return await awaitable(protocol.read(timeout)) if message is None else message

    def _readable(self) -> ReadProtocol:
        protocol = self._protocol
        if isinstance(protocol, ReadProtocol):
            return protocol
        raise TypeError("the messages of this channel go to its handler: only a conversation can read")

    async def write(self, message: bytes) -> None:
        """Send one message; waits while the peer does not read. If each write is awaited, none raises QueueFull.

        Raises FramingError for a message that the framing cannot carry, ChannelClosed when the channel was closed or
        ended, and twisted.internet.error.ConnectionLost when the connection is gone.
        """
        try:
            self.send(message)
        finally:
            # The coroutine waits, and a traceback lasts, for longer than the message is needed.
            del message
        protocol = self._protocol
        if isinstance(protocol, MessageProtocol) and not protocol._engine.sending.blocked:
            return
        await awaitable(protocol.whenWritable())

    def send(self, message: bytes) -> None:
        """Send one message without waiting; raises what `write` raises. What the peer does not read is kept here.

        Raises QueueFull, and keeps nothing, when the peer does not read and more than max_queued bytes would wait.
        """
        protocol = self._protocol
        if protocol.sendingEnded:
            # For the traceback, as in `write`.
            del message
            if protocol.lossReason is not None:
                # Raised many times, it would collect the tracebacks of all of them.
                raise protocol.lossReason.with_traceback(None)
            raise ChannelClosed("nothing can be written: this side has ended or closed the connection")
        protocol.sendMessage(message)

    def set_framing(self, framing: Framing | str, *, incoming: bool = True, outgoing: bool = True) -> None:
        """Change the framing from the next message on, even if its bytes have already arrived.

        Raises ValueError for an unknown name. See MessageProtocol.setFraming.
        """
        self._protocol.setFraming(framing, incoming=incoming, outgoing=outgoing)

    def start_tls(self, context: TLSContext | object, server_hostname: str | None = None) -> Deferred[None]:
        """Begin TLS now; see MessageProtocol.startTLS. What is read and written after this is inside TLS.

        Nothing has to be waited for; the Deferred fires when the handshake is done or has failed, and `read` and
        `write` tell of a failure.
        """
        protocol = self._protocol
        if not isinstance(protocol, MessageProtocol):
            raise TypeError("datagrams have no TLS")
        return protocol.startTLS(context, server_hostname)

    def end(self) -> None:
        """Send no more messages; reading goes on. The peer sees the end of the stream after what is owed."""
        self._protocol.endMessages()

    def close(self) -> None:
        """Send what is owed, then close. Gives up if the peer takes nothing for close_timeout seconds."""
        self._protocol.loseConnection()

    def abort(self) -> None:
        """Close at once; what is owed is lost."""
        self._protocol.abortConnection()


class ReadProtocol(MessageProtocol):
    """Keeps its messages until they are read, and reads from the socket only when a read waits.

    readers: the reads that wait.
    """

    # Messages that arrived when no read waited for them; None: there has been none.
    _left: deque[bytes] | None = None
    # Bytes of memory that the messages take that had arrived before the connection was lost.
    _kept = 0

    def connectionMade(self) -> None:
        # As a rule one: an empty deque takes twelve times as much memory.
        self.readers: list[Awaited[bytes]] = []
        # What the next read raises, and what all later ones raise.
        self._error: Exception | None = None
        self._ended_with: Exception | None = None
        self._engine.receiving.decode_little()
        self.holdReading(_READER)

    def read(self, timeout: float | None = None) -> Deferred[bytes]:
        """The next message; see Channel.read."""
        if self._left:
            return succeed(self._take_left(self._left))
        error = self._error or self._ended_with
        if error is not None:
            self._error = None
            return fail(error.with_traceback(None))
        reading: Awaited[bytes] = Awaited(self._forget)
        self.readers.append(reading)
        if self._engine.receiving.held:
            self.releaseReading(_READER)
        if timeout is not None and not reading.called:
            reading.alone = False
            reading.addTimeout(timeout, cast("IReactorTime", self), _timed_out)
        return reading

    def messageReceived(self, message: bytes) -> None:
        if not self.readers:
            if self._left is None:
                self._left = deque()
            self._left.append(message)
            return
        self.readers.pop(0).give(message)
        if not self.readers:
            # Most readers have read again by now, and nothing is to be held.
            self.holdReading(_READER)

    def framingFailed(self, error: FramingError) -> None:
        if isinstance(error, TruncatedMessage):
            self._error = error
            self._tell_one_reader()
        else:
            super().framingFailed(error)
            if self._engine.receiving.failed:
                self._finish_reading(ChannelClosed("the peer sent a bad frame"), error)

    def messagesEnded(self) -> None:
        self._finish_reading(self.lossReason or ChannelClosed("the peer has ended its stream"))

    def loseConnection(self) -> None:
        super().loseConnection()
        self._finish_reading(ChannelClosed("this side has closed the connection"))

    def abortConnection(self) -> None:
        super().abortConnection()
        self._finish_reading(ChannelClosed("this side has closed the connection"))

    def _connectionOver(self) -> None:
        self._finish_reading(self.lossReason or ChannelClosed("the connection is closed"))
        memory = self._engine.options.memory
        if self._left and memory is not None:
            self._kept = OBJECT * len(self._left) + sum(map(len, self._left))
            memory.join(self._engine)
            memory.grow(self._kept, self._engine)

    @property
    def keptBytes(self) -> int:
        return self._kept

    def _dropKept(self) -> None:
        if self._left:
            # A reader must not take this for the end of the stream.
            self._error, self._ended_with = None, ConnectionLost("what had arrived was dropped (memory_budget)")
        self.forget()

    def forget(self) -> None:
        """Drop the messages that nobody is going to read."""
        self._left = None
        self._leave()

    def _take_left(self, left: deque[bytes]) -> bytes:
        message = left.popleft()
        if self._kept:
            self._kept -= OBJECT + len(message)
            if not left:
                self._leave()
        return message

    def _leave(self) -> None:
        """Nothing is left of a connection that is lost."""
        self._kept = 0
        memory = self._engine.options.memory
        if self._engine.over and memory is not None:
            memory.leave(self._engine)

    def writingPaused(self) -> None:
        """The peer does not read. It can still be read from: only `Channel.write` waits."""

    def writingResumed(self) -> None:
        """Nothing was held."""

    def _forget(self, reading: Deferred[bytes]) -> None:
        """A read was cancelled."""
        self.readers.remove(cast("Awaited[bytes]", reading))
        if not self.readers:
            self.holdReading(_READER)

    def _tell_one_reader(self) -> None:
        if self.readers and self._error is not None:
            error, self._error = self._error, None
            self.readers.pop(0).errback(error)

    def _finish_reading(self, end: Exception, cause: Exception | None = None) -> None:
        if self._ended_with is None:
            end.__cause__ = cause
            self._ended_with = end
        self._tell_one_reader()
        while self.readers:
            self.readers.pop(0).errback(self._ended_with)


def _timed_out(_: object, seconds: float) -> bytes:
    raise ReadTimeout(seconds)
