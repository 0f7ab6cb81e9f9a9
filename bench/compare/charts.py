"""The results as pictures: for each part, a panel for each of its columns, and in it a bar for each server.

They are drawn as docs/rooms.svg is: with the same colours, and light or dark as the page is. Every axis starts at zero.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from bench.compare.plan import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from bench.compare.plan import Column, Part
    from bench.compare.samples import Results

WIDTH, MARGIN, GAP = 720, 16, 24
LINE, BAR, STEP = 16, 12, 19
TITLE, HEADING, LEGEND = 30, 24, 22
TICK = 4
# The widest that a letter is on average, in fonts that pages are shown with.
LETTER = 7.1
_COLUMNS = 2

STYLE = """\
  .paper { fill: #fbfaf7 }
  .ours { fill: #1d3c63 }
  .theirs { fill: #b9b2a0 }
  .axis { stroke: #8a8474; fill: none }
  .spread { stroke: #c2703d; stroke-width: 1.5 }
  text { fill: #3c3a36; font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
  text.title { fill: #1d3c63; font-weight: 600; font-size: 14px }
  text.heading { font-weight: 600 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #17191d }
    .ours { fill: #6f94c2 }
    .theirs { fill: #4a505b }
    .axis { stroke: #80868f }
    .spread { stroke: #e0a070 }
    text { fill: #d3d5d9 }
    text.title { fill: #a9c9f2 }
  }
"""


@dataclass(frozen=True)
class Bar:
    """value: its length. low, high: the quartiles. text: the value as it is written."""

    title: str
    value: float
    low: float
    high: float
    text: str
    ours: bool


@dataclass(frozen=True)
class Panel:
    """axis: the words below. more: whether more is better."""

    heading: str
    axis: str
    more: bool
    bars: Sequence[Bar]


def draw(results: Results, folder: Path) -> list[Path]:
    """Write a picture for each part that was measured; those of earlier runs go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        old.unlink()
    written: list[Path] = []
    for part in PARTS:
        panels = [panel(results, column, part) for column in part.pictured()]
        panels = [each for each in panels if each.bars]
        if panels:
            path = folder / f"{part.name}.svg"
            path.write_text(picture(part.title, panels))
            written.append(path)
    return written


def panel(results: Results, column: Column, part: Part) -> Panel:
    figure = column.figure
    bars: list[Bar] = []
    for row in results.of(column.name, column.framing):
        value, spread = row.median(figure.key), row.quartiles(figure.key)
        if value is not None and spread is not None and (not part.bars or row.peer in part.bars):
            low, high = spread
            lengths = (value / figure.scale, low / figure.scale, high / figure.scale)
            bars.append(Bar(row.title, *lengths, figure.form(value), row.ours))
    # What the axis says need not stand above it, too.
    heading = column.name.partition("/")[2] if column.heading == figure.unit else column.heading
    return Panel(heading, figure.unit, figure.more, bars)


def picture(title: str, panels: Sequence[Panel]) -> str:
    """An SVG."""
    columns = min(_COLUMNS, len(panels))
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    drawn: list[str] = []
    top: float = TITLE + LEGEND
    for start in range(0, len(panels), columns):
        beside = panels[start : start + columns]
        for place, each in enumerate(beside):
            drawn += _panel(each, MARGIN + place * (width + GAP), top, width)
        top += max(_height(each, width) for each in beside) + GAP
    height = top - GAP + MARGIN
    size = f'width="{WIDTH}" height="{height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height:g}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<rect class="paper" {size}/>',
        _text(MARGIN, TITLE - 8, title, "title"),
        *_legend(),
        *drawn,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _legend() -> Iterator[str]:
    x = float(MARGIN)
    for name, words in (("ours", "sockserve"), ("theirs", "others"), ("spread", "between the quartiles of the rounds")):
        if name == "spread":
            yield f'<path class="spread" d="M{x:g} {TITLE + 6}h10"/>'
        else:
            yield f'<rect class="{name}" x="{x:g}" y="{TITLE + 1}" width="10" height="10"/>'
        yield _text(x + 15, TITLE + 10, words)
        x += 15 + len(words) * LETTER + 18


def _axis_words(panel: Panel, width: float) -> list[str]:
    return [*textwrap.wrap(panel.axis, int(width / LETTER)), f"{'more' if panel.more else 'less'} is better"]


def _height(panel: Panel, width: float) -> float:
    return HEADING + len(panel.bars) * STEP + TICK + LINE + len(_axis_words(panel, width)) * LINE


def _panel(panel: Panel, left: float, top: float, width: float) -> Iterator[str]:
    yield _text(left, top + 14, panel.heading, "heading")
    top += HEADING
    zero = left + max(len(bar.title) for bar in panel.bars) * LETTER + 6
    # To the right of the longest bar there is room for its number.
    room = left + width - zero - max(len(bar.text) for bar in panel.bars) * LETTER - 8
    longest = max(max(bar.value, bar.high) for bar in panel.bars) or 1.0
    scale = room / longest
    for place, bar in enumerate(panel.bars):
        y = top + place * STEP
        yield _text(zero - 6, y + 11, bar.title, "end")
        kind = "ours" if bar.ours else "theirs"
        yield f'<rect class="{kind}" x="{zero:.1f}" y="{y + 1:g}" width="{bar.value * scale:.1f}" height="{BAR}"/>'
        yield f'<path class="spread" d="M{zero + bar.low * scale:.1f} {y + 7:g}H{zero + bar.high * scale:.1f}"/>'
        yield _text(zero + max(bar.value, bar.high) * scale + 5, y + 11, bar.text)
    bottom = top + len(panel.bars) * STEP
    ticks = _ticks(longest, room)
    marks = "".join(f"M{zero + tick * scale:.1f} {bottom:g}v{TICK}" for tick in ticks)
    yield f'<path class="axis" d="M{zero:.1f} {top:g}V{bottom:g}H{zero + room:.1f}{marks}"/>'
    for tick in ticks:
        yield _text(zero + tick * scale, bottom + TICK + 12, f"{tick:,.10g}", "middle")
    for place, words in enumerate(_axis_words(panel, width)):
        yield _text(left + width, bottom + TICK + 12 + (place + 1) * LINE, words, "end")


def _ticks(longest: float, room: float) -> list[float]:
    """Zero, and at least one round number up to the longest bar, not closer to each other than their digits need."""
    most = max(2, int(room / (len(f"{longest:,.0f}") * LETTER + 30)))
    power = 10.0 ** math.floor(math.log10(longest / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if longest < power * factor * (most + 1))
    return [round(step * count, 10) for count in range(int(longest / step) + 1)]


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    kinds = f' class="{kind}"' if kind else ""
    return f'<text{kinds} x="{x:.1f}" y="{y:g}">{escape(words)}</text>'
