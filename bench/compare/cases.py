"""What is measured: messages over connections, and connections themselves."""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bench.compare.peers import ROOT
from bench.compare.samples import Sample
from bench.compare.server import HOST, PATIENCE, Server, ServerFailedError
from sockserve.framing import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.compare.peers import Peer

KIB = 1024
MIB = 1024 * KIB

# The source address changes after this many connections: each address has 28,000 ports of its own.
_PORTS = 20_000
# IP_BIND_ADDRESS_NO_PORT in linux/in.h: connect chooses the port, and may use one twice.
_BIND_ADDRESS_NO_PORT = 24
# Fewer than fit in the listening queues of the peers.
_AT_ONCE = 32


class Case(Protocol):
    """name: unique in a run. framings: of the servers compared in one go. fresh: each round has a new server."""

    fresh: ClassVar[bool]

    @property
    def name(self) -> str: ...

    @property
    def framings(self) -> tuple[str, ...]: ...

    def framings_of(self, peer: Peer) -> tuple[str, ...]:
        """The framings that this peer is measured with."""

    def run(self, server: Server) -> Sample:
        """One round on one server. Raises ServerFailedError."""


@dataclass(frozen=True)
class Messages:
    """Echoed messages: `size` bytes, `window` of them in flight on each of the connections.

    Sample: cpu_us, the server's CPU time per message; per_second; bytes_per_second; p50_us and p99_us, the latency.
    """

    framings: tuple[str, ...]
    size: int
    connections: int
    window: int
    seconds: float
    warmup: float

    fresh: ClassVar[bool] = False

    @property
    def name(self) -> str:
        mode = "one at a time" if self.window == 1 else "pipelined"
        connections = f"{self.connections:,} connection{'s' if self.connections > 1 else ''}"
        return f"{size_name(self.size)}, {mode}, {connections}"

    def framings_of(self, peer: Peer) -> tuple[str, ...]:
        return tuple(framing for framing in self.framings if framing in peer.framings)

    def run(self, server: Server) -> Sample:
        result = load(
            server,
            *("--size", str(self.size), "--connections", str(self.connections), "--window", str(self.window)),
            *("--duration", f"{self.seconds}s", "--warmup", f"{self.warmup}s"),
        )
        messages = result["messages"]
        if not messages or result["errors"]:
            raise ServerFailedError(f"{messages} messages and {result['errors']} errors: {result}")
        return {
            "cpu_us": result["server_cpu_seconds"] / messages * 1e6,
            "per_second": result["messages_per_second"],
            "bytes_per_second": result["bytes_per_second"],
            "p50_us": result["latency"]["p50"] * 1e6,
            "p99_us": result["latency"]["p99"] * 1e6,
        }


@dataclass(frozen=True)
class Connections:
    """Connections that are made, held and closed. A peer that does not have the framing uses one that it has.

    Sample: idle_bytes, the server's memory for each of `held` connections; used_bytes, the same when each has carried a
    message; accept_cpu_us, the server's CPU time for one connection from start to end; accepts_per_second;
    start_seconds, to the first answer of a new process; start_bytes, its memory then.
    """

    framings: tuple[str, ...]
    held: int
    made: int

    fresh: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"connections, {self.held:,} held"

    def framings_of(self, peer: Peer) -> tuple[str, ...]:
        return tuple(framing for framing in self.framings if framing in peer.framings) or peer.framings[:1]

    def run(self, server: Server) -> Sample:
        before = server.resident()
        connections = hold(server, self.held)
        try:
            idle = server.resident()
            exchange(connections, parse(server.framing).encode(b"0123456789abcdef"))
            used = server.resident()
        finally:
            descriptors = server.descriptors() - len(connections)
            for connection in connections:
                connection.close()
        until(lambda: server.descriptors() <= descriptors, "connections are closed")
        cpu, start = server.cpu(), time.perf_counter()
        make(server, self.made)
        seconds = time.perf_counter() - start
        return {
            "idle_bytes": (idle - before) / self.held,
            "used_bytes": (used - before) / self.held,
            "accept_cpu_us": (server.cpu() - cpu) / self.made * 1e6,
            "accepts_per_second": self.made / seconds,
            "start_seconds": server.started,
            "start_bytes": float(before),
        }


def load(server: Server, *options: str) -> dict[str, Any]:
    """The report of `sockserve bench` about that server."""
    command = [sys.executable, "-m", "sockserve", "bench", f"tcp:{HOST}:{server.port}"]
    command += ["--framing", server.framing, "--server-pid", str(server.process.pid), "--json", *options]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10 * PATIENCE, check=False)
    if answer.returncode:
        raise ServerFailedError(f"{' '.join(command)}: {answer.stderr.strip()} {server.log()}")
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def hold(server: Server, count: int) -> list[socket.socket]:
    """Connections that the server has accepted."""
    before = server.settled()
    connections: list[socket.socket] = []
    for number in range(count):
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        connection.bind((f"127.0.0.{1 + number // _PORTS}", 0))
        connection.connect((HOST, server.port))
        connections.append(connection)
    until(lambda: server.descriptors() >= before + count, f"{count} connections are accepted")
    return connections


def exchange(connections: Sequence[socket.socket], frame: bytes) -> None:
    """Send one frame there and back on each connection."""
    for connection in connections:
        connection.sendall(frame)
    for connection in connections:
        left = len(frame)
        while left:
            data = connection.recv(left)
            if not data:
                raise ServerFailedError("it closed an idle connection")
            left -= len(data)


def make(server: Server, count: int) -> None:
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


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait for another process. Raises ServerFailedError when it takes too long."""
    deadline = time.perf_counter() + PATIENCE
    while not reached():
        if time.perf_counter() > deadline:
            raise ServerFailedError(f"waited {PATIENCE:g} s in vain until {what}")
        time.sleep(0.01)


def size_name(size: int) -> str:
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} B"
