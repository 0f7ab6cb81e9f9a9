"""Load on a server: frames sent, and every byte that comes back compared with what was sent.

bench/load/load.c makes it, where it could be built, because it leaves the server no time to rest: a load in Python
gives the server fewer events at once, and hides what they cost. TLS is spoken by Python. Latencies are measured by
`sockserve bench`, which has messages that are due at fixed times.
"""

from __future__ import annotations

import json
import selectors
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from bench.compare.server import HOST, PATIENCE, Server, ServerFailedError
from bench.compare.toolchain import ROOT

if TYPE_CHECKING:
    import socket
    from pathlib import Path

_PIECE = 256 * 1024
# What OpenSSL was given once, it must be given again; so there is a limit that does not move.
_SENT_AT_ONCE = 64 * 1024


class Measured(NamedTuple):
    """While the load ran: frames that came back, seconds, and the server's CPU seconds.

    user_share: the part of these that it spent in its own code, and not in the system; None: not known.
    """

    frames: float
    seconds: float
    cpu: float
    user_share: float | None = None


class Late(NamedTuple):
    """p50, p99: seconds from when a message was due to its answer. cpu: the server's CPU seconds a message."""

    p50: float
    p99: float
    cpu: float


def load(
    server: Server, program: Path | None, frame: bytes, connections: int, window: int, warmup: float, seconds: float
) -> Measured:
    """Have `window` frames on their way on each connection, for so many seconds after a warm-up.

    A relay is sent them on the first connection, and the frames that arrive on the others count. Raises
    ServerFailedError.
    """
    if program and not server.context:
        return _in_c(server, program, frame, connections, window, warmup, seconds)
    if server.peer.relay:
        raise ServerFailedError("the load for a relay is in C, and there is no gcc")
    return _in_python(server, frame, connections, window, warmup, seconds)


def _in_c(
    server: Server, program: Path, frame: bytes, connections: int, window: int, warmup: float, seconds: float
) -> Measured:
    mode = "relay" if server.peer.relay else "echo"
    numbers = (server.port, connections, window, warmup, seconds, server.process.pid)
    with subprocess.Popen(
        [str(program), *map(str, numbers), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            if server.peer.relay:
                # A client that it does not know of yet would never get the first message.
                server.idle()
            out, error = process.communicate(frame, warmup + seconds + 2 * PATIENCE)
        except subprocess.TimeoutExpired as reason:
            process.kill()
            raise ServerFailedError(f"{reason}; {server.log()}") from None
    if process.returncode:
        raise ServerFailedError(f"{error.decode().strip() or 'it does not answer in time'}; {server.log()}")
    found = json.loads(out)
    ticks = found["user"] + found["system"]
    return Measured(found["frames"], found["seconds"], found["cpu"], found["user"] / ticks if ticks else None)


def paced(server: Server, size: int, connections: int, rate: float, warmup: float, seconds: float) -> Late:
    """Have `rate` messages a second become due, dealt out to the connections, for so many seconds after a warm-up.

    Raises ServerFailedError.
    """
    options = {
        "framing": server.framing,
        "size": size,
        "connections": connections,
        "rate": f"{rate:.0f}",
        "warmup": f"{warmup}s",
        "duration": f"{seconds}s",
        "server-pid": server.process.pid,
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    ran = subprocess.run(
        [sys.executable, "-m", "sockserve", "bench", f"tcp:{HOST}:{server.port}", "--json", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=warmup + seconds + 2 * PATIENCE,
        check=False,
    )
    if ran.returncode:
        raise ServerFailedError(f"{ran.stderr.strip()}; {server.log()}")
    found = json.loads(ran.stdout)
    latency = found["latency"]
    return Late(latency["p50"], latency["p99"], found["server_cpu_seconds"] / found["messages"])


class _Connection:
    """sent, received: bytes. out: whether it waits for room to send."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.sent = self.received = 0
        self.out = False
        connection.setblocking(False)


def _in_python(server: Server, frame: bytes, connections: int, window: int, warmup: float, seconds: float) -> Measured:
    pattern = memoryview(frame * (_PIECE // len(frame) + 2))
    size = len(frame)

    def pump(each: _Connection) -> None:
        limit = (each.received // size + window) * size
        out = False
        while each.sent < limit and not out:
            start = each.sent % size
            try:
                each.sent += each.socket.send(pattern[start : start + min(limit - each.sent, _SENT_AT_ONCE)])
            except (BlockingIOError, ssl.SSLWantWriteError):
                out = True
        if out != each.out:
            each.out = out
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0)
            selector.modify(each.socket, events, each)

    def receive(each: _Connection) -> int:
        before = each.received
        while True:
            try:
                data = each.socket.recv(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                return each.received - before
            start = each.received % size
            if not data or pattern[start : start + len(data)] != data:
                raise ServerFailedError("a wrong byte came back" if data else "the server ended the stream")
            each.received += len(data)

    def turns(end: float) -> int:
        """Until that time, and at least one; the bytes that came."""
        came, latest = 0, end + PATIENCE
        while (now := time.perf_counter()) < end or not came:
            if now > latest:
                raise ServerFailedError("it does not answer")
            for key, _ in selector.select(0.1):
                came += receive(key.data)
                pump(key.data)
        return came

    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        each_one = [_Connection(stack.enter_context(server.connect())) for _ in range(connections)]
        for each in each_one:
            selector.register(each.socket, selectors.EVENT_READ, each)
            pump(each)
        while any(each.received < size for each in each_one):
            turns(time.perf_counter())
        turns(time.perf_counter() + warmup)
        cpu, start = server.cpu(), time.perf_counter()
        came = turns(start + seconds)
        # The clock of a process that runs may stand still for a few milliseconds.
        while (used := server.cpu() - cpu) <= 0:
            came += turns(time.perf_counter())
        return Measured(came / size, time.perf_counter() - start, used)
