"""What a checked configuration would run, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sockserve.server.description import answers, endpoints, values

if TYPE_CHECKING:
    from sockserve.config.checking import Config
    from sockserve.server.settings import SocketSettings


def describe(config: Config) -> list[str]:
    """One line for each socket: its endpoints and framing, what answers, and the limits that were set.

    And one for the admin endpoint, if there is one.
    """
    lines = [f"{socket.name}: {', '.join(_parts(socket))}" for socket in config.sockets]
    if config.admin is not None:
        does = "read-only" if config.admin.token is None else "with a token"
        lines.append(f"admin: listens on {config.admin.opening.endpoint}, {does}")
    return lines


def _parts(socket: SocketSettings) -> Iterator[str]:
    verb = "listens on" if socket.connect is None else "connects to"
    yield f"{verb} {' and '.join(endpoints(socket))}"
    yield f"framing {socket.framing}"
    yield answers(socket)
    for name, value in values(socket).items():
        yield name if value == "true" else f"{name} {value}"
