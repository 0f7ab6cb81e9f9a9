"""SIGTERM and SIGINT: the first drains, the second ends the program at once. SIGHUP reloads.

Twisted treats the second like the first, and ends by the signal afterwards, so that a clean stop has the exit status
of a crash.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
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


class SignalHandler:
    """Decides how the program ends. Call `catch` once the reactor runs, and `stopped` when the services have stopped.

    twistd does what `finish` does by itself.

    pid_file: removed when the program ends at once; "": there is none.

    reload: called at SIGHUP; None: that drains, as SIGTERM does. kill: called when the program ends at once.
    """

    def __init__(self, reactor: ReactorBase, pid_file: str = "") -> None:
        self._reactor = reactor
        self._pid_file = pid_file
        self._twisted: dict[int, Any] = {}
        self._received: int | None = None
        self.reload: Callable[[], object] | None = None
        self.kill: Callable[[], object] = lambda: None

    def catch(self) -> None:
        """Take over the signals from the reactor. Call it in the main thread."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # A signal ignored from the start, such as SIGINT after a shell's &, stays ignored.
            if callable(handler):
                self._twisted[number] = handler
                signal.signal(number, self._handle)
        # Windows has none. Started by nohup, it is ignored, and stays so.
        hang_up = getattr(signal, "SIGHUP", None)
        if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_DFL:
            self._twisted[hang_up] = self._twisted.get(signal.SIGTERM)
            signal.signal(hang_up, self._handle if self.reload is None else self._hang_up)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        assert self.reload is not None
        self._reactor.callFromThread(self.reload)

    def fail(self) -> None:
        """Stop, and end with status 1."""
        atexit.register(self._end_with_status, 1)
        self._reactor.stop()

    def _end_with_status(self, status: int) -> None:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def stopped(self, clean: bool) -> None:
        """The services have stopped. clean: all that was owed was sent; the exit status is then 0."""
        if clean:
            # The signal by which Twisted's program ends after the reactor has stopped.
            self._reactor._exitSignal = None

    def finish(self) -> None:
        """The reactor has stopped: end the process by the signal that stopped it, unless all that was owed was sent."""
        number = self._reactor._exitSignal
        if number is not None:
            self._end(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received = number
            handler: Callable[[int, FrameType | None], None] = self._twisted[number]
            handler(number, frame)
        else:
            # The signal may have interrupted the log itself.
            with suppress(RuntimeError):
                name = signal.Signals(number).name
                log.warn(
                    "Received a second signal, {name}: ending at once",
                    name=name,
                    event_name="sockserve.program.interrupted",
                    attributes={"sockserve.signal": name},
                )
            self._end(number)

    def _end(self, number: int) -> None:
        self.kill()
        if self._pid_file:
            # We may not have the right to remove it.
            with suppress(OSError):
                Path(self._pid_file).unlink()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
