"""The TLVs after the addresses of a version 2 header: type (1 byte) · length (2) · value.

One kind nests, that of TLS (0x20), and once only: nothing here recurses (in Netty it did, CVE-2022-41881).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sockserve.proxy.header import ClientTLS, HeaderError

MAX_UNIQUE_ID = 128

_CRC32C = 0x03
_NOOP = 0x04
_TLS = 0x20

# The bits of its first byte: the client uses TLS; it has shown a certificate, on this connection or in its session.
_USES_TLS = 0x01
_CERTIFICATE = 0x02 | 0x04


def _text(value: bytes) -> str:
    return value.decode("utf-8")


def _ascii(value: bytes) -> str:
    return value.decode("ascii")


# The name of a value in Header or ClientTLS, and how it is made; UnicodeDecodeError: malformed.
_Fields = dict[int, tuple[str, Callable[[bytes], object]]]

_TLS_FIELDS: _Fields = {
    0x21: ("version", _ascii),
    0x22: ("common_name", _text),
    0x23: ("cipher", _ascii),
    0x24: ("signature_algorithm", _ascii),
    0x25: ("key_algorithm", _ascii),
    0x26: ("group", _ascii),
    0x27: ("signature_scheme", _ascii),
    0x28: ("client_certificate", bytes),
}


def _unique_id(value: bytes) -> bytes:
    if len(value) > MAX_UNIQUE_ID:
        raise HeaderError(f"a unique id of {len(value)} bytes; accepted: {MAX_UNIQUE_ID} at the most")
    return value


def _parse_tls(data: bytes) -> ClientTLS | None:
    """flags (1 byte) · result of the verification, 0 is good (4) · TLVs of its own."""
    if len(data) < 5:
        raise HeaderError(f"TLV 0x{_TLS:02x} has {len(data)} bytes, it needs 5")
    flags = data[0]
    values: dict[str, Any] = {}
    for kind, _, value in _split(data, 5):
        if kind == _TLS:
            raise HeaderError(f"TLV 0x{_TLS:02x} within TLV 0x{_TLS:02x}")
        if kind in _TLS_FIELDS:
            _put(values, _TLS_FIELDS, kind, value)
    if not flags & _USES_TLS:
        return None
    certificate = bool(flags & _CERTIFICATE)
    # Without a certificate the result means nothing: HAProxy then says 0 too.
    return ClientTLS(certificate=certificate, verified=certificate and not any(data[1:5]), **values)


_HEADER_FIELDS: _Fields = {
    0x01: ("alpn", bytes),
    0x02: ("authority", _text),
    0x05: ("unique_id", _unique_id),
    _TLS: ("tls", _parse_tls),
    0x30: ("namespace", _ascii),
}


def parse_tlvs(header: bytes, start: int) -> dict[str, Any]:
    """What the TLVs from `start` to the end of a whole header say, by the names of Header. Raises HeaderError."""
    values: dict[str, Any] = {}
    others = []
    checked = False
    for kind, offset, value in _split(header, start):
        if kind == _CRC32C:
            # One look at the whole header is enough: with hundreds of them the work would be quadratic.
            if checked:
                raise HeaderError(f"TLV 0x{kind:02x} comes twice")
            _check(header, offset, value)
            checked = True
        elif kind in _HEADER_FIELDS:
            _put(values, _HEADER_FIELDS, kind, value)
        elif kind != _NOOP:
            others.append((kind, value))
    return {**values, "others": tuple(others)}


def _put(values: dict[str, Any], fields: _Fields, kind: int, value: bytes) -> None:
    name, convert = fields[kind]
    if name in values:
        raise HeaderError(f"TLV 0x{kind:02x} comes twice")
    try:
        values[name] = convert(value)
    except UnicodeDecodeError as error:
        raise HeaderError(f"TLV 0x{kind:02x} is not {error.encoding}") from None


def _split(data: bytes, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, place and value of each TLV from `offset` to the end."""
    while offset < len(data):
        value = offset + 3
        if value > len(data):
            raise HeaderError(f"a TLV is cut off, {len(data) - offset} bytes are left of it")
        end = value + int.from_bytes(data[offset + 1 : value])
        if end > len(data):
            raise HeaderError(f"TLV 0x{data[offset]:02x} announces {end - value} bytes, {len(data) - value} are left")
        yield data[offset], value, data[value:end]
        offset = end


def _check(header: bytes, offset: int, value: bytes) -> None:
    """The checksum is that of the whole header with zeros in its own place."""
    if len(value) != 4:
        raise HeaderError(f"a checksum (CRC32c) of {len(value)} bytes; accepted: 4")
    if crc32c(header[:offset] + bytes(4) + header[offset + 4 :]) != int.from_bytes(value):
        raise HeaderError("the checksum (CRC32c) does not match")


def crc32c(data: bytes) -> int:
    """The checksum of RFC 4960, appendix B (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = [_entry(value) for value in range(256)]
