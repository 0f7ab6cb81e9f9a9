"""What is known of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sockserve.connection import transports
from sockserve.tls.foreign import agreed, peer_certificate

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from sockserve.connection.engine import Engine
    from sockserve.framing import Framing
    from sockserve.proxy.layer import ProxyInfo
    from sockserve.tls.session import TLSInfo
    from sockserve.tls.x509 import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """A snapshot of what is known of a connection; what SocketClientInfo returns in WINDEV, and more.

    id: the connection's number within its named socket, from 1; 0 outside one.
    socket: the name of the named socket, or "".
    peer, local: both addresses; for a datagram socket, those of the last datagram.
    framing: that of what the peer sends. sending: that of what is sent to it.
    proxy: the proxy's own address, and its PROXY header, from which peer and local are taken; None: there is no proxy.
    certificate: the peer's TLS certificate, if it has shown one.
    tls: what was agreed on in TLS; None: there is none.
    connected: when the connection was made, in UTC.
    established: when its first message arrived; None before that.
    messages_received, messages_sent, bytes_received, bytes_sent: counts; bytes include framing bytes.
    """

    id: int
    socket: str
    peer: IAddress
    local: IAddress
    framing: Framing
    sending: Framing
    certificate: Certificate | None
    connected: datetime
    established: datetime | None
    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    proxy: ProxyInfo | None = None
    tls: TLSInfo | None = None


def info_of(connection: Engine) -> ConnectionInfo:
    """What is known of it now."""
    transport = connection.transport
    local = transports.host_of(transport)
    return ConnectionInfo(
        id=connection.id,
        socket=connection.options.socket,
        peer=connection.address,
        # Twisted's sockets forget their address when the connection is lost.
        local=connection.local if local is transports.NO_ADDRESS else local,
        framing=connection.receiving.framing,
        sending=connection.encoder.framing,
        certificate=peer_certificate(transport),
        tls=agreed(transport),
        connected=datetime.fromtimestamp(connection.since, UTC),
        established=datetime.fromtimestamp(connection.established, UTC) if connection.established else None,
        messages_received=connection.receiving.count,
        messages_sent=connection.encoder.count,
        bytes_received=connection.reading.bytes_received,
        bytes_sent=connection.sending.bytes_sent,
        # Set by sockserve.proxy; a TLS transport passes on attributes of the one below it.
        proxy=getattr(transport, "proxy", None),
    )
