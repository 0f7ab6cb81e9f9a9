"""Settings as users write them, turned into checked values."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.endpoints import serverFromString

from sockserve.addresses import Network, endpoint_arguments
from sockserve.framing import parse
from sockserve.framing.bounds import DEFAULT_MAX_LENGTH
from sockserve.handlers.function import DEFAULT_MAX_PENDING
from sockserve.handlers.names import conversation_maker, maker
from sockserve.limits.admission import WhenFull
from sockserve.limits.memory import MemoryBudget, budget_of
from sockserve.server.settings import ENDPOINT, LISTEN, LISTEN_KEYS, SOCKET_KEYS, TLS_KEYS, Key
from sockserve.server.sockets import Listen, Server, SocketServer
from sockserve.text import nearest
from sockserve.tls.certificates import CertificateError, TLSConfig, describe, require_openssl

if TYPE_CHECKING:
    from sockserve.framing import Framing

T = TypeVar("T")

DEFAULT_TIMEOUT = 10.0
DEFAULT_MEMORY_BUDGET = 256 * 1024 * 1024
PORTS = range(65536)

# What stands before the first named argument of an endpoint string, as far as it makes the address.
ADDRESS = {
    "tcp": ("port", "interface"),
    "tcp6": ("port", "interface"),
    "ssl": ("port",),
    "udp": ("port", "interface"),
    "unix": ("address",),
}

Place = Callable[[str], str]
"""Where users wrote a setting, for messages: "orders.toml: socket.orders.threads", or "--threads"."""


class ConfigError(ValueError):
    """A setting that is not accepted. str() is one line, such as:

    orders.toml: socket.orders.when_full: 'waiting' is unknown; accepted: wait, refuse (did you mean 'wait'?)
    """

    def __init__(self, place: str, reason: object) -> None:
        super().__init__(" ".join(f"{place}: {reason}".splitlines()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketConfig:
    """The checked settings of one named socket; their meaning is that of the arguments of SocketServer.

    framing: with max_length and on_bad_frame in it, as have all framings in listen.
    """

    name: str
    listen: tuple[str | Listen, ...]
    framing: Framing
    handler: str = "echo"
    conversation: str | None = None
    max_length: int = DEFAULT_MAX_LENGTH
    threads: bool = False
    max_pending: int = DEFAULT_MAX_PENDING
    max_connections: int | None = None
    when_full: WhenFull = "wait"
    max_connections_per_peer: int | None = None
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    tls: TLSConfig | None = None
    close_timeout: float = DEFAULT_TIMEOUT
    idle_timeout: float | None = None
    frame_timeout: float | None = None
    proxy_protocol: bool = False
    proxy_from: tuple[Network, ...] | None = None
    handshake_timeout: float = DEFAULT_TIMEOUT
    log_traffic: bool = False

    def server(
        self, reactor: object = None, *, drain_timeout: float = DEFAULT_TIMEOUT, memory: MemoryBudget | None = None
    ) -> SocketServer:
        """The service that these settings describe, not started. reactor: None: the global one."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return SocketServer(**settings, drain_timeout=drain_timeout, memory=memory, reactor=reactor)


@dataclass(frozen=True, slots=True)
class Config:
    """sockets: at least one.

    drain_timeout: seconds for their connections to end when the program stops.
    memory_budget: bytes that all connections together may hold.
    """

    sockets: tuple[SocketConfig, ...]
    drain_timeout: float = DEFAULT_TIMEOUT
    memory_budget: int = DEFAULT_MEMORY_BUDGET

    def server(self, reactor: object = None) -> Server:
        """The service that runs all sockets, not started. reactor: None: the global one."""
        memory = budget_of(reactor, self.memory_budget)
        return Server(
            socket.server(reactor, drain_timeout=self.drain_timeout, memory=memory) for socket in self.sockets
        )


def check_socket(name: str, settings: Mapping[str, object], place: Place, reactor: object = None) -> SocketConfig:
    """The checked settings of one named socket. Raises ConfigError.

    settings: see SOCKET_KEYS, values as TOML has them.
    """
    if reactor is None:
        from twisted.internet import reactor
    values = checked(settings, SOCKET_KEYS, place)
    max_length = values.get("max_length", DEFAULT_MAX_LENGTH)
    on_bad_frame = values.pop("on_bad_frame", "close")

    def framing(where: str, name: str) -> Framing:
        return _tried(place(where), parse, name, max_length=max_length, on_bad_frame=on_bad_frame)

    values["framing"] = framing("framing", values.get("framing", "raw"))
    if "handler" in values and "conversation" in values:
        raise ConfigError(place("conversation"), "handler is set too; accepted: one of the two")
    if "conversation" in values:
        _tried(place("conversation"), conversation_maker, values["conversation"])
    else:
        _tried(place("handler"), maker, values.get("handler", "echo"), max_length=max_length, reactor=reactor)
    if "proxy_from" in values and not values.get("proxy_protocol"):
        raise ConfigError(place("proxy_from"), "proxy_protocol is not set; accepted: both of them")
    if not values.get("listen"):
        found = "an empty value" if "listen" in values else "nothing"
        raise ConfigError(place("listen"), f"found {found}; accepted: {LISTEN}")
    listen: list[str | Listen] = []
    for where, item in _numbered(values["listen"]):
        entry = _entry(item, where, place)
        endpoint = entry["endpoint"]
        _check_endpoint(endpoint, place(where), reactor)
        own = entry.get("framing")
        listen.append(endpoint if own is None else Listen(endpoint, framing(f"{where}.framing", own)))
    values["listen"] = tuple(listen)
    if "tls" in values:
        values["tls"] = _tls(values["tls"], place)
    config = SocketConfig(name=name, **values)
    # What is left to find is what an endpoint and the other settings make of each other.
    _tried(place("listen"), config.server, reactor)
    return config


