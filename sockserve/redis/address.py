"""Where a stream is: the URL of the setting `relay`, checked. No message shows a part of it: it may hold a password."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint

from sockserve.tls.client import ClientTLS, TLSClientEndpoint, check_name

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

ACCEPTED = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/DB][?key=NAME&maxlen=N], the same with rediss:// for TLS"
    " (and roots, certificate, key_file), or unix://PATH[?db=N]"
)

DEFAULT_PORT = 6379
DEFAULT_MAXLEN = 10_000

_SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = ("key", "maxlen")
_TLS_OPTIONS = {"roots": "roots", "certificate": "certificate", "key_file": "key"}
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class RedisAddress:
    """A server, and a stream in it. str() is the URL without the password.

    host, port: the server's; path: of its unix socket instead, or "".
    database: its number. username, password: "" for none.
    key: of the stream; "": it is named after the socket. maxlen: the entries that are kept at least.
    tls: what its sessions are made from; None: no TLS.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    key: str = ""
    maxlen: int = DEFAULT_MAXLEN
    tls: ssl.SSLContext | None = field(default=None, compare=False)

    def __str__(self) -> str:
        user = f"{quote(self.username)}:***@" if self.password else ""
        options = [f"key={quote(self.key)}"] if self.key else []
        if self.maxlen != DEFAULT_MAXLEN:
            options.append(f"maxlen={self.maxlen}")
        if self.path:
            place = f"unix://{user}{quote(self.path)}"
            options[:0] = [f"db={self.database}"] if self.database else []
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
            scheme = "redis" if self.tls is None else "rediss"
            place = f"{scheme}://{user}{host}:{self.port}/{self.database}"
        return place + (f"?{'&'.join(options)}" if options else "")

    __repr__ = __str__

    @property
    def greeting(self) -> list[tuple[str, ...]]:
        """The commands that a connection begins with."""
        commands: list[tuple[str, ...]] = []
        if self.password:
            commands.append(("AUTH", *filter(None, [self.username]), self.password))
        if self.database:
            commands.append(("SELECT", str(self.database)))
        return commands

    def endpoint(self, reactor: object, timeout: float) -> IStreamClientEndpoint:
        """What connects to the server. timeout: seconds for each step."""
        if self.path:
            return UNIXClientEndpoint(reactor, self.path, timeout)
        endpoint = HostnameEndpoint(reactor, self.host, self.port, timeout)
        if self.tls is None:
            return endpoint
        return TLSClientEndpoint(endpoint, self.tls, self.host, cast("IReactorTime", reactor), timeout)


def parse_address(url: str) -> RedisAddress:
    """The address in a URL. Reads the files that it names for TLS. Raises ValueError, in one line."""
    try:
        return _read(urlsplit(url))
    except ValueError as error:
        # Those of urllib show what they do not like.
        reason = error if isinstance(error, _Problem) else "this is no URL"
        raise ValueError(f"{reason}; accepted: {ACCEPTED}") from None


class _Problem(ValueError):
    """str() shows no part of the URL."""


def _read(parts: SplitResult) -> RedisAddress:
    if parts.scheme not in _SCHEMES:
        raise _Problem("it does not begin with redis://, rediss:// or unix://")
    if parts.fragment:
        raise _Problem("a # in it is written %23")
    found: dict[str, Any] = {}
    if parts.password:
        found["password"] = unquote(parts.password)
        found["username"] = unquote(parts.username or "")
    elif parts.username:
        raise _Problem("a user's name needs a password after it")
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _Problem("what follows the ? is NAME=VALUE, with & between them") from None
    if parts.scheme == "unix":
        if parts.hostname or len(parts.path) < 2:
            raise _Problem("the path of a unix socket begins with a slash, as in unix:///run/redis.sock")
        found["path"] = unquote(parts.path)
        found["database"] = _number("db", options.pop("db", "0"), 0)
    else:
        found.update(_host(parts))
    if parts.scheme == "rediss":
        named: dict[str, Any] = {
            name: options.pop(option) for option, name in _TLS_OPTIONS.items() if option in options
        }
        found["tls"] = _tls(found["host"], named)
    if not options.keys() <= {*_OPTIONS}:
        raise _Problem(f"only {', '.join(_OPTIONS)} may follow the ? here")
    if "key" in options:
        found["key"] = options["key"]
        if not 0 < len(options["key"]) <= 500 or not options["key"].isprintable():
            raise _Problem("key is the name of a stream, of at most 500 printable characters")
    if "maxlen" in options:
        found["maxlen"] = _number("maxlen", options["maxlen"], 1)
    return RedisAddress(**found)


def _host(parts: SplitResult) -> dict[str, Any]:
    try:
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise _Problem("the port is a number from 1 to 65535")
    if not parts.hostname:
        raise _Problem("it has no host")
    return {"host": parts.hostname, "port": port, "database": _number("the database", parts.path[1:] or "0", 0)}


def _number(what: str, text: str, least: int) -> int:
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise _Problem(f"{what} is a whole number, {least} or more")
    return int(text)


def _tls(host: str, named: dict[str, Any]) -> ssl.SSLContext:
    try:
        context = ClientTLS(**named).read()
        check_name(context, host)
    except ValueError as error:
        raise _Problem(str(error)) from None
    return context
