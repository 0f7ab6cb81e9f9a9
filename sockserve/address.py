"""How addresses are written: in logs and messages, and in endpoint strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress


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
