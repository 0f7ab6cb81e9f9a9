"""Networks of addresses, and which addresses count as one peer."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from twisted.internet.address import IPv4Address, IPv6Address

Host = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What one customer of a provider gets at least (RFC 6177): its addresses are one peer.
_IPV6_PREFIX = 64


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


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect. allow: networks; none: all may. deny: networks that may not, though they be in `allow`.

    Clients of a unix socket have no address: this does not concern them.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def refusal(self, host: Host | None) -> Literal["allow", "deny"] | None:
        """Which of the two keeps that host out; None: it may connect."""
        if host is None:
            return None
        if any(host in network for network in self.deny):
            return "deny"
        if self.allow and not any(host in network for network in self.allow):
            return "allow"
        return None


EVERYONE = Access()
