"""What a file or a command line describes as a whole: named sockets, and the settings that they share."""

from __future__ import annotations

import json
import os
import re
import socket as system
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sockserve.fields import (
    COUNT,
    SIZE_VALUE,
    Setting,
    SettingError,
    Value,
    check_fields,
    choice,
    from_table,
    of,
    setting,
    settings_of,
)
from sockserve.limits.memory import DEFAULT_MEMORY_BUDGET, MemoryBudget, budget_of
from sockserve.limits.places import Places
from sockserve.server.admin import ADMIN_ENDPOINT, TOKEN_FILE, Admin
from sockserve.server.conflicts import check_addresses, check_circles
from sockserve.server.endpoints import KINDS
from sockserve.server.server import Server
from sockserve.server.settings import SHARED_SETTINGS, SOCKET_SETTINGS, SocketSettings
from sockserve.server.sockets import SocketServer
from sockserve.text import one_line, shown

LogFormat = Literal["text", "json"]

Place = Callable[[str], str]
"""Where a setting was written, for messages: "orders.toml: socket.orders.threads", or "--threads"."""


class ConfigError(ValueError):
    """A setting that is not accepted. str() is one line, such as:

    orders.toml: socket.orders.when_full: 'waiting' is unknown; accepted: wait, refuse (did you mean 'wait'?)
    """

    def __init__(self, place: str, reason: object) -> None:
        super().__init__(one_line(f"{place}: {reason}" if place else reason))


def _workers(value: object) -> object:
    if value == "cpus":
        return available_cpus()
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not 1 <= value <= MOST_WORKERS:
        raise ValueError(f"{shown(value)} is out of range; accepted: {WORKERS.accepted}")
    if not hasattr(system, "SO_REUSEPORT") or not hasattr(system, "send_fds"):
        raise ValueError("this system cannot share ports among processes; accepted: on Linux, macOS and BSD")
    return value


