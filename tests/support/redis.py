"""A real redis-server, on a unix socket or a free port of the loopback, for tests that stop it and start it again."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from unittest import SkipTest, TestCase

from sockserve.redis.commands import Argument
from sockserve.redis.probe import ask

PATIENCE = 30


def program() -> str:
    """The name of redis-server, or of Valkey's. Skips the test where there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        if os.environ.get("CI"):
            raise AssertionError("there is no redis-server")
        raise SkipTest("there is no redis-server")
    return found


def free_port() -> int:
    """Below those that kernels give to whoever asks for any, which another process may have before it is used."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class RedisServer:
    """It runs from the beginning to the end of the test.

    keeps: whether it has its data after a restart. options: further ones of redis-server.
    url: where it is. path: of its socket.
    """

    def __init__(self, case: TestCase, *options: str, keeps: bool = True) -> None:
        # Short: the path of a unix socket has little room.
        self.folder = Path(mkdtemp(prefix="redis"))
        case.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "socket"
        self.url = f"unix://{self.path}"
        durable = ["--appendonly", "yes", "--appendfsync", "always"] if keeps else ["--appendonly", "no"]
        self._command = [
            program(),
            *("--port", "0", "--unixsocket", str(self.path), "--dir", str(self.folder), "--save", ""),
            *durable,
            *options,
        ]
        self._process: subprocess.Popen[str] | None = None
        case.addCleanup(self.stop)
        self.start()

    def start(self) -> None:
        """Returns when it is ready."""
        self._process = process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "eady to accept connections" in line:
                return
        raise AssertionError(f"redis-server has ended: {''.join(lines)}")

    def stop(self) -> None:
        """It ends in good order; returns when it has."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate(timeout=PATIENCE)

    def freeze(self) -> None:
        """From now on it does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on with all that it was sent meanwhile."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def ask(self, *commands: tuple[Argument, ...]) -> object:
        """The answer to the last of these commands, given over one connection."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.path))
            with connection.makefile("rb") as replies:
                answer: object = None
                for command in commands:
                    answer = ask(connection, replies, command)
                return answer
