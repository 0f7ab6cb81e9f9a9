"""`run`: named sockets as a program of their own, without twistd."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from twisted.application.service import IService
from twisted.logger import globalLogBeginner

from sockserve.config.checking import PROGRAM_SETTINGS, LogFormat
from sockserve.server.admin import Admin
from sockserve.server.figures import answer
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from sockserve.service.clock import make_steady
from sockserve.service.failing import say
from sockserve.service.logs import observer
from sockserve.service.program import Program, admin_service
from sockserve.service.readiness import tell_manager
from sockserve.service.signals import SignalHandler
from sockserve.text import described

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase


def run(
    *services: SocketServer | IService,
    log_file: TextIO | None = None,
    log_format: LogFormat = "text",
    admin: str | None = None,
    admin_token_file: str | None = None,
) -> None:
    """Run named sockets, and other Twisted services beside them, until a signal or `reactor.stop()`.

    The first SIGTERM or SIGINT stops accepting, and sends what is owed (see drain_timeout); then this returns, so that
    the program ends with status 0. If connections had to be aborted, or a second signal comes, the program ends by the
    signal. This cannot be done twice in one process.

    It runs the reactor that is installed. If none is, because nothing has imported `twisted.internet.reactor`, it
    installs that of sockserve.reactor where uvloop is installed, and elsewhere Twisted's default.

    log_file: where the log goes; None: standard error.
    log_format: "text", lines for people, or "json", one object a line; see docs/operating.md.
    admin: where to serve metrics, /healthz and a page of what runs, such as "tcp:9464:interface=127.0.0.1"; None:
        nowhere.
    admin_token_file: the file with the token that is needed to do anything there.

    Raises TypeError for anything but services, and ValueError if two sockets have the same name or address, for another
    log_format, or if the settings of the admin endpoint are not accepted. If a port cannot be opened, SystemExit with
    status 1; the log then says why, in one line.
    """
    for service in services:
        if not IService.providedBy(service):
            raise TypeError(f"run: found {described(service)}; accepted: a SocketServer, or another Twisted service")
    if not services:
        raise TypeError("run: found nothing to run; accepted: a SocketServer, or another Twisted service")
    form = _checked("log_format", log_format)
    for name, value in (("admin", admin), ("admin_token_file", admin_token_file)):
        if value is not None:
            _checked(name, value)
    log = sys.stderr if log_file is None else log_file
    server = Server(service for service in services if isinstance(service, SocketServer))
    if admin is None and admin_token_file is not None:
        raise ValueError("admin_token_file: admin is not set; accepted: both of them")
    sockets = [socket.settings for socket in server.sockets.values()]
    settings = None if admin is None else Admin.of(admin, admin_token_file, sockets)
    reactor = _reactor()
    signals = SignalHandler(reactor)
    program = Program(
        lambda socket, setting: f"{socket}: {setting}" if socket else setting,
        signals,
        name=Path(sys.argv[0]).name,
        say=partial(say, log=log),
    )
    program.serve(server, admin=admin_service(settings, partial(answer, server)))
    for service in services:
        if not isinstance(service, SocketServer):
            service.setServiceParent(program)
    tell_manager(program, reactor)
    globalLogBeginner.beginLoggingTo([observer(log, cast("LogFormat", form))], redirectStandardIO=False)
    make_steady(reactor)
    program.privilegedStartService()
    program.startService()
    reactor.addSystemEventTrigger("before", "shutdown", program.stopService)
    reactor.callWhenRunning(signals.catch)
    reactor.run()
    signals.finish()


def _reactor() -> ReactorBase:
    if "twisted.internet.reactor" not in sys.modules:
        with suppress(ImportError):
            from sockserve.reactor import install

            install()
    from twisted.internet import reactor

    return cast("ReactorBase", reactor)


def _checked(name: str, value: object) -> object:
    return PROGRAM_SETTINGS[name].value.check(name, value)
