"""relay: every message goes to all other clients of the same named socket, in one order for all.

A client that does not read is dropped once more than `backlog` bytes wait for it: its slowness is never the others'
problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError

if TYPE_CHECKING:
    from twisted.python.failure import Failure

log = Logger()

DEFAULT_BACKLOG = 1024 * 1024


class Relay:
    """The clients of one named socket. backlog: bytes that may wait for one that does not read."""

    def __init__(self, backlog: int = DEFAULT_BACKLOG) -> None:
        self.backlog = backlog
        # In the order of their arrival.
        self.clients: dict[RelayProtocol, None] = {}

    def client(self) -> RelayProtocol:
        """The protocol of a new client."""
        return RelayProtocol(self)

    def send(self, messages: list[bytes], sender: RelayProtocol) -> None:
        """Give the messages to all but their sender."""
        for client in list(self.clients):
            if client is not sender:
                client.pass_on(messages)


class RelayProtocol(MessageProtocol):
    """One client of a relay. Clients may use different framings."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        # Bytes sent since this client stopped reading; None while it reads.
        self._waiting: int | None = None

    def connectionMade(self) -> None:
        self._relay.clients[self] = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._relay.clients.pop(self, None)
        super().connectionLost(reason)

    def messagesReceived(self, messages: list[bytes]) -> None:
        self._relay.send(messages, self)

    def writingPaused(self) -> None:
        """It does not read; what it says is still passed on."""
        self._waiting = 0

    def writingResumed(self) -> None:
        self._waiting = None

    def pass_on(self, messages: list[bytes]) -> None:
        """Send what another client said."""
        if self.closing:
            return
        # What fills the transport is not counted: a client that reads must have time to take a long message.
        reads = self._waiting is None
        try:
            self.sendMessages(messages)
        except FramingError:
            self._pass_on_each(messages)
        if reads or self._waiting is None:
            return
        self._waiting += sum(map(len, messages))
        if self._waiting > self._relay.backlog:
            log.warn(
                "{peer}: dropped, it does not read and more than {backlog} bytes wait for it",
                peer=self.peer,
                backlog=self._relay.backlog,
            )
            self.abortConnection()

    def _pass_on_each(self, messages: list[bytes]) -> None:
        for message in messages:
            try:
                self.sendMessage(message)
            except FramingError as error:
                log.warn("{peer}: not passed on to this client: {error}", peer=self.peer, error=error)
