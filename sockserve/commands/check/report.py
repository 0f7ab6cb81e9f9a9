"""What the trials gave: a table for people, row by row, and one JSON object for machines."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from sockserve.commands.check.trial import Result, Trial

OK = "ok"
FAILED = "FAILED"
NOT_APPLICABLE = "n/a"
GAP = "  "
MOST_LINES = 4
MOST_DETAILS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """verdict: OK, FAILED or NOT_APPLICABLE. came: for NOT_APPLICABLE the reason. seconds: how long it took."""

    name: str
    sent: str
    expected: str
    came: str
    verdict: str
    seconds: float = 0.0
    results: Sequence[Result] = field(default=())


class Table:
    """Columns for a terminal of `width` characters; None: the width of ours, 80 to 120."""

    def __init__(self, trials: Sequence[Trial], width: int | None = None) -> None:
        width = width or min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
        name = max(len("trial"), *(len(trial.name) for trial in trials))
        verdict = len("verdict")
        rest = width - name - verdict - 4 * len(GAP)
        sent = rest * 36 // 100
        came = (rest - sent + 1) // 2
        self.widths = (name, sent, rest - sent - came, came, verdict)

    def head(self) -> str:
        titles = ("trial", "sent", "expected", "came", "verdict")
        return self._lines([[title] for title in titles]) + "\n" + GAP.join("-" * width for width in self.widths)

    def row(self, row: Row, *, details: bool = False) -> str:
        name, sent, expected, came, _ = self.widths
        if row.verdict == NOT_APPLICABLE:
            width = sent + expected + came + 2 * len(GAP)
            reason = textwrap.shorten(f"not applicable: {row.came}", width, placeholder="...")
            return f"{row.name:{name}}{GAP}{reason:{width}}{GAP}{row.verdict}".rstrip()
        cells = [[row.name], _wrap(row.sent, sent), _wrap(row.expected, expected), _wrap(row.came, came), [row.verdict]]
        lines = [self._lines(cells)]
        if details:
            lines += self._details(row.results, name)
        return "\n".join(lines)

    def _details(self, results: Sequence[Result], indent: int) -> list[str]:
        """What came on each connection; those with the same are told together."""
        ways: dict[str, list[str]] = {}
        for result in results:
            ways.setdefault(result.came, []).append(result.sent)
        margin = " " * indent + GAP
        lines = []
        for came, sent in ways.items():
            times = f"{len(sent)} times: " * (len(sent) > 1)
            text = times + came + (": " + ", ".join(sent)) * any(sent)
            width = sum(self.widths) + 4 * len(GAP)
            lines += textwrap.wrap(
                text,
                width,
                initial_indent=margin,
                subsequent_indent=margin + GAP,
                max_lines=MOST_DETAILS,
                placeholder=" ...",
                break_on_hyphens=False,
            )
        return lines

    def _lines(self, cells: Sequence[Sequence[str]]) -> str:
        height = max(map(len, cells))
        lines = []
        for at in range(height):
            row = [cell[at] if at < len(cell) else "" for cell in cells]
            lines.append(GAP.join(map(str.ljust, row, self.widths)).rstrip())
        return "\n".join(lines)


def count(rows: Sequence[Row], verdict: str) -> int:
    return sum(row.verdict == verdict for row in rows)


def summary(rows: Sequence[Row], not_run: int) -> str:
    """The last line."""
    parts = [f"{count(rows, OK)} ok", f"{count(rows, FAILED)} FAILED", f"{count(rows, NOT_APPLICABLE)} not applicable"]
    if not_run:
        parts.append(f"{not_run} not run")
    return f"{', '.join(parts)}, in {sum(row.seconds for row in rows):.1f} s"


def as_json(rows: Sequence[Row], not_run: int, **settings: object) -> str:
    """One object: the settings, the counts, and the trials with each of their connections."""
    trials = [
        {
            "name": row.name,
            "verdict": row.verdict,
            "sent": row.sent,
            "expected": row.expected,
            "came": row.came,
            "seconds": round(row.seconds, 3),
            "connections": [
                {"sent": result.sent, "came": result.came, "held": not result.problem} for result in row.results
            ],
        }
        for row in rows
    ]
    counts = {
        "ok": count(rows, OK),
        "failed": count(rows, FAILED),
        "not_applicable": count(rows, NOT_APPLICABLE),
        "not_run": not_run,
    }
    return json.dumps({**settings, **counts, "trials": trials}, indent=2)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, max_lines=MOST_LINES, placeholder=" ...", break_on_hyphens=False) or [""]
