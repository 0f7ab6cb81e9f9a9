"""Configuration files, turned into checked values.

Checking opens nothing. It imports the modules that handlers name, and stops at the first mistake: a ConfigError, one
line with the place, what is accepted and, if there is one, a similar known name.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from sockserve.config.checking import (
    Config,
    ConfigError,
    check_program,
    check_socket,
    check_sockets,
    path_of,
)
from sockserve.text import described


def read(path: str | os.PathLike[str], name: str = "") -> str:
    """The text of a file. Raises ConfigError. name: what it is called in messages; "": by its path."""
    file = name or os.fspath(path)
    try:
        # Some editors begin a file with a byte order mark.
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(file, f"is not UTF-8: {error.reason} at byte {error.start}") from None


def load(path: str | os.PathLike[str], text: str | None = None) -> Config:
    """Check a TOML file. text: what was read from it; None: read it now. Raises ConfigError."""
    file = os.fspath(path)
    text = read(path) if text is None else text
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(file, f"is not TOML: {error}") from None
    program, shared = check_program(table, lambda key: f"{file}: {key}")
    sockets = []
    for name, settings in program.socket.items():
        here = f"{file}: {path_of(name)}"
        if not isinstance(settings, dict):
            raise ConfigError(here, f"found {described(settings)}; accepted: a table [socket.NAME]")

        def place(key: str, here: str = here) -> str:
            # The name of a socket is in the heading of its table.
            return here if key == "name" else f"{here}.{key}"

        sockets.append(check_socket(name, settings, place, **shared))
    if not sockets:
        raise ConfigError(file, "has no socket; accepted: a table [socket.NAME] for each, with listen in it")
    return check_sockets(
        sockets,
        program,
        lambda socket, key: f"{file}: {path_of(socket.name)}.{key}",
        lambda key: f"{file}: {key}",
    )
