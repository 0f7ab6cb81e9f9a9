"""The arguments of SocketServer: the settings of the socket, and what it shares with other sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Concatenate, ParamSpec

from twisted.internet.interfaces import IReactorCore

from sockserve.fields import SettingError
from sockserve.limits.memory import MemoryBudget
from sockserve.server.settings import SocketSettings
from sockserve.text import described, suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketArguments(SocketSettings):
    """The arguments of SocketServer: the settings of the socket, and what it shares with other sockets.

    memory: the budget that its connections count towards; None: that of the process, see sockserve.limits.memory.
    reactor: None: the global one.
    """

    memory: MemoryBudget | None = None
    reactor: object = None

    def __post_init__(self) -> None:
        if self.memory is not None and not isinstance(self.memory, MemoryBudget):
            raise SettingError("memory", f"found {described(self.memory)}; accepted: a MemoryBudget, or None")
        if self.reactor is not None and not IReactorCore.providedBy(self.reactor):
            raise SettingError("reactor", f"found {described(self.reactor)}; accepted: a reactor of Twisted, or None")
        SocketSettings.__post_init__(self)


SOCKET_ARGUMENTS = tuple(each.name for each in fields(SocketArguments) if each.init)
"""The names of SocketServer's arguments."""

P = ParamSpec("P")


def accepts(_: Callable[P, object]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Tells type checkers that the method's arguments are those of the other callable."""
    return lambda method: method


def check_names(settings: dict[str, Any]) -> None:
    """Raises TypeError for a name that is not one of an argument."""
    for name in settings:
        if name not in SOCKET_ARGUMENTS:
            raise TypeError(
                f"SocketServer has no argument {name!r}{suggestion(name, SOCKET_ARGUMENTS)}; "
                f"accepted: {', '.join(SOCKET_ARGUMENTS)}"
            )
