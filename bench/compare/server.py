"""A server that is measured: a process of its own on a core of its own (Linux)."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare.peers import Place
from sockserve.commands.bench.processor import used_by
from sockserve.framing import parse

if TYPE_CHECKING:
    from bench.compare.peers import Peer

HOST = "127.0.0.1"
# The longest message, as the servers have it.
LIMIT = 64 * 1024 * 1024
# Seconds: every server here starts, and answers, in less.
PATIENCE = 20.0
# Seconds without CPU time after which a server has nothing left to do, even if its core has other work as well.
_REST = 0.1


class ServerFailedError(Exception):
    """A server did not start, did not answer, or ended."""


class Server:
    """A running peer. pem: a key and its certificate; the server then speaks TLS.

    port: where it listens on HOST. started: seconds from the start of its process to its first answer.
    """

    def __init__(self, peer: Peer, framing: str, core: int, pem: Path | None = None) -> None:
        self.peer = peer
        self.framing = framing
        self.port = _free_port()
        self.context = _trusting() if pem else None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        before = time.perf_counter()
        with on_cores({core}):
            self.process = subprocess.Popen(
                peer.command(Place(framing, self.port, pem)),
                cwd="/",
                env=os.environ | dict(peer.environment),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_for_answer(before + PATIENCE)
        except BaseException:
            self.stop()
            raise
        self.started = time.perf_counter() - before

    def connect(self) -> socket.socket:
        """A connection to it, blocking, after the handshake if it speaks TLS."""
        connection = socket.create_connection((HOST, self.port), PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(connection) if self.context else connection

    def frame(self, message: bytes) -> bytes:
        return parse(self.framing, max_length=LIMIT).encode(message)

    def cpu(self) -> float:
        """CPU seconds, user and system, that all its threads have used so far."""
        return used_by(self.process.pid)

    def resident(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def log(self) -> str:
        """The end of what it has written."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def idle(self) -> None:
        """Wait until it does nothing any more."""
        before = -1.0
        deadline = time.perf_counter() + PATIENCE
        while before != (now := self.cpu()):
            if time.perf_counter() > deadline:
                raise ServerFailedError(f"{self.peer.name} never rests")
            before = now
            time.sleep(_REST)

    def _wait_for_answer(self, deadline: float) -> None:
        frame = self.frame(b"0123456789abcdef" * 2)
        while True:
            if self.process.poll() is not None or time.perf_counter() > deadline:
                raise ServerFailedError(f"{self.peer.name} {self.framing} does not serve: {self.log()}")
            try:
                with self.connect() as connection:
                    if not self.peer.relay:
                        connection.sendall(frame)
                        answer = received(connection, len(frame))
                        break
                    return
            except ConnectionError:
                time.sleep(0.002)
        if answer != frame:
            raise ServerFailedError(f"{self.peer.name} {self.framing} answers {answer!r} to {frame!r}")


def received(connection: socket.socket, size: int) -> bytes:
    """That many bytes. Raises ServerFailedError at the end of the stream."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ServerFailedError(f"the stream ended after {data!r}, {size} bytes were expected")
        data += more
    return data


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """This process, and those that it starts in the block, run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _trusting() -> ssl.SSLContext:
    """The certificates were made a moment ago, here."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
