"""The private half of a MessageProtocol: it joins reading, sending, closing and the state of one connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from sockserve.connection import transports
from sockserve.connection.closing import Closing
from sockserve.connection.failures import Refused
from sockserve.connection.handover import Carried, restore
from sockserve.connection.heartbeat import Heartbeat
from sockserve.connection.ignoring import Ignoring
from sockserve.connection.reading import Reading
from sockserve.connection.receiving import Receiver as MessageReceiver
from sockserve.connection.receiving import Receiving
from sockserve.connection.sending import Receiver as WritingReceiver
from sockserve.connection.sending import Sending
from sockserve.connection.state import Cause, Incoming, State, Wire
from sockserve.connection.telling import Telling
from sockserve.connection.timing import Timing
from sockserve.framing import as_framing
from sockserve.framing.encoder import Encoder
from sockserve.limits import turns
from sockserve.limits.totals import Traffic
from sockserve.text import reason_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from sockserve.connection.options import ConnectionOptions
    from sockserve.framing import Framing

_OPEN: Final = Incoming.OPEN


class Receiver(MessageReceiver, WritingReceiver, Protocol):
    """The user's half; see MessageProtocol."""

    framing: Framing | str

    @property
    def keptBytes(self) -> int: ...

    def messagesEnded(self) -> None: ...

    def loseConnection(self) -> None: ...

    def _connectionStarted(self) -> None:
        """The connection has started."""

    def _connectionNotStarted(self, failure: Failure) -> None:
        """It could not start, and is being aborted."""

    def _dropKept(self) -> None:
        """Free what keptBytes counts, at once: the connection is aborted."""

    def _connectionOver(self) -> None:
        """It is lost. Called before the gate may start another one."""


