"""X.509 certificates as plain values, read from their DER (RFC 5280; DER: ITU-T X.690).

Nothing is verified here: that is OpenSSL's part. It needs the standard library only.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

# Tags of DER.
_INTEGER = 0x02
_UTC_TIME = 0x17
_VERSION = 0xA0
_EXTENSIONS = 0xA3

_ALTERNATIVE_NAMES = "2.5.29.17"
# How the strings of names are encoded, by their tags; everything else is ASCII or its superset Latin-1.
_ENCODINGS = {0x0C: "utf-8", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
# The short names of RFC 4514 section 3; other types stand as their numbers.
_TYPES = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
# The kinds of subjectAltName (RFC 5280 section 4.2.1.6) that are text, by their tags.
_KINDS = {0x81: "email", 0x82: "DNS", 0x86: "URI"}
_IP_ADDRESS = 0x87

_SPECIAL = re.compile(r'["+,;<>\\]')

Item = tuple[int, bytes]
"""A tag, and the content that stands in it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says.

    subject, issuer: names as RFC 4514 writes them, such as `CN=till 3,O=Shop`; what cannot be printed is escaped.
    common_name: the CN of the subject, as it is; "" without one.
    names: what subjectAltName has, such as `DNS:example.org`, `IP:192.0.2.7`, `URI:...`, `email:...`.
    serial: the number that the issuer gave it.
    not_before, not_after: when it is valid, in UTC.
    der: all of it.
    """

    subject: str
    issuer: str
    common_name: str
    names: tuple[str, ...]
    serial: int
    not_before: datetime
    not_after: datetime
    der: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, in hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()

    @classmethod
    def from_der(cls, der: bytes) -> Certificate:
        """Read one. Raises ValueError for what is none."""
        [(_, certificate)] = _items(der)
        (_, signed), *_ = _items(certificate)
        fields = list(_items(signed))
        if fields and fields[0][0] == _VERSION:
            del fields[0]
        if len(fields) < 6 or fields[0][0] != _INTEGER:
            raise ValueError("not a certificate")
        (_, serial), _, (_, issuer), (_, validity), (_, subject), *rest = fields
        not_before, not_after = map(_time, _items(validity))
        subject_parts = list(_name(subject))
        return cls(
            subject=_written(subject_parts),
            issuer=_written(list(_name(issuer))),
            common_name=next((value for part in subject_parts for kind, value in part if kind == "CN"), ""),
            names=tuple(_alternative_names(rest)),
            serial=int.from_bytes(serial, "big", signed=True),
            not_before=not_before,
            not_after=not_after,
            der=der,
        )


def _items(content: bytes) -> Iterator[Item]:
    """Everything that stands side by side in `content`. Raises ValueError."""
    at = 0
    while at < len(content):
        if len(content) < at + 2:
            raise ValueError("cut short")
        tag, size = content[at], content[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("no length of DER")
            size = int.from_bytes(content[at : at + count], "big")
            at += count
        if len(content) < at + size:
            raise ValueError("cut short")
        yield tag, content[at : at + size]
        at += size


def _number(content: bytes) -> str:
    """An object identifier, with its points."""
    parts = []
    value = 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(value)
            value = 0
    if not parts:
        raise ValueError("an empty object identifier")
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, [first, parts[0] - 40 * first, *parts[1:]]))


def _name(content: bytes) -> Iterator[list[tuple[str, str]]]:
    """The parts of a name from the root down; each has one (type, value), seldom more."""
    for _, part in _items(content):
        pairs = []
        for _, pair in _items(part):
            (_, kind), (tag, value) = _items(pair)
            number = _number(kind)
            pairs.append((_TYPES.get(number, number), value.decode(_ENCODINGS.get(tag, "latin-1"), "replace")))
        yield pairs


def _written(parts: list[list[tuple[str, str]]]) -> str:
    """A name as RFC 4514 writes it: the last part comes first."""
    return ",".join("+".join(f"{kind}={_escaped(value)}" for kind, value in part) for part in reversed(parts))


def _escaped(value: str) -> str:
    """RFC 4514 section 2.4; control characters and the like are escaped as well as what must be."""
    text = _SPECIAL.sub(r"\\\g<0>", value)
    text = "".join(
        each if each.isprintable() else "".join(f"\\{byte:02x}" for byte in each.encode("utf-8", "replace"))
        for each in text
    )
    if text.startswith((" ", "#")):
        text = "\\" + text
    if text.endswith(" ") and not text.endswith("\\ "):
        text = text[:-1] + "\\ "
    return text


def _time(item: Item) -> datetime:
    tag, content = item
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        # RFC 5280 section 4.1.2.5.1.
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _alternative_names(fields: list[Item]) -> Iterator[str]:
    for tag, content in fields:
        if tag != _EXTENSIONS:
            continue
        [(_, extensions)] = _items(content)
        for _, extension in _items(extensions):
            (_, number), *_, (_, value) = _items(extension)
            if _number(number) == _ALTERNATIVE_NAMES:
                [(_, names)] = _items(value)
                for kind, name in _items(names):
                    if kind in _KINDS:
                        yield f"{_KINDS[kind]}:{_escaped(name.decode('latin-1'))}"
                    elif kind == _IP_ADDRESS and len(name) in (4, 16):
                        yield f"IP:{ipaddress.ip_address(name)}"
