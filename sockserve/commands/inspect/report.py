"""What was found, for people and for programs: the table of the framings, and the frames of one of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import islice
from typing import Any

from sockserve.commands.inspect.dump import Painter, lines, payload_text
from sockserve.inspection.fitting import Fit
from sockserve.inspection.frames import Frame, frames
from sockserve.inspection.words import counted, lacking, reason
from sockserve.text import printable

_LONGEST_NAME = 26
_NARROW = 40
"""Columns that reasons need beside the rest."""


def table(fits: Sequence[Fit], data: bytes, width: int) -> str:
    """A row for each framing, the best first, and why, beside it or, where `width` columns are few, below it."""
    name = min(max(len("framing"), *(len(fit.name) for fit in fits)), _LONGEST_NAME)
    head = f"fit  {'framing':{name}}  messages   rest"
    below = width < len(head) + _NARROW
    indent = " " * 5 if below else " " * (len(head) + 2)
    rows = [head, "-" * len(head)] if below else [f"{head}  why", "-" * width]
    for fit in fits:
        score = f"{fit.score:3}" if fit.score else "  -"
        row = f"{score}  {fit.name:{name}}  {fit.messages:>8}  {fit.rest:>5}"
        # A long name has a line of its own.
        rows += [row] if len(fit.name) > name or below else []
        first = indent if rows[-1] is row else f"{row}  "
        text = reason(fit, data)
        rows += textwrap.wrap(text, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(rows)


def shown(fits: Sequence[Fit]) -> list[Fit]:
    """Those of the table: all that have a score, and of each other kind of framing one, for the reason."""
    kinds: set[str] = set()
    rows = []
    for fit in fits:
        kind = fit.name.partition(":")[0]
        if fit.score or kind not in kinds:
            rows.append(fit)
        kinds.update(name.partition(":")[0] for name in (fit.name, *fit.same))
    return rows


def frame_lines(fit: Fit, data: bytes, most: int, width: int, paint: Painter) -> str:
    """The first `most` frames, a line each, and what follows the last one."""
    found = list(islice(frames(fit.candidate.framing, data), most))
    head = f"{fit.name}: {counted(fit.messages, 'message')} in {counted(len(data), 'byte')}"
    rows = [head, "", *lines(found, paint, width, len(data))]
    if fit.messages > len(found):
        rows.append(f"... {counted(fit.messages - len(found), 'more message')}")
    elif fit.rest:
        offset = max(len(str(len(data))), len("byte"))
        bad = payload_text(data[fit.complete :], width - offset - 5)
        rows.append(f"{fit.complete:>{offset}}  {paint('bad', bad if paint.colours else f'!! {bad}')}")
        rows += textwrap.wrap(
            _rest(fit), width, initial_indent=" " * (offset + 2), subsequent_indent=" " * (offset + 2)
        )
    return "\n".join(rows)


def _rest(fit: Fit) -> str:
    if fit.error is not None:
        return printable(fit.error)
    return f"unfinished: {lacking(fit.unfinished)}" if fit.unfinished is not None else "no message"


def as_object(fits: Sequence[Fit], best: Fit | None, data: bytes, most: int) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "bytes": len(data),
        "framings": [
            {
                "framing": fit.name,
                "fit": fit.score,
                "messages": fit.messages,
                "rest": fit.rest,
                "error": str(fit.error) if fit.error is not None else None,
                "shuffles": fit.shuffles,
                "shuffles_that_fit": fit.shuffled,
                "same": list(fit.same),
                "why": reason(fit, data),
            }
            for fit in fits
        ],
        "best": best.name if best is not None else None,
        "frames": [] if best is None else [_frame(each) for each in islice(frames(best.candidate.framing, data), most)],
    }


def _frame(frame: Frame) -> dict[str, Any]:
    parts = ("ignored", "header", "payload", "trailer")
    return {"byte": frame.start, **{part: getattr(frame, part).hex() for part in parts}}
