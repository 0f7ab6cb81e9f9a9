"""relay: every message goes to all other clients of the same named socket, in one order for all.

This is the relay within one process; sockserve.handlers.shared is that of several, and differs only in how a message
comes from `Relay.send` to `Relay.deliver`.

A client that does not read is dropped once more than `max_queued` bytes wait for it: its slowness is never the others'
problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import connectionDone

from sockserve.connection.failures import QueueFull
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError
from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from sockserve.framing import Framing
    from sockserve.limits.memory import MemoryBudget


class Relay:
    """The clients of one named socket."""

    def __init__(self) -> None:
        # In the order of their arrival.
        self.clients: dict[RelayProtocol, None] = {}
        # What is to be sent after what is being sent; None: nothing is.
        self._later: list[tuple[list[bytes], RelayProtocol]] | None = None

    def client(self) -> RelayProtocol:
        """The protocol of a new client."""
        return RelayProtocol(self)

    def send(self, messages: list[bytes], sender: RelayProtocol) -> None:
        """A client has said this: deliver it."""
        if self._later is not None:
            # Some clients do not have the messages before these yet: the memory budget had others read from again.
            self._later.append((messages, sender))
            return
        self._later = [(messages, sender)]
        try:
            for each in self._later:
                self.deliver(*each)
        finally:
            self._later = None

    def deliver(self, messages: list[bytes], sender: object) -> None:
        """Give the messages to all clients but their sender."""
        clients = [client for client in self.clients if client is not sender]
        if clients:
            # One budget is for all of them.
            frames = _Frames(clients[0].options.memory)
            for client in clients:
                client.pass_on(messages, frames)


class _Frames:
    """The frames of some messages, made once for clients in a row that have the same framing.

    memory: what they count towards.
    """

    def __init__(self, memory: MemoryBudget | None) -> None:
        self._memory = memory
        self._framing: Framing | None = None
        self._made = b""

    def encode(self, framing: Framing, messages: list[bytes]) -> bytes:
        """Raises what the framing raises for a message that it cannot send."""
        if framing is not self._framing:
            self._made = framing.encode_all(messages)
            self._framing = framing
            if self._memory is not None:
                # Once for all clients.
                self._memory.grow(len(self._made))
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
                self._engine.telling.warn(
                    "relay", f"not passed on to this client: {printable(error)}", "sockserve.relay.failed"
                )

    def _drop(self) -> None:
        limit, queued = self.options.max_queued, self.queued
        text = f"dropped, it does not read: {queued} bytes wait for it, and {limit} may (max_queued)"
        self._engine.abort_for("max_queued", text)
