"""The settings there are, by their names in a file: what each accepts, in words, and how it becomes a checked value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sockserve.addresses import Network, parse_network
from sockserve.handlers.names import NAMES as HANDLERS
from sockserve.text import nearest, parse_duration, parse_size
from sockserve.tls.certificates import MINIMUM_VERSIONS

DEFAULT_LISTEN = "tcp:27015:interface=127.0.0.1"
COUNTS = range(1, 10**9)


@dataclass(frozen=True, slots=True)
class Key:
    """What a key accepts.

    accepted: in words, for messages.
    convert: from a value as TOML has it to the checked one. Raises TypeError for another type, and ValueError, with
        what is accepted, for another value.
    from_text: from the text of a command line to what TOML would have. Raises ValueError in the same way.
    """

    accepted: str
    convert: Callable[[Any], object]
    from_text: Callable[[str], object] = str


def _of(*types: type) -> Callable[[object], Any]:
    def convert(value: object) -> object:
        # For Python, but not for users, true is a number.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError
        return value

    return convert


def _choice(*names: str) -> Key:
    def convert(value: object) -> object:
        text = _of(str)(value)
        if text not in names:
            raise ValueError(f"{text!r} is unknown; accepted: {', '.join(names)}{nearest(str(text), names)}")
        return text

    return Key(", ".join(names), convert)


def _count(value: object) -> object:
    if _of(int)(value) not in COUNTS:
        raise ValueError(f"{value} is out of range; accepted: {COUNTS[0]} to {COUNTS[-1]}")
    return value


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a whole number; accepted: {COUNTS[0]} to {COUNTS[-1]}")
    return int(text)


def _networks(value: object) -> tuple[Network, ...]:
    values = [value] if isinstance(value, str) else _of(list)(value)
    if not values:
        # Some would mean "all" by it, others "none".
        raise ValueError(f"an empty list names nobody; accepted: {NETWORKS}")
    return tuple(parse_network(_of(str)(text)) for text in values)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _version(value: object) -> object:
    if _of(str)(value) not in MINIMUM_VERSIONS:
        raise ValueError(f"{value!r} is unknown; accepted: {VERSIONS}")
    return value


def _protocols(value: object) -> tuple[str, ...]:
    return tuple(_of(str)(protocol) for protocol in _of(list)(value))


VERSIONS = " or ".join(f'"{version}"' for version in MINIMUM_VERSIONS)
ENDPOINT = f"a Twisted endpoint, such as {DEFAULT_LISTEN}, tcp6:7000 or unix:/run/x.sock"
LISTEN = f"{ENDPOINT}; a table {{ endpoint = ..., framing = ... }}; or a list of these"
FRAMING = "the name of a framing, such as windev"
BOOLEAN = Key("true, false", _of(bool))
SIZE_KEY = Key("a size in bytes, such as 4096, 64k or 16M", lambda value: parse_size(str(_of(int, str)(value))))
DURATION_KEY = Key(
    "a time, such as 10s, 500ms, 2min or 1.5 (seconds)", lambda value: parse_duration(_of(int, float, str)(value))
)
PEM_KEY = Key("the name of a PEM file", _of(str))
COUNT_KEY = Key("a whole number, 1 or more", _count, _whole)
NETWORKS = "an address or a network, such as 10.0.0.0/8 or ::1, or a list of these (by commas in an option)"
NETWORKS_KEY = Key(NETWORKS, _networks, _listed)

SOCKET_KEYS = {
    "listen": Key(LISTEN, _of(str, list, dict)),
    "framing": Key(FRAMING, _of(str)),
    "handler": Key(", ".join(HANDLERS), _of(str)),
    "conversation": Key("MODULE:CALLABLE", _of(str)),
    "max_length": SIZE_KEY,
    "on_bad_frame": _choice("close", "skip"),
    "threads": BOOLEAN,
    "max_pending": COUNT_KEY,
    "max_connections": COUNT_KEY,
    "when_full": _choice("wait", "refuse"),
    "max_connections_per_peer": COUNT_KEY,
    "allow": NETWORKS_KEY,
    "deny": NETWORKS_KEY,
    "tls": Key("a table [socket.NAME.tls] with certificate in it", _of(dict)),
    "close_timeout": DURATION_KEY,
    "idle_timeout": DURATION_KEY,
    "frame_timeout": DURATION_KEY,
    "proxy_protocol": BOOLEAN,
    "proxy_from": NETWORKS_KEY,
    "handshake_timeout": DURATION_KEY,
    "log_traffic": BOOLEAN,
}
"""The settings of a named socket."""

TLS_KEYS = {
    "certificate": PEM_KEY,
    "key": PEM_KEY,
    "chain": PEM_KEY,
    "client_ca": PEM_KEY,
    "minimum_version": Key(VERSIONS, _version),
    "alpn": Key('a list of protocols, such as ["mqtt"]', _protocols),
}
"""The settings of the TLS of a named socket."""

LISTEN_KEYS = {"endpoint": Key(ENDPOINT, _of(str)), "framing": Key(FRAMING, _of(str))}
"""The settings of an endpoint that has a framing of its own."""

FILE_KEYS = {
    "drain_timeout": DURATION_KEY,
    "memory_budget": SIZE_KEY,
    "socket": Key("a table [socket.NAME] for each socket", _of(dict)),
}
"""The settings of the whole."""
