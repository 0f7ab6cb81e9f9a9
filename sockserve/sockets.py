"""Sockets of Twisted's, below all layers: to find them, to read on, and to write without the poller where possible.

Twisted has no public way for it, so its private parts are touched here, and only here where TLS is concerned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from errno import EAGAIN, ENOBUFS, EWOULDBLOCK
from functools import partial
from socket import SO_ERROR, SOL_SOCKET
from typing import TYPE_CHECKING, Final, cast
from weakref import ref

from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

# The kernel takes nothing now.
_FULL: Final = (EAGAIN, EWOULDBLOCK, ENOBUFS)

# The most that is sent at once: other connections wait meanwhile. Bytes, and pieces (a system may accept only 16).
_AT_ONCE: Final = 1024 * 1024
_MOST_PIECES: Final = 16

LARGE: Final = 16 * 1024
"""Bytes of a piece that is not copied any more; to copy fewer costs less than to write one piece more."""


def layers(transport: object) -> Iterator[object]:
    """A transport and those below it, such as TLS, what wraps it, and last the socket."""
    yield transport
    while (transport := getattr(transport, "transport", None)) is not None:
        yield transport


def lowest(transport: object) -> object:
    """The last of these."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


def is_socket(transport: object) -> bool:
    """Whether `write_now` and `write_soon` can do something."""
    return isinstance(transport, Connection)


def is_idle(transport: Connection) -> bool:
    """Whether nothing waits to be written, and it is a plain socket, open for writing."""
    return not (
        transport._tempDataLen
        or transport.dataBuffer
        or not transport.connected
        # It may have begun after the first messages.
        or transport.TLS
        or transport._writeDisconnected
    )


def has_unread(transport: Connection) -> bool:
    """Whether the transport has read something that it has not passed on; see sockserve.reactor."""
    return bool(getattr(transport, "unread", b""))


def detach(transport: Connection) -> int:
    """Take its descriptor from an idle transport, which is over then; nothing happens to the connection itself."""
    descriptor = os.dup(transport.fileno())
    transport.stopReading()
    transport.stopWriting()
    transport.connected, transport.disconnected = 0, 1
    # Not the transport's own way, which shuts the connection down first.
    transport.socket.close()
    # Where the reactor has a stream that holds the descriptor.
    drop = getattr(transport, "dropStream", None)
    if drop is not None:
        drop()
    return descriptor


def has_failed(transport: Connection) -> bool:
    """Whether the kernel has an error for it that no call has met."""
    return bool(transport.connected and transport.socket.getsockopt(SOL_SOCKET, SO_ERROR))


def read_now(transport: object) -> bytes:
    """What has come in the meantime; b"" if there is nothing, or it is left to the transport's own method."""
    # That of a unix socket accepts descriptors, too.
    if not isinstance(transport, Connection) or type(transport).doRead is not Connection.doRead or transport.TLS:
        return b""
    try:
        return transport.socket.recv(transport.bufferSize)
    except OSError as error:
        if error.errno not in _FULL:
            _leave_error(transport, CONNECTION_LOST)
        return b""


def write_now(transport: Connection, data: bytes) -> bytes:
    """Give the kernel what it takes at once, when nothing waits before it. Returns the rest.

    The transport would do so too, in the next turn of the reactor: with a poller that has to be told twice, that is a
    fifth of what an answer costs.
    """
    if len(data) > transport.SEND_LIMIT or not is_idle(transport):
        return data
    return data[_given(transport, data) :]


def _given(transport: Connection, data: bytes) -> int:
    """Give the kernel what it takes, and return how many bytes that were."""
    if type(transport).writeSomeData is not Connection.writeSomeData:
        # A unix socket's sends descriptors with the data.
        sent = transport.writeSomeData(data)
        if isinstance(sent, int):
            return sent
        _leave_error(transport, sent)
        return 0
    try:
        return transport.socket.send(data)
    except OSError as error:
        if error.errno not in _FULL:
            _leave_error(transport, CONNECTION_LOST)
        return 0


class _Turn:
    """What is written in one turn of the reactor, without a poller."""

    def __init__(self) -> None:
        self._transports: dict[Connection, None] = {}
        self._call: IDelayedCall | None = None

    def write(self, transport: Connection, data: bytes) -> bool:
        """Write when the timers of the next turn run, together with all that is written until then.

        The same as the transport's own `write`, which in addition tells the poller, twice, and is called by it. The
        bytes are in the transport meanwhile, for everyone who asks it. False: this has to be written in its way.
        """
        waiting = transport._tempDataLen
        if (
            waiting + len(data) > transport.bufferSize
            # The poller is at work.
            or transport.dataBuffer
            or (waiting and transport not in self._transports)
            or not transport.connected
            # These go through the poller.
            or transport.disconnecting
            or transport._writeDisconnecting
            or transport.TLS
        ):
            return False
        transport._tempDataBuffer.append(data)
        transport._tempDataLen += len(data)
        if not waiting:
            self._transports[transport] = None
            # One that was cancelled is not active either.
            if self._call is None or not self._call.active():
                self._call = cast("IReactorTime", transport.reactor).callLater(0, self._end)
        return True

    def _end(self) -> None:
        transports, self._transports = self._transports, {}
        for transport in transports:
            # Where more was written since, or the connection ends, the transport has told the poller.
            if (
                not transport._tempDataLen
                or transport.dataBuffer
                or not transport.connected
                or transport.disconnecting
                or transport._writeDisconnecting
                or transport.producerPaused
            ):
                continue
            waiting = transport._tempDataBuffer
            if transport._tempDataLen >= LARGE:
                waiting = _gathered(waiting)
                if len(waiting) > 1 and _takes_pieces(transport):
                    _write_first(transport, waiting)
                    continue
            data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            sent = _given(transport, data)
            if sent != len(data):
                transport.dataBuffer, transport.offset = data, sent
                transport.startWriting()
            transport._tempDataBuffer = []
            transport._tempDataLen = 0


