"""Sockets of Twisted's, below all layers: to find them, and to give the kernel what it takes, at once or soon.

Twisted has no public way for it, so its private parts are touched here, and only here where TLS is concerned.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAGAIN, ENOBUFS, EWOULDBLOCK
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

# The kernel takes nothing now.
_FULL: Final = (EAGAIN, EWOULDBLOCK, ENOBUFS)


def layers(transport: object) -> Iterator[object]:
    """A transport and those below it, such as TLS, what wraps it, and last the socket."""
    yield transport
    while (transport := getattr(transport, "transport", None)) is not None:
        yield transport


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


def write_now(transport: Connection, data: bytes) -> bytes:
    """Give the kernel what it takes at once, when nothing waits before it. Returns the rest.

    The transport would do so too, in the next turn of the reactor: with a poller that has to be told twice, that is a
    fifth of what an answer costs.
    """
    if len(data) > transport.SEND_LIMIT or not is_idle(transport):
        return data
    if type(transport).writeSomeData is not Connection.writeSomeData:
        # A unix socket's sends descriptors with the data.
        sent = transport.writeSomeData(data)
        if isinstance(sent, int):
            return data[sent:]
        _leave_error(transport, sent)
        return data
    try:
        return data[transport.socket.send(data) :]
    except OSError as error:
        if error.errno not in _FULL:
            _leave_error(transport, CONNECTION_LOST)
        return data


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
            data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            sent = transport.writeSomeData(data)
            if sent != len(data):
                if not isinstance(sent, int):
                    _leave_error(transport, sent)
                    sent = 0
                transport.dataBuffer, transport.offset = data, sent
                transport.startWriting()
            transport._tempDataBuffer = []
            transport._tempDataLen = 0


write_soon = _Turn().write


def _leave_error(transport: Connection, error: ConnectionLost) -> None:
    """Leave an error to the transport, which will meet it again.

    The kernel tells it once: to a read, what comes then looks like the end of the stream.
    """
    read = transport.doRead
    vars(transport)["doRead"] = lambda: read() and error
