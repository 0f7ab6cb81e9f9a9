"""What a service manager is told: that the program serves, that it is alive, and that it stops.

systemd's protocol, see sd_notify(3): datagrams of text to the unix socket that NOTIFY_SOCKET names. Type=notify in a
unit asks for it, and so do other managers. Without NOTIFY_SOCKET there is nothing to tell.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

log = Logger()


class Readiness(Service):
    """Tells the manager when it is started and stopped, after and before the services that were added before it.

    path: of the manager's socket; one that begins with @ has an abstract name.
    watchdog: seconds in which the manager wants a sign of life; None: it wants none. It is sent twice as often, from
        the reactor, so that a program that stands still is started again.
    ready: fires when all serve; None: they do once they are started.
    """

    def __init__(
        self, reactor: IReactorTime, path: str, watchdog: float | None = None, ready: Deferred[None] | None = None
    ) -> None:
        self._path = f"\0{path[1:]}" if path.startswith("@") else path
        self._watchdog = watchdog
        self._ready: Deferred[None] = succeed(None) if ready is None else ready
        self._reactor = reactor
        self._alive = LoopingCall(self._tell, "WATCHDOG=1")
        self._alive.clock = reactor

    def startService(self) -> None:
        super().startService()
        # Once the reactor runs, and takes signals.
        self._reactor.callLater(0, self._ready.addCallback, lambda _: self._tell("READY=1"))
        if self._watchdog is not None:
            self._alive.start(self._watchdog / 2, now=False)

    def stopService(self) -> None:
        """The signs of life go on: draining may take longer than the manager waits for one."""
        super().stopService()
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), self._path)
        except OSError as error:
            log.warn(
                "The service manager was not told {state}: {error}",
                state=state,
                error=str(error),
                event_name="sockserve.manager.failed",
                attributes={"sockserve.manager.state": state, "exception.message": str(error)},
            )


def tell_manager(
    services: MultiService,
    reactor: IReactorTime,
    environ: Mapping[str, str] | None = None,
    ready: Deferred[None] | None = None,
) -> None:
    """Let the manager that started this process know of these services, if it wants to. Call it after all are added.

    environ: None: that of the process. ready: see Readiness.
    """
    environ = os.environ if environ is None else environ
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    microseconds = environ.get("WATCHDOG_USEC", "")
    # Another process may be meant.
    ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watchdog = int(microseconds) / 1e6 if ours and microseconds.isdecimal() and int(microseconds) else None
    Readiness(reactor, path, watchdog, ready).setServiceParent(services)
