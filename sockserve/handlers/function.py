"""Answers from a function of the user: plain, a coroutine, one that returns a Deferred, or one that blocks."""

from __future__ import annotations

from sockserve.connection.channel import Channel
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.answers import Answers, Function
from sockserve.handlers.durations import Durations
from sockserve.handlers.threads import Threads

DEFAULT_MAX_PENDING = 100


class Answering(MessageProtocol):
    """Calls the function for each message and sends what it returns; see Answers.

    max_pending: answers of one connection that may be under way; then its reading pauses.
    threads: call the function in one of these, because it blocks. Calls for one connection may then overlap, and what
        they do with their channel must go through `reactor.callFromThread`.
    durations: where the time that calls take is counted.
    several: an answer may be a tuple of messages.

    An exception of the function, or an answer that cannot be sent, is logged and closes this connection, after the
    answers to earlier messages. Answers are never refused because of max_queued: no more messages are read from a peer
    that does not take them.
    """

    keepsState = False

    def __init__(
        self,
        function: Function,
        *,
        max_pending: int = DEFAULT_MAX_PENDING,
        threads: Threads | None = None,
        durations: Durations | None = None,
        several: bool = False,
    ) -> None:
        counted = Durations() if durations is None else durations
        self._answers = Answers(function, Channel(self), max_pending, threads, counted, several=several)

    def connectionMade(self) -> None:
        self._answers.engine = self._engine

    def messagesReceived(self, messages: list[bytes]) -> None:
        self._answers.receive(messages)

    def messageReceived(self, message: bytes) -> None:
        self._answers.receive_late(message)

    def messagesEnded(self) -> None:
        self._answers.end()

    def _connectionOver(self) -> None:
        self._dropKept()

    def _dropKept(self) -> None:
        self._answers.drop()

    @property
    def keptBytes(self) -> int:
        return self._answers.kept

    @property
    def pending(self) -> int:
        """How many answers are under way, or wait for others."""
        return self._answers.pending
