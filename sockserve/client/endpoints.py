"""Client endpoints, as values or as strings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from sockserve.tls.client import DEFAULT_TIMEOUT, ClientTLS, TLSClientEndpoint

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime


ClientEndpoint = str | IStreamClientEndpoint
"""An endpoint string, or an endpoint."""

ACCEPTED = "a Twisted client endpoint, such as tcp:localhost:27015, tls:example.org:7000 or unix:/run/x.sock"


_PLACES = ("host", "port")
_CONNECTING = (*_PLACES, "timeout", "bindAddress")
# The settings of TLS by their names in `tls:` strings, and in `ssl:` strings.
_TLS = {"trustRoots": "roots", "certificate": "certificate", "privateKey": "key", "serverName": "server_name"}
_SSL = {"caCertsDir": "roots", "certKey": "certificate", "privateKey": "key", "hostname": "server_name"}


def as_endpoint(endpoint: ClientEndpoint, reactor: object, tls: ClientTLS | None = None) -> IStreamClientEndpoint:
    """A client endpoint given as a value or as a string. Raises ValueError, in one line, for a string that is none.

    tls: what is set here goes before what a `tls:` or `ssl:` string says; for other endpoints it is an error.

    Twisted's own `tcp:` tries one IPv4 address; here it tries every address of the host. `tls:` and `ssl:` are
    Twisted's strings, read for sockserve.tls.client: the server's name is always checked.
    """
    if not isinstance(endpoint, str):
        return endpoint
    try:
        return parse_endpoint(endpoint, reactor, tls)
    except ValueError as error:
        raise ValueError(f"{endpoint!r}: {error}; accepted: {ACCEPTED}") from None


def parse_endpoint(text: str, reactor: object, tls: ClientTLS | None = None) -> IStreamClientEndpoint:
    """The same for a string; the line says what is wrong only."""
    kind, *arguments = _parts(text)
    if kind in ("tls", "ssl"):
        return _tls(kind, arguments, reactor, tls or ClientTLS())
    if tls is not None and tls != ClientTLS():
        raise ValueError(f"{kind} has no TLS, and its options are for tls: and ssl: endpoints")
    if kind == "tcp":
        return _tcp(_options(kind, arguments, _CONNECTING), reactor)
    try:
        return cast("IStreamClientEndpoint", clientFromString(reactor, text))
    except Exception as error:  # Twisted's endpoint parsers raise what they like
        raise ValueError(" ".join(str(error).split())) from None


_PART = re.compile(r"((?:[^:\\]|\\.)*)(?::|\Z)", re.DOTALL)
_OPTION = re.compile(r"((?:[^=\\]|\\.)*)=(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _parts(text: str) -> list[str]:
    """The parts of an endpoint string, as they are written."""
    parts = []
    start = 0
    while match := _PART.match(text, start):
        parts.append(match[1])
        if match.end() == len(text) and not match[0].endswith(":"):
            return parts
        start = match.end()
    raise ValueError("a backslash must stand before another character")


def _options(kind: str, arguments: Sequence[str], accepted: Sequence[str]) -> dict[str, str]:
    """The options of `KIND:HOST:PORT`, which both may have names too, with others after them if wished."""
    options: dict[str, str] = {}
    places = [*_PLACES]
    for argument in arguments:
        if match := _OPTION.fullmatch(argument):
            name, value = match[1], match[2]
            if name in places:
                places.remove(name)
            elif name not in accepted:
                raise ValueError(f"{kind} has no option {name!r}: there are {', '.join(accepted)}")
        elif places:
            name, value = places.pop(0), argument
        else:
            raise ValueError(f"{argument!r} is too much: there are a host and a port")
        options[name] = _ESCAPED.sub(r"\1", value)
    if places or not options["host"]:
        raise ValueError("a host and a port are missing" if len(places) > 1 else "a host or a port is missing")
    return options


def _tcp(options: dict[str, str], reactor: object) -> HostnameEndpoint:
    """`tcp:HOST:PORT`, with timeout=SECONDS and bindAddress=ADDRESS after it if wished."""
    port = int(options["port"]) if re.fullmatch(r"[0-9]{1,5}", options["port"], re.ASCII) else 0
    if not 1 <= port <= 65535:
        raise ValueError(f"the port is a number from 1 to 65535, not {options['port']!r}")
    bind = (options["bindAddress"], 0) if "bindAddress" in options else None
    return HostnameEndpoint(reactor, options["host"], port, _timeout(options), bind)


def _tls(kind: str, arguments: Sequence[str], reactor: object, tls: ClientTLS) -> TLSClientEndpoint:
    """`tls:HOST:PORT`, with the options of tcp, those of TLS, and endpoint=ENDPOINT, which connects instead."""
    names = _TLS if kind == "tls" else _SSL
    options = _options(kind, arguments, [*_CONNECTING, *names, *(["endpoint"] if kind == "tls" else [])])
    given = {field: options[name] for name, field in names.items() if name in options}
    own = {field: value for field in (*_TLS.values(), "alpn") if (value := getattr(tls, field))}
    whole = replace(ClientTLS(), **{**given, **own})
    beneath = _tcp(options, reactor) if "endpoint" not in options else parse_endpoint(options["endpoint"], reactor)
    hostname = whole.server_name or options["host"]
    return TLSClientEndpoint(beneath, whole.read(), hostname, as_reactor(reactor), _timeout(options))


def _timeout(options: dict[str, str]) -> float:
    return float(options.get("timeout", DEFAULT_TIMEOUT))


def as_reactor(reactor: object) -> IReactorTime:
    if reactor is None:
        from twisted.internet import reactor
    return cast("IReactorTime", reactor)
