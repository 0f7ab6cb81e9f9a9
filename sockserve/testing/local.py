"""A server in the reactor of the test: for trial, for pytest-twisted, and for whatever else runs a reactor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from sockserve import Server, SocketServer
from sockserve.addresses import format_address
from sockserve.config.loading import load
from sockserve.service.records import text
from sockserve.testing.configuration import LISTEN, configured
from sockserve.testing.served import Served


@implementer(ILogObserver)
class LocalServer(Served):
    """Named sockets on free ports, in the reactor of the test, from `start` to `stop`.

        server = LocalServer(framing="windev", handler=answer).start()
        self.addCleanup(server.stop)

    settings: the arguments of one SocketServer; it is named "test" and listens on a free port, unless they say
        otherwise.
    config: a TOML text, or the path of a TOML file, instead. Its ports become free ones of the loopback address; what
        it sets for the whole program does not count.

    sockets: by name, as SocketServers.

    Its log is that of the whole process. Under trial an error in the log fails the test as well: a test that provokes
    one calls `flushLoggedErrors`, too. Raises ValueError for settings that are not accepted.
    """

    def __init__(self, *, config: str | Path | None = None, **settings: Any) -> None:  # noqa: ANN401 - as SocketServer
        super().__init__()
        if config is None:
            sockets = [SocketServer(**{"name": "test", "listen": LISTEN, **settings})]
        elif settings:
            raise ValueError(f"LocalServer: config and {', '.join(settings)}; accepted: one of the two")
        else:
            file = config if isinstance(config, Path) else "config"
            sockets = [SocketServer.of(each) for each in load(file, configured(config)).sockets]
        self._server = Server(sockets)
        self.sockets = self._server.sockets

    def start(self) -> Self:
        """Open the ports. Raises twisted.internet.error.CannotListenError if one cannot be opened."""
        globalLogPublisher.addObserver(self)
        self._server.startService()
        return self

    def stop(self) -> Deferred[None]:
        """Stop and drain. Fires when all is over; fails with AssertionError if something has failed.

        A second call does nothing.
        """
        if not self._server.running:
            return succeed(None)
        return maybeDeferred(self._server.stopService).addCallback(self._stopped)

    def address_of(self, name: str | None = None, number: int = 0) -> str:
        socket = self.sockets[next(iter(self.sockets)) if name is None else name]
        return format_address(socket.ports[number].getHost())

    def _stopped(self, _: object) -> None:
        globalLogPublisher.removeObserver(self)
        self._check()

    def __call__(self, event: LogEvent) -> None:
        line = text(event)
        if line:
            self.lines.append(line)
            if event.get("log_level", LogLevel.info) >= LogLevel.error:
                self.failures.append(line)
