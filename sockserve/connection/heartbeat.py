"""A message that is sent again and again, so that the peer, and what is in between, sees a connection that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from sockserve.connection.options import ConnectionOptions
    from sockserve.connection.sending import Sending
    from sockserve.connection.state import State
    from sockserve.framing.encoder import Encoder


class Beating(Protocol):
    """What it needs of a connection."""

    state: State
    encoder: Encoder
    sending: Sending
    options: ConnectionOptions


class Heartbeat:
    """Sends the message every so many seconds, until it is stopped.

    It is left out while the peer does not read, and while a large message is on its way to it in parts.

    sent: bytes of all of them on the wire.
    """

    def __init__(self, connection: Beating, message: bytes, seconds: float) -> None:
        self.sent = 0
        self._connection = connection
        self._message = message
        self._seconds = seconds
        self._call: IDelayedCall = connection.options.clock.callLater(seconds, self._next)

    def stop(self) -> None:
        """Send no more."""
        if self._call.active():
            self._call.cancel()

    def beat(self) -> None:
        """Send it now."""
        connection = self._connection
        if connection.sending.blocked or connection.encoder.is_open or connection.state.sending_ended:
            return
        before = connection.sending.bytes_sent
        connection.encoder.send(self._message)
        self.sent += connection.sending.bytes_sent - before

    def _next(self) -> None:
        self._call = self._connection.options.clock.callLater(self._seconds, self._next)
        self.beat()