def check_addresses(sockets: Iterable[SocketConfig], place: Callable[[SocketConfig], str]) -> None:
    """Raises ConfigError when two endpoints have one address. Port 0 is another port each time.

    place: where the endpoints of a socket were written.
    """
    owners: dict[tuple[object, ...], str] = {}
    for socket in sockets:
        for item in socket.listen:
            endpoint = str(item.endpoint if isinstance(item, Listen) else item)
            address = _address(endpoint)
            if address in owners:
                owner = owners[address]
                raise ConfigError(
                    place(socket), f"{endpoint!r}: socket {owner!r} listens there already; accepted: once"
                )
            if "0" not in address:
                owners[address] = socket.name


def check_budget(sockets: Iterable[SocketConfig], budget: int, place: str) -> None:
    """Raises ConfigError when a socket accepts messages that could never be held."""
    for socket in sockets:
        if socket.max_length > budget:
            raise ConfigError(
                place,
                f"{budget} bytes are less than one message of {socket.name!r} may have, {socket.max_length}"
                " (max_length)",
            )


def checked(table: Mapping[str, object], keys: Mapping[str, Key], place: Place) -> dict[str, Any]:
    """The values of a table, converted. Raises ConfigError for an unknown key and for a value that is not accepted."""
    values = {}
    for name, value in table.items():
        if name not in keys:
            reason = f"unknown key; accepted: {', '.join(keys)}{nearest(name, keys)}"
            raise ConfigError(place(name if name.isprintable() else repr(name)), reason)
        try:
            values[name] = keys[name].convert(value)
        except TypeError:
            raise ConfigError(place(name), f"found {described(value)}; accepted: {keys[name].accepted}") from None
        except ValueError as error:
            raise ConfigError(place(name), error) from None
    return values


def _tried(place: str, check: Callable[..., T], *args: object, **settings: object) -> T:
    try:
        return check(*args, **settings)
    except ValueError as error:
        raise ConfigError(place, error) from error


def _check_endpoint(text: str, place: str, reactor: object) -> None:
    # Not Twisted's: the named socket checks these itself.
    if text.startswith("udp:"):
        return
    try:
        if text.startswith(("ssl:", "tls:")):
            require_openssl()
        serverFromString(reactor, text)
    except Exception as error:  # Twisted's endpoint parsers raise what they like
        raise ConfigError(place, f"{text!r}: {' '.join(describe(error).split())}; accepted: {ENDPOINT}") from None
    port = int(endpoint_arguments(text, ADDRESS)[1].get("port", 0))
    if port not in PORTS:
        raise ConfigError(place, f"{text!r}: port {port} is out of range; accepted: {PORTS[0]} to {PORTS[-1]}")


def _numbered(listen: object) -> list[tuple[str, object]]:
    """Each endpoint of a `listen`, behind the path to it."""
    if isinstance(listen, list):
        return [(f"listen[{number}]", item) for number, item in enumerate(listen)]
    return [("listen", listen)]


def _entry(item: object, where: str, place: Place) -> dict[str, Any]:
    """One endpoint of a `listen` by LISTEN_KEYS."""
    if isinstance(item, str):
        return {"endpoint": item}
    if not isinstance(item, dict):
        raise ConfigError(place(where), f"found {described(item)}; accepted: {LISTEN}")
    entry = checked(item, LISTEN_KEYS, lambda key: place(f"{where}.{key}"))
    if "endpoint" not in entry:
        raise ConfigError(place(where), f"has no endpoint; accepted: {ENDPOINT}")
    return entry


def _tls(table: Mapping[str, object], place: Place) -> TLSConfig:
    """A [socket.NAME.tls] table, and its files read once."""
    values = checked(table, TLS_KEYS, lambda key: place(f"tls.{key}"))
    if "certificate" not in values:
        raise ConfigError(place("tls"), f"has no certificate; accepted: {TLS_KEYS['certificate'].accepted}")
    tls = TLSConfig(**values)
    try:
        tls.read()
    except CertificateError as error:
        raise ConfigError(place(f"tls.{error.key}" if error.key else "tls"), error) from error
    return tls


def _address(endpoint: str) -> tuple[object, ...]:
    """What is the same for two endpoint strings when they cannot both be open, as far as the strings tell.

    A port stands there as text, "0" for one that the system chooses.
    """
    kind, found = endpoint_arguments(endpoint, ADDRESS)
    if kind not in ADDRESS:
        return (endpoint,)
    if kind == "unix":
        return kind, Path(found["address"]).absolute()
    interface = found.get("interface", "127.0.0.1" if kind == "udp" else "")
    kind = "tcp" if kind == "ssl" else kind
    return kind, str(int(found["port"])), "" if interface in ("0.0.0.0", "::") else interface  # noqa: S104 - compared


def path_of(name: str) -> str:
    """The path of a named socket's table, as TOML writes it: `socket.orders`."""
    return f"socket.{name if re.fullmatch(r'[A-Za-z0-9_-]+', name) else json.dumps(name)}"


def described(value: object) -> str:
    """What a value is, in TOML's words, and the value where it is short."""
    match value:
        case bool():
            return f"a boolean, {str(value).lower()}"
        case str() | int() | float():
            kind = {str: "a string", int: "an integer", float: "a float"}[type(value)]
            return f"{kind}, {reprlib.repr(value)}"
        case dict():
            return "a table"
        case list():
            return "a list"
    return f"a date or time, {value}"
