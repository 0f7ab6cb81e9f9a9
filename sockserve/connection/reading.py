"""The peer's bytes, from a read to the answers; and whether the connection is read from.

The path of a message: received -> Receiving -> messagesReceived -> messageReceived, the user's; sendMessage -> Encoder
-> Sending -> transport. What is sent while messages are being delivered leaves as one write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sockserve.connection import transports
from sockserve.connection.state import Cause, Incoming
from sockserve.limits import turns
from sockserve.sockets import read_now
from sockserve.tls.foreign import handshaking

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine

# Looked up faster than in their class.
_OPEN: Final = Incoming.OPEN
_ENDING: Final = Incoming.ENDING

# One for all; frozenset() would make a new one each time.
_NO_HOLDS: Final[frozenset[str]] = frozenset()

# The reasons that hold a peer up which sends more than can be answered, or taken by it.
_BACK_PRESSURE: Final = frozenset({"answers", "memory_budget", "other side", "writing"})

# Bytes of answers to one read that are collected, to be sent in one write.
_BATCH_SIZE: Final = 256 * 1024

# Bytes of a read that took all it could, and how many of a long message are read before others have their turn.
_FULL_READ: Final = 64 * 1024
_READ_ON: Final = 1024 * 1024


class Reading:
    """What is read of one connection, and delivered, until something holds it.

    active: whether the transport reads. holds: the reasons why it is not to.
    pauses: how often it was paused to hold the peer up.
    bytes_received: all that came, framing bytes included.
    early: bytes that came before the start: a lower layer had read them together with its own.
    skipped: bad frames skipped in this read.
    cut: the peer's stream has no end, as far as we know: the connection was lost first.
    """

    __slots__ = (
        "_encoder",
        "_engine",
        "_options",
        "_receiving",
        "_state",
        "_transport",
        "active",
        "bytes_received",
        "cut",
        "early",
        "holds",
        "pauses",
        "skipped",
    )

    def __init__(self, transport: Any, engine: Engine) -> None:  # noqa: ANN401 - see transports
        self._transport = transport
        self._engine = engine
        self._options = engine.options
        self._state = engine.state
        self._receiving = engine.receiving
        self._encoder = engine.encoder
        self.active = True
        self.holds = _NO_HOLDS
        self.pauses = 0
        self.bytes_received = 0
        self.early = b""
        self.skipped = 0
        self.cut = False

    def wait(self) -> None:
        """What the peer sends stays with the kernel until `begin`."""
        self.active = False
        transports.pause(self._transport)

    def begin(self) -> None:
        """The connection starts."""
        if not self.active and not self.holds:
            self.active = True
            transports.resume(self._transport)

    def deliver_early(self) -> None:
        """Deliver what came before the start."""
        if self.early:
            early, self.early = self.early, b""
            self.received(early)

    def replace(self, transport: Any) -> None:  # noqa: ANN401 - see transports
        """Go on with what comes from this transport, and with nothing that came before."""
        self._transport = transport
        self._receiving.discard(transport)

    def received(self, data: bytes) -> None:
        """The bytes of one read."""
        if self._state.incoming is not _OPEN and self._kept_or_dropped(data):
            return
        options = self._options
        receiving = self._receiving
        room = _READ_ON
        while data:
            self.bytes_received += len(data)
            if options.log_traffic:
                self._engine.telling.moved("received", len(data))
            receiving.receive(data)
            self._engine.grow(len(data))
            if receiving.held:
                self.adjust()
                return
            if receiving.running:
                return
            self._run()
            if len(data) < _FULL_READ:
                return
            # There may be more: of a long message, it need not wait for the next turn of the reactor.
            room -= len(data)
            data = read_now(self._transport) if room > 0 and self.active and receiving.missing else b""

    def _kept_or_dropped(self, data: bytes) -> bool:
        """Whether bytes that came before the start, or after the end of the messages, are not to be delivered now."""
        state = self._state
        if state.incoming is _ENDING:
            return False
        if state.incoming is Incoming.WAITING:
            self.early += data
            self._engine.grow(len(data))
            return True
        self.bytes_received += len(data)
        state.discarded += len(data)
        if self._options.log_traffic:
            self._engine.telling.moved("received", len(data))
        return True

    def hold(self, reason: str) -> None:
        """Deliver no more messages and read no more, from the end of the message that is being delivered."""
        self.holds |= {reason}
        self._receiving.held = True
        self._receiving.interrupt()
        if not self._receiving.running:
            self.adjust()

    def release(self, reason: str) -> None:
        """Undo `hold` for this reason. Messages that have already arrived are delivered before this returns."""
        if reason not in self.holds:
            return
        self.holds -= {reason}
        if self.holds:
            return
        self._receiving.held = False
        if self._state.incoming is not Incoming.WAITING and not self._receiving.running:
            self._run()

    def take(self, reason: str) -> bytes | None:
        """The next message, if it is decoded and nothing but this reason holds it back."""
        holds = self.holds
        return None if holds and (len(holds) > 1 or reason not in holds) else self._receiving.take()

    def adjust(self) -> None:
        """Let the transport read, or not, as it is now to be."""
        state = self._state
        if self.active and state.incoming is _OPEN and not self.holds:
            return
        wanted = state.wants_reading(bool(self.holds))
        if wanted is None or wanted is self.active:
            return
        if not wanted and handshaking(self._transport):
            # Only what comes after the handshake is held.
            return
        self.active = wanted
        if wanted:
            transports.resume(self._transport)
        else:
            if state.incoming is _OPEN and not self.holds.isdisjoint(_BACK_PRESSURE):
                self.pauses += 1
            transports.pause(self._transport)

    def _run(self) -> None:
        """Deliver what was received; then send the answers."""
        receiving, encoder, state = self._receiving, self._encoder, self._state
        encoder.batch = _BATCH_SIZE
        decoded = 0
        try:
            if state.incoming is _OPEN or state.incoming is _ENDING:
                decoded = receiving.run()
        except BaseException:
            self._engine.callback_failed()
        if self.skipped and turns.REASON not in self.holds:
            if self.skipped > 1:
                self._engine.telling.warn("on_bad_frame", f"{self.skipped - 1} more bad frames skipped")
            self.skipped = 0
        if self._transport.disconnecting:
            self._engine.receiver.loseConnection()
        encoder.flush()
        encoder.batch = 0
        if encoder.size:
            # From writingPaused.
            encoder.flush()
        if receiving.failed:
            state.no_more(Cause.BAD_FRAME)
            self._end()
        elif state.incoming is _ENDING and not receiving.held:
            self._end()
        self.adjust()
        if decoded:
            self._engine.grow(decoded)

    def no_more_come(self) -> None:
        """The peer has ended its stream, or we drain: the messages end, when all that came are delivered."""
        if not self._receiving.held and not self._receiving.running:
            self._end()

    def no_more_wait(self) -> None:
        """The connection is lost: deliver what has come, whatever holds it up; then the messages end."""
        self.holds = _NO_HOLDS
        self._receiving.held = False
        if not self._receiving.running:
            self._run()

    def _end(self) -> None:
        """No more messages come, and all that came are delivered: report it, once."""
        state, receiving, receiver = self._state, self._receiving, self._engine.receiver
        if state.cause is Cause.STREAM and state.incoming is _ENDING and receiving.complete(cut=self.cut):
            # This comes here again when they are delivered.
            self._run()
            return
        if not state.delivered():
            return
        if state.cause is Cause.BAD_FRAME:
            self._engine.telling.tell("on_bad_frame")
        try:
            if state.cause is Cause.STREAM:
                receiving.finish()
            if not state.closing:
                receiver.messagesEnded()
        except BaseException:
            self._engine.callback_failed()
