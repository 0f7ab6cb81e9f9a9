"""A real `twistd -n sockserve` in a process of its own, for tests that block.

It comes from the zygote (`tests.support.processes`), and its workers can; `fresh`: from an interpreter of its own, as
for its users.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread
from time import monotonic

from tests.support import processes, reactor

ROOT = processes.ROOT
# In the root of a checkout this finds the plugin without an installation.
PROGRAM = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
TWISTD = (*PROGRAM, *reactor.option(), "-n")
LISTENS = re.compile(r"listens on ([^\s\"]+)")
# Seconds that nothing here should need.
PATIENCE = 30


class Server:
    """process: the running twistd. addresses: where it listens, as it logged them. lines: its whole log so far."""

    def __init__(
        self,
        *options: str,
        listen: int = 1,
        pid_file: str = "",
        fresh: bool = False,
        folder: Path | None = None,
        forks: bool = False,
    ) -> None:
        executable, _c, program, *rest = TWISTD
        if folder is not None:
            program = f"import sys; sys.path.insert(1, {str(folder)!r}); {program}"
        if forks:
            program = f"from tests.support import forked_workers; forked_workers.begin(); {program}"
        start = subprocess.Popen if fresh else processes.Process
        self.process = start(
            [executable, _c, program, *rest, f"--pidfile={pid_file}", "sockserve", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addresses: list[str] = []
        self.lines: list[str] = []
        self._news = Condition()
        while len(self.addresses) < listen:
            line = self._next_line()
            if not line:
                self._close()
                raise RuntimeError(f"twistd ended: {''.join(self.lines)}")
            if match := LISTENS.search(line):
                self.addresses.append(match[1])
        self._reader = Thread(target=self._read_on)
        self._reader.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first endpoint."""
        host, _, port = self.addresses[0].rpartition(":")
        return host.strip("[]"), int(port)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> str:
        """End it and return its log."""
        self.process.send_signal(by)
        return self.wait()

    def end(self) -> None:
        """End it at once, with its workers."""
        self.process.send_signal(signal.SIGTERM)
        # The second one is another one: two of the same may come as one.
        self.process.send_signal(signal.SIGINT)
        self.wait()

    def wait(self) -> str:
        """Wait for its end and return its log."""
        try:
            self.process.wait(PATIENCE)
        finally:
            # Nothing but an end that has been waited for is left of a process.
            self.process.kill()
            self._reader.join(PATIENCE)
            self._close()
        return "".join(self.lines)

    def wait_for(self, text: str, start: int = 0) -> str:
        """The first line of the log that contains the text, after so many lines. Waits until there is one."""
        deadline = monotonic() + PATIENCE
        with self._news:
            while not (found := [line for line in self.lines[start:] if text in line]):
                if not self._news.wait(deadline - monotonic()):
                    raise AssertionError(f"{text!r} is not in the log: {''.join(self.lines)}")
        return found[0]

    def wait_for_news(self, seconds: float = 0.1) -> None:
        """Wait for another line in the log, this long at the most."""
        with self._news:
            self._news.wait(seconds)

    def cpu(self) -> float:
        """Seconds of processor time that the process has used (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many descriptors the process holds (Linux)."""
        return len(self.descriptor_numbers())

    def descriptor_numbers(self) -> set[int]:
        """Their numbers."""
        return {int(path.name) for path in Path(f"/proc/{self.process.pid}/fd").iterdir()}

    def resident(self) -> int:
        """Resident memory of the process in bytes (Linux)."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most resident memory that the process has had, in bytes (Linux)."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"{name}:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024

    def _close(self) -> None:
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _next_line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        with self._news:
            self.lines.append(line)
            self._news.notify_all()
        return line

    def _read_on(self) -> None:
        while self._next_line():
            pass


@contextmanager
def running(
    *options: str,
    listen: int = 1,
    pid_file: str = "",
    fresh: bool = False,
    folder: Path | None = None,
    forks: bool = False,
) -> Iterator[Server]:
    """A server with these options, ended at once when the block is left.

    folder: where modules are searched for too. forks: its workers fork, instead of starting interpreters.
    """
    server = Server(*options, listen=listen, pid_file=pid_file, fresh=fresh, folder=folder, forks=forks)
    try:
        yield server
    finally:
        server.end()


def failing(*options: str, pid_file: str = "") -> subprocess.CompletedProcess[str]:
    """A `twistd -n sockserve` that is expected to end by itself."""
    command = [*TWISTD, f"--pidfile={pid_file}", "sockserve", *options]
    return processes.run(command, cwd=ROOT, text=True, timeout=PATIENCE)
