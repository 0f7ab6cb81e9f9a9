"""The state of one connection. Every change of state is here; nothing here does I/O.

Three sequences, followed in one direction only:

    incoming   WAITING > OPEN > ENDING > ENDED > DROPPED      the peer's messages
    outgoing   OPEN > ENDING > ENDED > FLUSHED                ours
    wire       OPEN > ENDING > ENDED > LOST                   the peer's end of stream; the connection
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class Incoming(IntEnum):
    """The messages of the peer.

    WAITING: the gate has not let the connection in yet; bytes are kept.
    OPEN: messages are delivered as they come.
    ENDING: no more come; those that came are still delivered.
    ENDED: all are delivered, and messagesEnded was called.
    DROPPED: nothing is delivered any more.
    """

    WAITING = 0
    OPEN = 1
    ENDING = 2
    ENDED = 3
    DROPPED = 4


class Outgoing(IntEnum):
    """Our messages.

    OPEN: messages can be sent.
    ENDING: no more can be sent; our end of stream goes out once the peer reads.
    ENDED: our end of stream follows what is owed.
    FLUSHED: the kernel has all of it.
    """

    OPEN = 0
    ENDING = 1
    ENDED = 2
    FLUSHED = 3


class Wire(IntEnum):
    """The connection that carries both.

    ENDING: the transport is reporting the peer's end of stream; if nothing is owed after that, it can close at once.
    ENDED: the peer's end of stream has come.
    LOST: the connection is over.
    """

    OPEN = 0
    ENDING = 1
    ENDED = 2
    LOST = 3


class Cause(Enum):
    """Why no more messages come: the end of the stream, a bad frame, or our own drain."""

    STREAM = 0
    BAD_FRAME = 1
    DRAIN = 2


# Looked up faster than in their class: for each message that a channel sends, for example.
_DROPPED: Final = Incoming.DROPPED
_OPEN: Final = Outgoing.OPEN


class State:
    """Starts as that of a connection that waits to be let in.

    cause: why no more messages come; None while they do.
    discarded: bytes that came after delivery had ended.
    """

    __slots__ = ("cause", "discarded", "incoming", "outgoing", "wire")

    def __init__(self) -> None:
        self.incoming = Incoming.WAITING
        self.outgoing = Outgoing.OPEN
        self.wire = Wire.OPEN
        self.cause: Cause | None = None
        self.discarded = 0

    @property
    def closing(self) -> bool:
        """Nothing is delivered any more, and nothing can be sent."""
        return self.incoming is _DROPPED

    @property
    def sending_ended(self) -> bool:
        """Nothing can be sent any more."""
        return self.outgoing is not _OPEN

    @property
    def flushed(self) -> bool:
        """The connection is closing, and nothing is owed any more.

        False while the peer goes on sending: the end of the process would reset the connection, and that could destroy
        what the peer has not read yet.
        """
        return self.closing and self.outgoing is Outgoing.FLUSHED and not self.discarded

    def start(self) -> None:
        """The gate has let the connection in."""
        if self.incoming is Incoming.WAITING:
            self.incoming = Incoming.OPEN

    def no_more(self, cause: Cause) -> None:
        """No more messages come. A bad frame replaces any other cause: it came before that end."""
        if self.incoming is Incoming.OPEN or (self.incoming is Incoming.ENDING and cause is Cause.BAD_FRAME):
            self.incoming, self.cause = Incoming.ENDING, cause

    def delivered(self) -> bool:
        """All that came is delivered. True, only once: the messages have ended, which is to be reported now."""
        if self.incoming is not Incoming.ENDING:
            return False
        self.incoming = Incoming.ENDED
        return True

    def drop(self) -> None:
        """Deliver nothing and send nothing any more."""
        self.incoming = Incoming.DROPPED
        self.end_sending()

    def end_sending(self) -> bool:
        """Send no more messages. False: sending had ended before."""
        if self.outgoing is not Outgoing.OPEN:
            return False
        self.outgoing = Outgoing.ENDING
        return True

    def end_stream(self) -> bool:
        """Our end of stream goes out. False: it went out before, and must not go out twice."""
        if self.outgoing >= Outgoing.ENDED:
            return False
        self.outgoing = Outgoing.ENDED
        return True

    def flush(self) -> None:
        """The kernel has all that we sent, and our end of stream."""
        self.outgoing = Outgoing.FLUSHED

    def peer_ended(self) -> None:
        """The peer's end of stream has come."""
        if self.wire is Wire.OPEN:
            self.wire = Wire.ENDING
        self.no_more(Cause.STREAM)

    def end_told(self) -> None:
        """The transport has reported the peer's end of stream."""
        if self.wire is Wire.ENDING:
            self.wire = Wire.ENDED

    def lost(self) -> None:
        """The connection is over. What had arrived before is still delivered."""
        self.wire = Wire.LOST
        if self.incoming is Incoming.WAITING:
            self.incoming = Incoming.DROPPED
        self.no_more(Cause.STREAM)
        self.end_sending()

    def moved(self) -> None:
        """The connection goes on elsewhere; here it is over."""
        self.wire = Wire.LOST
        self.drop()

    def wants_reading(self, held: bool) -> bool | None:
        """Whether the transport should read; None: leave it as it is.

        held: delivery of messages is held.
        """
        if self.incoming is Incoming.DROPPED or self.incoming is Incoming.WAITING or self.wire is not Wire.OPEN:
            return None
        return self.incoming is Incoming.OPEN and not held
