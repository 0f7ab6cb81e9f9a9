"""Writing to the transport, and waiting for a peer that does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, succeed

from sockserve.sockets import is_socket, write_now, write_pieces, write_shared, write_soon

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine


class Receiver(Protocol):
    """The callbacks; see MessageProtocol."""

    def writingPaused(self) -> None: ...

    def writingResumed(self) -> None: ...


class Sending:
    """Writes to the transport, which pauses it while the peer does not read: an IPushProducer.

    The transport's producer is this object, not the protocol: the protocol's pauseProducing belongs to the user, and
    neither must undo the other.

    blocked: whether the peer is not reading.
    shares: whether something may wait that waits for others, too, as one object: over TLS each has its own bytes.
    """

    __slots__ = ("_direct", "_engine", "_receiver", "_transport", "_waiting", "blocked", "shares")

    def __init__(self, transport: Any, engine: Engine, receiver: Receiver) -> None:  # noqa: ANN401 - see transports
        self._transport = transport
        self._direct = is_socket(transport)
        self._engine = engine
        self._receiver = receiver
        self.blocked = False
        self.shares = False
        # What waits for the peer to read.
        self._waiting: list[Deferred[None]] | None = None

    def write(self, data: bytes) -> None:
        """Send the answers to a read: what the kernel takes is sent at once."""
        if self._direct:
            data = write_now(self._transport, data)
            if not data:
                return
        self._transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Send what a program sends on its own: all of one turn of the reactor is one write."""
        if not (self._direct and write_soon(self._transport, data)):
            self._transport.write(data)

    def write_shared(self, data: bytes) -> None:
        """The same, with bytes that others are sent too."""
        if self._direct:
            self.shares = True
            write_shared(self._transport, data)
        else:
            self._transport.write(data)

    def write_pieces(self, pieces: list[bytes]) -> None:
        """Write large pieces, one after the other, where possible without a copy."""
        if self._direct:
            write_pieces(self._transport, pieces)
        else:
            self._transport.write(b"".join(pieces))

    def when_writable(self) -> Deferred[None]:
        """Fires when the peer reads: at once, or when all that waits for it is sent, or at `wake`."""
        if not self.blocked or self._engine.state.closing:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(waiting)
        return waiting

    def wake(self) -> None:
        """Let nothing wait any longer."""
        waiting, self._waiting = self._waiting, None
        for each in waiting or ():
            each.callback(None)

    def pauseProducing(self) -> None:
        if self.blocked:
            # Twisted's transports repeat this at every write.
            return
        self.blocked = True
        self._engine.closing.stalled()
        self._receiver.writingPaused()

    def resumeProducing(self) -> None:
        self.blocked = False
        self._engine.closing.moving()
        self.wake()
        # What was woken may have filled the transport again.
        if not self.blocked:
            self._receiver.writingResumed()

    def stopProducing(self) -> None:
        """The connection is lost; the protocol learns it from connectionLost."""
