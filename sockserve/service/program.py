"""The top-level service of a process that is ours: of twistd, or of `run`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, cast

from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from sockserve import __version__
from sockserve.fields import SettingError
from sockserve.framing import compiled
from sockserve.server.server import Server
from sockserve.service.failing import StartError, say
from sockserve.service.signals import SignalHandler
from sockserve.text import reactor_name
from sockserve.workers.ports import PortError
from sockserve.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from sockserve.admin.service import AdminService
    from sockserve.admin.site import View
    from sockserve.server.admin import Admin

log = Logger()


NAME = "twistd sockserve"

FORM = "compiled" if compiled else "pure"
"""The form of the installed framings."""


def admin_service(settings: Admin | None, view: View, reactor: object = None) -> AdminService | None:
    """The service of an admin endpoint, if there is to be one. view: what it tells. reactor: None: the global one."""
    if settings is None:
        return None
    # Imported here: it needs what sockserve[metrics] installs.
    from sockserve.admin.service import AdminService

    return AdminService(settings, view, reactor)


class Program(MultiService):
    """All services of one process.

    place: returns where a setting of the socket with that name was written, for messages.
    signals: handles the signals that end the process; None: the process is not ours.
    name: of the program, for messages.
    say: tells whoever started it why it cannot start, in one line, which is in the log too.
    observer: writes the log of the twistd application that this is added to; None: as twistd does by itself.
    """

    def __init__(
        self,
        place: Callable[[str, str], str],
        signals: SignalHandler | None = None,
        *,
        name: str = NAME,
        say: Callable[[str], None] = say,
        observer: ILogObserver | None = None,
    ) -> None:
        super().__init__()
        self._program = name
        self._say = say
        self._observer = observer
        self._place = place
        self._sockets: Server | Supervisor | None = None
        self._admin: AdminService | None = None
        self._signals = signals

    def serve(
        self,
        sockets: Server | Supervisor,
        reload: Callable[[], object] | None = None,
        kill: Callable[[], object] = lambda: None,
        *,
        admin: AdminService | None = None,
    ) -> None:
        """What serves the sockets: this process, or workers. reload, kill: see SignalHandler.

        admin: the service of the admin endpoint, which ends last: it tells that the others are draining.
        """
        self._sockets = sockets
        self._admin = admin
        sockets.setServiceParent(self)
        if self._signals is not None and reload is not None:
            self._signals.reload_with(reload, kill)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        super().setServiceParent(parent)
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)

    def privilegedStartService(self) -> None:
        """Open the ports. Raises StartError at the first that cannot be opened, or relay that cannot be used."""
        from twisted.internet import reactor

        log.info(
            "sockserve {version}, framings {form}, reactor {reactor}",
            version=__version__,
            form=FORM,
            reactor=reactor_name(reactor),
            event_name="sockserve.program.started",
            attributes={
                "sockserve.version": __version__,
                "sockserve.framings": FORM,
                "sockserve.reactor.name": reactor_name(reactor),
                "process.pid": os.getpid(),
            },
        )
        for service in self:
            for part in service if isinstance(service, Server) else [service]:
                self._open(part, str(part.name))
        if self._admin is not None:
            self._open(self._admin, "", "admin")

    def startService(self) -> None:
        super().startService()
        if self._admin is not None:
            self._admin.startService()

    def fail(self, line: str) -> None:
        """The start has failed after the ports were open: end the program with status 1."""
        self._tell(f"{self._program}: {line}", {})
        if self._signals is not None:
            self._signals.fail()

    def stopService(self) -> Deferred[None]:
        """Fires when all is drained; see SocketServer.stopService."""
        stopped = maybeDeferred(super().stopService)
        if self._admin is not None:
            admin = self._admin
            stopped.addBoth(lambda result: admin.stopService().addCallback(lambda _: result))
        return stopped.addCallback(self._stopped)

    def _open(self, part: IService, socket: str, setting: str = "listen") -> None:
        try:
            part.privilegedStartService()
        except PortError as error:
            self._fail(error.socket, setting, cast("Exception", error.__cause__))
        except (SettingError, CannotListenError, OSError, OverflowError) as error:
            self._fail(socket, setting, error)

    def _stopped(self, _: object) -> None:
        if self._signals is not None:
            self._signals.stopped(self._sockets is None or self._sockets.clean)

    def _fail(self, socket: str, setting: str, error: Exception) -> NoReturn:
        reason: object = error
        if isinstance(error, SettingError):
            setting, reason = error.key, error.reason
        elif isinstance(error, OSError) and error.filename2:
            # Twisted's lock of a unix socket is a link: filename is a process id, filename2 the lock.
            reason = f"{os.fsdecode(error.filename2)}: {error.strerror}"
        line = f"{self._program}: {self._place(socket, setting)}: {reason}"
        self._tell(line, {"sockserve.socket": socket})
        raise StartError(line) from error

    def _tell(self, line: str, attributes: dict[str, str]) -> None:
        log.critical("{line}", line=line, event_name="sockserve.program.failed", attributes=attributes)
        self._say(line)
