"""SIGTERM and SIGINT: the first one drains, the second one ends the program at once.

By itself Twisted takes the second for the first, and dies by the signal afterwards: a clean stop looks like a crash to
whoever reads the exit status.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase

log = Logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """How the program ends. `catch` once the reactor runs; `stopped` when the services have stopped.

    pid_file: removed when the program ends at once; "": there is none.
    """

    def __init__(self, reactor: ReactorBase, pid_file: str = "") -> None:
        self._reactor = reactor
        self._pid_file = pid_file
        self._twisted: dict[int, Any] = {}
        self._received: int | None = None

    def catch(self) -> None:
        """Take the signals over from the reactor. Only the main thread can."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # One that is ignored from the start, as SIGINT behind a shell's &, stays ignored.
            if callable(handler):
                self._twisted[number] = handler
                signal.signal(number, self._handle)

    def stopped(self, clean: bool) -> None:
        """The services have stopped. clean: all that was owed was sent; then the exit status is 0."""
        if clean:
            # What Twisted's program dies by when the reactor has stopped.
            self._reactor._exitSignal = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received = number
            handler: Callable[[int, FrameType | None], None] = self._twisted[number]
            handler(number, frame)
        else:
            # It may have interrupted the log itself.
            with suppress(RuntimeError):
                log.warn("Received a second signal, {name}: ending at once", name=signal.Signals(number).name)
            self._end(number)

    def _end(self, number: int) -> None:
        if self._pid_file:
            # It may be another user's to remove.
            with suppress(OSError):
                Path(self._pid_file).unlink()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
