"""share: many clients, one device. Each asks, one at a time reaches the device, and each has its own answer.

Clients take turns: of a client that has sent many requests, one goes to the device, then one of the next client. An
answer belongs to the request that was sent last, since nothing else in an unknown protocol tells whose it is. So when
one does not come in time, or a bad frame comes in its place, the connection to the device is not used any further: what
came on it later could be taken for the answer to somebody else. And no request is sent twice, because it may have been
carried out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from sockserve.connection.failures import QueueFull
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError
from sockserve.handlers.device import Device
from sockserve.handlers.durations import Durations, clock
from sockserve.limits.memory import OBJECT
from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

    from sockserve.connection.options import ConnectionOptions
    from sockserve.framing import Framing

DEFAULT_ANSWER_TIMEOUT = 10.0

# Bytes of memory for what the device is asked.
_UNDER_WAY = 256


class Share:
    """The clients of one named socket, and the device that they share.

    endpoint, framing, description: see Device. options: of the connection to it. max_pending: requests of one client
    that may wait; then its reading pauses. answer_timeout: seconds that the device has for an answer, and for which
    requests wait for a device that is away.
    durations: where the time that the device takes is counted.

    unsolicited: messages of the device that nobody had asked for; they were dropped.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        framing: Framing,
        description: str,
        options: ConnectionOptions,
        *,
        max_pending: int,
        answer_timeout: float,
        durations: Durations,
    ) -> None:
        self.max_pending = max_pending
        self.unsolicited = 0
        self._device = Device(endpoint, framing, description, options, self)
        self._clock = options.clock
        self._timeout = answer_timeout
        self._durations = durations
        # The clients that have something waiting, in the order of their turns, with the time since when they have one.
        self._turns: OrderedDict[Asker, float] = OrderedDict()
        # The request that the device has; None: it has none.
        self._asked: _Asked | None = None
        # For the answer that is awaited; or, while the device is away, for the first of those that wait.
        self._deadline: IDelayedCall | None = None
        # The next request, in the next turn of the reactor.
        self._soon: IDelayedCall | None = None
        # Since when the device has been away.
        self._away = 0.0
        # The next request is being chosen.
        self._choosing = False

    def client(self) -> Asker:
        """The protocol of a new client."""
        return Asker(self)

    @property
    def connected(self) -> bool:
        """Whether the device can be asked."""
        return self._device.connected

    @property
    def device(self) -> str:
        """How the log names the device."""
        return self._device.description

    def start(self) -> None:
        """Connect to the device, and stay connected."""
        self._away = self._clock.seconds()
        self._device.start()

    def stop(self) -> Deferred[None]:
        """Close the connection to the device. Fires when it is over."""
        self._settled()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        return self._device.stop()

    # What clients call.

    def wait(self, asker: Asker) -> None:
        """The client has a request that waits."""
        if asker not in self._turns:
            self._turns[asker] = self._clock.seconds()
        if self._device.connected:
            if self._soon is None:
                self._next()
        elif self._deadline is None:
            self._watch()

    def leave(self, asker: Asker) -> None:
        """The client does not want any answer. What the device has of it is awaited, and dropped."""
        self._turns.pop(asker, None)
        if self._asked is not None and self._asked.asker is asker:
            self._asked.asker = None

    # What the device calls.

    def ready(self) -> None:
        self._settled()
        self._next()

    def received(self, messages: list[bytes]) -> None:
        for message in messages:
            asked = self._asked
            if asked is None:
                self._drop()
                continue
            self._settled()
            self._durations.add(clock() - asked.begun)
            # What has come with this answer must not be taken for the next one.
            self._soon = self._clock.callLater(0, self._go_on)
            if asked.asker is not None:
                asked.asker.answered(message)

    def lost(self, reason: str) -> None:
        self._away = self._clock.seconds()
        asker = self._settled()
        if asker is not None:
            asker.give_up(f"the device was lost before it answered: {reason}; closing")
        self._watch()

    def _drop(self) -> None:
        self.unsolicited += 1
        self._device.warn("a message that nobody had asked for is dropped", "sockserve.share.unsolicited")

    def _settled(self) -> Asker | None:
        """Nothing is awaited from the device any more. Returns the client that was asking."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        asked, self._asked = self._asked, None
        return None if asked is None else asked.asker

    def _go_on(self) -> None:
        self._soon = None
        if self._device.connected:
            self._next()

    def _next(self) -> None:
        """Ask the device what the next client wants to know, unless it has a request."""
        if self._choosing:
            return
        self._choosing = True
        while self._turns and self._asked is None:
            asker, _ = self._turns.popitem(last=False)
            request = asker.take()
            if asker.waiting:
                self._turns[asker] = self._clock.seconds()
            # First: when memory is short, the client may leave while this is sent.
            self._asked = _Asked(asker, clock())
            try:
                self._device.send(request)
            except FramingError as error:
                self._asked = None
                asker.refuse(error)
                continue
            self._durations.called += 1
            self._durations.waited += 1
            self._deadline = self._clock.callLater(self._timeout, self._unanswered)
        self._choosing = False

    def _unanswered(self) -> None:
        self._deadline = None
        asker = self._settled()
        late = f"no answer within {self._timeout:g} seconds (answer_timeout)"
        if asker is None:
            self._device.warn(f"{late}, and its client has left; connecting again", "sockserve.share.lost")
        else:
            asker.give_up(f"{late}; closing, and connecting to the device again", "answer_timeout")
        self._away = self._clock.seconds()
        self._device.drop()
        self._watch()

    def _watch(self) -> None:
        """While the device is away: see to the client that has waited longest."""
        if self._turns and self._deadline is None and not self._device.connected:
            since = max(next(iter(self._turns.values())), self._away)
            seconds = max(since + self._timeout - self._clock.seconds(), 0.0)
            self._deadline = self._clock.callLater(seconds, self._waited)

    def _waited(self) -> None:
        """The device has been away for too long: they stand in the order in which their time is over."""
        self._deadline = None
        now = self._clock.seconds()
        while self._turns and max(next(iter(self._turns.values())), self._away) + self._timeout <= now:
            asker, _ = self._turns.popitem(last=False)
            text = f"no connection to the device for {self._timeout:g} seconds (answer_timeout); closing"
            asker.give_up(text, "answer_timeout")
        self._watch()


class _Asked:
    """What the device is asked. asker: None: has left. begun: when, by the clock of Durations."""

    __slots__ = ("asker", "begun")

    def __init__(self, asker: Asker, begun: float) -> None:
        self.asker: Asker | None = asker
        self.begun = begun


class Asker(MessageProtocol):
    """One client.

    waiting: its requests that the device does not have yet.
    """

    keepsState = False

    def __init__(self, share: Share) -> None:
        # Few, because reading pauses; an empty deque takes twelve times as much memory.
        self.waiting: list[bytes] = []
        self._share = share
        self._asking = False
        self._all_received = False
        # Bytes of memory that its requests take.
        self._kept = 0

    @property
    def pending(self) -> int:
        """How many answers it waits for."""
        return len(self.waiting) + self._asking

    @property
    def keptBytes(self) -> int:
        return self._kept

    def messageReceived(self, message: bytes) -> None:
        if self._engine.over:
            # It has left, and would take this along.
            return
        self.waiting.append(message)
        weight = OBJECT + len(message)
        self._kept += weight
        self._share.wait(self)
        if self.pending >= self._share.max_pending:
            self.holdReading("answers")
        self._engine.grow(weight)

    def messagesEnded(self) -> None:
        self._all_received = True
        if not self.pending:
            self.loseConnection()

    def loseConnection(self) -> None:
        self._dropKept()
        super().loseConnection()

    def _dropKept(self) -> None:
        self.waiting.clear()
        self._asking = False
        self._kept = 0
        self._share.leave(self)

    def _connectionOver(self) -> None:
        self._dropKept()

    # What the share calls.

    def take(self) -> bytes:
        """The next request: it goes to the device."""
        request = self.waiting.pop(0)
        self._asking = True
        self._kept += _UNDER_WAY - OBJECT - len(request)
        return request

    def answered(self, answer: bytes) -> None:
        """The device has answered."""
        self._done()
        try:
            try:
                self.sendMessage(answer)
            except QueueFull:
                # It has asked for this, and no more is read from it meanwhile.
                self._engine.encoder.answer_all([answer])
        except FramingError as error:
            self.give_up(f"the answer of the device cannot cross: {printable(error)}; closing", "on_bad_frame")
        self._go_on()

    def refuse(self, error: FramingError) -> None:
        """Its request cannot be carried to the device."""
        self._done()
        skip = self.info.framing.on_bad_frame == "skip"
        action = "skipping it" if skip else "closing"
        self._engine.telling.warn("on_bad_frame", f"cannot cross to {self._share.device}: {printable(error)}; {action}")
        if skip:
            self._go_on()
        else:
            self.loseConnection()

    def give_up(self, text: str, limit: str = "") -> None:
        """It gets no answer: log why, and close. limit: the setting that decides it; "": none does."""
        if limit:
            self._engine.telling.tell(limit, text)
        else:
            self._engine.telling.warn("share", text, "sockserve.share.failed")
        self.loseConnection()

    def _done(self) -> None:
        self._asking = False
        self._kept -= _UNDER_WAY

    def _go_on(self) -> None:
        if self.closing:
            return
        if self._all_received and not self.pending:
            self.loseConnection()
        elif self.pending < self._share.max_pending:
            self.releaseReading("answers")