def available_cpus() -> int:
    """How many processors this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MOST_WORKERS)


def _workers_from_text(text: str) -> object:
    return text if text == "cpus" else COUNT.from_text(text)


MOST_WORKERS = 256

WORKERS = Value(f"a whole number from 1 to {MOST_WORKERS}, or cpus", _workers, "N", _workers_from_text)

SOCKETS = Value("a table [socket.NAME] for each socket", of(dict), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSettings:
    """The settings of a file that do not belong to one socket. Raises SettingError."""

    memory_budget: int = setting(
        SIZE_VALUE,
        "Program",
        "How many bytes may be held for all clients together; beyond that, the largest are not read from.",
        DEFAULT_MEMORY_BUDGET,
        whole=True,
    )
    workers: int | str | None = setting(
        WORKERS,
        "Program",
        "Serve with this many processes; cpus: as many as there are processors. A reload moves live connections to new "
        "ones.",
        None,
        whole=True,
        none="one process",
    )
    log_format: LogFormat = setting(
        choice("text", "json"),
        "Program",
        "text: lines for people. json: one object a line, with OpenTelemetry's names.",
        "text",
        whole=True,
    )
    admin: str | None = setting(
        ADMIN_ENDPOINT,
        "Program",
        "Where to serve metrics, /healthz and a page of what runs.",
        None,
        none="nowhere",
        whole=True,
    )
    admin_token_file: str | None = setting(
        TOKEN_FILE,
        "Program",
        "The file with the token that is needed to suspend and drain sockets there, and to close connections.",
        None,
        none="none",
        whole=True,
    )
    socket: Mapping[str, Any] = field(
        default_factory=dict, metadata={"setting": Setting(SOCKETS, "Program", "The sockets.", none="none")}
    )

    def __post_init__(self) -> None:
        check_fields(self)


PROGRAM_SETTINGS = {
    **SHARED_SETTINGS,
    **{name: each for name, each in settings_of(ProgramSettings).items() if each.whole},
}
"""The settings that a file or a command line has once, for all its sockets."""

FILE_SETTINGS = {**PROGRAM_SETTINGS, **settings_of(ProgramSettings)}
"""The keys at the top level of a file."""


@dataclass(frozen=True, slots=True)
class Config:
    """sockets: at least one. memory_budget: bytes that may be held for all their connections together.

    workers: processes that serve them; 0: they are served by the one that there is.
    log_format: of the program's log.
    admin: the admin endpoint; None: there is none.
    """

    sockets: tuple[SocketSettings, ...]
    memory_budget: int
    workers: int = 0
    log_format: LogFormat = "text"
    admin: Admin | None = None

    def memory(self, reactor: object = None) -> MemoryBudget:
        """The budget of one process, from now on."""
        return budget_of(reactor, self.memory_budget // (self.workers or 1))

    def server(
        self, reactor: object = None, places: Callable[[SocketSettings], Places | None] = lambda _: None
    ) -> Server:
        """The service that runs all sockets, not started yet; of one process, with its share of the memory.

        reactor: None: the global one. places: where the limits of each socket count; None: here.
        """
        memory = self.memory(reactor)
        return Server(
            SocketServer.of(socket, memory=memory, reactor=reactor, places=places(socket)) for socket in self.sockets
        )


def check_program(table: Mapping[str, object], place: Place) -> tuple[ProgramSettings, dict[str, object]]:
    """The settings at the top level of a file, and those of them that apply to every socket. Raises ConfigError."""
    try:
        for_sockets: dict[str, object] = {
            name: SHARED_SETTINGS[name].value.check(name, value)
            for name, value in table.items()
            if name in SHARED_SETTINGS
        }
        rest = {name: value for name, value in table.items() if name not in SHARED_SETTINGS}
        return from_table(ProgramSettings, rest, FILE_SETTINGS), for_sockets
    except SettingError as error:
        raise ConfigError(place(error.key), error.reason) from error


def check_socket(name: str, table: Mapping[str, object], place: Place, **shared: object) -> SocketSettings:
    """The checked settings of one named socket. Raises ConfigError.

    table: see SOCKET_SETTINGS; values as TOML has them. shared: the settings common to all sockets of the file.
    """
    try:
        return from_table(SocketSettings, table, SOCKET_SETTINGS, name=name, **shared)
    except SettingError as error:
        raise ConfigError(place(error.key), error.reason) from error


def check_sockets(
    sockets: Iterable[SocketSettings],
    program: ProgramSettings,
    place_of: Callable[[SocketSettings, str], str],
    place: Place,
) -> Config:
    """Check that the parts go together. Raises ConfigError.

    place_of: where a setting of a socket was written. place: where a setting of the whole was.
    """
    checked = tuple(sockets)
    workers = cast("int", program.workers or 0)
    try:
        check_addresses(checked, lambda socket: place_of(socket, "listen"))
        check_circles(checked, lambda socket: place_of(socket, "handler"))
    except SettingError as error:
        raise ConfigError(error.key, error.reason) from error
    for socket in checked:
        if socket.longest > program.memory_budget // (workers or 1):
            share = f", shared by {workers} workers," if workers else ""
            raise ConfigError(
                place("memory_budget"),
                f"{program.memory_budget} bytes{share} are fewer than the longest message of {socket.name!r} may have, "
                f"{socket.longest} (max_length)",
            )
        if workers:
            if socket.handler == "relay" and socket.relay is None:
                reason = "its clients would not reach those of other workers; accepted: with relay, or without workers"
                raise ConfigError(place_of(socket, "handler"), reason)
            if workers > 1 and socket.answers.device is not None:
                reason = "each worker would connect to the device; accepted: one worker, or without workers"
                raise ConfigError(place_of(socket, "handler"), reason)
            for each in socket.listens:
                if each.opening.kind not in KINDS:
                    reason = f"{each.opening.endpoint!r}: workers cannot share it; accepted: {', '.join(KINDS)}"
                    raise ConfigError(place_of(socket, "listen"), reason)
    return Config(checked, program.memory_budget, workers, program.log_format, _admin(program, checked, place))


def _admin(program: ProgramSettings, sockets: Iterable[SocketSettings], place: Place) -> Admin | None:
    if program.admin is None:
        if program.admin_token_file is not None:
            raise ConfigError(place("admin_token_file"), "admin is not set; accepted: both of them")
        return None
    try:
        return Admin.of(program.admin, program.admin_token_file, sockets)
    except SettingError as error:
        raise ConfigError(place(error.key), error.reason) from error


def path_of(name: str) -> str:
    """The path of a named socket's table, as TOML writes it: `socket.orders`."""
    return f"socket.{name if re.fullmatch(r'[A-Za-z0-9_-]+', name) else json.dumps(name)}"
