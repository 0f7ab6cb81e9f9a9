"""The answers of a function to the messages of one connection, in their order, however long each takes.

What is ready too early waits in a queue, and reading pauses while the queue is full. Between the connection and the
function there is nothing else: it is compiled with the path of a message.
"""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop
from collections import deque
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sockserve.connection.channel import Channel
from sockserve.connection.coroutine import begin
from sockserve.connection.failures import QueueFull
from sockserve.handlers.durations import SAMPLE, Durations, clock

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine
    from sockserve.handlers.threads import Threads

Answer = bytes | None
"""None sends nothing."""

Function = Callable[[bytes, Channel], "Answer | Awaitable[Answer]"]
"""`answer(message, channel)`. The awaitable is a coroutine or a Deferred."""

# Of all who have none: an empty deque takes 760 bytes.
_NO_SLOTS: Final[deque[Slot]] = deque()
# Bytes of memory that an answer takes that waits for others before it.
_WAITING = 192


def under_way() -> int:
    """Bytes of memory that an answer takes while it is under way, beside what its variables hold.

    A coroutine, its frame, the Deferreds and the timer that it waits for; under asyncio, a task as well.
    """
    return 4096 if running_loop() is None else 6144


class Slot:
    """The place of one answer in the order.

    deferred: what is waited for; None: the answer is there. held: bytes of memory that all of it takes.
    begun: when the function was called, if its answer is waited for.
    """

    __slots__ = ("answer", "begun", "deferred", "held")

    def __init__(self, deferred: Any, answer: object, held: int, begun: float = 0.0) -> None:  # noqa: ANN401 - any Deferred
        self.deferred = deferred
        self.answer = answer
        self.held = held
        self.begun = begun


class Answers:
    """Calls the function for each message and sends what it returns.

    max_pending: answers that may be under way; then reading pauses. threads: where the function is called; None: here.
    durations: where the time that calls take is counted. several: an answer may be a tuple of messages.
    engine: of the connection, which sets it when it starts.
    kept: bytes of memory that the answers take that are under way, or wait for others.
    """

    __slots__ = (
        "_all_received",
        "_channel",
        "_durations",
        "_function",
        "_max_pending",
        "_several",
        "_slots",
        "_threads",
        "engine",
        "kept",
    )

    engine: Engine

    def __init__(
        self,
        function: Function,
        channel: Channel,
        max_pending: int,
        threads: Threads | None,
        durations: Durations,
        *,
        several: bool = False,
    ) -> None:
        self._function = function
        self._channel = channel
        self._max_pending = max_pending
        self._threads = threads
        self._durations = durations
        self._several = several
        self._slots = _NO_SLOTS
        self._all_received = False
        self.kept = 0

    @property
    def pending(self) -> int:
        """How many answers are under way, or wait for others."""
        return len(self._slots)

    def receive(self, messages: list[bytes]) -> None:
        """The messages of one read."""
        durations, receiving = self._durations, self.engine.receiving
        if durations.rest:
            durations.rest -= 1
            durations.called += receiving.deliver_each(messages, self._handle)
            return
        durations.rest = SAMPLE - 1
        durations.settle()
        begun = clock()
        durations.called += receiving.deliver_each(messages, self._handle)
        durations.add_at_once(clock() - begun)

    def receive_late(self, message: bytes) -> None:
        """One that had to wait for its delivery."""
        self._durations.called += 1
        self._handle(message)

    def end(self) -> None:
        """No more messages come: close when all are answered."""
        self._all_received = True
        if not self._slots:
            self.engine.receiver.loseConnection()

    def drop(self) -> None:
        """Give up what is under way, and what waits."""
        slots, self._slots = self._slots, _NO_SLOTS
        self.kept = 0
        while slots:
            # One by one, all of it: the traceback of a cancelled coroutine keeps what is in this frame.
            slot = slots.popleft()
            slot.held, slot.answer = 0, None
            if slot.deferred is not None:
                slot.deferred.cancel()

    def _handle(self, message: bytes) -> None:
        answer: object
        try:
            answer = call(self._function, message, self._channel, self._threads)
        except BaseException:
            answer = Failure()
            self.engine.hold_reading("failed")
        # The type first: Deferred is an abstract class, for which isinstance takes long.
        if type(answer) is not bytes and isinstance(answer, Deferred):
            self._durations.waited += 1
            slot = Slot(answer, None, under_way() + len(message), clock())
            self._keep(slot)
            answer.addBoth(self._answered, slot)
        elif self._slots:
            slot = Slot(None, answer, _weight(answer))
            self._keep(slot)
        else:
            self._give(answer)
            return
        self.engine.grow(slot.held)
        if len(self._slots) >= self._max_pending:
            self.engine.hold_reading("answers")

    def _keep(self, slot: Slot) -> None:
        if self._slots is _NO_SLOTS:
            self._slots = deque()
        self._slots.append(slot)
        self.kept += slot.held

    def _answered(self, answer: object, slot: Slot) -> None:
        slot.deferred = None
        if not slot.held:
            # Given up. Its traceback keeps the frames of all who are called now, and they keep it.
            # Not `cleanFailure`, which pytest-twisted replaces.
            if isinstance(answer, Failure) and answer.value is not None:
                answer.tb = answer.value.__traceback__ = None
            return
        self._durations.add(clock() - slot.begun)
        slots, engine = self._slots, self.engine
        weight = _weight(answer)
        self.kept += weight - slot.held
        slot.answer, slot.held = answer, weight
        if slots[0] is not slot:
            engine.grow(weight)
        while slots and slots[0].deferred is None:
            first = slots.popleft()
            self.kept -= first.held
            self._give(first.answer)
        if not engine.state.closing:
            if self._all_received and not slots:
                engine.receiver.loseConnection()
            elif len(slots) < self._max_pending:
                engine.release_reading("answers")

    def _give(self, answer: object) -> None:
        if self._several and isinstance(answer, tuple):
            for each in answer:
                self._give(each)
            return
        try:
            if type(answer) is bytes:
                self._send(answer)
            elif not self.engine.state.closing:
                sent = checked(answer)
                if sent is not None:
                    self._send(sent)
        except BaseException:
            self.engine.failed("the handler", Failure())

    def _send(self, answer: bytes) -> None:
        encoder = self.engine.encoder
        try:
            encoder.send(answer)
        except QueueFull:
            encoder.answer_all([answer])


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
