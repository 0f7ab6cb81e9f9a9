"""Writing to the transport, and waiting for a peer that does not read.

What is sent while messages are being delivered leaves as one write, at once; all else at the end of the reactor's turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, succeed

from sockserve.connection import transports
from sockserve.connection.failures import QueueFull
from sockserve.limits.memory import OBJECT
from sockserve.sockets import is_socket, write_now, write_pieces, write_shared, write_soon

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine


class Receiver(Protocol):
    """The callbacks; see MessageProtocol."""

    def writingPaused(self) -> None: ...

    def writingResumed(self) -> None: ...


class Sending:
    """Writes to the transport, which pauses it while the peer does not read: an IPushProducer.

    The encoder writes to it. The transport's producer is this object, not the protocol: the protocol's pauseProducing
    belongs to the user, and neither must undo the other.

    bytes_sent: all that were written, framing bytes included.
    blocked: whether the peer is not reading.
    unwatched: whether the peer has to take in time what is sent next, and no sweep watches that yet.
    shares: whether something may wait that waits for others, too, as one object: over TLS each has its own bytes.
    """

    __slots__ = (
        "_direct",
        "_engine",
        "_transport",
        "_waiting",
        "blocked",
        "bytes_sent",
        "shares",
        "unwatched",
    )

    def __init__(self, transport: Any, engine: Engine) -> None:  # noqa: ANN401 - see transports
        self._transport = transport
        self._direct = is_socket(transport)
        self._engine = engine
        self.bytes_sent = 0
        self.blocked = False
        self.shares = False
        self.unwatched = engine.options.send_timeout is not None and transports.tells_untaken(transport)
        # What waits for the peer to read.
        self._waiting: list[Deferred[None]] | None = None

    def replace(self, transport: Any) -> None:  # noqa: ANN401 - see transports
        """Write to this transport from now on."""
        self._transport = transport
        self._direct = is_socket(transport)
        self.shares = False
        transports.register(transport, self)
        self.resumeProducing()

    # What the encoder calls.

    def write(self, frames: bytes) -> None:
        """Send the frames of one write."""
        engine, transport = self._engine, self._transport
        size = len(frames)
        self._leaves(size)
        if not self._direct:
            transport.write(frames)
        elif engine.encoder.batch:
            # The answers to a read: what the kernel takes is sent at once.
            rest = write_now(transport, frames)
            if rest:
                transport.write(rest)
        elif not write_soon(transport, frames):
            transport.write(frames)
        # After the write: this may resume delivery, and its answers must not overtake what was written.
        engine.grow(size + OBJECT)

    def write_pieces(self, pieces: list[bytes]) -> None:
        """The same, with large pieces, one after the other, where possible without a copy."""
        size = sum(map(len, pieces))
        self._leaves(size)
        if self._direct:
            write_pieces(self._transport, pieces)
        else:
            self._transport.write(b"".join(pieces))
        self._engine.grow(size + OBJECT)

    def write_shared(self, frames: bytes) -> None:
        """The same, with large frames that others are sent too. Who has made them says what they take, see `grow`."""
        self._leaves(len(frames))
        if self._direct:
            self.shares = True
            write_shared(self._transport, frames)
        else:
            self._transport.write(frames)
        self._engine.grow(OBJECT if self.shares else len(frames) + OBJECT)

    def end_messages(self) -> None:
        """Our end of stream follows what was written."""
        self._engine.end_messages()

    def _leaves(self, size: int) -> None:
        """So many bytes are about to be written."""
        engine = self._engine
        self.bytes_sent += size
        if self.unwatched:
            engine.timing.watch()
        if engine.options.log_traffic:
            engine.telling.moved("sent", size)

    # What waits for the peer.

    @property
    def queued(self) -> int:
        """Bytes that wait here for the peer to take them."""
        return self._engine.encoder.size + transports.unsent(self._transport)

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken."""
        return self.bytes_sent - transports.untaken(self._transport)

    def _check(self, size: int) -> None:
        """May a program send a message of this size, although the peer does not read?"""
        limit, queued = self._engine.options.max_queued, self.queued
        if queued + size > limit:
            raise QueueFull(
                f"{self._engine.telling.peer}: a message of {size} bytes is refused, {queued} wait for a peer that does"
                f" not read; accepted: {limit} together (max_queued)"
            )

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
        self._engine.encoder.check(self._check)
        self._engine.closing.stalled()
        self._engine.receiver.writingPaused()

    def resumeProducing(self) -> None:
        self.blocked = False
        self._engine.encoder.check(None)
        self._engine.closing.moving()
        self.wake()
        # What was woken may have filled the transport again.
        if not self.blocked:
            self._engine.receiver.writingResumed()

    def stopProducing(self) -> None:
        """The connection is lost; the protocol learns it from connectionLost."""
