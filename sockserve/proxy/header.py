"""What a PROXY protocol header says, and what can be wrong with one. The source of the format, and of the names:

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

Address = IPv4Address | IPv6Address | UNIXAddress


class HeaderError(ValueError):
    """What arrived is no PROXY header, or a malformed one. str() is one line that says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLS:
    """What the proxy tells of the TLS between it and the client (TLV 0x20). None: it does not say.

    certificate: the client has shown one, on this connection or earlier in its session.
    verified: and the proxy has found it good.
    version, cipher: such as "TLSv1.3" and "TLS_AES_256_GCM_SHA384".
    common_name: of the client's certificate.
    signature_algorithm, key_algorithm: of the proxy's certificate, such as "RSA-SHA256" and "RSA2048".
    group, signature_scheme: of the handshake, such as "secp256r1" and "rsa_pss_rsae_sha256".
    client_certificate: DER.
    """

    certificate: bool
    verified: bool
    version: str | None = None
    cipher: str | None = None
    common_name: str | None = None
    signature_algorithm: str | None = None
    key_algorithm: str | None = None
    group: str | None = None
    signature_scheme: str | None = None
    client_certificate: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header. What is optional is None where the header does not have it.

    size: its bytes; what follows them is the client's.
    version: 1 is text, 2 is binary.
    local: the connection is the proxy's own, such as a health check.
    source: the client's address; destination: the one that it connected to. None: those of the connection hold.
    alpn: the application protocol that was agreed on; authority: the host name that the client asked for (SNI).
    unique_id: the proxy's name for the connection; namespace: the network namespace of the client.
    tls: None also for a client that does not use TLS.
    others: TLVs of types that are not known here: (type, value).
    """

    size: int
    version: int
    local: bool = False
    source: Address | None = None
    destination: Address | None = None
    alpn: bytes | None = None
    authority: str | None = None
    unique_id: bytes | None = None
    tls: ClientTLS | None = None
    namespace: str | None = None
    others: tuple[tuple[int, bytes], ...] = ()


def begins(data: bytes | bytearray, signature: bytes) -> bool:
    """Whether the whole signature is there. Raises HeaderError at the first byte that is another."""
    start = bytes(data[: len(signature)])
    if signature.startswith(start):
        return len(start) == len(signature)
    wrong = next(place for place, byte in enumerate(start) if byte != signature[place])
    raise HeaderError(f"no PROXY header, it begins with {start[: wrong + 1]!r}")


def inet_address(host: IPv4 | IPv6, port: int) -> Address:
    """An address as Twisted's sockets write it."""
    if host.version == 4:
        return IPv4Address("TCP", str(host), port)
    return IPv6Address("TCP", socket.inet_ntop(socket.AF_INET6, host.packed), port)
