"""A server that is measured: a process of its own on a core of its own (Linux)."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sockserve.commands.bench.processor import used_by
from sockserve.framing import parse

if TYPE_CHECKING:
    from bench.compare.peers import Peer

HOST = "127.0.0.1"
# Seconds: every server here starts, and answers, in less.
PATIENCE = 30.0


class ServerFailedError(Exception):
    """A server did not start, did not answer, or ended."""


class Server:
    """A running peer.

    port: where it listens on HOST. started: seconds from the start of its process to its first answer.
    """

    def __init__(self, peer: Peer, framing: str, core: int) -> None:
        self.peer = peer
        self.framing = framing
        self.port = _free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        before = time.perf_counter()
        with on_core(core):
            self.process = subprocess.Popen(
                peer.command(framing, self.port),
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

    def cpu(self) -> float:
        """CPU seconds, user and system, that all its threads have used so far."""
        return used_by(self.process.pid)

    def resident(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def log(self) -> str:
        """The end of what it has written."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def _wait_for_answer(self, deadline: float) -> None:
        frame = parse(self.framing).encode(b"0123456789abcdef")
        while True:
            if self.process.poll() is not None or time.perf_counter() > deadline:
                raise ServerFailedError(f"{self.peer.name} {self.framing} does not serve: {self.log()}")
            try:
                with socket.create_connection((HOST, self.port), PATIENCE) as connection:
                    connection.sendall(frame)
                    answer = b""
                    while len(answer) < len(frame) and (data := connection.recv(65536)):
                        answer += data
                    connection.shutdown(socket.SHUT_WR)
                    answer += connection.recv(65536)
            except ConnectionError:
                time.sleep(0.002)
                continue
            if answer != frame:
                raise ServerFailedError(f"{self.peer.name} {self.framing} answers {answer!r} to {frame!r}")
            return

    def settled(self) -> int:
        """The number of its descriptors, once it has stopped closing them."""
        before, now = -1, self.descriptors()
        while before != now:
            time.sleep(0.02)
            before, now = now, self.descriptors()
        return now


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started in the block run on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
