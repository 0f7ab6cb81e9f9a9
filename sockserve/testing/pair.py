"""Two protocols connected in memory: deterministic, without a reactor, with all that a TCP connection can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError

READ_SIZE = 64 * 1024
"""Bytes that one read brings at most, as in Twisted."""

# Bytes that wait for the peer; with more, the producer is paused, as in Twisted.
_FULL = 64 * 1024


@implementer(ITransport, IConsumer, IHalfCloseableDescriptor, IPushProducer)
class MemoryTransport:
    """One side of a connection in memory. It behaves as Twisted's sockets do; see Pair, which makes it.

    protocol: that of this side.
    dataBuffer: bytes written that the peer has not taken.
    disconnecting: whether `loseConnection` was called. connected: whether the connection is there.
    reading: whether it reads, or is paused.
    """

    def __init__(self, protocol: IProtocol, address: IAddress, peer: IAddress) -> None:
        self.protocol = protocol
        self.dataBuffer = bytearray()
        self.disconnecting = False
        self.connected = True
        self.reading = True
        self._addresses = address, peer
        self._producer: IPushProducer | None = None
        self._streaming = False
        self._paused = False
        # Our end of stream follows what waits; it has been sent; the peer's was reported; the connection was reset.
        self._ending = self._ended = self._peer_ended = self._reset = False

    def __repr__(self) -> str:
        return f"<MemoryTransport {self._addresses[0]} of {type(self.protocol).__name__}>"

    # ITransport.

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"what is written must be bytes, not {type(data).__name__}")
        if not self.connected or self._ended:
            return
        self.dataBuffer += data
        if self._producer is not None and self._streaming and len(self.dataBuffer) > _FULL:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        for each in data:
            self.write(each)

    def loseConnection(self) -> None:
        self.disconnecting = self.disconnecting or self.connected

    def abortConnection(self) -> None:
        self._reset = self._reset or self.connected
        self._lose(ConnectionAborted())

    def getPeer(self) -> IAddress:
        return self._addresses[1]

    def getHost(self) -> IAddress:
        return self._addresses[0]

    # IHalfCloseableDescriptor.

    def loseWriteConnection(self) -> None:
        self._ending = True

    def readConnectionLost(self, reason: Failure) -> None:
        self._end_reading()

    def writeConnectionLost(self, reason: Failure) -> None:
        self._end_writing()

    # IConsumer.

    def registerProducer(self, producer: object, streaming: bool) -> None:
        if self._producer is not None:
            raise RuntimeError(f"there is a producer already, {self._producer!r}")
        self._producer, self._streaming = cast("IPushProducer", producer), streaming
        self._paused = False
        if not self.connected:
            self._producer.stopProducing()
        elif not streaming:
            self._producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    # IPushProducer: whether this side reads.

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = self.connected

    def stopProducing(self) -> None:
        self.loseConnection()

    # What Pair does.

    def deliver(self, peer: MemoryTransport, size: int) -> bool:
        """Let the peer take what it reads now: up to `size` bytes, or the end of the stream. Whether it has."""
        if self._reset or (self.dataBuffer and not peer.connected):
            # The machine of a peer that is gone says so to whoever sends.
            lost = self if self.connected else peer
            self.dataBuffer.clear()
            self._reset = False
            return lost._lose(ConnectionLost())
        if self.dataBuffer:
            if not peer.reading or peer._peer_ended:
                return False
            data = bytes(self.dataBuffer[:size])
            del self.dataBuffer[:size]
            peer.protocol.dataReceived(data)
            return True
        if self.connected and self._advance():
            return True
        return self._ended and peer.connected and peer.reading and peer._end_reading()

    def _advance(self) -> bool:
        """All that was written is taken: go on with what waits for this."""
        if self._producer is not None and (self._paused or not self._streaming):
            self._paused = False
            producer = self._producer
            producer.resumeProducing()
            return bool(self.dataBuffer) or self._streaming or self._producer is not producer
        if self.disconnecting:
            self._ended = True
            self._lose(ConnectionDone())
            return True
        if self._ending and not self._ended:
            self._end_writing()
            return True
        return False

    def _end_writing(self) -> None:
        self._ended = True
        if IHalfCloseableProtocol.providedBy(self.protocol):
            cast("IHalfCloseableProtocol", self.protocol).writeConnectionLost()

    def _end_reading(self) -> bool:
        """The peer's end of stream."""
        if self._peer_ended:
            return False
        self._peer_ended = True
        if IHalfCloseableProtocol.providedBy(self.protocol):
            cast("IHalfCloseableProtocol", self.protocol).readConnectionLost()
        else:
            self._ended = True
            self.dataBuffer.clear()
            self._lose(ConnectionDone())
        return True

    def _lose(self, reason: Exception) -> bool:
        if not self.connected:
            return False
        self.connected = self.reading = False
        self.disconnecting = True
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))
        return True


