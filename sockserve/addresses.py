"""How addresses are written in messages and in endpoint strings; networks; and what counts as one peer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.plugin import getPlugins

from sockserve.text import one_line, openssl_reasons, printable, suggestion

T = TypeVar("T")

Host = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The least that a provider assigns to one customer (RFC 6177): all its addresses are one peer.
_IPV6_PREFIX = 64

# As the system writes it (inet_ntop).
_IPV4_MAPPED = re.compile(r"::ffff:([0-9]+(?:\.[0-9]+){3})", re.ASCII)
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def format_address(address: object) -> str:
    """An address as users write it: `127.0.0.1:27015`, `[::1]:27015`, `unix:/run/orders.sock`.

    An IPv4 address as an IPv6 socket shows it (`::ffff:192.0.2.7`) is written as the IPv4 address. The client end of a
    unix socket has no name: `unix:`. Unprintable characters are escaped, see sockserve.text.printable.
    """
    match address:
        case IPv4Address(host=host, port=port):
            return f"{printable(host)}:{port}"
        case IPv6Address(host=host, port=port):
            mapped = _IPV4_MAPPED.fullmatch(host)
            return f"{mapped[1]}:{port}" if mapped else f"[{printable(host)}]:{port}"
        case UNIXAddress(name=name):
            return f"unix:{'' if name is None else printable(name)}"
    return printable(address)


def address_attributes(formatted: str, end: str = "peer", transport: str = "tcp") -> dict[str, object]:
    """An address, as `format_address` writes it, under the names that OpenTelemetry has for its parts.

    end: whose it is, "peer" or "local". transport: "tcp" or "udp", where the address is one of IP.
    """
    if formatted.startswith("unix:"):
        named: dict[str, object] = {"network.transport": "unix"}
        if formatted != "unix:":
            named[f"network.{end}.address"] = formatted[5:]
        return named
    host, _, port = formatted.rpartition(":")
    if not port.isdecimal():
        # The pipes of a process have no address.
        return {}
    version = "ipv6" if host.startswith("[") else "ipv4"
    return {
        f"network.{end}.address": host.strip("[]"),
        f"network.{end}.port": int(port),
        "network.transport": transport,
        "network.type": version,
    }


def endpoint_parts(text: str) -> list[tuple[str, str | None]]:
    r"""The parts of an endpoint string, without their escapes: (value, None), or (name, value) of `name=value`.

    As Twisted writes them: colons separate the parts, the first = in a part separates its name from its value, and `\`
    escapes the next character. The first part is the kind. Raises ValueError, in one line.
    """
    parts: list[tuple[str, str | None]] = []
    name: str | None = None
    value = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise ValueError("a backslash must stand before another character")
            value += escaped
        elif character == ":":
            parts.append((value, None) if name is None else (name, value))
            name, value = None, ""
        elif character == "=" and name is None and parts:
            name, value = value, ""
        else:
            value += character
    parts.append((value, None) if name is None else (name, value))
    return parts


Reader = Callable[[str], object]
"""Reads an argument of an endpoint from its text; raises ValueError, in one line."""


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """How the endpoint strings of one kind are written.

    accepted: in words, such as tcp:PORT[:interface=ADDRESS].
    arguments: what reads each argument, by its name.
    places: the arguments that may be given without their names, in order.
    needed: the arguments that are required.
    """

    accepted: str
    arguments: Mapping[str, Reader]
    places: Sequence[str]
    needed: Sequence[str] = ()

    def read(self, parts: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
        """The arguments in the parts of an endpoint string after its kind. Raises ValueError, in one line."""
        free = list(self.places)
        found: dict[str, Any] = {}
        for first, second in parts:
            if second is not None:
                name, value = first, second
                if name in free:
                    free.remove(name)
            elif free:
                name, value = free.pop(0), first
            else:
                raise ValueError(f"{first!r} is one argument too many")
            if name not in self.arguments:
                raise ValueError(f"there is no argument {name!r}")
            if name in found:
                raise ValueError(f"{name} is given twice")
            found[name] = self.arguments[name](value)
        missing = [name for name in self.needed if found.get(name, "") == ""]
        if missing:
            raise ValueError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        return found


def endpoint_problem(error: Exception) -> str:
    """What is wrong with an endpoint, in one line, from whatever a parser of Twisted or OpenSSL has raised."""
    match error:
        case OSError(strerror=str() as reason):
            return f"{error.filename or 'a file'}: cannot be read: {reason}"
        case TypeError():
            return "its arguments do not fit this kind of endpoint"
        case ValueError():
            return one_line(error)
    return openssl_reasons(error) or "a file that it names is not PEM"


def from_plugin(
    text: str,
    parsers: Any,  # noqa: ANN401 - an interface
    parse: Callable[[Any, str], T],
    known: Iterable[str],
) -> Callable[[object], T]:
    """What makes, for a reactor, an endpoint of a kind that a plugin of Twisted adds.

    parsers: the interface of such plugins. parse: Twisted's function that reads the endpoint string, here and now, so
    that its mistakes are found before the reactor is known; it may raise any exception. known: the kinds that are none
    of plugins, for a suggestion. Raises ValueError for a kind that no plugin adds.
    """
    kind = text.partition(":")[0].lower()
    if kind not in [plugin.prefix.lower() for plugin in getPlugins(parsers)]:
        raise ValueError(f"unknown kind of endpoint {kind!r}{suggestion(kind, known)}")
    from twisted.internet import reactor as installed

    endpoint = parse(installed, text)
    return lambda reactor: endpoint if reactor is installed else parse(reactor, text)


def port_from(least: int) -> Callable[[str], int]:
    """What reads the number of a port; `least` is the lowest that is accepted."""

    def read(text: str) -> int:
        port = int(text) if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) else -1
        if not least <= port <= 65535:
            raise ValueError(f"the port is a number from {least} to 65535, not {text!r}")
        return port

    return read


def whole_number(text: str) -> int:
    """Read a number in an endpoint string, such as its backlog. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def switch(text: str) -> bool:
    """Read a 0 or 1 in an endpoint string. Raises ValueError."""
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is neither 0 nor 1")
    return text == "1"


def parse_network(text: str) -> Network:
    """A network such as 10.0.0.0/8 or 2001:db8::/32, or one address. Raises ValueError, in one line.

    A zone (`fe80::1%eth0`) is refused: clients are compared without theirs, see host_of.
    """
    accepted = "accepted: an address or a network, such as 192.0.2.7, 10.0.0.0/8 or ::1"
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which is ignored in clients' addresses; {accepted}")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; {accepted}") from None


def as_network(network: str | Network) -> Network:
    """A network given as a value or as text. Raises ValueError, in one line."""
    return parse_network(network) if isinstance(network, str) else network


def host_of(address: object) -> Host | None:
    """The host in one of Twisted's addresses; None if it has none, such as a unix socket's.

    An IPv4 address as an IPv6 socket shows it (`::ffff:192.0.2.7`) becomes the IPv4 address.
    """
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    host = ipaddress.ip_address(address.host.partition("%")[0])
    return getattr(host, "ipv4_mapped", None) or host


def is_in(host: Host, networks: Iterable[Network]) -> bool:
    """Whether one of the networks contains that host.

    An IPv4 address is the same host in its IPv6 form (RFC 4291 section 2.5.5.2): 192.0.2.7 is in ::ffff:192.0.2.0/120,
    and in ::/0.
    """
    host = getattr(host, "ipv4_mapped", None) or host
    forms = [host] if host.version == 6 else [host, ipaddress.IPv6Address(_MAPPED_PREFIX + host.packed)]
    return any(form in network for network in networks for form in forms)


def peer_of(host: Host) -> Host | Network:
    """What counts as one peer: an IPv4 address, or the /64 network of an IPv6 address."""
    return host if host.version == 4 else ipaddress.ip_network((host, _IPV6_PREFIX), strict=False)
