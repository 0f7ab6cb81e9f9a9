"""Reads in, messages out: the loop between a decoder and the callbacks of a protocol.

It can stop after any message (pause, change of framing, close) and go on from there, with nothing lost and nothing
delivered twice. Messages that are decoded but not delivered yet stay in an iterator; at a change of framing the decoder
takes them back, as exactly the bytes that came: it finds the place in its last input where the last delivered message
ended. So a framing may understand several wire forms of one message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import length_hint
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from sockserve.connection.pace import Pace
from sockserve.framing import Decoder, Framing
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import FramingError, TruncatedMessage
from sockserve.framing.raw import Raw
from sockserve.limits.memory import OBJECT
from sockserve.limits.turns import SHARE

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine

# Messages between two looks at the clock, less one; and bytes that can hold so many that it is looked at first.
_FEW: Final = 127
_MANY: Final = 4096


class Receiver(Protocol):
    """The callbacks; see MessageProtocol."""

    @property
    def takesFrames(self) -> bool: ...

    def framesReceived(self, frames: bytes, count: int) -> None: ...

    def _connectionEstablished(self) -> None: ...

    def messageReceived(self, message: bytes) -> None: ...

    def messagesReceived(self, messages: list[bytes]) -> None: ...

    def framingFailed(self, error: FramingError) -> None: ...

    def _messageBegun(self, length: int) -> bool: ...

    def _partReceived(self, part: bytes, last: bool) -> None: ...


class Transport(Protocol):
    """What delivery needs of a transport: whether the program has closed it."""

    @property
    def disconnecting(self) -> int: ...


class Receiving:
    """The receiving side of one connection.

    framing: that of the bytes after the last delivered message.
    engine: what is said of it is told of each bad frame, before the receiver is.
    count: messages passed to the receiver. ignored: those of them that were ignored; see sockserve.connection.ignoring.
    held: set by the owner to stop delivery (together with `interrupt`), and cleared to let `run` go on.
    failed: whether a bad frame has ended it.
    """

    __slots__ = (
        "_at_border",
        "_change",
        "_completed",
        "_decoder",
        "_engine",
        "_input",
        "_later",
        "_offered",
        "_opened",
        "_pace",
        "_receiver",
        "_stop",
        "_taken",
        "_transport",
        "_undelivered",
        "_unfinished",
        "_until",
        "_used",
        "_weighed",
        "count",
        "framing",
        "held",
        "running",
    )

    def __init__(
        self,
        framing: Framing,
        receiver: Receiver,
        transport: Transport,
        engine: Engine,
    ) -> None:
        self.framing = framing
        self.count = 0
        self.held = False
        self.running = False
        self._receiver = receiver
        self._transport = transport
        self._engine = engine
        self._decoder = framing.decoder()
        # A framing that takes effect at the next border between frames.
        self._change: Framing | None = None
        # Bytes received; those before _used were fed to the decoder.
        self._input = b""
        self._used = 0
        # How much of them is decoded at once. None: all.
        self._pace: Pace | None = None
        # Decoded messages of an interrupted batch; and those that an override passed on after the interruption.
        self._undelivered: Iterator[bytes] | None = None
        self._later: list[bytes] | None = None
        # What they take in memory, and the iterator that this was counted for.
        self._weighed: tuple[Iterator[bytes], int] | None = None
        # Messages that the end of the stream has completed, and the error that it is, to be reported when all is
        # delivered.
        self._completed: list[bytes] | None = None
        self._unfinished: FramingError | None = None
        # Everything up to the last message is delivered, and nothing after it counts as begun.
        self._at_border = False
        # Delivery is to stop after the current message.
        self._stop = False
        # When its share of a turn of the reactor is used up; 0: not known yet. And how many messages were taken.
        self._until = 0.0
        self._taken = 0
        # The number of the last message that the receiver could have in parts; and the decoder, while it takes one.
        self._offered = -1
        self._opened: FrameDecoder | None = None

    @property
    def ignored(self) -> int:
        return 0

    @property
    def failed(self) -> bool:
        return self._decoder.state == "failed"

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and its end has not arrived."""
        return self._decoder.state in ("partial", "skipping")

    @property
    def inside(self) -> bool:
        """Whether it is within a frame of which the beginning is gone: it skips it, or hands it out in parts."""
        return self._decoder.state == "skipping" or self._opened is not None

    @property
    def missing(self) -> int:
        """Bytes that a long frame still lacks, if everything before it is delivered; 0: see FrameDecoder."""
        decoder = self._decoder
        return decoder.missing if not self._input and isinstance(decoder, FrameDecoder) else 0

    @property
    def delivered(self) -> int:
        """How many messages the receiver has had. Never goes down, as `count` does when messages are taken back."""
        if self._undelivered is None and self._later is None:
            return self.count
        return self.count - length_hint(self._undelivered or ()) - len(self._later or ())

    @property
    def pending(self) -> int:
        """Bytes of memory taken by what was received and not delivered."""
        pending = self._decoder.pending + len(self._input)
        return pending if self._weighed is None else pending + self._weighed[1]

    def receive(self, data: bytes) -> None:
        """Accept the bytes of one read; `run` delivers them."""
        self._input = self._input[self._used :] + data if self._input else data
        self._used = 0

    def interrupt(self) -> None:
        """Stop after the message that is being delivered, if any, to look at what has changed."""
        self._stop = True
        self._paced().interrupted()

    def decode_little(self) -> None:
        """From now on little is decoded in advance: the receiver may stop after any message."""
        self._paced().always = True

    def _paced(self) -> Pace:
        if self._pace is None:
            self._pace = Pace()
        return self._pace

    def drop(self) -> None:
        """Forget everything received and not delivered, for good."""
        idle = self._idle()
        self.held = self._stop = True
        self._input = b""
        self._used = 0
        self._undelivered = self._weighed = self._opened = None
        self._later = self._completed = None
        if not idle and not self.failed:
            self._decoder = self.framing.decoder()

    def discard(self, transport: Transport) -> None:
        """Forget what is received and not delivered, and a frame that has begun; go on with what comes next.

        transport: what that comes from.
        """
        self.count -= sum(1 for _ in self._undelivered or ()) + len(self._later or ())
        self._transport = transport
        self._decoder = self.framing.decoder()
        self._input = b""
        self._used = 0
        self._undelivered = self._opened = None
        self._later = None
        self._at_border = True
        self.interrupt()

    def rewind(self) -> bytes | None:
        """All bytes that came after the last delivered message; what was decoded of them is taken back.

        None: that cannot be told, or not now. Nothing is forgotten: `run` delivers them still.
        """
        if self.failed or self.inside or self._change is not None:
            return None
        decoder = self._decoder
        self._change = decoder.settled(self.framing) if isinstance(decoder, FrameDecoder) else self.framing
        self._switch_now()
        return self._input[self._used :] if self._undelivered is None else None

    def set_framing(self, framing: Framing) -> None:
        """Change it at the next border: after the message being delivered, or after the frame partly received."""
        self._change = framing
        self._stop = True
        if not self.running and (self._at_border or self._decoder.state == "idle"):
            self._switch_now()

    def run(self) -> int:
        """Deliver what was received, until all is delivered or something stops it.

        Returns how many more bytes of memory are taken by messages that are decoded and not delivered. Raises what the
        callbacks raise.
        """
        self.running = True
        many = len(self._input) - self._used >= _MANY
        self._until = monotonic() + SHARE if many else 0.0
        if many and not self.count:
            # Nothing is known of this peer.
            self._paced().interrupted()
        try:
            while not self.held and self._advance() and not self._transport.disconnecting:
                self._look_at_clock()
        finally:
            self.running = False
        if many and monotonic() > self._until:
            # Not all at once the next time: a receiver that takes many messages in one call cannot be interrupted.
            self._paced().interrupted()
        if self._undelivered is not None:
            return self._weigh(self._undelivered)
        self._weighed = None
        return 0

    def _weigh(self, undelivered: Iterator[bytes]) -> int:
        if self._weighed is not None and self._weighed[0] is undelivered:
            return 0
        # Those that were delivered go.
        messages = [*undelivered]
        weight = OBJECT * len(messages) + sum(map(len, messages))
        self._undelivered = iter(messages)
        self._weighed = self._undelivered, weight
        return weight

    def complete(self, *, cut: bool) -> bool:
        """The peer sends no more, and `run` has delivered everything. True: that completes messages, for `run`.

        cut: the connection was lost before the end of the stream, which completes nothing then.
        """
        held = self._decoder.pending
        try:
            messages = self._decoder.finish()
        except FramingError as error:
            self._unfinished = error
            return False
        if messages and cut:
            self._unfinished = TruncatedMessage(None, held, "the end of the stream")
            return False
        self._completed = messages or None
        return self._completed is not None

    def finish(self) -> None:
        """After `complete`, which had no more messages: report an unfinished frame."""
        if self._unfinished is not None:
            error, self._unfinished = self._unfinished, None
            self._fail(error)

    def _look_at_clock(self) -> None:
        """Let others have their turn, when it is time."""
        now = monotonic()
        if not self._until or not self.running:
            # A coroutine that takes messages of an earlier read begins anew.
            self._until = now + SHARE
        elif now > self._until:
            self._engine.wait_for_turn()

    def deliver_each(self, messages: list[bytes], receive: Callable[[bytes], object] | None = None) -> int:
        """Deliver the messages one by one; those after an interruption are kept for later.

        receive: called instead of `messageReceived` of the receiver, which is called for those that are kept. Returns
        how many were delivered.
        """
        if self._undelivered is None:
            self._undelivered = iter(messages)
            return self._deliver(self._receiver.messageReceived if receive is None else receive)
        if self._later is None:
            self._later = [*messages]
        else:
            self._later += messages
        return 0

    def take(self) -> bytes | None:
        """The next message that is decoded and not delivered, although delivery is held. None: `run` has to go on."""
        if self._undelivered is None or self._change is not None or self._transport.disconnecting:
            return None
        self._taken += 1
        if not self._taken & _FEW:
            self._look_at_clock()
        return next(self._undelivered, None)

    def _deliver(self, receive: Callable[[bytes], object]) -> int:
        assert self._undelivered is not None
        transport = self._transport
        count = 0
        for message in self._undelivered:
            receive(message)
            count += 1
            if not count & _FEW:
                self._look_at_clock()
            if self._stop or transport.disconnecting:
                return count
        self._undelivered, self._later = iter(self._later) if self._later else None, None
        return count

    def _advance(self) -> bool:
        """Deliver the next messages, or report the next bad frame. False: all input is used up."""
        self._stop = False
        if self._at_border and self._change is not None:
            self._switch_now()
        if self._undelivered is not None:
            self._deliver(self._receiver.messageReceived)
            return True
        if self._completed is not None:
            self._deliver_completed(self._completed)
            return True
        piece = self._next_piece()
        decoder = self._decoder
        if self._opened is not None:
            return self._deliver_part(self._opened, piece)
        try:
            if self._change is not None and decoder.state == "skipping":
                self._at_border = decoder.skip(piece)
                return self._at_border or self._used < len(self._input)
            if self._receiver.takesFrames:
                frames, count = decoder.scan(piece)
                messages = None
            else:
                messages = decoder.decode(piece)
                count = len(messages)
        except FramingError as error:
            self._at_border = decoder.state != "skipping"
            self._fail(error)
            return not self.failed
        if count:
            self._at_border = True
            if self._change is not None:
                # The change waited for the end of this frame.
                taken = self._switch(count - 1)
                if messages is None:
                    frames = frames[: len(frames) - taken]
                else:
                    del messages[1:]
                count = 1
            if not self.count:
                self._receiver._connectionEstablished()
            self.count += count
            if messages is None:
                self._receiver.framesReceived(frames, count)
            else:
                self._receiver.messagesReceived(messages)
            if not self._idle():
                return True
            # Most reads are whole frames: there is no more to come, and this has the decoder forget what it returned.
            self._decoder.scan(b"")
        if self._used < len(self._input) or (decoder.state == "partial" and self._opens()):
            return True
        return self._all_used()

    def _deliver_completed(self, messages: list[bytes]) -> None:
        """Deliver what the end of the stream has completed."""
        self._completed = None
        self._at_border = True
        framing = self.framing
        if self._change is not None:
            # The change waited for the end of this frame.
            self._switch(0)
        if not self.count:
            self._receiver._connectionEstablished()
        self.count += len(messages)
        if self._receiver.takesFrames:
            self._receiver.framesReceived(framing.encode_all(messages), len(messages))
        else:
            self._receiver.messagesReceived(messages)

    def _fail(self, error: FramingError) -> None:
        decoder = self._decoder
        before, frame = decoder.evidence if isinstance(decoder, FrameDecoder) else (b"", b"")
        self._engine.telling.bad_frame(error, before, frame)
        self._receiver.framingFailed(error)

    def _opens(self) -> bool:
        """Whether the receiver takes the message that is under way in parts from now on. It is asked once."""
        decoder = self._decoder
        if self._offered == self.count or self._change is not None or not isinstance(decoder, FrameDecoder):
            return False
        length = decoder.under_way
        if length < 0:
            return False
        self._offered = self.count
        if not self.count:
            self._receiver._connectionEstablished()
        if not self._receiver._messageBegun(length) or decoder is not self._decoder:
            return False
        decoder.open()
        self._opened = decoder
        return True

    def _deliver_part(self, decoder: FrameDecoder, piece: bytes) -> bool:
        """The same as `_advance` for a message that is open."""
        try:
            part = decoder.part(piece)
        except FramingError as error:
            self._opened = None
            self._fail(error)
            return not self.failed
        last = not decoder.is_open
        if last:
            self._opened = None
            self._at_border = True
            self.count += 1
        if part:
            self._receiver._partReceived(part, last)
        return last or self._used < len(self._input) or self._all_used()

    def _all_used(self) -> bool:
        """What was received is used up, and a frame may have begun."""
        self._at_border = False
        self._input = b""
        self._used = 0
        if self._pace is not None and not self._pace.used_up():
            self._pace = None
        return False

    def _idle(self) -> bool:
        """Whether all that was decoded is delivered, nothing is to be changed, and no frame has begun."""
        return self._undelivered is None and self._change is None and self._decoder.state == "idle"

    def _next_piece(self) -> bytes:
        pace = self._pace
        if pace is None or pace.whole or isinstance(self.framing, Raw):
            self._used, start = len(self._input), self._used
            return self._input[start:] if start else self._input
        start = self._used
        piece = self._input[start : start + pace.piece()]
        self._used = start + len(piece)
        return piece

    def _switch_now(self) -> None:
        """Decode what follows the last delivered message with the new framing."""
        undelivered = [*(self._undelivered or ()), *(self._later or ())]
        self._undelivered, self._later = None, None
        self._switch(len(undelivered), undelivered)

    def _switch(self, back: int, undelivered: list[bytes] | None = None) -> int:
        """The same, taking back the last `back` decoded messages. Returns the number of bytes in their frames.

        undelivered: these messages, if they went through an override.
        """
        assert self._change is not None
        decoder = self._decoder
        held = decoder.pending
        rest = decoder.take(back)
        if undelivered and not _gives(decoder, rest, undelivered):
            # An override passed on other messages than it was given: they are delivered as they are.
            self._undelivered = iter(undelivered)
            rest = rest[len(rest) - held :]
        elif undelivered:
            self.count -= back
        if len(rest) <= self._used:
            self._used -= len(rest)
        else:
            self._input = rest + self._input[self._used :]
            self._used = 0
        self.framing, self._change = self._change, None
        self._decoder = self.framing.decoder()
        self._paced().changed()
        return len(rest) - held


def _gives(decoder: Decoder, data: bytes, messages: list[bytes]) -> bool:
    """Whether `data` decodes to exactly these messages."""
    try:
        return decoder.decode(data) == messages
    except FramingError:
        return False
