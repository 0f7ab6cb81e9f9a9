"""The configuration of a server of a test: settings, a TOML text or file, on free ports of the loopback address."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import quoteStringArgument

from sockserve.addresses import endpoint_parts

LISTEN = "tcp:0:interface=127.0.0.1"
"""A free port."""

_LOOPBACK = {"tcp": "127.0.0.1", "tcp6": "::1", "ssl": "127.0.0.1", "udp": "127.0.0.1"}


def configured(config: str | Path, **program: object) -> str:
    """The text of a TOML file in which all ports are free ones of the loopback address.

    config: its text, or a file. program: settings at its top level that are changed, too.

    unix sockets, and all other settings, stay as they are. Raises ValueError for what is not TOML.
    """
    table = tomllib.loads(config.read_text(encoding="utf-8-sig") if isinstance(config, Path) else config)
    sockets = table.get("socket", {})
    for socket in sockets.values():
        if "listen" in socket:
            socket["listen"] = _free(socket["listen"])
    return to_toml({**table, **program})


def of_socket(name: str, settings: Mapping[str, object], **program: object) -> str:
    """The text of a TOML file with one socket. settings: those of a [socket.NAME] table, as TOML has them, too.

    A function or class among them is named as MODULE:NAME. Raises TypeError for what cannot be written.
    """
    return to_toml({**program, "socket": {name: {"listen": LISTEN, **settings}}})


def to_toml(table: Mapping[str, object]) -> str:
    """A table as TOML, in one line for each key."""
    return "".join(f"{_quoted(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:  # noqa: ANN401 - any value of TOML
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_quoted(key)} = {_value(each)}' for key, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if callable(value):
        return _quoted(_named(value))
    raise TypeError(f"{value!r} cannot be written to a configuration file; accepted: values of TOML, and functions")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _named(value: Any) -> str:  # noqa: ANN401 - any function or class
    name = getattr(value, "__qualname__", "<")
    if "<" in name:
        raise TypeError(f"{value!r} has no name that another process could import; accepted: one of a module")
    return f"{value.__module__}:{name}"


def _free(listen: Any) -> Any:  # noqa: ANN401 - in any form that TOML has for it; wrong ones are refused later
    if isinstance(listen, list):
        return [_free(each) for each in listen]
    if isinstance(listen, dict):
        return {**listen, "endpoint": _free(listen.get("endpoint"))}
    if not isinstance(listen, str):
        return listen
    (kind, _), *parts = endpoint_parts(listen)
    interface = _LOOPBACK.get(kind.lower())
    if interface is None:
        return listen
    kept = [f"{name}={quoteStringArgument(value)}" for name, value in parts if value is not None]
    kept = [each for each in kept if not each.startswith(("port=", "interface="))]
    return ":".join([kind, "0", f"interface={quoteStringArgument(interface)}", *kept])
