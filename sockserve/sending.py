"""The sending side of one connection: frames that wait for the end of a delivery, and a peer that does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from sockserve.ending import Ending
from sockserve.framing import Framing
from sockserve.framing.encoder import Encoder

# Bytes of answers to one read that may wait for its end; and outside of a delivery.
BATCH_SIZE = 256 * 1024
AT_ONCE = 0


class Receiver(Protocol):
    """The callbacks; see MessageProtocol."""

    def writingPaused(self) -> None: ...

    def writingResumed(self) -> None: ...


@implementer(IPushProducer)
class Sending:
    """Told by the transport that the peer does not read, or reads again.

    It is the transport's producer, and not the protocol: that one's pauseProducing is the user's, and neither must undo
    the other.

    encoder: has the frames that wait.
    batch: bytes that may wait, with more of them they leave: BATCH_SIZE while messages are delivered, else AT_ONCE.
    blocked: the peer does not read.
    """

    __slots__ = ("_ending", "_receiver", "_waiting", "_write", "batch", "blocked", "encoder")

    def __init__(self, framing: Framing, ending: Ending, receiver: Receiver, write: Callable[[bytes], None]) -> None:
        self.encoder = Encoder(framing)
        self.batch = AT_ONCE
        self._ending = ending
        self._receiver = receiver
        self._write = write
        self.blocked = False
        # Who waits for a peer that reads.
        self._waiting: list[Deferred[None]] = []

    def flush(self) -> None:
        """Write what waits."""
        if self.encoder.size:
            self._write(self.encoder.take())

    def end(self) -> None:
        """Write what waits, and nothing behind it."""
        self.flush()
        self.encoder.close()

    def when_writable(self) -> Deferred[None]:
        """Fires when the peer reads: at once, or when all that waits for it has gone, or at `wake`."""
        if not self.blocked or self._ending.closing:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def wake(self) -> None:
        """Nobody is to wait any longer."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def pauseProducing(self) -> None:
        if self.blocked:
            # Twisted's transports say it again at every write.
            return
        self.blocked = True
        self._ending.stalled()
        self._receiver.writingPaused()

    def resumeProducing(self) -> None:
        self.blocked = False
        self._ending.moving()
        self.wake()
        # A writer may have filled the transport again.
        if not self.blocked:
            self._receiver.writingResumed()

    def stopProducing(self) -> None:
        """The connection is lost; connectionLost tells the protocol."""


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
