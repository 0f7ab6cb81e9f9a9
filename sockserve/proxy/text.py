"""Version 1 of the PROXY protocol (section 2.1 of its specification), one line of text:

PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\\r\\n
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from sockserve.proxy.header import Address, Header, HeaderError, begins, inet_address

SIGNATURE = b"PROXY "
# With its CRLF.
MAX_SIZE = 107

_FAMILIES: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


def parse_text(data: bytes | bytearray) -> Header | None:
    """The header that `data` begins with; None: more bytes are needed. Raises HeaderError."""
    if not begins(data, SIGNATURE):
        return None
    end = data.find(b"\r\n", 0, MAX_SIZE)
    if end < 0:
        if len(data) >= MAX_SIZE:
            raise HeaderError(f"no CRLF within {MAX_SIZE} bytes")
        return None
    source, destination = _addresses(bytes(data[len(SIGNATURE) : end]))
    return Header(size=end + 2, version=1, source=source, destination=destination)


def _addresses(line: bytes) -> tuple[Address | None, Address | None]:
    if line == b"UNKNOWN" or line.startswith(b"UNKNOWN "):
        # "The receiver must ignore anything presented before the CRLF."
        return None, None
    family, *fields = line.decode("ascii", "backslashreplace").split(" ")
    if family not in _FAMILIES:
        raise HeaderError(f"unknown protocol {family!r}; accepted: TCP4, TCP6, UNKNOWN")
    if len(fields) != 4:
        raise HeaderError(f"{len(fields)} fields after {family}; accepted: two addresses and two ports")
    source, destination, source_port, destination_port = fields
    return _address(family, source, source_port), _address(family, destination, destination_port)


def _address(family: str, host: str, port: str) -> Address:
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise HeaderError(f"{port!r} is no port")
    try:
        # The address of a link may be followed by its name after a %: not here.
        address = _FAMILIES[family](host.replace("%", "?"))
    except ValueError:
        raise HeaderError(f"{host!r} is no address of {family}") from None
    return inet_address(address, int(port))
