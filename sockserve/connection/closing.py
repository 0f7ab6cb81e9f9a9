"""How a connection ends: everything owed is sent, and the peer has a bounded time to take it."""

from __future__ import annotations

import select
import sys
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport

from sockserve.tls.transport import IHalfCloseableTLS

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.internet.tcp import Connection


class Owner(Protocol):
    """See MessageProtocol."""

    close_timeout: float

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far; see `untaken`."""

    def callLater(self, seconds: float, function: Callable[[], object]) -> IDelayedCall: ...

    def closeTimedOut(self) -> None:
        """For close_timeout seconds the peer has taken nothing of what is owed at the end."""


class Ending:
    """The two ends of stream of one connection, and the deadline behind them.

    transport: of the connection.
    owner: has the time limit, a clock, and is told when the limit is exceeded.

    peer_ended: the peer has ended its stream.
    sending_ended: nothing more may be sent.
    closing: nothing is delivered any more either.
    flushed: our end of the stream is with the kernel, and all before it.
    """

    __slots__ = (
        "_deadline",
        "_owner",
        "_producing",
        "_stall_check",
        "_stalled",
        "_stream_ended",
        "_taken",
        "_transport",
        "closing",
        "flushed",
        "peer_ended",
        "sending_ended",
    )

    def __init__(self, transport: Connection, owner: Owner) -> None:
        self._transport = transport
        self._owner = owner
        self._deadline: IDelayedCall | None = None
        self._stall_check: IDelayedCall | None = None
        self._stalled = False
        # The transport tells us when the peer does not read.
        self._producing = True
        # Our end of stream is on its way.
        self._stream_ended = False
        # Bytes that the peer had taken when its time began.
        self._taken = 0
        self.sending_ended = False
        self.peer_ended = False
        self.closing = False
        self.flushed = False

    def end_sending(self) -> None:
        """Send our end of stream behind what is owed; reading goes on. Where that cannot be, it waits for `close`."""
        if not self.sending_ended:
            self.sending_ended = True
            if not self._stalled:
                self._half_close()

    def stop(self) -> None:
        """Nothing is delivered or sent any more; `close` or an abort follows, or the connection is lost."""
        self.closing = self.sending_ended = True

    def close(self) -> None:
        """Send what is owed, then close.

        Unless the peer has ended its stream, our end of stream goes out first and what the peer still sends is read:
        closing with bytes unread would reset the connection and could destroy what was sent last.
        """
        transport = self._transport
        self._unregister()
        self.stop()
        self._wait()
        if self.peer_ended or not can_half_close(transport):
            transport.loseConnection()
        else:
            self._end_stream()
            transport.resumeProducing()

    def stalled(self) -> None:
        """The peer does not read. `moving` undoes it."""
        self._stalled = True
        if self._stall_check is None:
            self._watch_stall()

    def moving(self) -> None:
        self._stalled = False
        if self.sending_ended and not self.closing:
            self._half_close()

    def _half_close(self) -> None:
        self._unregister()
        if can_half_close(self._transport):
            self._end_stream()

    def _end_stream(self) -> None:
        # Once: Twisted would take the system's answer to a second time for a reset.
        if not self._stream_ended:
            self._stream_ended = True
            self._transport.loseWriteConnection()

    def _unregister(self) -> None:
        # A transport with a producer waits for more from it before it ends.
        if self._producing:
            self._producing = False
            self._transport.unregisterProducer()

    def over(self) -> None:
        """The connection is lost: stop the clocks."""
        for call in (self._deadline, self._stall_check):
            if call is not None and call.active():
                call.cancel()
        self._deadline = self._stall_check = None

    def _wait(self) -> None:
        self._taken = self._owner.taken
        self._deadline = self._owner.callLater(self._owner.close_timeout, self._give_up)

    def _give_up(self) -> None:
        if self._owner.taken > self._taken:
            # It reads, if slowly.
            self._wait()
        elif self.flushed:
            # All is with the kernel, which goes on delivering it.
            self._transport.loseConnection()
        else:
            self._owner.closeTimedOut()

    def _watch_stall(self) -> None:
        self._taken = self._owner.taken
        self._stall_check = self._owner.callLater(self._owner.close_timeout, self._check_stall)

    def _check_stall(self) -> None:
        """The peer has perhaps not read for `close_timeout` seconds. If it has ended its stream too, it is closing."""
        self._stall_check = None
        if self._stalled and not self.closing:
            if self._owner.taken <= self._taken and peer_has_ended(self._transport):
                self._owner.closeTimedOut()
            else:
                self._watch_stall()


def can_half_close(transport: Connection) -> bool:
    """Whether our end of stream can go out while reading goes on: over TCP, unix sockets and sockserve.tls.

    Twisted's own TLS has the interface of what is below it, and cannot.
    """
    if ISSLTransport.providedBy(transport):
        return IHalfCloseableTLS.providedBy(transport)
    return IHalfCloseableDescriptor.providedBy(transport)


def peer_has_ended(transport: Connection) -> bool:
    """Whether the peer has shut down its sending side, perhaps behind bytes that were not read yet.

    A transport whose reading is paused does not find out by itself. False where the platform cannot tell (poll(2)
    has POLLRDHUP on Linux only).
    """
    if not can_half_close(transport) or not hasattr(select, "POLLRDHUP"):
        return False
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


def unsent(transport: object) -> int:
    """Bytes that were written to a transport, and that the kernel has not taken: those of a peer that does not read."""
    count = 0
    # TLS has another transport beneath, and lends it all that this has; nothing public tells what waits where.
    while (beneath := getattr(transport, "transport", None)) is not None:
        count += sum(map(len, getattr(transport, "_appSendBuffer", ())))
        transport = beneath
    count += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    count += getattr(transport, "_tempDataLen", 0)
    return count


def untaken(transport: object) -> int:
    """Bytes that the peer has not taken: `unsent`, and then what the kernel holds too, where it can tell (Linux).

    The kernel wants more from us only when a third of what it holds has left, often a megabyte: long after a peer
    that reads slowly has begun to take it.
    """
    count = unsent(transport)
    return count + _queued(transport) if count else 0


def _queued(transport: object) -> int:
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    queued = array("i", [0])
    try:
        fcntl.ioctl(cast("Connection", transport).fileno(), termios.TIOCOUTQ, queued)
    except (AttributeError, OSError):
        # No socket, or none any more.
        return 0
    return queued[0]
