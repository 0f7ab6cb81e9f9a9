"""What users write, in a file or on the command line, turned into checked values.

Checking opens nothing. It imports the modules that handlers name, and it ends with the first thing that is wrong: a
ConfigError, one line with the place, what is accepted and, where there is one, the nearest known name.
"""

from __future__ import annotations

import os
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sockserve.config.checking import (
    DEFAULT_MEMORY_BUDGET,
    Config,
    ConfigError,
    check_addresses,
    check_budget,
    check_socket,
    checked,
    described,
    path_of,
)
from sockserve.server.settings import FILE_KEYS

if TYPE_CHECKING:
    pass


def load(path: str | os.PathLike[str], reactor: object = None) -> Config:
    """Read a TOML file. Raises ConfigError.

    reactor: what endpoints are checked with; None: the global one.
    """
    file = os.fspath(path)
    try:
        # Some editors begin a file with a byte order mark.
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(file, f"is not UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(file, f"is not TOML: {error}") from None
    values = checked(table, FILE_KEYS, lambda key: f"{file}: {key}")
    sockets = []
    for name, settings in values.get("socket", {}).items():
        here = f"{file}: {path_of(name)}"
        if not isinstance(settings, dict):
            raise ConfigError(here, f"found {described(settings)}; accepted: a table [socket.NAME]")
        if not name.strip() or not name.isprintable():
            raise ConfigError(here, f"{name!r} is no name for a socket; accepted: printable characters")
        sockets.append(check_socket(name, settings, partial("{}.{}".format, here), reactor))
    if not sockets:
        raise ConfigError(file, "has no socket; accepted: a table [socket.NAME] for each, with listen in it")
    check_addresses(sockets, lambda socket: f"{file}: {path_of(socket.name)}.listen")
    check_budget(sockets, values.get("memory_budget", DEFAULT_MEMORY_BUDGET), f"{file}: memory_budget")
    values["sockets"] = tuple(sockets)
    values.pop("socket")
    return Config(**values)
