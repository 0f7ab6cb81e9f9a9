"""The top-level service of a process that is ours: of twistd, or of `run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sockserve import __version__
from sockserve.fields import SettingError
from sockserve.framing import compiled
from sockserve.server.sockets import Server
from sockserve.service.signals import SignalHandler

log = Logger()


NAME = "twistd sockserve"

FORM = "compiled" if compiled else "pure"
"""The form of the installed framings."""


class StartError(SystemExit, Exception):
    """Ends the program with status 1; its line has already been written.

    It is also an Exception, so that twistd removes its pid file, and passes the line on when it runs as a daemon.
    """

    code = 1


class Program(MultiService):
    """All services of one process.

    place: returns where a setting of the socket with that name was written, for messages.
    signals: handles the signals that end the process; None: the process is not ours.
    name: of the program, for messages.
    log_apart: whether the log goes elsewhere than to standard error, so that messages are written there too.
    """

    def __init__(
        self,
        server: Server,
        place: Callable[[str, str], str],
        signals: SignalHandler | None = None,
        *,
        name: str = NAME,
        log_apart: bool = True,
    ) -> None:
        super().__init__()
        self._program = name
        self._log_apart = log_apart
        self._place = place
        self._server = server
        self._signals = signals
        server.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Open the ports. Raises StartError at the first that cannot be opened, or relay that cannot be used."""
        log.info("sockserve {version}, framings {form}", version=__version__, form=FORM)
        for service in self:
            for part in service if isinstance(service, Server) else [service]:
                try:
                    part.privilegedStartService()
                except (SettingError, CannotListenError, OSError, OverflowError) as error:
                    self._fail(str(part.name), error)

    def stopService(self) -> Deferred[None]:
        """Fires when all is drained; see SocketServer.stopService."""
        return maybeDeferred(super().stopService).addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        if self._signals is not None:
            self._signals.stopped(all(socket.clean for socket in self._server.sockets.values()))

    def _fail(self, socket: str, error: Exception) -> NoReturn:
        setting, reason = "listen", cast("object", error)
        if isinstance(error, SettingError):
            setting, reason = error.key, error.reason
        elif isinstance(error, OSError) and error.filename2:
            # Twisted's lock of a unix socket is a link: filename is a process id, filename2 the lock.
            reason = f"{os.fsdecode(error.filename2)}: {error.strerror}"
        line = f"{self._program}: {self._place(socket, setting)}: {reason}"
        log.critical("{line}", line=line)
        # twistd has replaced sys.stderr by its log.
        if self._log_apart and sys.__stderr__ is not None:
            print(line, file=sys.__stderr__)
        raise StartError(line) from error
