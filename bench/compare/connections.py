"""What is measured of connections: the memory that idle ones take, and what one costs from its start to its end."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.compare.cases import KIB, MIB, Figure, Pace
from bench.compare.server import HOST, PATIENCE, Server, ServerFailedError, received

if TYPE_CHECKING:
    from bench.compare.samples import Sample
    from bench.compare.toolchain import Programs

IDLE = Figure("idle_bytes", "memory of an idle connection, KiB", KIB, digits=2)
USED = Figure("used_bytes", "memory of one that has carried a message, KiB", KIB, digits=2)
START = Figure("start_seconds", "start of the server to its first answer, ms", 0.001, digits=0)
MEMORY = Figure("start_bytes", "memory of the server then, MiB", MIB, digits=1)
OPENED = Figure("cpu_us", "CPU time of the server, µs a connection")

# Fewer than fit in the listening queues of the peers.
_AT_ONCE = 32


@dataclass(frozen=True)
class Held:
    """Connections that do nothing.

    Sample: idle_bytes, the server's memory for each of them; used_bytes, the same when each has carried a message;
    start_seconds, to the first answer of a new process; start_bytes, its memory then.
    """

    heading: str
    framings: Sequence[str]
    peers: Sequence[str]
    tls: bool = False
    figures: Sequence[Figure] = (IDLE, USED, START, MEMORY)

    fresh: ClassVar[bool] = True

    def run(self, server: Server, programs: Programs, pace: Pace, first: Sequence[Sample]) -> Sample:
        before = server.resident()
        connections = _hold(server, pace.held)
        try:
            idle = server.resident()
            _exchange(connections, server.frame(b"0123456789abcdef"))
            used = server.resident()
        finally:
            for connection in connections:
                connection.close()
        return {
            "idle_bytes": (idle - before) / pace.held,
            "used_bytes": (used - before) / pace.held,
            "start_seconds": server.started,
            "start_bytes": float(before),
        }


@dataclass(frozen=True)
class Opened:
    """Connections made, ended by their client, and closed by the server, a few at a time.

    Sample: cpu_us, the server's CPU time for one.
    """

    heading: str
    framings: Sequence[str]
    peers: Sequence[str]
    tls: bool = False
    figures: Sequence[Figure] = (OPENED,)

    fresh: ClassVar[bool] = False

    def run(self, server: Server, programs: Programs, pace: Pace, first: Sequence[Sample]) -> Sample:
        _make(server, max(1, pace.made // 10))
        server.idle()
        before = server.cpu()
        _make(server, pace.made)
        server.idle()
        return {"cpu_us": (server.cpu() - before) / pace.made * 1e6}


def _hold(server: Server, count: int) -> list[socket.socket]:
    """Connections that the server has accepted."""
    server.idle()
    connections = [server.connect() for _ in range(count)]
    server.idle()
    return connections


def _exchange(connections: Sequence[socket.socket], frame: bytes) -> None:
    """Send one frame there and back on each connection."""
    for connection in connections:
        connection.sendall(frame)
    for connection in connections:
        received(connection, len(frame))


def _make(server: Server, count: int) -> None:
    """Connect, end our stream, wait for the end of the other one, and close; a few connections at a time."""
    with selectors.DefaultSelector() as selector:
        started = ended = 0
        while ended < count:
            while started < count and len(selector.get_map()) < _AT_ONCE:
                connection = socket.create_connection((HOST, server.port), PATIENCE)
                connection.shutdown(socket.SHUT_WR)
                selector.register(connection, selectors.EVENT_READ)
                started += 1
            events = selector.select(PATIENCE)
            if not events:
                raise ServerFailedError("it does not close connections that their peer has ended")
            for key, _ in events:
                finished = key.fileobj
                assert isinstance(finished, socket.socket)
                finished.recv(1)
                selector.unregister(finished)
                finished.close()
                ended += 1
