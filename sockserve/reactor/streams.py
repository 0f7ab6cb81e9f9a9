"""Twisted's transports of TCP and unix sockets, read through uvloop's streams.

What a transport is to a protocol stays Twisted's: buffers, producers, half-close, TLS, addresses and errors. Only the
poller is replaced. uvloop's stream reads, and calls `data_received`. What is written is sent by the socket itself, at
the end of that call, or of a turn of the loop. What the kernel does not take then is handed to the stream, a piece at a
time, and the stream says when it has sent that.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from errno import EAGAIN, ENOBUFS, EWOULDBLOCK
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.main import CONNECTION_LOST
from twisted.python import log

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from twisted.python.failure import Failure

    from sockserve.reactor.loop import UvloopReactor

# The kernel takes nothing now.
_FULL: Final = (EAGAIN, EWOULDBLOCK, ENOBUFS)
# Bytes that a stream is handed, as a copy: an aborted one keeps them until the loop's next turn. It has sent them when
# the kernel has room again, which is for far more.
_PIECE: Final = 8 * 1024
# Bytes of a read that has filled uvloop's buffer. There may be more, and libuv would read on at once, up to 32 times,
# before the loop comes to anything else.
_WHOLE: Final = 256_000
# Seconds until descriptors that wait for a peer that does not read are tried again: streams cannot send them.
_AGAIN: Final = 0.01


class Writing(Enum):
    """What happens to the bytes that wait to be sent."""

    NOTHING = 0
    SOON = 1
    """The socket sends them at the end of this call, or turn of the loop."""
    HANDED = 2
    """The stream sends some, and says when it has."""


_NOTHING: Final = Writing.NOTHING
_SOON: Final = Writing.SOON
_HANDED: Final = Writing.HANDED


class Stream(tcp.Connection):
    """What a transport does instead of asking a poller. It is the asyncio.Protocol of its stream.

    unread: what the stream has read although reading was paused: it begins by itself, once. The protocol gets it when
    reading is resumed.
    """

    reactor: UvloopReactor
    # Bytes of one write: a turn of the loop has one, and costs more than with Twisted's pollers.
    SEND_LIMIT = 256 * 1024
    unread = b""
    # Whether a stream reads, not the poller.
    _streams = True
    _stream: asyncio.Transport | None = None
    # Set until the loop has opened the stream.
    _opening: Coroutine[Any, Any, object] | None = None
    _reading = False
    _writing = _NOTHING
    # Bytes.
    _handed = 0
    # Descriptors that wait to be sent, over a unix socket.
    _sendmsgQueue: list[int] = []

    @property
    def writes(self) -> bool:
        """Whether something waits to be sent."""
        return self._writing is not _NOTHING

    # For Twisted.

    def startReading(self) -> None:
        if not self._streams:
            super().startReading()
            return
        if self._aborting or self.disconnected:
            # Twisted has put a doRead in its place that does nothing; and the socket may be gone.
            return
        self._reading = True
        self.reactor.reading.add(self)
        if self.unread:
            self.reactor.loop.call_soon(self._read_on)
        elif self._stream is None:
            # Not before the end of what goes on now: the program may pause it, or give the socket away.
            self.reactor.loop.call_soon(self._open)
        else:
            self._stream.resume_reading()

    def stopReading(self) -> None:
        if not self._streams:
            super().stopReading()
            return
        self._reading = False
        self.reactor.reading.discard(self)
        if self._stream is not None:
            self._stream.pause_reading()

    def startWriting(self) -> None:
        if not self._streams:
            super().startWriting()
        elif self._writing is _NOTHING:
            self._writing = _SOON
            if self.reactor.serving is not self:
                self.reactor.writeSoon(self)

    def stopWriting(self) -> None:
        if not self._streams:
            super().stopWriting()
        elif self._writing is _SOON:
            self._writing = _NOTHING

    def connectionLost(self, reason: Failure) -> None:
        self.stopReading()
        self._writing = _NOTHING
        self.reactor.handed.discard(self)
        self.unread = b""
        # Before the protocol learns of it: it closes the descriptor in the next turn of the loop.
        self.dropStream()
        super().connectionLost(reason)

    def dropStream(self) -> None:
        """Close the stream and its descriptor, and leave the connection as it is."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()

    def _open(self) -> None:
        wanted = self._reading or self._writing is _HANDED
        if wanted and self._stream is None and self._opening is None:
            delays = not self.getTcpNoDelay()
            self._opening = self.reactor.loop.connect_accepted_socket(
                lambda: cast("asyncio.Protocol", self), self.socket
            )
            # Up to where it waits for connection_made; a task would begin in the next turn only.
            self._opening.send(None)
            if delays:
                # uvloop has set it.
                self.setTcpNoDelay(False)

    # For the loop: an asyncio.Protocol.

    def connection_made(self, stream: asyncio.Transport) -> None:
        self.reactor.loop.call_soon(self._opened)
        if self.disconnected:
            stream.abort()
            return
        self._stream = stream
        # So that it says when it has sent all that it was handed.
        stream.set_write_buffer_limits(0)
        if self._writing is _HANDED:
            self._hand()

    def _opened(self) -> None:
        opening, self._opening = self._opening, None
        assert opening is not None
        with suppress(StopIteration):
            opening.send(None)
        if self._stream is not None and not self._reading:
            self._stream.pause_reading()

    def data_received(self, data: bytes) -> None:
        if not self._reading:
            self.unread += data
            # This was all; what comes next waits in the kernel, behind this.
            self.stopReading()
            return
        reactor = self.reactor
        before = reactor.serving
        reactor.serving = self
        try:
            self.protocol.dataReceived(data)
            if self._writing is _SOON:
                self._write()
        except BaseException as error:
            log.err()
            self._lose(error)
        finally:
            reactor.serving = before
        if len(data) >= _WHOLE and self._reading and self._stream is not None:
            self._stream.pause_reading()
            reactor.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._reading and self.unread:
            data, self.unread = self.unread, b""
            self.data_received(data)
        if self._reading and self._stream is not None:
            self._stream.resume_reading()

    def eof_received(self) -> bool:
        # If reading was paused, it comes again.
        if self._reading:
            self.reactor.runFor(self, self._end)
        # The stream stays, for writing.
        return True

    def _end(self) -> None:
        # It says what has happened: the peer's end, or an error that another call has met.
        why = self.doRead()
        if why:
            self._lose(why, reading=True)
        if self._writing is _SOON:
            self._write()

    def pause_writing(self) -> None:
        """It is handed no more until it has sent what it has."""

    def resume_writing(self) -> None:
        if self._writing is _HANDED:
            self._sent()

    def connection_lost(self, error: Exception | None) -> None:
        """error: what the stream has met; None: it was closed."""
        self._stream = None
        if not self.disconnected:
            self.reactor.runFor(self, self._lose, CONNECTION_LOST)

    # Writing.

    def writeNow(self) -> None:
        """What the reactor calls after `writeSoon`."""
        if self._writing is _SOON:
            self.reactor.runFor(self, self._write)

    def write(self, data: bytes) -> None:
        """The same as Twisted's, with fewer calls where that is all there is to do."""
        if self.TLS or self.producer is not None or type(data) is not bytes:
            super().write(data)
        elif data and self.connected and not self._writeDisconnected:
            self._tempDataBuffer.append(data)
            self._tempDataLen += len(data)
            if self._writing is _NOTHING:
                self.startWriting()

    def _write(self) -> None:
        self._writing = _NOTHING
        if not self._write_all():
            self._do_write()

    def _write_all(self) -> bool:
        """What `doWrite` does where all that it does is to send. False: it is for doWrite to do."""
        waiting = self._tempDataBuffer
        if (
            self.dataBuffer
            or not waiting
            or self._tempDataLen > self.SEND_LIMIT
            or self.producer is not None
            or self.disconnecting
            or self._writeDisconnecting
            or self._sendmsgQueue
            # Not a look into __dict__ for a doWrite of its own: Python is slower on all attributes after that.
            or self._aborting
        ):
            return False
        data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        try:
            sent = self.socket.send(data)
        except OSError as error:
            if error.errno not in _FULL:
                self._lose(CONNECTION_LOST)
                return True
            sent = 0
        self._tempDataBuffer = []
        self._tempDataLen = 0
        if sent < len(data):
            self.dataBuffer, self.offset = data, sent
            self._writing = _HANDED
            self._hand()
        return True

    def _do_write(self) -> None:
        if self.disconnected:
            return
        try:
            why = self.doWrite()
        except BaseException as error:
            log.err()
            why = error
        if why:
            self._lose(why)
        elif not self.connected:
            return
        elif self._writing is _SOON:
            # There is more from a producer.
            self.reactor.writeSoon(self)
        elif self.offset < len(self.dataBuffer):
            self._writing = _HANDED
            self._hand()
        elif self._tempDataLen:
            self._writing = _SOON
            self.reactor.writeSoon(self)

    def _hand(self) -> None:
        """Hand the stream the next piece."""
        self.reactor.handed.add(self)
        if self._stream is None:
            # Once it is open.
            self._open()
            return
        piece = bytes(memoryview(self.dataBuffer)[self.offset : self.offset + _PIECE])
        self._handed = len(piece)
        self._stream.write(piece)
        if not self._stream.get_write_buffer_size():
            self._sent()

    def _sent(self) -> None:
        """The stream has sent what it was handed, unless that was given up meanwhile."""
        self.offset = min(self.offset + self._handed, len(self.dataBuffer))
        self.reactor.handed.discard(self)
        self._writing = _SOON
        self.reactor.writeSoon(self)

    def _lose(self, why: BaseException, *, reading: bool = False) -> None:
        try:
            self.reactor._disconnectSelectable(self, why, reading)
        except BaseException:
            log.err()


class Server(Stream, tcp.Server):
    """An accepted TCP connection."""


class ClientStream(Stream, tcp.BaseClient):
    """A connection of our own. The poller connects it."""

    _streams = False

    def _connectDone(self) -> None:
        self._streams = True
        super()._connectDone()


class Client(ClientStream, tcp.Client):
    """A TCP connection of our own."""


class UnixStream(Stream):
    """With Twisted's poller where a protocol wants descriptors: a stream does not receive any."""

    def startReading(self) -> None:
        # A stream that is open cannot leave the descriptor to the poller.
        if self._stream is None and self._opening is None and IFileDescriptorReceiver.providedBy(self.protocol):
            self._streams = False
        super().startReading()

    def _hand(self) -> None:
        if self._sendmsgQueue:
            self.reactor.loop.call_later(_AGAIN, self._again)
        else:
            super()._hand()

    def _again(self) -> None:
        if self._writing is _HANDED:
            self._handed = 0
            self._sent()


class UnixServer(UnixStream, unix.Server):
    """An accepted connection of a unix socket."""


class UnixClient(UnixStream, ClientStream, unix.Client):
    """A connection of our own to a unix socket."""