class Pair:
    """A client and a server, connected in memory. What one writes is read by the other in `pump` and `flush` only.

    client, server: protocols, or factories that build them; then the protocols. The end of a stream, half-closed
        connections, back-pressure and losses are those of TCP; an exception that a plain protocol raises comes out of
        `pump`.
    read_size: bytes that one read brings at most; 1: every message comes byte by byte.

    clock: of both, if they are MessageProtocols without another reactor; see `advance`.
    client_transport, server_transport: their sides of the connection.
    """

    def __init__(
        self,
        client: IProtocol | IProtocolFactory,
        server: IProtocol | IProtocolFactory,
        *,
        read_size: int = READ_SIZE,
    ) -> None:
        self.clock = Clock()
        self._read_size = read_size
        here, there = (IPv4Address("TCP", "127.0.0.1", port) for port in (49152, 27015))
        self.client, self.server = self._built(client, there), self._built(server, here)
        self.client_transport = MemoryTransport(self.client, here, there)
        self.server_transport = MemoryTransport(self.server, there, here)
        self.server.makeConnection(self.server_transport)
        self.client.makeConnection(self.client_transport)

    def _built(self, given: IProtocol | IProtocolFactory, peer: IAddress) -> Any:  # noqa: ANN401 - what was given, or built
        protocol: Any = given.buildProtocol(peer) if IProtocolFactory.providedBy(given) else given
        if protocol is None:
            raise ValueError(f"{given!r} has built no protocol")
        if isinstance(protocol, MessageProtocol) and protocol.options.reactor is None:
            protocol.options = replace(protocol.options, reactor=self.clock)
        return protocol

    def pump(self) -> bool:
        """Let what is due on the clock happen, then one read of the server and one of the client.

        Returns whether anything was read, or has ended.
        """
        self.clock.advance(0)
        server_has = self.client_transport.deliver(self.server_transport, self._read_size)
        client_has = self.server_transport.deliver(self.client_transport, self._read_size)
        return server_has or client_has

    def flush(self, rounds: int = 100_000) -> None:
        """Pump until nothing happens any more. Raises AssertionError after so many rounds."""
        for _ in range(rounds):
            if not self.pump():
                return
        raise AssertionError(f"after {rounds} rounds the two still talk to each other")

    def advance(self, seconds: float) -> None:
        """Let this time pass, and flush, in tenths of a second: a whole that passes at once counts as a standstill."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.flush()


class Recorder(MessageProtocol):
    """A side of a connection that remembers what it receives, and closes when the other side ends its stream.

    It reads whether or not the other side does.

    messages, errors: so far. ended: whether the messages have ended. reason: why the connection was lost; None: it is
    there.
    """

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.errors: list[FramingError] = []
        self.ended = False
        self.reason: Failure | None = None

    def messageReceived(self, message: bytes) -> None:
        self.messages.append(message)

    def framingFailed(self, error: FramingError) -> None:
        self.errors.append(error)

    def messagesEnded(self) -> None:
        self.ended = True
        super().messagesEnded()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        self.reason = reason

    def writingPaused(self) -> None:
        """Reading goes on."""

    def writingResumed(self) -> None:
        """Nothing was held."""
