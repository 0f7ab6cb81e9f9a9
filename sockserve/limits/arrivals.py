"""Connections that are not with their protocol yet: a PROXY header, or a TLS handshake, is under way.

They are bounded in number and in memory, and count towards max_connections_per_peer: their peers have not
shown yet who they are, and a stranger can make as many as the system allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sockserve.limits.memory import Holder, MemoryBudget
from sockserve.limits.peers import PeerCount

DEFAULT_HANDSHAKE_TIMEOUT = 10.0
"""Seconds that one has for its PROXY header, or for its handshake."""

MOST = 1000
"""Arrivals that one named socket keeps at the same time."""


class Arrival(Holder, Protocol):
    """A connection in a layer below the protocols, such as sockserve.proxy.layer.HeaderProtocol.

    Its abort_for closes the connection at once, reports that, and leaves.
    """

    def forget(self) -> None:
        """The same, without a word."""


class Arrivals:
    """Those of one named socket.

    memory: the budget that what they hold counts towards. peers: where each counts whose address is the client's own.
    most: how many there may be; when one more comes, the oldest is aborted: a good client's does not take long.
    """

    def __init__(self, memory: MemoryBudget | None = None, peers: PeerCount | None = None, most: int = MOST) -> None:
        self._memory = memory
        self._peers = peers
        self._most = most
        # In the order of their arrival.
        self._arrivals: dict[Arrival, None] = {}

    def __len__(self) -> int:
        return len(self._arrivals)

    def __iter__(self) -> Iterator[Arrival]:
        return iter(self._arrivals)

    def enter(self, arrival: Arrival, address: object = None) -> bool:
        """One begins. False: it is one too many of its peer, and was aborted.

        address: of its peer; None: not known yet, as before a PROXY header.
        """
        if self._peers is not None and address is not None:
            text = self._peers.take(arrival, address)
            if text:
                arrival.abort_for("max_connections_per_peer", text)
                return False
        if len(self._arrivals) >= self._most:
            oldest = next(iter(self._arrivals))
            text = f"aborted, {self._most} others have come before it was ready (handshake_timeout)"
            self.leave(oldest)
            oldest.abort_for("handshake_timeout", text)
        self._arrivals[arrival] = None
        if self._memory is not None:
            self._memory.join(arrival)
        return True

    def grow(self, count: int, arrival: Arrival) -> None:
        """This one holds so many more bytes of memory."""
        if self._memory is not None:
            self._memory.grow(count, arrival)

    def forget(self) -> None:
        """Nobody is served any more: close the connections that are here."""
        for arrival in list(self._arrivals):
            self.leave(arrival)
            arrival.forget()

    def leave(self, arrival: Arrival) -> None:
        """It is ready, and its protocol is what counts from now on; or it is over."""
        if self._arrivals.pop(arrival, self) is self:
            return
        if self._peers is not None:
            self._peers.leave(arrival)
        if self._memory is not None:
            self._memory.leave(arrival)
