"""A server in a process of its own, for tests that block: a real `twistd sockserve`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

from sockserve.testing.configuration import configured, of_socket
from sockserve.testing.served import Served

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that nothing here should need."""

# twistd, which says in its log when it handles signals: all of its ports are open then. Sooner, one would just kill it.
_SERVES = "sockserve.testing: serves"
_TWISTD = f"""
from twisted.internet import reactor
from twisted.scripts.twistd import run
reactor.callWhenRunning(reactor.callLater, 0, print, {_SERVES!r}, flush=True)
run()
"""

# A line of the log; the further lines of an event begin with a tab.
_LINE = re.compile(r"\S+ \[[^\]#]*#(?P<level>\w+)\] (?P<text>.*)")
_LISTENS = re.compile(r"(?P<name>.*) listens on (?P<address>\S+)")


class ServerProcess(Served):
    """A `twistd sockserve` on free ports, from its creation to `stop`.

        with ServerProcess(framing="windev", handler="shop.orders:answer") as server:
            client = socket.create_connection((server.host, server.port))

    settings: the keys of a [socket.NAME] table. A function of a module may be given instead of its name. name: of the
        socket.
    config: a TOML text, or the path of a TOML file, instead. Its ports become free ones of the loopback address.

    Modules are found where this process finds them. process: the running process.

    Raises AssertionError, with what it has said, when it ends instead of serving.
    """

    def __init__(self, *, config: str | Path | None = None, name: str = "test", **settings: object) -> None:
        super().__init__()
        if config is not None and settings:
            raise ValueError(f"ServerProcess: config and {', '.join(settings)}; accepted: one of the two")
        program = {"log_format": "text"}
        toml = of_socket(name, settings, **program) if config is None else configured(config, **program)
        self._news = Condition()
        self._serves = self._over = self._left = self._failing = False
        # As the log has them: the name of a socket, and an address.
        self._addresses: list[tuple[str, str]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="sockserve-"))
        file = self._folder / "server.toml"
        file.write_text(toml, encoding="utf-8")
        self.process = subprocess.Popen(  # noqa: S603 - this Python
            [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "sockserve", "--config", file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(each or str(Path.cwd()) for each in sys.path)},
        )
        self._reader = Thread(target=self._read, name="log of sockserve", daemon=True)
        self._reader.start()
        self._wait(lambda: self._serves, "serves")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            error.add_note(f"The log of the server:\n{self.log}")
            self._leave()

    def address_of(self, name: str | None = None, number: int = 0) -> str:
        found = [address for socket, address in self._addresses if name in (None, socket)]
        if number >= len(found):
            raise LookupError(f"no such address of {'the server' if name is None else name}:\n{self.log}")
        return found[number]

    def wait_for(self, text: str, start: int = 0) -> str:
        """Wait for a line of the log that contains the text, and return it. start: the first of `lines` to look at.

        Raises AssertionError, with the log, if there is none in half a minute, or at the end of the process.
        """
        return self._wait(lambda: next((line for line in self.lines[start:] if text in line), ""), f"logs {text!r}")

    def stop(self) -> None:
        """Stop it as SIGTERM does: it drains first. Raises AssertionError if it, or anything in it, has failed.

        A second call does nothing.
        """
        if self._left:
            return
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server has not stopped within {PATIENCE:g} seconds:\n{self.log}") from None
        finally:
            self._leave()
        if status:
            raise AssertionError(f"the server has ended with status {status}:\n{self.log}")
        self._check()

    def _leave(self) -> None:
        """Nothing is left of it."""
        self._left = True
        self.process.kill()
        self.process.wait()
        self._reader.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self, find: Callable[[], T], what: str) -> T:
        deadline = monotonic() + PATIENCE
        with self._news:
            while not (found := find()):
                if self._over or not self._news.wait(deadline - monotonic()):
                    break
            else:
                return found
        problem = f"has ended before it {what}" if self._over else f"has been waited for in vain: that it {what}"
        self._leave()
        raise AssertionError(f"the server {problem}:\n{self.log}")

    def _read(self) -> None:
        """Take everything that it says; in a thread."""
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self._take(line)
                    self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _take(self, line: str) -> None:
        if line.endswith(f" {_SERVES}\n"):
            self._serves = True
            return
        self.lines.append(line)
        if line.startswith("\t"):
            if self._failing:
                self.failures[-1] += line
            return
        found = _LINE.match(line)
        self._failing = found is not None and found["level"] in ("error", "critical")
        if self._failing:
            self.failures.append(line)
        elif found is not None and (listens := _LISTENS.fullmatch(found["text"])):
            self._addresses.append((listens["name"], listens["address"]))
