"""The bytes of the load on their way: straight through sockets, or, where there is TLS between, through the reactor.

Connections are made by Twisted's endpoints, of every kind. Where one ends in a plain socket, that is then taken out of
the reactor and served by a loop of our own: with one message at a time the reactor would cost several times as much as
the load itself, and a load must be cheaper than the server that it measures.
"""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import typing
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from zope.interface import implementer

from sockserve.commands.bench.connection import Connection, Fault
from sockserve.connection.transports import can_half_close
from sockserve.text import one_line

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.internet.tcp import Connection as TCPConnection
    from twisted.python.failure import Failure

READ = 256 * 1024
"""Bytes read at once."""
# Seconds that a server has to close after our end, in which it could still send what it must not.
LINGER = 1.0
# Below this many seconds, milliseconds are too coarse.
COARSE = 0.02
BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


@implementer(IHandshakeListener)
class Wire(Protocol):
    """A connection as Twisted's endpoints make it. It carries the bytes itself, unless its socket is taken out.

    made: fires when it can be used, over TLS after the handshake. fault: what went wrong.
    """

    transport: TCPConnection

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.made: Deferred[Wire] = Deferred(lambda _: self.transport.abortConnection())
        self.fault: Fault | None = None
        self.lost = False
        self._closing = False

    @property
    def socket(self) -> socket.socket | None:
        """The plain socket that the bytes go through; None where there is none."""
        handle = getattr(self.transport, "getHandle", lambda: None)()
        plain = isinstance(handle, socket.socket) and not ISSLTransport.providedBy(self.transport)
        return handle if plain else None

    def write(self) -> None:
        """Write all that the window has let through."""
        while piece := self.connection.piece():
            self.transport.write(bytes(piece))
            self.connection.wrote(len(piece))

    def close(self) -> None:
        self._closing = True
        if can_half_close(self.transport):
            # The server's end of stream closes.
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def connectionMade(self) -> None:
        if self.socket is not None:
            # Before anything can be read.
            self.transport.pauseProducing()
        if not ISSLTransport.providedBy(self.transport):
            self.made.callback(self)

    def handshakeCompleted(self) -> None:
        if not self.made.called:
            self.made.callback(self)

    def dataReceived(self, data: bytes) -> None:
        now = monotonic_ns()
        try:
            self.connection.received(memoryview(data), now)
        except Fault as fault:
            self.fault = self.fault or fault
            self.transport.abortConnection()
            return
        if self.connection.ask(now):
            self.write()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        if not self.made.called:
            self.made.errback(reason)
        elif not self._closing:
            text = one_line(reason.getErrorMessage()).removesuffix(".")
            self.fault = self.fault or self.connection.broken(f"lost ({text})")


class Wires(typing.Protocol):
    """All connections of a process."""

    def write(self, connection: Connection) -> None:
        """Write what the window has let through. Raises Fault."""

    async def turn(self, seconds: float) -> None:
        """Send and receive for so long at most. Raises Fault."""

    async def close(self) -> None:
        """Send our end, and close after the server's. Raises Fault for bytes that are owed to nobody."""


class ReactorWires:
    """Connections that the reactor serves."""

    def __init__(self, wires: list[Wire], reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._wires = {wire.connection: wire for wire in wires}

    def write(self, connection: Connection) -> None:
        self._wires[connection].write()

    async def turn(self, seconds: float) -> None:
        await task.deferLater(self._reactor, seconds)
        for wire in self._wires.values():
            if wire.fault is not None:
                raise wire.fault

    async def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        end = monotonic_ns() + LINGER * 1e9
        while not all(wire.lost for wire in self._wires.values()) and monotonic_ns() < end:
            await self.turn(0.01)


class SocketWires:
    """Connections that are sockets, served by a loop of our own."""

    def __init__(self, wires: list[Wire], selector: selectors.BaseSelector) -> None:
        self._selector = selector
        # Kept, because a transport closes its socket when it is collected.
        self._wires = wires
        self._sockets: dict[Connection, socket.socket] = {}
        self._blocked: set[Connection] = set()
        self._buffer = memoryview(bytearray(READ))
        for wire in wires:
            handle = wire.socket
            assert handle is not None
            self._sockets[wire.connection] = handle
            selector.register(handle, selectors.EVENT_READ, wire.connection)

    def write(self, connection: Connection) -> None:
        if connection not in self._blocked:
            self._write(connection, self._sockets[connection])

    async def turn(self, seconds: float) -> None:
        selector = self._selector
        if seconds < COARSE and hasattr(selector, "fileno"):
            # epoll counts milliseconds, and rounds up; select, which can wait for it, counts microseconds.
            if seconds > 0:
                select.select([selector], [], [], seconds)
            seconds = 0
        for key, events in selector.select(seconds):
            handle = cast("socket.socket", key.fileobj)
            if events & selectors.EVENT_WRITE:
                self._write(key.data, handle)
            if events & selectors.EVENT_READ:
                self._read(key.data, handle)

    async def close(self) -> None:
        ending = dict(self._sockets)
        for handle in ending.values():
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_WR)
        end = monotonic_ns() + LINGER * 1e9
        while ending and monotonic_ns() < end:
            for key, _ in self._selector.select(0.05):
                try:
                    count = cast("socket.socket", key.fileobj).recv_into(self._buffer)
                except BlockingIOError:
                    continue
                except OSError:
                    # All is answered: how it closes is its own affair.
                    count = 0
                if count:
                    key.data.received(self._buffer[:count], monotonic_ns())
                else:
                    self._selector.unregister(key.fileobj)
                    del ending[key.data]
        self._selector.close()
        for handle in self._sockets.values():
            handle.close()

    def _read(self, connection: Connection, handle: socket.socket) -> None:
        try:
            count = handle.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            raise connection.broken(f"lost ({error.strerror})") from None
        if not count:
            raise connection.broken("closed by the server")
        now = monotonic_ns()
        connection.received(self._buffer[:count], now)
        if connection.ask(now) and connection not in self._blocked:
            self._write(connection, handle)

    def _write(self, connection: Connection, handle: socket.socket) -> None:
        try:
            while piece := connection.piece():
                connection.wrote(handle.send(piece))
        except BlockingIOError:
            if connection not in self._blocked:
                self._blocked.add(connection)
                self._selector.modify(handle, BOTH, connection)
        except OSError as error:
            raise connection.broken(f"lost ({error.strerror})") from None
        else:
            if connection in self._blocked:
                self._blocked.remove(connection)
                self._selector.modify(handle, selectors.EVENT_READ, connection)
