"""How a program says why it cannot start: in one line, to whoever started it."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from sockserve.service.logs import is_standard_error


class StartError(SystemExit, Exception):
    """Ends the program with status 1; its line has already been written.

    It is also an Exception, so that twistd removes its pid file.
    """

    code = 1


def say(line: str, log: IO[Any] | None = None) -> None:
    """Write the line to standard error, unless the log, which has it, goes to the same place.

    log: the stream that the log goes to; None: it goes to none.
    """
    # twistd has replaced sys.stderr by its log.
    if sys.__stderr__ is not None and not is_standard_error(log):
        print(line, file=sys.__stderr__)


class FirstProcess(Service):
    """Of a daemon: the process that a user has started, and waits for.

    twistd itself would say there in two lines that the daemon could not start, and cut the first of them. Make this
    before twistd forks, as the last thing that is done, and add it to the services after all others: when it starts,
    the daemon has started.

    ready: fires when that is so, if it is later; see Readiness.
    """

    def __init__(self) -> None:
        self.ready: Deferred[None] | None = None
        self._process = os.getpid()
        self._read, self._write = os.pipe()
        os.register_at_fork(after_in_parent=self._wait, after_in_child=self._leave)

    def privilegedStartService(self) -> None:
        (self.ready or succeed(None)).addCallback(self._started)

    def _started(self, _: None) -> None:
        self.say("")
        os.close(self._write)
        os.close(self._read)

    def say(self, line: str) -> None:
        """Let it end with status 1 after this line; or with what twistd gives it if the line is empty."""
        os.write(self._write, f"{line}\n".encode(errors="backslashreplace"))

    def _wait(self) -> None:
        """For the daemon's line, or its end, unless it is another process that has forked."""
        if os.getpid() != self._process:
            return
        self._leave()
        os.close(self._write)
        with os.fdopen(self._read, "rb") as daemon:
            line = daemon.readline()
            if line.strip():
                # It removes its pid file before it ends.
                daemon.read()
                os.write(2, line)
                os._exit(1)

    def _leave(self) -> None:
        # The numbers of processes come again.
        self._process = 0
