"""Sockets of Twisted's, below all layers: to find them, and to give the kernel at once what it takes.

Twisted has no public way for it, so its private parts are touched here, and only here where TLS is concerned.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAGAIN, ENOBUFS, EWOULDBLOCK
from typing import Final

from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection

# The kernel takes nothing now.
_FULL: Final = (EAGAIN, EWOULDBLOCK, ENOBUFS)


def layers(transport: object) -> Iterator[object]:
    """A transport and those below it, such as TLS, what wraps it, and last the socket."""
    yield transport
    while (transport := getattr(transport, "transport", None)) is not None:
        yield transport


def is_socket(transport: object) -> bool:
    """Whether `write_now` can do something."""
    return isinstance(transport, Connection)


def write_now(transport: Connection, data: bytes) -> bytes:
    """Give the kernel what it takes at once, when nothing waits before it. Returns the rest.

    The transport would do so too, in the next turn of the reactor: with a poller that has to be told twice, that is a
    fifth of what an answer costs.
    """
    if (
        len(data) > transport.SEND_LIMIT
        or transport._tempDataLen
        or transport.dataBuffer
        or not transport.connected
        # It may have begun after the first messages.
        or transport.TLS
        or transport._writeDisconnected
    ):
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


def _leave_error(transport: Connection, error: ConnectionLost) -> None:
    """Leave an error to the transport, which will meet it again.

    The kernel tells it once: to a read, what comes then looks like the end of the stream.
    """
    read = transport.doRead
    vars(transport)["doRead"] = lambda: read() and error
