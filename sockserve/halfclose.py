"""What must be known of a transport to end a connection without loss: can it half-close, has the peer done so."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport

if TYPE_CHECKING:
    from twisted.internet.tcp import Connection


def can_half_close(transport: Connection) -> bool:
    """Whether our end of stream can go out while reading goes on: TCP and unix sockets, not TLS over them."""
    return IHalfCloseableDescriptor.providedBy(transport) and not ISSLTransport.providedBy(transport)


def peer_has_ended(transport: Connection) -> bool:
    """Whether the peer has shut down its sending side, perhaps behind bytes that were not read yet.

    A transport whose reading is paused does not find out by itself. False where the platform cannot tell (poll(2)
    has POLLRDHUP on Linux only).
    """
    if not can_half_close(transport) or not hasattr(select, "POLLRDHUP"):
        return False
    poll = select.poll()
    poll.register(transport.getHandle(), select.POLLRDHUP)
    return bool(poll.poll(0))
