"""The names that users give framings."""

from __future__ import annotations

import difflib
from functools import lru_cache

from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.contract import Framing
from sockserve.framing.decimal import Netstring, Windev
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.envelope import Envelope
from sockserve.framing.escapes import unescape
from sockserve.framing.fixed import Fixed
from sockserve.framing.form import need
from sockserve.framing.integer import ByteOrder, Integer
from sockserve.framing.raw import Raw
from sockserve.framing.varint import Varint

NAMES = (
    "raw",
    "raw:N",
    "windev",
    "standard",
    "standard:DELIM",
    "buffered",
    "buffered:DELIM",
    "int8",
    "int8:little",
    "int16",
    "int16:little",
    "int32",
    "int32:little",
    "netstring",
    "varint",
    "fixed:N",
    "envelope:START:END",
)
"""What `parse` takes. N is a number of bytes; DELIM, START and END are bytes, written with Python's escapes."""

KINDS = tuple(dict.fromkeys(name.partition(":")[0] for name in NAMES))


def parse(name: str, *, max_length: int = DEFAULT_MAX_LENGTH, on_bad_frame: OnBadFrame = "close") -> Framing:
    """The framing with that name, as on the command line and in configuration files.

    name: one of NAMES, with bytes written like "standard:\\r\\n".
    max_length: the largest payload in bytes; lowered to what the framing's length field can express.
    on_bad_frame: "close" or "skip".

    Raises ValueError with one line that says what is accepted; TypeError for values of another type.
    """
    need(str, name, "the name of a framing")
    kind, colon, argument = name.partition(":")
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1, 0.7)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown framing {name!r}{hint}; accepted: {', '.join(NAMES)}")
    try:
        return _make(kind, argument if colon else None, max_length, on_bad_frame)
    except ValueError as error:
        forms = [form for form in NAMES if form.partition(":")[0] == kind]
        raise ValueError(f"framing {name!r}: {error}; accepted: {', '.join(forms)}") from None


def _make(kind: str, argument: str | None, max_length: int, on_bad_frame: OnBadFrame) -> Framing:
    match kind, argument:
        case "raw", None:
            return Raw(max_length=max_length, on_bad_frame=on_bad_frame)
        case "raw", str(size):
            return Raw(_number(size), max_length=max_length, on_bad_frame=on_bad_frame)
        case "windev", None:
            return Windev(max_length=max_length, on_bad_frame=on_bad_frame)
        case "standard", None:
            return Standard(max_length=max_length, on_bad_frame=on_bad_frame)
        case "standard", str(delimiter):
            return Standard(unescape(delimiter), max_length=max_length, on_bad_frame=on_bad_frame)
        case "buffered", None:
            return Buffered(max_length=max_length, on_bad_frame=on_bad_frame)
        case "buffered", str(delimiter):
            return Buffered(unescape(delimiter), max_length=max_length, on_bad_frame=on_bad_frame)
        case "int8" | "int16" | "int32", None | "little":
            order: ByteOrder = "little" if argument else "big"
            return Integer(int(kind[3:]) // 8, order, max_length=max_length, on_bad_frame=on_bad_frame)
        case "netstring", None:
            return Netstring(max_length=max_length, on_bad_frame=on_bad_frame)
        case "varint", None:
            return Varint(max_length=max_length, on_bad_frame=on_bad_frame)
        case "fixed", str(size):
            return Fixed(_number(size), max_length=max_length, on_bad_frame=on_bad_frame)
        case "envelope", str(marks):
            start, colon, end = marks.partition(":")
            if not colon or ":" in end:
                raise ValueError("START and END are separated by one colon; a colon in them is \\x3a")
            return Envelope(unescape(start), unescape(end), max_length=max_length, on_bad_frame=on_bad_frame)
        case _, None:
            raise ValueError("incomplete")
        case _:
            raise ValueError(f"unexpected {argument!r}")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"N is a number of bytes, not {text!r}")
    return int(text)


@lru_cache(maxsize=64)
def _parsed(name: str) -> Framing:
    return parse(name)


def as_framing(framing: Framing | str) -> Framing:
    """A framing given as a value or by its name. Raises ValueError for an unknown name."""
    return _parsed(framing) if isinstance(framing, str) else framing
