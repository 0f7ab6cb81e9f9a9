"""The results as text, and between the markers of docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from bench.compare.samples import ratio, reference
from bench.compare.targets import verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from bench.compare.samples import Results, Row

KIB = 1024

# Of connections: the figure, its heading, and how it is written.
HELD_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("idle_bytes", "idle, KiB each", lambda value: f"{value / KIB:.2f}"),
    ("used_bytes", "after a message, KiB each", lambda value: f"{value / KIB:.2f}"),
    ("accept_cpu_us", "open and close, CPU µs", lambda value: f"{value:.0f}"),
    ("accepts_per_second", "connections/s", lambda value: f"{value:,.0f}"),
    ("start_seconds", "first answer, ms", lambda value: f"{value * 1000:.0f}"),
    ("start_bytes", "memory then, MiB", lambda value: f"{value / KIB / KIB:.1f}"),
)


def as_text(results: Results) -> str:
    """Everything, for a terminal: median, quartiles, and ratios to sockserve's echo."""
    lines: list[str] = []
    for case in results.cases():
        rows = results.of(case)
        lines += ["", case]
        if any(row.values("idle_bytes") for row in rows):
            lines += _held_text(rows)
        else:
            for framing in dict.fromkeys(row.framing for row in rows):
                lines += _messages_text(framing, [row for row in rows if row.framing == framing])
    met = verdicts(results)
    if met:
        lines += ["", "targets"]
        width = max(len(verdict.text) for verdict in met)
        lines += [
            f"  {verdict.text:{width}} {verdict.framing:9} at most {verdict.target:6} is {verdict.measured:9}"
            f" {'met' if verdict.met else 'not met'}"
            for verdict in met
        ]
    return "\n".join(lines).lstrip("\n") + "\n"


def _messages_text(framing: str, rows: list[Row]) -> list[str]:
    first = reference(rows)
    lines = [f"  {framing:24} {'CPU µs/message':>14} {'quartiles':>17} {'CPU':>8} {'messages/s':>13} {'rate':>8}"]
    for row in rows:
        cpu, spread, rate = row.median("cpu_us"), row.quartiles("cpu_us"), row.median("per_second")
        if cpu is None or spread is None:
            lines.append(f"  {row.title:24} failed")
            continue
        line = f"  {row.title:24} {number(cpu):>14} {number(spread[0]):>8}-{number(spread[1]):>8}"
        line += f" {times(ratio(row, first, 'cpu_us') if first else None):>8}"
        if rate is not None:
            line += f" {rate:13,.0f} {times(ratio(row, first, 'per_second') if first else None):>8}"
        lines.append(line)
    return lines


def _held_text(rows: list[Row]) -> list[str]:
    lines = ["  " + " " * 24 + "".join(f"{heading:>27}" for _, heading, _ in HELD_COLUMNS)]
    for row in rows:
        cells = [form(value) if (value := row.median(what)) is not None else "-" for what, _, form in HELD_COLUMNS]
        lines.append(f"  {row.title:24}" + "".join(f"{cell:>27}" for cell in cells))
    return lines


def number(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}x" if value >= 100 else f"{value:.2g}x"


# Markdown.


def sections(results: Results) -> dict[str, str]:
    """The text for each marker of the document."""
    cases = results.cases()
    held = [case for case in cases if any(row.values("idle_bytes") for row in results.of(case))]
    return {
        "machine": _about(results),
        "targets": _targets(results),
        "messages": "\n\n".join(_messages(results, case) for case in cases if case not in held),
        "connections": "\n\n".join(_held(results.of(case)) for case in held),
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


def slug(case: str) -> str:
    """The name of a case as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", case.lower()).strip("-")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _about(results: Results) -> str:
    return "\n".join(f"* {name}: {value}" for name, value in results.about.items())


def _targets(results: Results) -> str:
    head = ["server CPU time per message", "framing", "at most", "measured", ""]
    rows = [
        [verdict.text, verdict.framing, verdict.target, verdict.measured, "met" if verdict.met else "**not met**"]
        for verdict in verdicts(results)
    ]
    return _table(head, rows)


def _messages(results: Results, case: str) -> str:
    rows = results.of(case)
    framings = list(dict.fromkeys(row.framing for row in rows))
    peers = dict.fromkeys((row.peer, row.title) for row in rows)
    firsts = {name: reference(row for row in rows if row.framing == name) for name in framings}
    cpu: list[list[str]] = []
    rate: list[list[str]] = []
    for peer, title in peers:
        found = [results.row(case, name, peer) for name in framings]
        cpu.append([title, *(_cell(row, firsts[row.framing], "cpu_us", number) if row else "" for row in found)])
        rate.append(
            [title, *(_cell(row, firsts[row.framing], "per_second", _thousands) if row else "" for row in found)]
        )
    parts = [f"### {case}", "Server CPU time per message, in µs:", _table(["", *framings], cpu)]
    if any(row.values("per_second") for row in rows):
        parts += ["Messages per second, in thousands:", _table(["", *framings], rate)]
        parts.append(_spread(rows))
        parts.append(f"![CPU time per message of each server]({PICTURES}/{slug(case)}.png)")
    return "\n\n".join(parts)


PICTURES = "../bench/results"


def _cell(row: Row, first: Row | None, what: str, form: Callable[[float], str]) -> str:
    value = row.median(what)
    if value is None:
        return ""
    return form(value) + (f" ({times(ratio(row, first, what))})" if first is not None and first is not row else "")


def _thousands(value: float) -> str:
    return number(value / 1000)


def _spread(rows: list[Row]) -> str:
    spreads: list[float] = []
    for row in rows:
        middle, quartiles = row.median("cpu_us"), row.quartiles("cpu_us")
        if middle and quartiles:
            spreads.append((quartiles[1] - quartiles[0]) / middle)
    rounds = max(len(row.samples) for row in rows)
    if rounds == 1:
        return "One round."
    return (
        f"Medians of {rounds} rounds. The quartiles of the CPU time are typically {median(spreads):.0%} apart, "
        f"and at most {max(spreads):.0%}."
    )


def _held(rows: list[Row]) -> str:
    head = ["", *(heading for _, heading, _ in HELD_COLUMNS)]
    cells = [
        [row.title, *(form(value) if (value := row.median(what)) is not None else "" for what, _, form in HELD_COLUMNS)]
        for row in rows
    ]
    picture = f"![Connections of each server]({PICTURES}/{slug(rows[0].case)}.png)"
    return f"{_table(head, cells)}\n\n{picture}"
