"""One connection of ours to the server under trial: bytes as they are, and every way to end it, polite or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.error import ConnectionLost as Lost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPullProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.connection.transports import can_half_close
from sockserve.text import one_line

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.internet.tcp import Connection

CLOSED = "closed"
RESET = "reset"


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPullProducer)
class Peer(Protocol):
    """clock: measures the waiting. timeout: seconds that nothing may move for, where no others are given.

    received: all bytes so far. sent: bytes of whole pieces that are with the kernel (over TLS: on their way there).
    over: "" while the server may still send; then "closed", "reset", or why the connection was lost.
    over_at: when that was, on the clock.
    ready: bytes can go out: over TLS, the handshake is done. One that reads nothing before would never finish it.
    can_end: our end of stream can go out while reading goes on.
    """

    transport: Connection

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self.received = bytearray()
        self.sent = 0
        self.over = ""
        self.over_at = 0.0
        self.ready = False
        # Who waits for something to happen.
        self._change: Deferred[bool] | None = None
        self._lost: Deferred[None] = Deferred()
        self._pieces: Iterator[bytes] | None = None
        self._piece = b""
        self._sending = False
        self._ending = False
        self._ended = False

    # What a trial does.

    @property
    def can_end(self) -> bool:
        return can_half_close(self.transport)

    @property
    def can_reset(self) -> bool:
        """A reset is TCP's; a unix socket has none."""
        return isinstance(self.transport.getPeer(), IPv4Address | IPv6Address)

    def write(self, data: bytes) -> None:
        """Send it, together with what follows."""
        if not self.over:
            self.transport.write(data)

    def start(self, pieces: Iterable[bytes]) -> None:
        """Send each piece by a call of its own, when those before it are with the kernel."""
        if not self.over:
            self._pieces = filter(None, pieces)
            self._sending = True
            self.transport.registerProducer(self, False)

    async def send(self, *pieces: bytes) -> bool:
        """The same, and wait until all of them are there; as `until`."""
        self.start(pieces)
        return await self.until(lambda: not self._sending)

    def end(self) -> None:
        """No more bytes from us after those that are being sent. What cannot shut down one side closes."""
        if self._sending:
            self._ending = True
        elif not self.over and not self._ended:
            # A second time, Twisted would take the answer of the system for a reset.
            self._ended = True
            if self.can_end:
                self.transport.loseWriteConnection()
            else:
                self.transport.loseConnection()

    def hold(self) -> None:
        """Read nothing."""
        if not self.over:
            self.transport.pauseProducing()

    def read_on(self) -> None:
        if not self.over:
            self.transport.resumeProducing()

    async def until(self, reached: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until it is reached. False: the connection is over, or nothing moved for that many seconds."""
        while not reached():
            if self.over:
                return False
            change: Deferred[bool] = Deferred()
            self._change = change
            change.addTimeout(self._timeout if seconds is None else seconds, self._clock, lambda *_: False)
            if not await change:
                self._change = None
                return reached()
        return True

    async def has(self, count: int, seconds: float | None = None) -> bool:
        """Wait until this many bytes have come; as `until`."""
        return await self.until(lambda: len(self.received) >= count, seconds)

    async def leave(self) -> None:
        """Be gone: with a reset, unless the server has ended the connection."""
        if self._lost.called:
            return
        if self.over and not self._sending:
            self.transport.loseConnection()
            late = self._clock.callLater(self._timeout, self.transport.abortConnection)
            await self._lost
            if late.active():
                late.cancel()
        else:
            self.transport.abortConnection()
            await self._lost

    # What Twisted calls.

    def connectionMade(self) -> None:
        if self.can_reset and ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.ready = not ISSLTransport.providedBy(self.transport)

    def handshakeCompleted(self) -> None:
        self.ready = True
        self._moved()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._moved()

    def readConnectionLost(self) -> None:
        self._is_over(CLOSED)
        if not self._sending:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ConnectionDone):
            how = CLOSED
        elif reason.check(Lost):
            how = RESET
        else:
            how = one_line(reason.getErrorMessage() or repr(reason.value))
        self._lost.callback(None)
        self._is_over(how)
        self.stopProducing()

    def resumeProducing(self) -> None:
        self.sent += len(self._piece)
        assert self._pieces is not None
        piece = next(self._pieces, None)
        if piece is None:
            self.transport.unregisterProducer()
            self.stopProducing()
        else:
            self._piece = piece
            self.transport.write(piece)
        self._moved()

    def stopProducing(self) -> None:
        self._sending = False
        self._piece = b""
        if self._ending:
            self.end()
        self._moved()

    def _moved(self) -> None:
        change, self._change = self._change, None
        if change is not None:
            change.callback(True)

    def _is_over(self, how: str) -> None:
        if not self.over:
            self.over = how
            self.over_at = self._clock.seconds()
            self._moved()
