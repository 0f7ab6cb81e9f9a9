"""What bytes mean in each framing: one table, run whole, byte by byte and at every two-way split."""

from __future__ import annotations

from tests.support.cases.binary import FIXED, INTEGER, VARINT
from tests.support.cases.case import Case
from tests.support.cases.decimal import NETSTRING, WINDEV
from tests.support.cases.delimited import BUFFERED, STANDARD
from tests.support.cases.enveloped import ENVELOPE
from tests.support.cases.lengths import DIGITS, LENGTH, MBAP, OCTETS, SYSLOG, TPKT

__all__ = ["CASES", "EXAMPLES", "FREE", "Case", "message_of"]


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
    "octets": "octets",
    "syslog": "syslog",
    "length:W[:little][:inclusive][:at=N][:add=N]": "length:3:little:inclusive",
    "mbap": "mbap",
    "tpkt": "tpkt",
    "digits:N": "digits:5",
    "digits:N:inclusive": "digits:6:inclusive",
}
"""A framing of each form in `sockserve.framing.NAMES`."""

_MESSAGES = {"mbap": b"\0\1\0\0\0\5Hello", "tpkt": b"\3\0\0\x0bHello W"}
"""For framings that cannot carry `Hello World`: other messages of eleven bytes."""

FREE = tuple(name for name in EXAMPLES.values() if name not in _MESSAGES and not name.startswith("fixed"))
"""Those that carry messages of any kind and length."""


def message_of(name: str) -> bytes:
    """A message of eleven bytes that each of EXAMPLES can carry."""
    return _MESSAGES.get(name, b"Hello World")


CASES = (
    *(*BUFFERED, *STANDARD, *WINDEV, *NETSTRING, *INTEGER, *VARINT, *FIXED, *ENVELOPE),
    *(*OCTETS, *SYSLOG, *LENGTH, *MBAP, *TPKT, *DIGITS),
)
