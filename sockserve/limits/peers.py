"""How many connections each peer has, in whatever state they are."""

from __future__ import annotations

from collections import Counter

from sockserve.addresses import Host, Network, host_of, peer_of


class PeerCount:
    """Counts for max_connections_per_peer.

    limit: connections of one peer; None: any number, and nothing is counted. A peer is an IPv4 address, or a /64
        network of IPv6 (RFC 6177); clients of a unix socket are none.
    """

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"max_connections_per_peer must be at least 1, not {limit}")
        self.limit = limit
        # The peer of each connection that is here, and how many each peer has.
        self._peers: dict[object, Host | Network] = {}
        self._counts: Counter[Host | Network] = Counter()

    def take(self, connection: object, address: object) -> str:
        """Count one more connection from this address, until it leaves. Returns "", or why that would be too many."""
        peer = self._peer(address)
        if peer is not None and self._counts[peer] >= (self.limit or 0):
            return f"refused, {peer} already has {self.limit} connections (max_connections_per_peer)"
        self.count(connection, address)
        return ""

    def count(self, connection: object, address: object) -> None:
        """The same, however many it has."""
        peer = self._peer(address)
        if peer is not None:
            self._counts[peer] += 1
            self._peers[connection] = peer

    def _peer(self, address: object) -> Host | Network | None:
        host = None if self.limit is None else host_of(address)
        return None if host is None else peer_of(host)

    def leave(self, connection: object) -> None:
        """It is over, or somebody else counts it from now on."""
        peer = self._peers.pop(connection, None)
        if peer is not None:
            self._counts[peer] -= 1
            if not self._counts[peer]:
                del self._counts[peer]
