"""SIGTERM and SIGINT: the first drains, the second ends the program at once. SIGHUP reloads, or is one of them.

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
    """

    def __init__(self, reactor: ReactorBase, pid_file: str = "") -> None:
        self._reactor = reactor
        self._pid_file = pid_file
        self._twisted: dict[int, Any] = {}
        self._received: int | None = None
        self._reload: Callable[[], object] | None = None
        self._kill: Callable[[], object] = lambda: None

    def catch(self) -> None:
        """Take over the signals from the reactor. Call it in the main thread."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # A signal ignored from the start, such as SIGINT after a shell's &, stays ignored.
            if callable(handler):
                self._twisted[number] = handler
                signal.signal(number, self._handle)
        if self._reload is None and _hangs_up():
            self._twisted[signal.SIGHUP] = self._twisted.get(signal.SIGTERM)
            signal.signal(signal.SIGHUP, self._handle)

    def reload_with(self, reload: Callable[[], object], kill: Callable[[], object]) -> None:
        """From now on SIGHUP reloads. Call it in the main thread, before the program says that it serves.

        reload: called in the reactor's turn, once that runs. kill: called when the program ends at once.
        """
        self._reload, self._kill = reload, kill
        if _hangs_up():
            signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(reload))

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
        self._kill()
        if self._pid_file:
            # We may not have the right to remove it.
            with suppress(OSError):
                Path(self._pid_file).unlink()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _hangs_up() -> bool:
    """Whether SIGHUP would end the program. Windows has none; started by nohup, it is ignored, and stays so."""
    number = getattr(signal, "SIGHUP", None)
    return number is not None and signal.getsignal(number) is signal.SIG_DFL
