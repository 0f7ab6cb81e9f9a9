"""relay: every message goes to all other clients of the same named socket, in one order for all.

This is the relay within one process; sockserve.handlers.shared is that of several, and differs only in how a message
comes from `Relay.send` to `Relay.deliver`.

A client that does not read is dropped once more than `max_queued` bytes wait for it: its slowness is never the others'
problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from sockserve.connection.failures import QueueFull
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from sockserve.framing import Framing

log = Logger()


class Relay:
    """The clients of one named socket."""

    def __init__(self) -> None:
        # In the order of their arrival.
        self.clients: dict[RelayProtocol, None] = {}

    def client(self) -> RelayProtocol:
        """The protocol of a new client."""
        return RelayProtocol(self)

    def send(self, messages: list[bytes], sender: RelayProtocol) -> None:
        """A client has said this: deliver it."""
        self.deliver(messages, sender)

    def deliver(self, messages: list[bytes], sender: object) -> None:
        """Give the messages to all clients but their sender."""
        frames = _Frames()
        for client in list(self.clients):
            if client is not sender:
                client.pass_on(messages, frames)


class _Frames:
    """The frames of some messages, made once for clients in a row that have the same framing."""

    def __init__(self) -> None:
        self._framing: Framing | None = None
        self._made = b""

    def encode(self, framing: Framing, messages: list[bytes]) -> bytes:
        """Raises what the framing raises for a message that it cannot send."""
        if framing is not self._framing:
            self._made = framing.encode_all(messages)
            self._framing = framing
        return self._made


class RelayProtocol(MessageProtocol):
    """One client of a relay. Clients may use different framings."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connectionMade(self) -> None:
        self._relay.clients[self] = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._relay.clients.pop(self, None)
        super().connectionLost(reason)

    def messagesReceived(self, messages: list[bytes]) -> None:
        self._relay.send(messages, self)

    def writingPaused(self) -> None:
        """It does not read; what it says is still passed on."""

    def writingResumed(self) -> None:
        """Nothing was held up."""

    def pass_on(self, messages: list[bytes], frames: _Frames) -> None:
        """Send what another client said."""
        engine = self._engine
        if engine.state.closing:
            return
        try:
            engine.encoder.send_all(messages, frames.encode)
        except QueueFull:
            self._drop()
        except FramingError:
            self._pass_on_each(messages)

    def _pass_on_each(self, messages: list[bytes]) -> None:
        for message in messages:
            try:
                self.sendMessage(message)
            except QueueFull:
                self._drop()
                return
            except FramingError as error:
                log.warn("{peer}: not passed on to this client: {error}", peer=self.peer, error=error)

    def _drop(self) -> None:
        limit, queued = self.options.max_queued, self.queued
        text = f"dropped, it does not read: {queued} bytes wait for it, and {limit} may (max_queued)"
        self._engine.abort_for("max_queued", text)
