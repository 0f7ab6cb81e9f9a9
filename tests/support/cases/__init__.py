"""What bytes mean in each framing: one table, run whole, byte by byte and at every two-way split."""

from __future__ import annotations

from tests.support.cases.binary import FIXED, INTEGER, VARINT
from tests.support.cases.case import Case
from tests.support.cases.decimal import NETSTRING, WINDEV
from tests.support.cases.delimited import BUFFERED, STANDARD
from tests.support.cases.enveloped import ENVELOPE
from tests.support.cases.marks import MARKS

__all__ = ["CASES", "EXAMPLES", "Case"]


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
    "lines": "lines",
    "lines:lf": "lines:lf",
    "mllp": "mllp",
    "dle": "dle",
    "slip": "slip",
    "cobs": "cobs",
}
"""A framing of each form in `sockserve.framing.NAMES`."""


CASES = (*BUFFERED, *STANDARD, *WINDEV, *NETSTRING, *INTEGER, *VARINT, *FIXED, *ENVELOPE, *MARKS)
