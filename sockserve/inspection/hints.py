"""What a bad frame may be instead: the framing, of the usual ones, that fits how it begins."""

from __future__ import annotations

from functools import lru_cache

from sockserve.framing import as_framing
from sockserve.framing.errors import MessageTooLong, TruncatedMessage
from sockserve.inspection.candidates import known_candidates
from sockserve.inspection.fitting import FEW_SHUFFLES, rank, read
from sockserve.inspection.frames import frames
from sockserve.inspection.words import marks

_LIKELY = 50
"""The score from which on it is worth saying."""

_BELIEVED = 64 * 1024
"""Bytes that a header may announce where no message is complete."""


@lru_cache(maxsize=64)
def other_framing(frame: bytes, framing: str, kind: str) -> tuple[str, str]:
    """The framing that fits bytes which `framing` does not, and what they are in it; both are empty if none does.

    frame: how a bad frame begins. framing: its name. kind: the class of its error. What was found is kept, for a few
    frames.
    """
    if not frame or (kind == MessageTooLong.__name__ and _only_long(frame, framing)):
        return "", ""
    for fit in rank(known_candidates(), frame, FEW_SHUFFLES, _LIKELY / 100):
        if fit.score < _LIKELY:
            break
        if framing in (fit.name, *fit.same):
            continue
        if fit.messages:
            return fit.name, marks(next(frames(fit.candidate.framing, frame)))
        match fit.unfinished:
            case TruncatedMessage(expected=int(expected)) if expected <= _BELIEVED:
                return fit.name, f"header for {expected} bytes"
    return "", ""


def hint(frame: bytes, framing: str, kind: str) -> str:
    """The same in words; "" if none does."""
    other, why = other_framing(frame, framing, kind)
    return f"these bytes fit {other}: {why}" if other else ""


def _only_long(frame: bytes, framing: str) -> bool:
    """Whether it is a good frame but for the limit, which is lower than the usual one."""
    try:
        reading = read(as_framing(framing), frame)
    except ValueError:
        return False
    known = isinstance(reading.unfinished, TruncatedMessage) and reading.unfinished.expected is not None
    return bool(reading.messages) or known
