"""What the time limits see of a connection, and what they do to it; see sockserve.limits.timeouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockserve.connection.state import Incoming
from sockserve.limits.timeouts import Limit, watch_of

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine
    from sockserve.connection.options import ConnectionOptions

_OPEN = Incoming.OPEN
_ENDED = Incoming.ENDED


class Timing:
    """One connection, as its time limits see it.

    options: its limits.
    """

    __slots__ = ("_engine", "_watched", "options")

    def __init__(self, engine: Engine) -> None:
        self.options: ConnectionOptions = engine.options
        self._engine = engine
        # Whether a sweep watches it.
        self._watched = False

    def watch(self) -> None:
        """Let a sweep watch it: for as long as it lasts, or until the peer has taken all that was sent."""
        self._watched = True
        self._engine.sending.unwatched = False
        watch_of(self.options.clock).join(self)

    def unwatch(self) -> None:
        """Let no sweep watch it any more."""
        if self._watched:
            self._watched = False
            watch_of(self.options.clock).leave(self)

    # What a sweep asks.

    @property
    def bytes_received(self) -> int:
        return self._engine.reading.bytes_received

    @property
    def bytes_sent(self) -> int:
        return self._engine.sending.bytes_sent

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken."""
        return self._engine.sending.taken

    @property
    def beaten(self) -> int:
        """Bytes of the heartbeats that were sent: they do not keep an idle connection."""
        heartbeat = self._engine.heartbeat
        return 0 if heartbeat is None else heartbeat.sent

    @property
    def unfinished(self) -> int | None:
        """The number of the frame that is partly received; None: there is none, or we are not reading."""
        receiving = self._engine.receiving
        waits = receiving.partial and not receiving.held and self._engine.state.incoming < _ENDED
        return receiving.count if waits else None

    # What it finds.

    def unwatched(self) -> None:
        """The peer has taken all that was sent; until more is sent, there is nothing to watch."""
        self._watched = False
        self._engine.sending.unwatched = True

    def timed_out(self, limit: Limit) -> None:
        """A time limit was exceeded."""
        engine, options = self._engine, self.options
        if limit == "idle_timeout":
            engine.telling.tell(limit, f"idle for {options.idle_timeout:g} seconds (idle_timeout); closing")
            engine.receiver.loseConnection()
        elif limit == "send_timeout":
            text = f"aborted, in {options.send_timeout:g} seconds it read nothing of what waits for it (send_timeout)"
            engine.abort_for(limit, text)
        elif limit == "max_connection_age":
            # With part of a frame here, at the next sweep after its end; frame_timeout bounds that.
            if engine.state.incoming is _OPEN and not engine.receiving.partial:
                engine.telling.tell(
                    limit, f"connected for {options.max_connection_age:g} seconds (max_connection_age); closing"
                )
                engine.drain()
        else:
            text = f"a frame was not complete within {options.frame_timeout:g} seconds (frame_timeout); closing"
            engine.telling.tell(limit, text)
            engine.drain()

    def close_timed_out(self) -> None:
        """The peer has taken nothing for close_timeout seconds of what it is owed at the end."""
        seconds = self.options.close_timeout
        self._engine.abort_for(
            "close_timeout", f"aborted, in {seconds:g} seconds it read nothing of what it was owed (close_timeout)"
        )
