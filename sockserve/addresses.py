"""How addresses are written, in messages and in endpoint strings; networks of them, and what counts as one peer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

Host = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What one customer of a provider gets at least (RFC 6177): its addresses are one peer.
_IPV6_PREFIX = 64


def format_address(address: object) -> str:
    """An address as users write it: `127.0.0.1:27015`, `[::1]:27015`, `unix:/run/orders.sock`.

    The client end of a unix socket has no name: `unix:`. What cannot be printed in a path is escaped.
    """
    match address:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress(name=name):
            path = b"" if name is None else name if isinstance(name, bytes) else name.encode()
            text = path.decode(errors="backslashreplace")
            return f"unix:{text if text.isprintable() else repr(text)[1:-1]}"
    return str(address)


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
    """A network such as 10.0.0.0/8 or 2001:db8::/32, or one address. Raises ValueError, in one line."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; accepted: an address or a network, such as 192.0.2.7, 10.0.0.0/8 or ::1") from None


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


def peer_of(host: Host) -> Host | Network:
    """What counts as one peer: an IPv4 address, or the /64 network of an IPv6 address."""
    return host if host.version == 4 else ipaddress.ip_network((host, _IPV6_PREFIX), strict=False)
