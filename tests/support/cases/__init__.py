"""What bytes mean in each framing: one table, run whole, byte by byte and at every two-way split."""

from __future__ import annotations

from tests.support.cases.binary import FIXED, INTEGER, VARINT
from tests.support.cases.case import Case
from tests.support.cases.decimal import NETSTRING, WINDEV
from tests.support.cases.delimited import BUFFERED, STANDARD
from tests.support.cases.enveloped import ENVELOPE
from tests.support.cases.eof import EOF
from tests.support.cases.texts import CONTENT_LENGTH, JSON

__all__ = ["CASES", "EXAMPLES", "MANY", "Case", "message_of"]


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
    "eof": "eof",
    "content-length": "content-length",
    "json": "json",
}
"""A framing of each form in `sockserve.framing.NAMES`."""

MANY = tuple(name for name in EXAMPLES.values() if name != "eof")
"""Those that carry more than one message in each direction."""


def message_of(name: str, length: int = 11) -> bytes:
    """A message of that length, 2 bytes or more, that the framing can carry: of `Hello World`, where it can be."""
    if name == "json":
        return b"[" + b"1" * (length - 2) + b"]"
    return (b"Hello World" * length)[:length]


CASES = (*BUFFERED, *STANDARD, *WINDEV, *NETSTRING, *INTEGER, *VARINT, *FIXED, *ENVELOPE, *EOF, *CONTENT_LENGTH, *JSON)
