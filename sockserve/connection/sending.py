"""What leaves, a peer that does not read, and who waits for it."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

from sockserve.connection.closing import Ending


class Receiver(Protocol):
    """The callbacks; see MessageProtocol."""

    def writingPaused(self) -> None: ...

    def writingResumed(self) -> None: ...


@implementer(IPushProducer)
class Sending:
    """Writes, and is told by the transport that the peer does not read, or reads again.

    It is the transport's producer, and not the protocol: that one's pauseProducing is the user's, and neither must undo
    the other.

    blocked: the peer does not read.
    """

    __slots__ = ("_direct", "_ending", "_receiver", "_transport", "_waiting", "blocked")

    def __init__(self, transport: Connection, ending: Ending, receiver: Receiver) -> None:
        self._transport = transport
        # A socket of Twisted's.
        self._direct = isinstance(transport, Connection)
        self._ending = ending
        self._receiver = receiver
        self.blocked = False
        # Who waits for a peer that reads.
        self._waiting: list[Deferred[None]] = []

    def write(self, data: bytes) -> None:
        """Send the answers to a read; what the kernel takes, at once, when nothing waits in front of it.

        The transport would do so too, in the next turn of the reactor: with a poller that has to be told twice, this
        is a fifth of what an answer costs.
        """
        transport = self._transport
        if (
            self._direct
            and len(data) <= transport.SEND_LIMIT
            and not transport._tempDataLen
            and not transport.dataBuffer
            and transport.connected
            # It may have begun behind the first messages.
            and not transport.TLS
            and not transport._writeDisconnected
        ):
            sent = transport.writeSomeData(data)
            if sent == len(data):
                return
            if not isinstance(sent, int):
                self._failed(sent)
            elif sent:
                data = data[sent:]
        transport.write(data)

    def _failed(self, error: ConnectionLost) -> None:
        """Leave an error to the transport, which will meet it again.

        The kernel tells it once: to a read, what comes then looks like the end of the stream.
        """
        read = self._transport.doRead
        vars(self._transport)["doRead"] = lambda: read() and error

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