write_soon = _Turn().write


def write_shared(transport: Connection, data: bytes) -> None:
    """Write soon what others are sent too: as long as it waits, there is one object for all of them.

    The transport's own `doWrite` would join all that waits for each of them.
    """
    if not write_soon(transport, data):
        if len(data) >= LARGE:
            _keep_pieces(transport)
        transport.write(data)


def write_pieces(transport: Connection, pieces: list[bytes]) -> None:
    """Write large pieces, one after the other, and copy none of them."""
    if is_idle(transport) and _takes_pieces(transport):
        _write_first(transport, pieces)
    else:
        _keep_pieces(transport)
        transport.writeSequence(pieces)


def _takes_pieces(transport: Connection) -> bool:
    # A unix socket sends the descriptors that wait with what its own methods send.
    return hasattr(transport.socket, "sendmsg") and not getattr(transport, "_sendmsgQueue", None)


def _write_first(transport: Connection, pieces: list[bytes]) -> None:
    """Write pieces when nothing waits before them."""
    transport._tempDataBuffer, transport._tempDataLen = pieces, sum(map(len, pieces))
    sent = _send(transport, pieces)
    if isinstance(sent, ConnectionLost):
        _leave_error(transport, sent)
        sent = 0
    if _advance(transport, sent):
        _keep_pieces(transport)
        transport._maybePauseProducer()
        transport.startWriting()


def _keep_pieces(transport: Connection) -> None:
    """From now on, let it send what waits in pieces."""
    vars(transport).setdefault("doWrite", partial(_write_on, ref(transport)))


def _write_on(reference: ref[Connection]) -> object:
    """What a transport does instead of its own doWrite, which joins what waits, and sends an eighth of that at once."""
    transport = reference()
    assert transport is not None
    waiting = transport._tempDataBuffer
    rest = len(transport.dataBuffer) - transport.offset
    if not _takes_pieces(transport) or (not waiting and rest <= _AT_ONCE):
        return type(transport).doWrite(transport)
    if transport._tempDataLen < LARGE // 4 * len(waiting):
        waiting[:] = _gathered(waiting)
    pieces: list[bytes | memoryview] = [*waiting[:_MOST_PIECES]]
    if rest:
        pieces.insert(0, memoryview(transport.dataBuffer)[transport.offset :])
    sent = _send(transport, pieces)
    if isinstance(sent, ConnectionLost):
        return sent
    # It knows what comes at the end.
    return None if _advance(transport, sent) else type(transport).doWrite(transport)


def _gathered(pieces: list[bytes]) -> list[bytes]:
    """The same bytes in fewer pieces: small ones in a row are joined."""
    gathered: list[bytes] = []
    small: list[bytes] = []
    for piece in pieces:
        if len(piece) < LARGE:
            small.append(piece)
            continue
        if small:
            gathered.append(b"".join(small))
            small = []
        gathered.append(piece)
    if small:
        gathered.append(b"".join(small))
    return gathered


def _advance(transport: Connection, sent: int) -> bool:
    """The kernel has taken so many bytes of what waits. Returns whether there is more."""
    rest = len(transport.dataBuffer) - transport.offset
    if sent < rest:
        transport.offset += sent
        return True
    sent -= rest
    waiting = transport._tempDataBuffer
    for at, piece in enumerate(waiting):
        if sent < len(piece):
            # It is sent from this one object, without a copy.
            transport.dataBuffer, transport.offset = piece, sent
            transport._tempDataLen -= sum(map(len, waiting[: at + 1]))
            del waiting[: at + 1]
            return True
        sent -= len(piece)
    give_up(transport)
    return False


def give_up(transport: Connection) -> None:
    """Forget what waits to be written."""
    transport.dataBuffer, transport.offset = b"", 0
    transport._tempDataBuffer, transport._tempDataLen = [], 0


def _send(transport: Connection, pieces: Sequence[bytes | memoryview]) -> int | ConnectionLost:
    """Give the kernel what it takes of the first megabyte. Returns the number of bytes."""
    room = _AT_ONCE
    views = []
    for piece in pieces[:_MOST_PIECES]:
        if not room:
            break
        views.append(memoryview(piece)[:room])
        room -= len(views[-1])
    try:
        return transport.socket.sendmsg(views)
    except OSError as error:
        return 0 if error.errno in _FULL else CONNECTION_LOST


def _leave_error(transport: Connection, error: ConnectionLost) -> None:
    """Leave an error to the transport, which will meet it again.

    The kernel tells it once: to a read, what comes then looks like the end of the stream.
    """
    read = transport.doRead
    vars(transport)["doRead"] = lambda: read() and error
