"""The service of one twistd process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sockserve import __version__
from sockserve.framing import compiled
from sockserve.server.sockets import Server
from sockserve.service.signals import Stopping

if TYPE_CHECKING:
    pass

log = Logger()


NAME = "twistd sockserve"

FORM = "compiled" if compiled else "pure"
"""How the framings were installed."""


class StartError(SystemExit, Exception):
    """Ends the program with status 1; its line has been written already.

    It is an Exception too, so that twistd removes its pid file, and passes the line on when it runs as a daemon.
    """

    code = 1


class Program(MultiService):
    """All services of one twistd process.

    place: where the endpoints of the socket with that name were written.
    stopping: how the process ends; None: that is not ours to say.
    """

    def __init__(self, server: Server, place: Callable[[str], str], stopping: Stopping | None = None) -> None:
        super().__init__()
        self._place = place
        self._server = server
        self._stopping = stopping
        server.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Open the ports. Raises StartError for the first that cannot be opened."""
        log.info("sockserve {version}, framings {form}", version=__version__, form=FORM)
        for service in self:
            for part in service if isinstance(service, Server) else [service]:
                try:
                    part.privilegedStartService()
                except (CannotListenError, OSError, OverflowError) as error:
                    self._fail(str(part.name), error)

    def stopService(self) -> Deferred[None]:
        """Fires when all is drained; see SocketServer.stopService."""
        return maybeDeferred(super().stopService).addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        if self._stopping is not None:
            self._stopping.stopped(all(socket.clean for socket in self._server.sockets.values()))

    def _fail(self, socket: str, error: Exception) -> NoReturn:
        reason: object = error
        if isinstance(error, OSError) and error.filename2:
            # The lock of a unix socket is a link from Twisted's process id to this name.
            reason = f"{os.fsdecode(error.filename2)}: {error.strerror}"
        line = f"{NAME}: {self._place(socket)}: {reason}"
        log.critical("{line}", line=line)
        # twistd has put its log in the place of sys.stderr.
        if sys.__stderr__ is not None:
            print(line, file=sys.__stderr__)
        raise StartError(line) from error
