"""The top-level service of a process that is ours: of twistd, or of `run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sockserve import __version__
from sockserve.framing import compiled
from sockserve.server.figures import answer
from sockserve.server.sockets import Server
from sockserve.service.signals import SignalHandler

if TYPE_CHECKING:
    from sockserve.admin.service import AdminService
    from sockserve.server.admin import Admin

log = Logger()


NAME = "twistd sockserve"

FORM = "compiled" if compiled else "pure"
"""The form of the installed framings."""


def admin_service(settings: Admin | None, server: Server, reactor: object = None) -> AdminService | None:
    """The service of an admin endpoint that tells of these sockets, in this process. reactor: None: the global one."""
    if settings is None:
        return None
    # Imported here: it needs what sockserve[metrics] installs.
    from sockserve.admin.service import AdminService

    return AdminService(settings, partial(answer, server), reactor)


class StartError(SystemExit, Exception):
    """Ends the program with status 1; its line has already been written.

    It is also an Exception, so that twistd removes its pid file, and passes the line on when it runs as a daemon.
    """

    code = 1


class Program(MultiService):
    """All services of one process.

    place: returns where the endpoints of the socket with that name were written, for messages; "": that of admin.
    signals: handles the signals that end the process; None: the process is not ours.
    name: of the program, for messages.
    log_apart: whether the log goes elsewhere than to standard error, so that messages are written there too.
    admin: the service of the admin endpoint, which ends last: it tells that the others are draining.
    """

    def __init__(
        self,
        server: Server,
        place: Callable[[str], str],
        signals: SignalHandler | None = None,
        *,
        name: str = NAME,
        log_apart: bool = True,
        admin: AdminService | None = None,
    ) -> None:
        super().__init__()
        self._program = name
        self._log_apart = log_apart
        self._place = place
        self._server = server
        self._signals = signals
        self._admin = admin
        server.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Open the ports. Raises StartError at the first that cannot be opened."""
        log.info("sockserve {version}, framings {form}", version=__version__, form=FORM)
        for service in self:
            for part in service if isinstance(service, Server) else [service]:
                self._open(part, str(part.name))
        if self._admin is not None:
            self._open(self._admin, "")

    def startService(self) -> None:
        super().startService()
        if self._admin is not None:
            self._admin.startService()

    def stopService(self) -> Deferred[None]:
        """Fires when all is drained; see SocketServer.stopService."""
        stopped = maybeDeferred(super().stopService)
        if self._admin is not None:
            admin = self._admin
            stopped.addBoth(lambda result: admin.stopService().addCallback(lambda _: result))
        return stopped.addCallback(self._stopped)

    def _open(self, part: IService, socket: str) -> None:
        try:
            part.privilegedStartService()
        except (CannotListenError, OSError, OverflowError) as error:
            self._fail(socket, error)

    def _stopped(self, _: object) -> None:
        if self._signals is not None:
            self._signals.stopped(all(socket.clean for socket in self._server.sockets.values()))

    def _fail(self, socket: str, error: Exception) -> NoReturn:
        reason: object = error
        if isinstance(error, OSError) and error.filename2:
            # Twisted's lock of a unix socket is a link: filename is a process id, filename2 the lock.
            reason = f"{os.fsdecode(error.filename2)}: {error.strerror}"
        line = f"{self._program}: {self._place(socket)}: {reason}"
        log.critical("{line}", line=line)
        # twistd has replaced sys.stderr by its log.
        if self._log_apart and sys.__stderr__ is not None:
            print(line, file=sys.__stderr__)
        raise StartError(line) from error