class Engine:
    """One connection, from its creation to its loss. It registers with what limits it (see sockserve.limits).

    receiver: the user's half, whose methods are called. transport: see transports. options: see ConnectionOptions.

    id: the connection's number within its named socket; 0 outside one.
    local: our own address, when it was made.
    since: when it was made, in seconds since the epoch.
    loss: why it was lost; None if we or the peer closed it.
    limit: the name of the first limit that has ended it; "": none has.
    heartbeat: what sends its heartbeats; None: nothing does.
    established: when its first message came, in seconds since the epoch; 0: it has not yet.
    """

    __slots__ = (
        "_closing",
        "_telling",
        "_timing",
        "encoder",
        "established",
        "heartbeat",
        "id",
        "limit",
        "local",
        "loss",
        "options",
        "reading",
        "receiver",
        "receiving",
        "sending",
        "since",
        "state",
        "transport",
    )

    def __init__(self, receiver: Receiver, transport: Any, options: ConnectionOptions) -> None:  # noqa: ANN401
        self.receiver = receiver
        self.transport = transport
        self.options = options
        self.id = 0
        self.loss: ConnectionLost | None = None
        self.limit = ""
        self.state = State()
        self.since = time.time()
        self.established = 0.0
        self.local = transports.local_of(transport)
        transports.prepare(transport)
        framing = as_framing(receiver.framing)
        self.receiving = (
            Ignoring(framing, receiver, transport, self, options.ignore)
            if options.ignore
            else Receiving(framing, receiver, transport, self)
        )
        self.sending = Sending(transport, self)
        self.encoder = Encoder(framing, self.sending)
        self.reading = Reading(transport, self)
        self._closing: Closing | None = None
        self._timing: Timing | None = None
        self._telling: Telling | None = None
        self.heartbeat: Heartbeat | None = None

    # What is known.

    @property
    def address(self) -> IAddress:
        """The peer's address."""
        return transports.peer_of(self.transport)

    @property
    def closing(self) -> Closing:
        """How it closes. Made when that begins, or the peer does not read: an idle connection has none."""
        if self._closing is None:
            self._closing = Closing(self.transport, self.state, self.timing)
        return self._closing

    @property
    def timing(self) -> Timing:
        """What its time limits see. Made when one begins: an idle connection without limits has none."""
        if self._timing is None:
            self._timing = Timing(self)
        return self._timing

    @property
    def telling(self) -> Telling:
        """What is said of it. Made when there is something to say."""
        if self._telling is None:
            self._telling = Telling(self)
        return self._telling

    @property
    def started(self) -> bool:
        """Whether the gate has let it in."""
        return self.state.incoming is not Incoming.WAITING

    @property
    def over(self) -> bool:
        """The connection is lost."""
        return self.state.wire is Wire.LOST

    @property
    def ending(self) -> bool:
        """Whether no more messages come: at least one side has ended them."""
        return self.state.incoming > _OPEN

    def silent(self, seconds: float) -> bool:
        """Whether nothing has come for so long, as far as that is known."""
        return transports.silence(self.transport) >= seconds

    @property
    def bytes_received(self) -> int:
        """All that came, framing bytes included."""
        return self.reading.bytes_received

    @property
    def owing(self) -> bool:
        """Whether an answer is under way, or something waits for the peer to take it."""
        return bool(self.receiver.keptBytes or self.sending.queued)

    @property
    def traffic(self) -> Traffic:
        """What it has moved so far."""
        sums = [0] * len(Traffic._fields)
        self.add_traffic(sums)
        return Traffic(*sums)

    def add_traffic(self, sums: list[int], sign: int = 1) -> None:
        """Add what it has moved so far to these numbers, in the order of Traffic, or take it off."""
        sums[0] += sign * self.receiving.delivered
        sums[1] += sign * self.encoder.count
        sums[2] += sign * self.reading.bytes_received
        sums[3] += sign * self.sending.bytes_sent
        sums[4] += sign * self.reading.pauses
        sums[5] += sign * self.receiving.ignored

    @property
    def flushed(self) -> bool:
        """Whether it is closing and nothing is owed any more."""
        return self.state.flushed

    @property
    def echoes(self) -> bool:
        """Whether received frames can be sent back as they are: both directions have the same framing."""
        sending, receiving = self.encoder.framing, self.receiving.framing
        return sending is receiving or sending == receiving

    @property
    def reason(self) -> str:
        """Why it is over: `limit`, or else "lost", "peer", "drain", or "program", which has closed it."""
        cause = self.state.cause
        if self.limit:
            return self.limit
        if self.loss is not None:
            return "lost"
        return "program" if cause is None else "drain" if cause is Cause.DRAIN else "peer"

    # The beginning.

    def connect(self, carried: Carried | None = None) -> None:
        """Twisted has made the connection: start it, now or when the gate says so.

        carried: it was another's until now, and goes on as it was.
        """
        gate, memory = self.options.gate, self.options.memory
        if memory is not None:
            memory.join(self)
        if carried is not None:
            restore(self, carried)
            if carried.started:
                if gate is not None:
                    gate.take(self)
                self.start(again=True)
                return
        if gate is None or gate.enter(self):
            self.start()

    def fail(self, failure: Failure) -> None:
        """Something raised before the connection could start: log it, and abort."""
        self.telling.failed("{peer}: {what} could not start; closing", type(self.receiver).__name__, failure)
        self._stop()
        transports.abort(self.transport)
        self.receiver._connectionNotStarted(failure)

    def wait(self) -> None:
        """The gate keeps it waiting: what the peer sends stays with the kernel."""
        self.reading.wait()

    def dismiss(self) -> None:
        """The gate does not let it in: it is full, or closed for good."""
        self.limit = self.limit or "drain"
        self.transport.loseConnection()

    def start(self, *, again: bool = False) -> None:
        """Start: `connectionMade`, then messages. Called by `connect`, or by the gate that kept it waiting.

        again: it has started elsewhere before, and goes on here.
        """
        options = self.options
        self.state.start()
        # First, because the program may hold reading again.
        self.reading.begin()
        transports.register(self.transport, self.sending)
        if options.idle_timeout or options.frame_timeout or options.max_connection_age:
            self.timing.watch()
        if options.tcp_keepalive or options.tcp_user_timeout:
            transports.watch_line(self.transport, options.tcp_keepalive, options.tcp_user_timeout)
        if options.greeting is not None and not again:
            self.encoder.send(options.greeting)
        if options.heartbeat is not None and options.heartbeat_every is not None:
            self.heartbeat = Heartbeat(self, options.heartbeat, options.heartbeat_every)
            if again:
                # The time since the last one is not known.
                self.heartbeat.beat()
        self._call(self.receiver._connectionStarted)
        self.reading.deliver_early()

    # Events from the transport.

    def peer_ended(self) -> None:
        """The peer has shut down its sending side."""
        if transports.report_reset(self.transport):
            return
        state = self.state
        was_closing = state.closing
        state.peer_ended()
        self.reading.cut = transports.cut_short(self.transport)
        if was_closing:
            state.end_told()
            transports.close(self.transport)
            return
        self.reading.no_more_come()
        self.closing.end_told()

    def write_ended(self) -> None:
        """The kernel has all that we sent, and our end of stream."""
        self.state.flush()
        if self.options.gate is not None:
            self.options.gate.flushed(self)

    def lost(self, reason: Failure) -> None:
        """The connection is over. What had arrived is delivered, whatever held it up; then its messages end."""
        state, options = self.state, self.options
        started = self.started
        if not started:
            self.limit = self.limit or "peer"
        if not state.closing and not reason.check(ConnectionDone):
            self.loss = _loss(reason)
            self.reading.cut = self.reading.cut or state.wire is Wire.OPEN
        state.lost()
        transports.forget_unsent(self.transport)
        if started:
            if not state.closing:
                self.encoder.drop()
                self.encoder.close()
                self.reading.no_more_wait()
            if not state.closing:
                self._stop()
            self.unwatch()
            if self._closing is not None:
                self._closing.over()
            self.sending.wake()
        self._leave(started)
        if options.gate is not None:
            options.gate.leave(self)

    def moved(self) -> None:
        """It goes on elsewhere: here it is over, and the program is not told. See sockserve.connection.handover."""
        started = self.started
        self.unwatch()
        self.state.moved()
        self.receiving.drop()
        self.encoder.close()
        self.sending.wake()
        if self._closing is not None:
            self._closing.over()
        self._leave(started)
        if self.options.gate is not None:
            self.options.gate.go(self)

    def _leave(self, started: bool) -> None:
        if self.options.memory is not None:
            self.options.memory.leave(self)
        if started:
            self._call(self.receiver._connectionOver)

    # Receiving.

    def hold_reading(self, reason: str) -> None:
        """Deliver no more messages and read no more, from the end of the message that is being delivered."""
        if not self.state.closing and self.state.wire is not Wire.LOST:
            self.reading.hold(reason)

    def release_reading(self, reason: str) -> None:
        """Undo hold_reading for this reason. Messages that have already arrived are delivered before this returns."""
        if not self.state.closing:
            self.reading.release(reason)

    def wait_for_turn(self) -> None:
        """Deliver the rest in another turn of the reactor, where others have theirs."""
        if self.state.wire is not Wire.LOST and transports.takes_turns(self.transport):
            self.hold_reading(turns.REASON)
            turns.wait(self.options.clock, self._take_turn)

    def _take_turn(self) -> None:
        self.release_reading(turns.REASON)

    def set_framing(self, framing: Framing | str, *, incoming: bool, outgoing: bool) -> None:
        """See MessageProtocol.setFraming."""
        framing = as_framing(framing)
        if outgoing:
            self.encoder.framing = framing
        if incoming:
            self.receiving.set_framing(framing)

    def establish(self) -> None:
        """The first message is about to be delivered."""
        self.established = time.time()
        if self.options.gate is not None:
            self.options.gate.established(self)

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except BaseException:
            self.callback_failed()

    def callback_failed(self) -> None:
        """A method of the receiver has just raised."""
        self.failed(type(self.receiver).__name__, Failure())

    def failed(self, what: str, failure: Failure) -> None:
        """The user's code has failed, or refused a message: log it, and close.

        what: names that code in the log.
        """
        if isinstance(failure.value, Refused):
            self.telling.tell("handler", f"refused: {reason_of(failure.value)}; closing")
        else:
            self.telling.failed("{peer}: {what} failed; closing", what, failure)
            self.telling.tell("handler")
        self.receiver.loseConnection()

    # Sending and closing.

    def end_messages(self) -> None:
        """Our end of stream follows what is owed."""
        self.encoder.flush()
        self.encoder.close()
        self.closing.end_sending()

    def replace(self, transport: Any) -> None:  # noqa: ANN401 - see transports
        """Go on over this transport, and with nothing that came before."""
        self.transport = transport
        self.reading.replace(transport)
        if self._closing is not None:
            self._closing.over()
            self._closing = None
        self.sending.replace(transport)

    def close(self) -> None:
        """Send what is owed, then close. Delivers no more messages."""
        if not self.state.closing:
            self.encoder.flush()
            self._stop()
            if self.state.wire is not Wire.LOST:
                self.closing.close()
                if self.flushed:
                    # Our end of stream went out before: nothing else tells it.
                    self.write_ended()

    def drain(self) -> None:
        """Read no more, deliver what was read, send what is owed, then close: as if the peer ended its stream now.

        Does nothing if the peer has ended it: then that end counts, with an unfinished frame before it.
        """
        if self.state.incoming is not _OPEN:
            return
        self.state.no_more(Cause.DRAIN)
        self.reading.adjust()
        self.reading.no_more_come()

    def abort(self) -> None:
        """Close at once, without sending what is owed."""
        if not self.state.closing:
            self._stop()
        self.encoder.drop()
        if self.state.wire is not Wire.LOST:
            transports.abort(self.transport)

    def _stop(self) -> None:
        """Deliver nothing more."""
        if self.options.log_traffic:
            self.telling.closing()
        self.state.drop()
        self.receiving.drop()
        self.encoder.close()
        self.sending.wake()
        self.unwatch()

    # What limits it; see sockserve.limits and sockserve.connection.closing.

    @property
    def held(self) -> int:
        """Bytes of memory that this connection takes: received and not delivered, worked on, not taken by the peer."""
        footprint = transports.footprint(self.transport, shares=self.sending.shares)
        if not self.started:
            return len(self.reading.early) + footprint
        return self.receiving.pending + self.encoder.size + footprint + self.receiver.keptBytes

    def grow(self, count: int) -> None:
        """This many more bytes of memory are held now."""
        if self.options.memory is not None:
            self.options.memory.grow(count, self)

    def hush(self) -> None:
        """Send no more heartbeats."""
        if self.heartbeat is not None:
            self.heartbeat.stop()

    def unwatch(self) -> None:
        """Let no sweep watch it any more, and send no more heartbeats."""
        self.hush()
        if self._timing is not None:
            self._timing.unwatch()

    def abort_for(self, limit: str, text: str) -> None:
        """Close at once because of a limit. What it holds is freed before this returns."""
        self.telling.tell(limit, text)
        if self.started:
            self.abort()
            self._call(self.receiver._dropKept)
        else:
            self.reading.early = b""
            transports.abort(self.transport)


def _loss(reason: Failure) -> ConnectionLost:
    """A ConnectionLost for this connection alone: Twisted uses one object for all."""
    if isinstance(reason.value, ConnectionLost):
        return ConnectionLost(*reason.value.args)
    return ConnectionLost(reason.getErrorMessage())
