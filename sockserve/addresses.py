"""How addresses are written, in messages and in endpoint strings; networks of them, and what counts as one peer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from sockserve.text import printable

Host = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What one customer of a provider gets at least (RFC 6177): its addresses are one peer.
_IPV6_PREFIX = 64

# As the system writes it (inet_ntop).
_IPV4_MAPPED = re.compile(r"::ffff:([0-9]+(?:\.[0-9]+){3})", re.ASCII)
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def format_address(address: object) -> str:
    """An address as users write it: `127.0.0.1:27015`, `[::1]:27015`, `unix:/run/orders.sock`.

    An IPv4 address that an IPv6 socket shows (`::ffff:192.0.2.7`) is written as the IPv4 address. The client end of a
    unix socket has no name: `unix:`. What cannot be printed is escaped, see sockserve.text.printable.
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


def endpoint_arguments(endpoint: str, names: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, str]]:
    """The kind of an endpoint string, such as tcp, and its arguments by name, without their escapes.

    names: of the arguments that may be written without one, by the kind.
    """
    kind, *parts = re.findall(r"(?:[^:\\]|\\.)+", endpoint)
    pairs = [re.split(r"(?<!\\)=", part, maxsplit=1) for part in parts]
    found = dict(zip(names.get(kind, ()), [pair[0] for pair in pairs if len(pair) == 1], strict=False))
    found.update({pair[0]: pair[1] for pair in pairs if len(pair) == 2})
    return kind, {name: re.sub(r"\\(.)", r"\1", value) for name, value in found.items()}


def parse_network(text: str) -> Network:
    """A network such as 10.0.0.0/8 or 2001:db8::/32, or one address. Raises ValueError, in one line.

    A zone (`fe80::1%eth0`) is refused: a host is looked for without it, see host_of.
    """
    accepted = "accepted: an address or a network, such as 192.0.2.7, 10.0.0.0/8 or ::1"
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which tells no clients apart; {accepted}")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; {accepted}") from None


def as_network(network: str | Network) -> Network:
    """A network given as a value or as text. Raises ValueError, in one line."""
    return parse_network(network) if isinstance(network, str) else network


def host_of(address: object) -> Host | None:
    """The host in one of Twisted's addresses; None where there is none, as in that of a unix socket.

    An IPv4 address that an IPv6 socket shows (`::ffff:192.0.2.7`) is the IPv4 address.
    """
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    host = ipaddress.ip_address(address.host.partition("%")[0])
    return getattr(host, "ipv4_mapped", None) or host


def is_in(host: Host, networks: Iterable[Network]) -> bool:
    """Whether one of the networks has that host.

    An IPv4 address is the same host in its IPv6 form (RFC 4291 section 2.5.5.2): 192.0.2.7 is in ::ffff:192.0.2.0/120,
    and in ::/0.
    """
    host = getattr(host, "ipv4_mapped", None) or host
    forms = [host] if host.version == 6 else [host, ipaddress.IPv6Address(_MAPPED_PREFIX + host.packed)]
    return any(form in network for network in networks for form in forms)


def peer_of(host: Host) -> Host | Network:
    """What counts as one peer: an IPv4 address, or the /64 network of an IPv6 address."""
    return host if host.version == 4 else ipaddress.ip_network((host, _IPV6_PREFIX), strict=False)
