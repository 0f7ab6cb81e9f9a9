"""Answers from a function of the user: plain, a coroutine, one that returns a Deferred, or one that blocks.

Answers leave in the order of the messages, however long each takes: what is ready too early waits in a queue, and
reading pauses while the queue is full.
"""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop
from collections import deque
from collections.abc import Awaitable, Callable
from types import CoroutineType

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockserve.connection.channel import Channel
from sockserve.connection.coroutine import begin
from sockserve.connection.failures import QueueFull
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.durations import SAMPLE, Durations, clock
from sockserve.handlers.threads import Threads

log = Logger()

Answer = bytes | None
"""None sends nothing."""

Function = Callable[[bytes, Channel], "Answer | Awaitable[Answer]"]
"""`answer(message, channel)`. The awaitable is a coroutine or a Deferred."""

DEFAULT_MAX_PENDING = 100

# Bytes of memory that an answer takes that waits for others before it.
_WAITING = 192


def under_way() -> int:
    """Bytes of memory that an answer takes while it is under way, beside what its variables hold.

    A coroutine, its frame, the Deferreds and the timer that it waits for; under asyncio, a task as well.
    """
    return 4096 if running_loop() is None else 6144


class _Slot:
    """The place of one answer in the order."""

    __slots__ = ("answer", "begun", "deferred", "held")

    def __init__(self, deferred: Deferred[object] | None, answer: object, held: int, begun: float = 0.0) -> None:
        # What is waited for; None: the answer is there.
        self.deferred = deferred
        self.answer = answer
        # Bytes of memory that all of it takes.
        self.held = held
        # When the function was called, if its answer is waited for.
        self.begun = begun


class Answering(MessageProtocol):
    """Calls the function for each message and sends what it returns.

    max_pending: answers of one connection that may be under way; then its reading pauses.
    threads: call the function in one of these, because it blocks. Calls for one connection may then overlap, and what
        they do with their channel must go through `reactor.callFromThread`.
    durations: where the time that calls take is counted.

    An exception of the function, or an answer that cannot be sent, is logged and closes this connection, after the
    answers to earlier messages. Answers are never refused because of max_queued: no more messages are read from a peer
    that does not take them.
    """

    keepsState = False

    # Bytes of memory that the slots take.
    _kept = 0

    def __init__(
        self,
        function: Function,
        *,
        max_pending: int = DEFAULT_MAX_PENDING,
        threads: Threads | None = None,
        durations: Durations | None = None,
    ) -> None:
        self._function = function
        self._max_pending = max_pending
        self._threads = threads
        self._channel = Channel(self)
        self._slots: deque[_Slot] = deque()
        self._all_received = False
        self._durations = Durations() if durations is None else durations

    def messagesReceived(self, messages: list[bytes]) -> None:
        durations = self._durations
        if durations.rest:
            durations.rest -= 1
            calls = self._engine.receiving.deliver_each(messages, self._handle)
            durations.called += calls
        else:
            durations.rest = SAMPLE - 1
            durations.settle()
            begun = clock()
            calls = self._engine.receiving.deliver_each(messages, self._handle)
            durations.called += calls
            durations.add_at_once(clock() - begun)

    def messageReceived(self, message: bytes) -> None:
        """One that had to wait for its delivery."""
        self._durations.called += 1
        self._handle(message)

    def _handle(self, message: bytes) -> None:
        try:
            answer = call(self._function, message, self._channel, self._threads)
        except BaseException:
            answer = Failure()
            self.holdReading("failed")
        # The type first: Deferred is an abstract class, for which isinstance takes long.
        if type(answer) is not bytes and isinstance(answer, Deferred):
            self._durations.waited += 1
            slot = _Slot(answer, None, under_way() + len(message), clock())
            self._keep(slot)
            answer.addBoth(self._answered, slot)
        elif self._slots:
            slot = _Slot(None, answer, _weight(answer))
            self._keep(slot)
        else:
            self._give(answer)
            return
        self._engine.grow(slot.held)
        if len(self._slots) >= self._max_pending:
            self.holdReading("answers")

    def messagesEnded(self) -> None:
        self._all_received = True
        if not self._slots:
            self.loseConnection()

    def _connectionOver(self) -> None:
        self._dropKept()

    def _dropKept(self) -> None:
        slots, self._slots = self._slots, deque()
        self._kept = 0
        while slots:
            # One by one, all of it: the traceback of a cancelled coroutine keeps what is in this frame.
            slot = slots.popleft()
            slot.held, slot.answer = 0, None
            if slot.deferred is not None:
                slot.deferred.cancel()

    @property
    def keptBytes(self) -> int:
        return self._kept

    @property
    def pending(self) -> int:
        """How many answers are under way, or wait for others."""
        return len(self._slots)

    def _keep(self, slot: _Slot) -> None:
        self._slots.append(slot)
        self._kept += slot.held

    def _answered(self, answer: object, slot: _Slot) -> None:
        slot.deferred = None
        if not slot.held:
            # Given up. Its traceback keeps the frames of all who are called now, and they keep it.
            # Not `cleanFailure`, which pytest-twisted replaces.
            if isinstance(answer, Failure) and answer.value is not None:
                answer.tb = answer.value.__traceback__ = None
            return
        self._durations.add(clock() - slot.begun)
        slots = self._slots
        weight = _weight(answer)
        self._kept += weight - slot.held
        slot.answer, slot.held = answer, weight
        if slots[0] is not slot:
            self._engine.grow(weight)
        while slots and slots[0].deferred is None:
            first = slots.popleft()
            self._kept -= first.held
            self._give(first.answer)
        if not self.closing:
            if self._all_received and not slots:
                self.loseConnection()
            elif len(slots) < self._max_pending:
                self.releaseReading("answers")

    def _give(self, answer: object) -> None:
        try:
            if type(answer) is bytes:
                self._send(answer)
            elif not self.closing and (sent := checked(answer)) is not None:
                self._send(sent)
        except BaseException:
            self._engine.failed("the handler", Failure())

    def _send(self, answer: bytes) -> None:
        try:
            self.sendMessage(answer)
        except QueueFull:
            self._engine.encoder.answer_all([answer])


def _weight(answer: object) -> int:
    """Bytes of memory that an answer takes which waits for others."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    return _WAITING + sum(len(part) for part in parts if isinstance(part, bytes))


def call(function: Function, message: bytes, channel: Channel, threads: Threads | None) -> object:
    """What the function returns, or raises; a Deferred for a coroutine that has to wait, and for a call in a thread."""
    if threads is not None:
        return threads.call(function, message, channel)
    answer = function(message, channel)
    return begin(answer) if isinstance(answer, CoroutineType) else answer


def checked(answer: object) -> Answer:
    """What a function may return; raises what it raised, or TypeError."""
    if isinstance(answer, Failure):
        answer.raiseException()
    if answer is not None and not isinstance(answer, bytes):
        raise TypeError(f"a handler returns bytes or None, not {type(answer).__name__}")
    return answer
