"""What bytes mean in each framing: one table, run whole, byte by byte and at every two-way split."""

from __future__ import annotations

from sockserve.framing import Framing
from sockserve.framing.errors import FramingError
from tests.support.cases.binary import FIXED, INTEGER, VARINT
from tests.support.cases.case import Case
from tests.support.cases.decimal import NETSTRING, WINDEV
from tests.support.cases.delimited import BUFFERED, STANDARD
from tests.support.cases.enveloped import ENVELOPE
from tests.support.cases.eof import EOF
from tests.support.cases.lengths import DIGITS, LENGTH, MBAP, OCTETS, SYSLOG, TPKT
from tests.support.cases.marks import MARKS
from tests.support.cases.texts import CONTENT_LENGTH, JSON

__all__ = ["CASES", "EXAMPLES", "FREE", "MANY", "Case", "can_carry", "message_of"]


EXAMPLES = {
    "raw": "raw",
    "raw:N": "raw:5",
    "windev": "windev",
    "standard": "standard",
    "standard:DELIM": "standard:<END>",
    "buffered": "buffered",
    "buffered:DELIM": "buffered:\\x00",
    "int8": "int8",
    "int8:little": "int8:little",
    "int16": "int16",
    "int16:little": "int16:little",
    "int32": "int32",
    "int32:little": "int32:little",
    "netstring": "netstring",
    "varint": "varint",
    "fixed:N": "fixed:11",
    "envelope:START:END": "envelope:\\x02:\\x03",
    "envelope:START:END:CHECK": "envelope:\\x02:\\x03:astm",
    "octets": "octets",
    "syslog": "syslog",
    "length:W[:little][:inclusive][:at=N][:add=N]": "length:3:little:inclusive",
    "mbap": "mbap",
    "tpkt": "tpkt",
    "digits:N": "digits:5",
    "digits:N:inclusive": "digits:6:inclusive",
    "eof": "eof",
    "lines": "lines",
    "lines:lf": "lines:lf",
    "mllp": "mllp",
    "dle": "dle",
    "slip": "slip",
    "cobs": "cobs",
    "content-length": "content-length",
    "json": "json",
}
"""A framing of each form in `sockserve.framing.NAMES`."""

MANY = tuple(name for name in EXAMPLES.values() if name != "eof")
"""Those that carry more than one message in each direction."""

FREE = tuple(name for name in MANY if name not in {"mbap", "tpkt"} and not name.startswith("fixed"))
"""Those of them that carry messages of any length."""


def message_of(name: str, length: int = 11) -> bytes:
    """A message of that length, 2 bytes or more, that the framing can carry: of `Hello World`, where it can be."""
    text = (b"Hello World" * length)[:length]
    if name == "json":
        return b"[" + b"1" * (length - 2) + b"]"
    if name == "mbap":
        return b"\0\1\0\0" + (length - 6).to_bytes(2) + text[6:]
    if name == "tpkt":
        return b"\3\0" + length.to_bytes(2) + text[4:]
    return text


def can_carry(framing: Framing, message: bytes) -> bool:
    try:
        framing.encode(message)
    except FramingError:
        return False
    return True


CASES = (
    *(*BUFFERED, *STANDARD, *WINDEV, *NETSTRING, *INTEGER, *VARINT, *FIXED, *ENVELOPE),
    *(*OCTETS, *SYSLOG, *LENGTH, *MBAP, *TPKT, *DIGITS),
    *(*EOF, *MARKS, *CONTENT_LENGTH, *JSON),
)
