"""Client endpoints, as values or as strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime


ClientEndpoint = str | IStreamClientEndpoint
"""An endpoint string, or an endpoint."""

DEFAULT_TIMEOUT = 30.0
ACCEPTED = "a Twisted client endpoint, such as tcp:localhost:27015, tls:example.org:7000 or unix:/run/x.sock"


def as_endpoint(endpoint: ClientEndpoint, reactor: object) -> IStreamClientEndpoint:
    """A client endpoint given as a value or as a string. Raises ValueError, in one line, for a string that is none.

    Twisted's own `tcp:` tries one IPv4 address; here it tries every address of the host.
    """
    if not isinstance(endpoint, str):
        return endpoint
    try:
        kind, *arguments = _parts(endpoint)
        if kind == "tcp":
            return _tcp(arguments, reactor)
        return cast("IStreamClientEndpoint", clientFromString(reactor, endpoint))
    except Exception as error:  # Twisted's endpoint parsers raise what they like
        reason = " ".join(str(error).split())
        raise ValueError(f"{endpoint!r}: {reason}; accepted: {ACCEPTED}") from None


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


def _tcp(arguments: list[str], reactor: object) -> HostnameEndpoint:
    """`tcp:HOST:PORT`, with timeout=SECONDS and bindAddress=ADDRESS behind it if wished."""
    options: dict[str, str] = {}
    places = ["host", "port"]
    for argument in arguments:
        if match := _OPTION.fullmatch(argument):
            name, value = match[1], match[2]
            if name in places:
                places.remove(name)
            elif name not in ("timeout", "bindAddress"):
                raise ValueError(f"tcp has no option {name!r}: there are host, port, timeout and bindAddress")
        elif places:
            name, value = places.pop(0), argument
        else:
            raise ValueError(f"{argument!r} is too much: there are a host and a port")
        options[name] = _ESCAPED.sub(r"\1", value)
    if places or not options["host"]:
        raise ValueError("a host and a port are missing" if len(places) > 1 else "a host or a port is missing")
    port = int(options["port"]) if re.fullmatch(r"[0-9]{1,5}", options["port"], re.ASCII) else 0
    if not 1 <= port <= 65535:
        raise ValueError(f"the port is a number from 1 to 65535, not {options['port']!r}")
    timeout = float(options.get("timeout", DEFAULT_TIMEOUT))
    bind = (options["bindAddress"], 0) if "bindAddress" in options else None
    return HostnameEndpoint(reactor, options["host"], port, timeout, bind)


def as_reactor(reactor: object) -> IReactorTime:
    if reactor is None:
        from twisted.internet import reactor
    return cast("IReactorTime", reactor)
