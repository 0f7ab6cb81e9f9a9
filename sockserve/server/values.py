"""The kinds of values that only settings of a named socket have; see sockserve.fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from sockserve.addresses import Network, as_network
from sockserve.client.endpoints import ACCEPTED as CLIENT_ENDPOINT
from sockserve.client.endpoints import endpoint_factory
from sockserve.fields import Setting, SettingError, Value, check_fields, from_table, of, setting, settings_of
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.framing import Framing
from sockserve.framing.names import is_framing
from sockserve.handlers.names import CONVERSATION as TALK
from sockserve.handlers.names import NAMES as HANDLERS
from sockserve.redis.address import ACCEPTED as REDIS
from sockserve.redis.address import RedisAddress, parse_address
from sockserve.server.endpoints import ENDPOINT, ServerEndpoint
from sockserve.text import described, shown
from sockserve.tls.certificates import TLSConfig


@dataclass(frozen=True, slots=True)
class Listen:
    """An endpoint of a named socket that has its own framing. framing: None: the socket's."""

    endpoint: ServerEndpoint
    framing: Framing | str | None = None


def _name(value: object) -> object:
    name = of(str)(value)
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise ValueError(f"{shown(name)} is not a name for a socket; accepted: {NAME.accepted}")
    return name


def _networks(value: object) -> tuple[Network, ...]:
    if isinstance(value, str) or hasattr(value, "network_address"):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray | Mapping):
        raise TypeError
    networks = list(value)
    for network in networks:
        if not (isinstance(network, str) or hasattr(network, "network_address")):
            raise ValueError(f"found {described(network)} in a list; accepted: {NETWORKS.accepted}")
    if not networks:
        # To some it means "all", to others "none".
        raise ValueError(f"an empty list names nobody; accepted: {NETWORKS.accepted}")
    return tuple(map(as_network, networks))


def _listen(value: object) -> tuple[tuple[str, Listen], ...]:
    """Each endpoint with the path to it before it, such as listen[1]."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping | Listen)
    items = list(cast("Iterable[object]", value)) if several else [value]
    if not items or value in ("", {}):
        raise ValueError(f"found an empty value; accepted: {LISTEN.accepted}")
    places = [f"listen[{number}]" if several else "listen" for number in range(len(items))]
    return tuple((where, _entry(item, where)) for where, item in zip(places, items, strict=True))


def _entry(item: object, where: str) -> Listen:
    if not isinstance(item, Mapping):
        entry = item if isinstance(item, Listen) else Listen(cast("ServerEndpoint", item))
        if not (isinstance(entry.endpoint, str) or IStreamServerEndpoint.providedBy(entry.endpoint)):
            raise SettingError(where, f"found {described(entry.endpoint)}; accepted: {LISTEN.accepted}")
        return entry
    names = settings_of(_Table)
    try:
        table = from_table(_Table, item, names)
    except SettingError as error:
        if error.key == "endpoint" and "endpoint" not in item:
            raise SettingError(where, f"has no endpoint; accepted: {ENDPOINT}") from None
        raise SettingError(f"{where}.{error.key}", error.reason) from None
    return Listen(table.endpoint, table.framing)


def _connect(value: object) -> object:
    if not isinstance(value, str) and not IStreamClientEndpoint.providedBy(value):
        raise TypeError
    # Checked here, and made anew for each attempt, with the files that it names as they are then.
    endpoint_factory(value)
    return value


def _handler(value: object) -> object:
    return value if isinstance(value, str) or callable(value) else of(str)(value)


def _framing(value: object) -> object:
    return value if is_framing(value) else of(str)(value)


def _tls(value: object) -> TLSConfig:
    if not isinstance(value, Mapping):
        return cast("TLSConfig", of(TLSConfig)(value))
    names = settings_of(TLSConfig)
    if "certificate" not in value and not set(value) - set(names):
        raise SettingError("tls", f"has no certificate; accepted: {names['certificate'].value.accepted}")
    try:
        return from_table(TLSConfig, value, names)
    except SettingError as error:
        raise SettingError(f"tls.{error.key}", error.reason) from None


def _relay(value: object) -> RedisAddress:
    return value if isinstance(value, RedisAddress) else parse_address(of(str)(value))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


NAME = Value("text of at most 100 printable characters", _name, "NAME")
ENDPOINT_VALUE = Value(ENDPOINT, of(str), "ENDPOINT")
LISTEN = Value(
    f"{ENDPOINT}; a table {{ endpoint = ..., framing = ... }}; or a list of these",
    _listen,
    "ENDPOINT",
    lambda text: [text],
    repeatable=True,
)
CONNECT = Value(CLIENT_ENDPOINT, _connect, "ENDPOINT")
FRAMING = Value(f"one of {', '.join(FRAMINGS)}", _framing, "NAME")
HANDLER = Value(", ".join(HANDLERS), _handler, "NAME")
CONVERSATION = Value(TALK, _handler, "MODULE:CALLABLE")
NETWORKS = Value(
    "an address or a network, such as 10.0.0.0/8 or ::1, or a list of these (separated by commas in an option)",
    _networks,
    "NETWORKS",
    _parts,
    repeatable=True,
)
RELAY = Value(REDIS, _relay, "URL")
TLS = Value("a table [socket.NAME.tls] with certificate in it, or a TLSConfig", _tls, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """An endpoint with its own framing, as a table in TOML."""

    endpoint: str = field(metadata={"setting": Setting(ENDPOINT_VALUE, "Listening", "Where to listen.")})
    framing: str | None = setting(FRAMING, "Listening", "Its framing.", None, none="that of the socket")

    def __post_init__(self) -> None:
        check_fields(self)
