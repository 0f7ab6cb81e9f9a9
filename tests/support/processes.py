"""Python programs in processes of their own, started in milliseconds by a zygote.

`Process` is what tests need of `subprocess.Popen`, `run` of `subprocess.run`, and `tests.support.spawned` has what they
need of `reactor.spawnProcess`. The command line is the same as there: `sys.executable`, then -m, -c or the path of a
script, then arguments.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import IO, Any, Self

from tests.support import reactor

ROOT = Path(__file__).parents[2]
Argument = str | Path
PIPE = subprocess.PIPE
LOCK = Lock()


@cache
def zygote() -> socket.socket:
    """Start it. Gives the socket that it listens to; it ends with this process."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.zygote", str(theirs.fileno()), *filter(None, [reactor.module()])],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class Forked:
    """A process of the zygote. pid: its number. returncode: None while it runs, as `subprocess` has it."""

    def __init__(
        self, args: Sequence[Argument], standard: Sequence[int], cwd: Argument | None, env: Mapping[str, str] | None
    ) -> None:
        executable, *rest = map(str, args)
        assert executable == sys.executable, executable
        request = [rest, str(cwd or Path.cwd()), dict(os.environ if env is None else env)]
        self.returncode: int | None = None
        self.report, report = os.pipe()
        data = json.dumps(request).encode() + b"\n"
        try:
            with LOCK:
                sent = socket.send_fds(zygote(), [data], [*standard, report])
                zygote().sendall(data[sent:])
        finally:
            os.close(report)
        said = b""
        while not said.endswith(b"\n"):
            more = os.read(self.report, 1)
            assert more, "the zygote has ended"
            said += more
        self.pid = int(said)

    def has_ended(self, timeout: float | None = 0) -> bool:
        """Whether it has, at the latest after this many seconds; None: when it has."""
        if self.returncode is None and select.select([self.report], [], [], timeout)[0]:
            self.returncode = int(os.read(self.report, 100))
            os.close(self.report)
        return self.returncode is not None

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if not self.has_ended():
            # The zygote may have waited for it, and not have reported that yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Process(Forked):
    """As `subprocess.Popen`. A context leaves it when it has ended."""

    def __init__(
        self,
        args: Sequence[Argument],
        *,
        cwd: Argument | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        text: bool = False,
    ) -> None:
        self.args = args
        self.stdin: IO[Any] | None = None
        self.stdout: IO[Any] | None = None
        self.stderr: IO[Any] | None = None
        self._rest: dict[IO[Any] | None, Any] = {}
        with ExitStack() as theirs:

            def end(wanted: int | None, number: int) -> tuple[int, IO[Any] | None]:
                """The child's descriptor, and our end of it."""
                if wanted == subprocess.DEVNULL:
                    wanted = os.open(os.devnull, os.O_RDWR)
                    theirs.callback(os.close, wanted)
                if wanted != PIPE:
                    return (number if wanted is None else wanted), None
                read, write = os.pipe()
                child, ours = (read, write) if number == 0 else (write, read)
                theirs.callback(os.close, child)
                return child, os.fdopen(ours, ("w" if number == 0 else "r") + ("" if text else "b"))

            child_in, self.stdin = end(stdin, 0)
            child_out, self.stdout = end(stdout, 1)
            child_err, self.stderr = (child_out, None) if stderr == subprocess.STDOUT else end(stderr, 2)
            super().__init__(args, (child_in, child_out, child_err), cwd, env)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        self.has_ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self.has_ended(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(list(map(str, self.args)), timeout)
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        """What it still writes to its pipes. Killed, with TimeoutExpired, when it has not ended in time."""
        threads = [Thread(target=self._read, args=[stream]) for stream in (self.stdout, self.stderr) if stream]
        for thread in threads:
            thread.start()
        try:
            self.wait(timeout)
        finally:
            self.kill()
            for thread in threads:
                thread.join()
        return self._rest.get(self.stdout), self._rest.get(self.stderr)

    def _read(self, stream: IO[Any]) -> None:
        if not stream.closed:
            with stream:
                self._rest[stream] = stream.read()


def run(
    args: Sequence[Argument],
    *,
    cwd: Argument | None = None,
    env: Mapping[str, str] | None = None,
    text: bool = False,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[Any]:
    """Run it to its end, with nothing on its standard input. Its output is kept."""
    process = Process(args, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, text=text)
    output, errors = process.communicate(timeout)
    return subprocess.CompletedProcess(list(map(str, args)), process.wait(), output, errors)
