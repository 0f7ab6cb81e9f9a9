"""How a connection closes: everything owed is sent, and the peer has a limited time to take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from sockserve.connection.state import Outgoing, State, Wire
from sockserve.connection.transports import (
    can_half_close,
    close,
    close_now,
    end_stream,
    peer_has_ended,
    resume,
    unregister,
)
from sockserve.limits.deadlines import Deadline

if TYPE_CHECKING:
    from sockserve.connection.options import ConnectionOptions


class Owner(Protocol):
    """See Timing."""

    options: ConnectionOptions

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far."""

    def close_timed_out(self) -> None:
        """The peer has taken nothing for close_timeout seconds of what it is owed at the end."""


class Closing:
    """Our end of stream, and the deadline after it.

    transport, state: of the connection.
    owner: provides the time limit and a clock; its `close_timed_out` is called when the limit is exceeded.
    """

    __slots__ = ("_deadline", "_owner", "_stalled", "_taken", "_transport", "state")

    def __init__(self, transport: Any, state: State, owner: Owner) -> None:  # noqa: ANN401 - see transports
        self.state = state
        self._transport = transport
        self._owner = owner
        # The deadline of the close; before that, of the next look at a peer that does not read.
        self._deadline: Deadline | None = None
        self._stalled = False
        # Bytes that the peer had taken when the deadline was set.
        self._taken = 0

    def end_sending(self) -> None:
        """Send our end of stream after what is owed; reading goes on. If the transport cannot, `close` sends it."""
        if self.state.end_sending() and not self._stalled:
            self._end_stream()

    def close(self) -> None:
        """Send what is owed, then close.

        Unless the peer has ended its stream, our end of stream goes out first and what the peer still sends is read:
        closing with bytes unread would reset the connection and could destroy what was sent last.
        """
        state, transport = self.state, self._transport
        lingers = state.wire is Wire.OPEN and can_half_close(transport)
        self._end_stream(alone=lingers)
        state.drop()
        if state.wire is Wire.ENDING:
            # `end_told` comes next.
            return
        self._wait(self._give_up)
        if lingers:
            resume(transport)
        else:
            close(transport)

    def end_told(self) -> None:
        """The peer's end of stream was reported. If that has closed the connection and nothing is owed, it ends now.

        Otherwise it would take a timer, and another turn of the reactor.
        """
        self.state.end_told()
        if self.state.closing and not close_now(self._transport):
            self._wait(self._give_up)
            close(self._transport)

    def stalled(self) -> None:
        """The peer does not read. Undone by `moving`."""
        self._stalled = True
        if self._deadline is None:
            self._wait(self._look)

    def moving(self) -> None:
        """The peer reads again."""
        self._stalled = False
        if self.state.outgoing is Outgoing.ENDING and not self.state.closing:
            self._end_stream()

    def over(self) -> None:
        """The connection is lost: stop the clock."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_stream(self, *, alone: bool = True) -> None:
        if self.state.end_stream():
            unregister(self._transport)
            if alone and can_half_close(self._transport):
                end_stream(self._transport)

    def _wait(self, then: Callable[[], object]) -> None:
        self.over()
        self._taken = self._owner.taken
        options = self._owner.options

        def due() -> None:
            self._deadline = None
            then()

        self._deadline = Deadline(options.clock, options.close_timeout, due)

    def _give_up(self) -> None:
        if self._owner.taken > self._taken:
            # It reads, if slowly.
            self._wait(self._give_up)
        elif self.state.outgoing is Outgoing.FLUSHED:
            # The kernel has all of it, and goes on delivering it.
            close(self._transport)
        else:
            self._owner.close_timed_out()

    def _look(self) -> None:
        """If the peer has read nothing for `close_timeout` seconds and has ended its stream, give up."""
        if self._stalled and not self.state.closing:
            if self._owner.taken <= self._taken and peer_has_ended(self._transport):
                self._owner.close_timed_out()
            else:
                self._wait(self._look)
