"""Version 2 of the PROXY protocol (section 2.2 of its specification), binary:

signature (12 bytes) · version and command (1) · family and protocol (1) · length of the rest (2) · addresses · TLVs
"""

from __future__ import annotations

import ipaddress

from twisted.internet.address import UNIXAddress

from sockserve.proxy.header import Address, Header, HeaderError, begins, inet_address
from sockserve.proxy.tlv import parse_tlvs

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# Of the whole; the specification lets receivers bound it.
MAX_SIZE = 4096

_HEAD = len(SIGNATURE) + 4
_LOCAL = 0x20
_PROXY = 0x21
# Bytes of the two addresses of a family, and of one of them without its port.
_FAMILIES = {1: (12, 4), 2: (36, 16), 3: (216, 108)}
_UNIX = 3
_STREAM = 1
# Families with their protocols; all others "must be rejected as invalid by receivers".
_DEFINED = (0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32)


def parse_binary(data: bytes | bytearray) -> Header | None:
    """The header that `data` begins with; None: more bytes are needed. Raises HeaderError.

    With LOCAL, whatever its family, UNSPEC, and datagram protocols, the addresses of the connection hold, and what
    follows the length is skipped: the specification's fallback.
    """
    if not begins(data, SIGNATURE) or len(data) == len(SIGNATURE):
        return None
    command = data[12]
    if command not in (_LOCAL, _PROXY):
        raise HeaderError(f"unknown version and command 0x{command:02x}; accepted: 0x20 (LOCAL), 0x21 (PROXY)")
    if len(data) < _HEAD - 2:
        return None
    family, protocol = divmod(data[13], 16)
    if command == _PROXY and data[13] not in _DEFINED:
        accepted = ", ".join(f"0x{kind:02x}" for kind in _DEFINED)
        raise HeaderError(f"unknown family and protocol 0x{data[13]:02x}; accepted: {accepted}")
    if len(data) < _HEAD:
        return None
    size = _HEAD + int.from_bytes(data[14:16])
    if size > MAX_SIZE:
        raise HeaderError(f"a header of {size} bytes; accepted: {MAX_SIZE} at the most")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size=size, version=2, local=True)
    if family == 0 or protocol != _STREAM:
        return Header(size=size, version=2)
    tlvs = _HEAD + _FAMILIES[family][0]
    if size < tlvs:
        raise HeaderError(f"{size - _HEAD} bytes of addresses, those of family {family} have {tlvs - _HEAD}")
    header = bytes(data[:size])
    source, destination = _addresses(family, header[_HEAD:tlvs])
    return Header(size=size, version=2, source=source, destination=destination, **parse_tlvs(header, tlvs))


def _addresses(family: int, data: bytes) -> tuple[Address, Address]:
    length = _FAMILIES[family][1]
    hosts = data[:length], data[length : 2 * length]
    if family == _UNIX:
        return _unix_address(hosts[0]), _unix_address(hosts[1])
    ports = int.from_bytes(data[-4:-2]), int.from_bytes(data[-2:])
    source, destination = (
        inet_address(ipaddress.ip_address(host), port) for host, port in zip(hosts, ports, strict=True)
    )
    return source, destination


def _unix_address(field: bytes) -> UNIXAddress:
    """A path, padded with NULs. An abstract name, which begins with one, is written with an @, as ss and lsof do."""
    if field[0] == 0:
        name = field.rstrip(b"\0")[1:]
        return UNIXAddress(b"@" + name.replace(b"\0", b"@") if name else None)
    return UNIXAddress(field.partition(b"\0")[0])
