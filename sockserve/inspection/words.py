"""Bytes in words, and why a framing fits or does not, for people."""

from __future__ import annotations

import re

from sockserve.framing.errors import FramingError, TruncatedMessage
from sockserve.inspection.fitting import Fit
from sockserve.inspection.frames import Frame, frames
from sockserve.text import printable

MARK_NAMES = {
    0x01: "SOH",
    0x02: "STX",
    0x03: "ETX",
    0x04: "EOT",
    0x05: "ENQ",
    0x06: "ACK",
    0x0A: "LF",
    0x0B: "VT",
    0x0D: "CR",
    0x10: "DLE",
    0x15: "NAK",
    0x17: "ETB",
    0x1A: "SUB",
    0x1B: "ESC",
    0x1C: "FS",
    0x1D: "GS",
    0x1E: "RS",
    0x1F: "US",
}
"""Of the bytes that are marks somewhere."""

_LONGEST = 24
_FEW = 4


def named(data: bytes) -> str:
    """Framing bytes as a person reads them: `11, CR LF`, `02 (STX)`, `00 00 00 0b`.

    Long ones are cut.
    """
    if len(data) > 2 * _LONGEST:
        return f"{named(data[:_LONGEST])} ... ({len(data)} bytes)"
    if all(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in data):
        runs = re.findall(rb"[\r\n]+|[^\r\n]+", data)
        return ", ".join(
            " ".join(MARK_NAMES[byte] for byte in run)
            if run[0] in b"\r\n"
            else run.decode().strip() or repr(run.decode())
            for run in runs
        )
    hexadecimal = data.hex(" ")
    if all(byte in MARK_NAMES for byte in data):
        return f"{hexadecimal} ({' '.join(MARK_NAMES[byte] for byte in data)})"
    return hexadecimal


def marks(frame: Frame) -> str:
    """What is around the payload of a frame: `header 11, CR LF`, `header 02 (STX), trailer 03 (ETX)`; "": nothing."""
    parts = (("header", frame.header), ("trailer", frame.trailer))
    return ", ".join(f"{name} {named(part)}" for name, part in parts if part)


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def reason(fit: Fit, data: bytes) -> str:
    """Why it has its score, in one line."""
    parts = []
    if fit.messages:
        around = marks(next(frames(fit.candidate.framing, data)))
        parts.append(f"{counted(fit.messages, 'message')}" + (f": {around}" if around else ""))
    if fit.error is not None:
        parts.append(f"byte {fit.complete}: {printable(fit.error)}")
    elif fit.unfinished is not None:
        parts.append(f"unfinished from byte {fit.complete}: {lacking(fit.unfinished)}")
    elif not fit.messages:
        parts.append("no message before the end of the stream")
    if fit.shuffled and fit.score:
        parts.append(f"{fit.shuffled} of {fit.shuffles} shuffles fit too")
    elif fit.shuffled:
        parts.append("says nothing: shuffled bytes fit too")
    if fit.same:
        others = ", ".join(fit.same) if len(fit.same) < _FEW else f"{len(fit.same)} others"
        parts.append(f"{others} the same")
    return "; ".join(parts)


def lacking(error: FramingError) -> str:
    """What an unfinished frame lacks."""
    if isinstance(error, TruncatedMessage) and error.expected is None:
        return f"{error.missing} is missing"
    return str(error).partition(": ")[2] or str(error)
