"""Where the log of a program goes, and in which form."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import IO, Any, cast

from twisted.logger import ILogObserver, LogEvent
from twisted.python.logfile import LogFile
from zope.interface import implementer

from sockserve.config.checking import LogFormat
from sockserve.service.records import record, screen, text


@implementer(ILogObserver)
class Lines:
    """Writes events as lines.

    What a signal handler logs while a line is being written comes after that line; Twisted's observer loses it.

    stream: of text. form: makes the line of an event, with its break; "": there is none.
    """

    def __init__(self, stream: IO[Any], form: Callable[[LogEvent], str]) -> None:
        self._stream = stream
        self._form = form
        self._encoding: str = getattr(stream, "encoding", None) or "utf-8"
        # Taken again by a signal handler of the same thread, unlike another's.
        self._lock = RLock()
        self._writing = False
        self._due: deque[str] = deque()

    def __call__(self, event: LogEvent) -> None:
        line = self._form(event)
        if not line:
            return
        if not line.isascii():
            line = line.encode(self._encoding, "backslashreplace").decode(self._encoding)
        with self._lock:
            self._due.append(line)
            if self._writing:
                return
            self._writing = True
            try:
                while self._due:
                    self._stream.write(self._due.popleft())
                    self._stream.flush()
            finally:
                self._writing = False


def observer(stream: IO[Any], form: LogFormat) -> Lines:
    """What writes the events to that stream.

    form: "text": for people; shorter on a terminal, and in colour, unless NO_COLOR is set (https://no-color.org).
        "json": one object a line.
    """
    if form == "json":
        return Lines(stream, record)
    if not _is_terminal(stream):
        return Lines(stream, text)
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Lines(stream, partial(screen, colour=colour))


def stream_of(options: Mapping[str, Any]) -> IO[Any] | None:
    """Where twistd would write its log, with these options of its own; None: not to a stream, or it refuses them.

    As twistd has it, a file is rotated when it has a megabyte, or at SIGUSR1 if nobody else handles that.
    """
    if options.get("syslog") or options.get("logger"):
        return None
    daemon = is_daemon(options)
    name = options.get("logfile") or ("twistd.log" if daemon else "-")
    if name == "-":
        return None if daemon else sys.stdout
    file = LogFile.fromFullPath(name)
    if hasattr(signal, "SIGUSR1") and signal.getsignal(signal.SIGUSR1) in (None, signal.SIG_DFL):

        def rotate(*_: object) -> None:
            from twisted.internet import reactor

            reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

        signal.signal(signal.SIGUSR1, rotate)
    return cast("IO[Any]", file)


def is_daemon(options: Mapping[str, Any]) -> bool:
    """Whether twistd, with these options of its own, goes on as a daemon."""
    return not options.get("nodaemon") and hasattr(os, "fork")


def is_standard_error(stream: IO[Any] | None) -> bool:
    """Whether what is written to that stream is seen where standard error is: the same terminal, file or pipe."""
    try:
        ours = os.fstat(stream.fileno())  # type: ignore[union-attr]
        return os.path.samestat(ours, os.fstat(sys.__stderr__.fileno()))  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):
        # One of them is no file, or closed.
        return False


def _is_terminal(stream: IO[Any]) -> bool:
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and isatty()
