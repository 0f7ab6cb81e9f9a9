"""The state of TLS on one connection. Every change of state is here; nothing here does I/O.

Four sequences:

    phase      SHAKING > OPEN > OVER, or SHAKING > ABANDONED > OVER     the session as a whole
    reading    FLOWING, PAUSED, HOLDING, DUE > ENDED                    what comes, and whether the protocol wants it
    writing    OPEN > ENDING > ENDED > CLOSED, or > CLOSING > CLOSED    what leaves
    wire       OPEN > ENDED > LOST                                      the transport below
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Phase(IntEnum):
    """The session as a whole.

    SHAKING: the handshake is under way.
    OPEN: it is done.
    ABANDONED: it was aborted before that; why there is no connection is said when it is lost.
    OVER: TLS has failed and it was said why, or nothing is to be said any more.
    """

    SHAKING = 0
    OPEN = 1
    ABANDONED = 2
    OVER = 3


class Reading(IntEnum):
    """What the peer sends.

    FLOWING: it is handed on as it comes.
    PAUSED: the protocol above wants nothing now, and nothing is here.
    HOLDING: it wants nothing now; something is here, or the end of the stream.
    DUE: it wants it again, and has it in the next turn of the reactor.
    ENDED: it was told of the end; what comes after that is ignored (RFC 8446 section 6.1).
    """

    FLOWING = 0
    PAUSED = 1
    HOLDING = 2
    DUE = 3
    ENDED = 4


class Writing(IntEnum):
    """What the protocol above writes, and how it ends.

    OPEN: it is sent, or waits for the handshake.
    ENDING: our close_notify follows what waits for the handshake.
    ENDED: our close_notify is out; reading goes on.
    CLOSING: the connection closes after what waits for the handshake, or when a producer is unregistered.
    CLOSED: the transport below was told to close, or to abort.
    """

    OPEN = 0
    ENDING = 1
    ENDED = 2
    CLOSING = 3
    CLOSED = 4


class Wire(IntEnum):
    """The transport below. ENDED: the peer has ended its stream there. LOST: the connection is over."""

    OPEN = 0
    ENDED = 1
    LOST = 2


# Looked up faster than in their classes.
_SHAKING: Final = Phase.SHAKING
_OPEN: Final = Phase.OPEN
_ABANDONED: Final = Phase.ABANDONED
_OVER: Final = Phase.OVER
_FLOWING: Final = Reading.FLOWING
_PAUSED: Final = Reading.PAUSED
_HOLDING: Final = Reading.HOLDING
_DUE: Final = Reading.DUE
_ENDED: Final = Reading.ENDED


class State:
    """Starts as that of a connection whose handshake begins."""

    __slots__ = ("phase", "reading", "wire", "writing")

    def __init__(self) -> None:
        self.phase = _SHAKING
        self.reading = _FLOWING
        self.writing = Writing.OPEN
        self.wire = Wire.OPEN

    @property
    def over(self) -> bool:
        """Nothing is encrypted or decrypted any more."""
        return self.phase >= _ABANDONED

    @property
    def paused(self) -> bool:
        """The protocol above wants nothing now."""
        return self.reading is _PAUSED or self.reading is _HOLDING

    @property
    def receives(self) -> bool:
        """What the peer sends is for the protocol above, now or when it wants to read again."""
        return self.phase is _OPEN and self.reading is not _ENDED and self.writing < Writing.CLOSING

    # The session.

    def shaken(self) -> None:
        """The handshake is done."""
        if self.phase is _SHAKING:
            self.phase = _OPEN

    def fail(self) -> bool:
        """TLS is over. True, only once: it is to be said why."""
        if self.phase is _OVER:
            return False
        self.phase = _OVER
        return True

    def abort(self) -> None:
        """The transport below is told to abort."""
        if self.phase is _SHAKING:
            self.phase = _ABANDONED
        elif self.phase is _OPEN:
            self.phase = _OVER
        self.writing = Writing.CLOSED

    # What comes.

    def pause(self) -> None:
        """The protocol above wants nothing now."""
        if self.reading is _FLOWING:
            self.reading = _PAUSED
        elif self.reading is _DUE:
            self.reading = _HOLDING

    def resume(self) -> bool:
        """It wants to read again. True: something is here for it."""
        if self.reading is _PAUSED:
            self.reading = _FLOWING
        elif self.reading is _HOLDING:
            self.reading = _DUE
        return self.reading is _DUE

    def deliver(self) -> bool:
        """Something is here, or the end. True: the protocol above has it now."""
        if not self.receives:
            return False
        if self.reading is _FLOWING:
            return True
        if self.reading is _PAUSED:
            self.reading = _HOLDING
        elif self.reading is _DUE:
            self.reading = _FLOWING
        return self.reading is _FLOWING

    def told(self) -> None:
        """The protocol above is told of the peer's end of stream."""
        self.reading = _ENDED

    def peer_ended(self) -> None:
        """The peer has ended its stream below TLS."""
        if self.wire is Wire.OPEN:
            self.wire = Wire.ENDED

    def lost(self) -> bool:
        """The connection is over. True: it has failed before the handshake was done, and it is to be said why."""
        failed = self.phase is _SHAKING or self.phase is _ABANDONED
        self.phase, self.wire = _OVER, Wire.LOST
        return failed

    # What leaves.

    def writes(self, producing: bool) -> bool:
        """Whether what is written now is sent. producing: a producer is registered, which is waited for."""
        if self.over:
            return False
        return self.writing <= Writing.ENDING or (self.writing is Writing.CLOSING and producing)

    def end(self) -> bool:
        """No more is written. True, only once: close_notify is to be sent now."""
        if self.writing > Writing.ENDING or self.over:
            return False
        self.writing = Writing.ENDED if self.phase is _OPEN else Writing.ENDING
        return self.phase is _OPEN

    def close(self) -> None:
        """The connection is to close when everything is sent: see `ready`."""
        if self.over or self.writing is Writing.ENDED:
            self.writing = Writing.CLOSED
        elif self.writing < Writing.CLOSING:
            self.writing = Writing.CLOSING

    def ready(self, producing: bool) -> bool:
        """True, only once: nothing is waited for any more, and close_notify is to be sent before it closes."""
        if self.phase is not _OPEN or self.writing is not Writing.CLOSING or producing:
            return False
        self.writing = Writing.CLOSED
        return True
