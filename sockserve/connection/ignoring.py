"""The receiving side of a connection that ignores some messages, such as a peer's heartbeats: counted, not delivered.

Only a connection that ignores something has this, so the others pay nothing for it. A message is ignored when its turn
to be delivered comes, so that a change of framing, a pause or a close takes effect where it would without them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from sockserve.connection.receiving import Receiver, Receiving, Transport
from sockserve.framing import Framing
from sockserve.framing.errors import FramingError

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine


class Ignoring(Receiving):
    """As Receiving. ignore: the messages that are not delivered. ignored: how many there were."""

    __slots__ = ("_sieve",)

    def __init__(
        self,
        framing: Framing,
        receiver: Receiver,
        transport: Transport,
        engine: Engine,
        ignore: Collection[bytes],
    ) -> None:
        self._sieve = _Sieve(receiver, ignore)
        super().__init__(framing, self._sieve, transport, engine)

    @property
    def ignored(self) -> int:
        return self._sieve.ignored

    def deliver_each(self, messages: list[bytes], receive: Callable[[bytes], object] | None = None) -> int:
        sieve = self._sieve
        before = sieve.ignored
        messages = sieve.all_of(messages)
        count = super().deliver_each(messages, sieve.messageReceived if receive is None else sieve.passing(receive))
        return count - (sieve.ignored - before)

    def take(self) -> bytes | None:
        message = super().take()
        while message is not None and message in self._sieve.ignore:
            self._sieve.ignored += 1
            message = super().take()
        return message


class _Sieve:
    """Stands between a connection and its receiver, which sees the other messages only."""

    def __init__(self, receiver: Receiver, ignore: Collection[bytes]) -> None:
        self._receiver = receiver
        self.ignore = ignore
        self.ignored = 0
        # What the receiver is given, and what that was taken from, until the receiver has it delivered one by one.
        self._given: list[bytes] | None = None
        self._all: list[bytes] = []

    takesFrames = False

    def framesReceived(self, frames: bytes, count: int) -> None:
        """Never called: to tell the messages that are ignored, they have to be decoded."""

    def messagesReceived(self, messages: list[bytes]) -> None:
        given = [message for message in messages if message not in self.ignore]
        if not given:
            self.ignored += len(messages)
            return
        self._given, self._all = given, messages
        try:
            self._receiver.messagesReceived(given)
            if self._all_at_once():
                self.ignored += len(messages) - len(given)
        finally:
            self._given, self._all = None, []

    def _all_at_once(self) -> bool:
        """Whether the receiver has taken them so; asked here, since compiled code insists on what was set before."""
        return self._given is not None

    def all_of(self, messages: list[bytes]) -> list[bytes]:
        """Those that these were taken from, if they are what the receiver was given: then they are ignored later."""
        if messages is not self._given:
            return messages
        self._given = None
        return self._all

    def passing(self, receive: Callable[[bytes], object]) -> Callable[[bytes], object]:
        """What calls the function for each message that is not ignored."""

        def sift(message: bytes) -> None:
            if message in self.ignore:
                self.ignored += 1
            else:
                receive(message)

        return sift

    def messageReceived(self, message: bytes) -> None:
        if message in self.ignore:
            self.ignored += 1
        else:
            self._receiver.messageReceived(message)

    def framingFailed(self, error: FramingError) -> None:
        self._receiver.framingFailed(error)

    def _connectionEstablished(self) -> None:
        self._receiver._connectionEstablished()

    def _messageBegun(self, length: int) -> bool:
        # In parts it could not be compared.
        return all(length != len(each) for each in self.ignore) and self._receiver._messageBegun(length)

    def _partReceived(self, part: bytes, last: bool) -> None:
        self._receiver._partReceived(part, last)
