"""A program that serves with workers: how their processes are started, and what they load."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, cast

from twisted.python.systemd import ListenFDs

from sockserve.config.checking import Config
from sockserve.fields import SettingError
from sockserve.handlers.shared import reach
from sockserve.redis.commands import Unavailable
from sockserve.workers.ports import PortError
from sockserve.workers.process import Command
from sockserve.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase

    from sockserve.redis.address import RedisAddress
    from sockserve.service.options import Options

WORKER = ("-m", "sockserve.service.worker")
"""What the interpreter of a worker is called with; `ps` shows it."""

# These are meant for the supervisor.
_NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def supervisor(options: Options, reactor: ReactorBase, failed: Callable[[str], object]) -> Supervisor:
    """The service that runs the workers of checked options. failed: see Supervisor."""
    config = options.config
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, options.source.path))
    name = None if options.parent is None else options.parent.get("reactor")
    arguments = (*WORKER, *([f"--reactor={name}"] if name else []))
    return Supervisor(
        reactor,
        Command(arguments, environment, _inherited(config)),
        asdict(options.source),
        config.workers,
        [(socket.name, str(each.opening.endpoint)) for socket in config.sockets for each in socket.listens],
        lambda: asdict(options.read()),
        failed,
        partial(_check_relays, config),
    )


def _check_relays(config: Config) -> None:
    """Before clients can connect, as one process does. Raises PortError."""
    for socket in config.sockets:
        if socket.relay is not None:
            try:
                reach(cast("RedisAddress", socket.relay), socket.name)
            except Unavailable as error:
                raise PortError(socket.name) from SettingError("relay", f"{socket.relay}: {error}")


def _inherited(config: Config) -> tuple[int, ...]:
    """The descriptors that this process was started with, to be served."""
    numbers = {*ListenFDs.fromEnvironment().inheritedDescriptors()}
    for socket in config.sockets:
        for each in socket.listens:
            match each.opening.address:
                case ("descriptor", int(number)):
                    numbers.add(number)
    return tuple(sorted(numbers))
