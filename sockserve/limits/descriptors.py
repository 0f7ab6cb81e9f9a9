"""When the ports of a named socket accept connections, and how they rest when the process has no descriptor left.

Twisted keeps a descriptor in reserve, with which it accepts and closes connections that it cannot serve, with a line in
the log for each. Their clients are cut off, and what they sent is lost. Here such connections stay with the kernel, as
in asyncio: the ports rest until a connection of this socket leaves, or for a second.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.tcp import Port
from twisted.internet.udp import Port as DatagramPort
from twisted.logger import Logger

if TYPE_CHECKING:
    import socket

    from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime

log = Logger()

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""The process, or the system, cannot accept another connection now."""

# Seconds.
_REST = 1.0
_BETWEEN_LINES = 60.0
# Connections that a port accepts in one turn of the reactor, and the seconds after which it accepts no more: some take
# a millisecond. Twisted goes on for as long as more come, and those who are being served wait meanwhile.
_IN_A_TURN = 16
_LONGEST = 0.005
# Seconds for those who wait when a port closes.
_LAST = 0.5


class Ports:
    """The open ports of one named socket.

    name: the socket's, for the log.
    ports: all open ones, including those of datagrams, which accept nothing: they are left alone, unless suspended.
    suspended: whether nobody is let in, whatever else wants it.
    """

    def __init__(self, name: str, reactor: IReactorTime) -> None:
        self.ports: list[IListeningPort] = []
        self._name = name
        self._reactor = reactor
        self._wanted = True
        self.suspended = False
        # Whether who waits is accepted when a port closes.
        self._takes_last = True
        # Set while the ports rest.
        self._resting: IDelayedCall | None = None
        self._last_line: float | None = None

    def add(self, port: IListeningPort) -> None:
        """Add a port that was opened."""
        if isinstance(port, Port):
            listener = _Listener(port.socket, self, port.doRead, self._reactor.seconds)
            port.socket = listener
            vars(port)["doRead"] = listener.read
            vars(port)["connectionLost"] = partial(self._close, port, port.connectionLost)
        self.ports.append(port)

    def release(self, port: IListeningPort) -> None:
        """Forget a port that somebody else has from now on; what kept it from accepting here ends."""
        self.ports.remove(port)
        if isinstance(port, (Port, DatagramPort)):
            port.startReading()
        if isinstance(port, Port):
            port.socket = cast("_Listener", port.socket).listener
            del vars(port)["doRead"], vars(port)["connectionLost"]

    def accept(self, wanted: bool) -> None:
        """Accept connections from now on, or do not. True also ends a rest: a connection may have left."""
        if wanted is self._wanted and self._resting is None:
            return
        self._wanted = wanted
        self._end_rest()
        self._adjust()

    def suspend(self, suspended: bool) -> None:
        """Accept nothing, and read no datagrams, until this is undone: who comes waits with the kernel."""
        self.suspended = suspended
        self._adjust()
        for port in self.ports:
            if isinstance(port, DatagramPort) and port.connected:
                if suspended:
                    port.stopReading()
                else:
                    port.startReading()

    def close(self) -> list[IListeningPort]:
        """Forget the ports and return them; the caller must stop them."""
        self._takes_last = self._wanted and not self.suspended
        self._end_rest()
        self.suspended = False
        ports, self.ports = self.ports, []
        return ports

    def _close(self, port: Port, close: Callable[[object], object], reason: object) -> None:
        """Accept who waits with the kernel, and close the port: the kernel would reset them.

        A port of Twisted's closes one turn of the reactor after it was told to, and accepts nobody in between.
        """
        if self._takes_last:
            listener = cast("_Listener", port.socket)
            port.disconnecting = False
            end = self._reactor.seconds() + _LAST
            while self._resting is None and self._reactor.seconds() < end:
                # A port that has accepted nobody tries none the next time.
                port.numberAccepts = _IN_A_TURN
                port.doRead()
                if not listener.in_turn:
                    break
            listener.close()
        close(reason)

    def exhausted(self, error: OSError) -> None:
        """A port had no descriptor for a connection."""
        if self._resting is None:
            self._resting = self._reactor.callLater(_REST, self._rested)
            self._adjust()
        now = self._reactor.seconds()
        if self._last_line is None or now - self._last_line >= _BETWEEN_LINES:
            self._last_line = now
            log.warn(
                "{name}: connections have to wait: {error} (raise the limit on open files, or set max_connections)",
                name=self._name,
                error=error.strerror,
                event_name="sockserve.descriptors.exhausted",
                attributes={"sockserve.socket": self._name, "exception.message": error.strerror},
            )

    def _rested(self) -> None:
        self._resting = None
        self._adjust()

    def _end_rest(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _adjust(self) -> None:
        for port in self.ports:
            # Not one that the reactor has closed.
            if isinstance(port, Port) and port.connected:
                if self._wanted and self._resting is None and not self.suspended:
                    port.startReading()
                else:
                    port.stopReading()


class _Listener:
    """A listening socket for which a lack of descriptors looks as if nobody had connected; so does enough in a turn.

    in_turn: how many connections were accepted in this turn.
    """

    def __init__(
        self, listener: socket.socket, ports: Ports, read: Callable[[], object], seconds: Callable[[], float]
    ) -> None:
        self.listener = listener
        self._ports = ports
        # The port's own, and the reactor's.
        self._read = read
        self._seconds = seconds
        self.in_turn = 0
        self._began = 0.0

    def read(self) -> object:
        """What the reactor calls, once in a turn, when connections have come."""
        self.in_turn = 0
        return self._read()

    def accept(self) -> tuple[socket.socket, object]:
        if self.in_turn == _IN_A_TURN or (self.in_turn and self._seconds() - self._began > _LONGEST):
            raise BlockingIOError(errno.EAGAIN, "enough in this turn")
        try:
            accepted = cast("tuple[socket.socket, object]", self.listener.accept())
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._ports.exhausted(error)
            raise BlockingIOError(errno.EAGAIN, "no descriptor") from error
        if not self.in_turn:
            self._began = self._seconds()
        self.in_turn += 1
        return accepted

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a socket has
        return getattr(self.listener, name)
