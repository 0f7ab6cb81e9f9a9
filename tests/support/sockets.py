"""Real connections for trial's tests: a client that remembers what it got, and servers that are stopped behind each."""

from __future__ import annotations

import socket as sockets
import struct
from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection, Port
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sockserve.server.sockets import SocketServer

LOCAL = "tcp:0:interface=127.0.0.1"


@implementer(IHalfCloseableProtocol)
class Client(Protocol):
    """received: all bytes so far. ended, lost: fire at the server's end of stream, and at the end of everything.

    stays: does not close when the server has ended its stream.
    """

    transport: Connection

    def __init__(self, stays: bool = False) -> None:
        self.received = bytearray()
        self.ended: Deferred[None] = Deferred()
        self.lost: Deferred[type | None] = Deferred()
        self._stays = stays
        self._awaited: list[tuple[int, Deferred[bytes]]] = []

    def until(self, count: int) -> Deferred[bytes]:
        """Fires with all that was received when that is at least `count` bytes."""
        waiting: Deferred[bytes] = Deferred()
        self._awaited.append((count, waiting))
        self._check()
        return waiting

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def end(self) -> None:
        self.transport.loseWriteConnection()

    def reset(self) -> None:
        """Leave with a RST."""
        self.transport.setTcpNoDelay(True)
        handle: sockets.socket = self.transport.getHandle()
        handle.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._check()

    def readConnectionLost(self) -> None:
        if not self.ended.called:
            self.ended.callback(None)
        if not self._stays:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.ended.called:
            self.ended.callback(None)
        self.lost.callback(reason.type)

    def _check(self) -> None:
        for item in list(self._awaited):
            count, waiting = item
            if len(self.received) >= count:
                self._awaited.remove(item)
                waiting.callback(bytes(self.received))


def turn() -> Deferred[None]:
    """Fires after the reactor has looked at its descriptors once."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, reactor.callLater, 0, turned.callback, None)
    return turned


class SocketCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.lines: list[str] = []

        @implementer(ILogObserver)
        def remember(event: LogEvent) -> None:
            # Each connection has one such line; the tests look for what is not always there.
            if event.get("event_name") != "sockserve.connection.closed":
                self.lines.append(formatEvent(event))

        globalLogPublisher.addObserver(remember)
        self.addCleanup(globalLogPublisher.removeObserver, remember)

    def logged(self, text: str) -> list[str]:
        """The lines of the log that contain the text."""
        return [line for line in self.lines if text in line]

    def serve(self, server: SocketServer) -> SocketServer:
        """Start it, and stop it behind the test."""
        server.startService()
        self.addCleanup(self._stop, server)
        return server

    async def _stop(self, server: SocketServer) -> None:
        if server.running:
            await server.stopService()
        while server.channels:
            await turn()

    async def client(
        self,
        server: SocketServer | Port,
        port: int = 0,
        make: Callable[[], Client] = Client,
        *,
        paused: bool = False,
        source: str | None = None,
    ) -> Client:
        """A new connection to that port of the server, from that address; it is aborted behind the test."""
        listening = server.ports[port] if isinstance(server, SocketServer) else server
        assert isinstance(listening, Port)
        bind = None if source is None else (source, 0)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port, bindAddress=bind)
        client = await endpoint.connect(Factory.forProtocol(make))
        assert isinstance(client, Client)
        if paused:
            client.transport.pauseProducing()

        def leave() -> Deferred[type | None]:
            client.transport.abortConnection()
            return client.lost

        self.addCleanup(leave)
        return client
