"""How addresses are written, in logs and messages."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress


def format_address(address: object) -> str:
    """An address as users write it: `127.0.0.1:27015`, `[::1]:27015`, `unix:/run/orders.sock`.

    The client end of a unix socket has no name: `unix:`.
    """
    match address:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress(name=name):
            path = b"" if name is None else name if isinstance(name, bytes) else name.encode()
            return f"unix:{path.decode(errors='backslashreplace')}"
    return str(address)
