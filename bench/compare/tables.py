"""The results as text, and between the markers of docs/performance.md."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING

from bench.compare.plan import PARTS
from bench.compare.samples import ratio
from bench.compare.summary import cells, late, on_uvloop, own_share
from bench.compare.targets import verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from bench.compare.plan import Column, Part
    from bench.compare.samples import Results, Row

PICTURES = "../bench/results"
# A table with more columns than this has no room for ratios.
_FEW = 4


def as_text(results: Results) -> str:
    """Everything, for a terminal: median, quartiles, and ratios to the first server."""
    lines: list[str] = []
    for part in PARTS:
        for column in part.columns():
            rows = results.of(column.name, column.framing)
            if rows:
                lines += ["", f"{part.name}: {column.heading}; {column.figure.unit}", *_rows_text(rows, column)]
    met = verdicts(results)
    if met:
        lines += ["", "targets"]
        width = max(len(verdict.text) for verdict in met)
        lines += [
            f"  {each.text:{width}} {each.framing:21} at most {each.target:8} is {each.measured:8} {each.words}"
            for each in met
        ]
    return "\n".join(lines).lstrip("\n") + "\n"


def _rows_text(rows: list[Row], column: Column) -> list[str]:
    lines: list[str] = []
    for row in rows:
        value, spread = row.median(column.figure.key), row.quartiles(column.figure.key)
        if value is not None and spread is not None:
            low, high = map(column.figure.form, spread)
            compared = times(ratio(row, rows[0], column.figure.key))
            lines.append(f"  {row.title:32} {column.figure.form(value):>10} {low:>9} - {high:<9} {compared:>8}")
    return lines


def times(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}x" if value >= 100 else f"{value:.2g}x"


# Markdown.


def sections(results: Results) -> dict[str, str]:
    """The text for each marker of the document."""
    first = PARTS[0]
    return {
        "summary": f"{_summary(results)}\n\n{_picture(first)}",
        **{part.name: _part(results, part) for part in PARTS},
        "share": own_share(results),
        "uvloop": on_uvloop(results),
        "load": late(results),
        "machine": "\n".join(f"* {name}: {value}" for name, value in results.about.items()),
        "targets": _targets(results),
    }


def write_document(path: Path, results: Results) -> None:
    """Replace what is between the markers `<!-- NAME -->` and `<!-- end NAME -->`."""
    text = path.read_text()
    for name, section in sections(results).items():
        parts = re.split(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end {name} -->)", text, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"{path} must have exactly one pair of markers for {name!r}")
        text = f"\n{section}\n\n".join(parts)
    path.write_text(text)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _summary(results: Results) -> str:
    return _table(["a message of 32 bytes, or what is named", "sockserve", "beside it", "that is"], cells(results))


def _targets(results: Results) -> str:
    rows = [
        [each.text, f"`{each.framing}`", each.target, each.measured, f"**{each.words}**" if each.missed else each.words]
        for each in verdicts(results)
    ]
    return _table(["", "framing", "at most", "measured", ""], rows)


def _picture(part: Part) -> str:
    return f"![{part.title}]({PICTURES}/{part.name}.svg)"


def _part(results: Results, part: Part) -> str:
    columns = [column for column in part.columns() if results.of(column.name, column.framing)]
    if not columns:
        return "Not measured."
    units = list(dict.fromkeys(column.figure.unit for column in columns))
    one = len(units) == 1
    titles = {row.title: row.peer for column in columns for row in results.of(column.name, column.framing)}
    head = ["", *(column.heading if one else _named(column) for column in columns)]
    table = [
        [title, *(_cell(results, column, peer, ratios=len(columns) <= _FEW) for column in columns)]
        for title, peer in titles.items()
    ]
    words = [f"{units[0]}:"] if one else []
    parts = [*words, _table(head, table), _spread(results, columns)]
    return "\n\n".join(parts if part is PARTS[0] else [*parts, _picture(part)])


def _named(column: Column) -> str:
    """Where the columns have different figures: with the figure."""
    return column.figure.unit if column.heading == column.figure.unit else f"{column.heading}: {column.figure.unit}"


def _cell(results: Results, column: Column, peer: str, *, ratios: bool) -> str:
    row = results.row(column.name, column.framing, peer)
    value = row.median(column.figure.key) if row else None
    if row is None or value is None:
        return ""
    first = results.of(column.name, column.framing)[0]
    compared = f" ({times(ratio(row, first, column.figure.key))})" if ratios and row is not first else ""
    return column.figure.form(value) + compared


def _spread(results: Results, columns: list[Column]) -> str:
    """How far apart the rounds were."""
    rows = [(row, column) for column in columns for row in results.of(column.name, column.framing)]
    spreads: list[float] = []
    for row, column in rows:
        middle, quartiles = row.median(column.figure.key), row.quartiles(column.figure.key)
        if middle and quartiles:
            spreads.append((quartiles[1] - quartiles[0]) / middle)
    if not spreads:
        return "Not measured."
    rounds = max(len(row.samples) for row, _ in rows)
    if rounds == 1:
        return "One round."
    return f"Medians of {rounds} rounds; the quartiles are typically {median(spreads):.0%} apart."
