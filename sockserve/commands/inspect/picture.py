"""Frames as an SVG: a box for each byte, with its hexadecimal digits and its character, in colours by its part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from sockserve.inspection.frames import Frame
from sockserve.inspection.words import MARK_NAMES

_CELL_WIDTH, _CELL_HEIGHT = 27, 36
_ROW_GAP, _PART_GAP, _MARGIN = 12, 5, 16
_LETTER = 7.9
"""The width of a character of the labels."""
_MOST = 34
"""Cells in a row; those in the middle of a longer part are left out."""
_LEAST_PART = 8

_STYLE = """\
  .paper { fill: #fbfaf7 }
  .header { fill: #cfe0f5 } .payload { fill: #fff } .trailer { fill: #f6dcc0 } .ignored, .unfinished { fill: #e7e4dc }
  .bad { fill: #f5cccc }
  .cell { stroke: #b9b2a0; stroke-width: 1 }
  text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #2c2a26; text-anchor: middle }
  .label { font-size: 13px; font-weight: 600; text-anchor: start; fill: #1d3c63 }
  .digits { fill: #6b665a; font-size: 11px } .name { font-size: 10px } .key, .more { font-size: 11px }
  .key { text-anchor: start }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #17191d }
    .header { fill: #274669 } .payload { fill: #24282e } .trailer { fill: #5c4224 }
    .ignored, .unfinished { fill: #3a3d42 } .bad { fill: #6b2a2a }
    .cell { stroke: #4a505b }
    text { fill: #e3e4e6 } .digits { fill: #a8adb5 } .label { fill: #a9c9f2 }
  }
"""


@dataclass(frozen=True, slots=True)
class Row:
    """label: at the left. parts: (header, payload, trailer, ignored, unfinished or bad; its bytes)."""

    label: str
    parts: Sequence[tuple[str, bytes]]


def row_of(label: str, frame: Frame) -> Row:
    """The row of a frame."""
    names = ("ignored", "header", "payload", "trailer")
    return Row(label, [(name, getattr(frame, name)) for name in names if getattr(frame, name)])


def draw(rows: Iterable[Row], title: str) -> str:
    """The picture, as the text of an SVG file."""
    rows = list(rows)
    left = _MARGIN + round(max((len(row.label) for row in rows), default=0) * _LETTER) + 14
    body: list[str] = []
    width = left
    y = _MARGIN
    for row in rows:
        body.append(
            f'<text class="label" x="{_MARGIN}" y="{y + _CELL_HEIGHT // 2 + 4}">{escape(_plain(row.label))}</text>'
        )
        x = left
        for part, data in row.parts:
            marks = all(0x20 <= byte < 0x7F or byte in MARK_NAMES for byte in data)
            for cell in _cells(data, _room(row, data)):
                body += _cell(part, cell, x, y, marks=marks)
                x += _CELL_WIDTH * cell.wide
            x += _PART_GAP
        width = max(width, x)
        y += _CELL_HEIGHT + _ROW_GAP
    used = dict.fromkeys(part for row in rows for part, _ in row.parts)
    x = left
    for part in (each for each in ("header", "payload", "trailer", "ignored", "unfinished", "bad") if each in used):
        body.append(f'<rect class="cell {part}" x="{x}" y="{y}" width="14" height="14"/>')
        body.append(f'<text class="key" x="{x + 20}" y="{y + 11}">{part}</text>')
        x += 100
    width = max(width, x) + _MARGIN
    height = y + 14 + _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title">'
    )
    return "\n".join(
        [
            head,
            f'<title id="title">{escape(_plain(title))}</title>',
            f"<style>\n{_STYLE}</style>",
            f'<rect class="paper" width="{width}" height="{height}" rx="10"/>',
            *body,
            "</svg>\n",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """byte: what it shows; None: so many bytes are left out. wide: in cells."""

    byte: int | None
    count: int = 1
    wide: int = 1


def _room(row: Row, data: bytes) -> int:
    """How many cells a part may have."""
    others = sum(min(len(other), _LEAST_PART) for _, other in row.parts if other is not data)
    return max(_MOST - others, _LEAST_PART)


def _cells(data: bytes, room: int) -> Iterator[_Cell]:
    if len(data) <= room:
        yield from map(_Cell, data)
        return
    # Two thirds of what fits are the beginning.
    first = (room - 3) * 2 // 3
    last = room - 3 - first
    yield from map(_Cell, data[:first])
    yield _Cell(None, len(data) - first - last, 3)
    yield from map(_Cell, data[-last:])


def _cell(part: str, cell: _Cell, x: int, y: int, *, marks: bool) -> Iterator[str]:
    """marks: whether its control characters have their names."""
    width = _CELL_WIDTH * cell.wide
    middle = x + width / 2
    yield f'<rect class="cell {part}" x="{x}" y="{y}" width="{width}" height="{_CELL_HEIGHT}"/>'
    if cell.byte is None:
        yield f'<text class="more" x="{middle:g}" y="{y + 22}">+{cell.count}</text>'
        return
    yield f'<text class="digits" x="{middle:g}" y="{y + 14}">{cell.byte:02x}</text>'
    if 0x20 < cell.byte < 0x7F:
        yield f'<text x="{middle:g}" y="{y + 29}">{escape(chr(cell.byte))}</text>'
    elif marks and cell.byte in MARK_NAMES:
        yield f'<text class="name" x="{middle:g}" y="{y + 29}">{MARK_NAMES[cell.byte]}</text>'


def _plain(text: str) -> str:
    """Without what XML cannot have."""
    return "".join(each if each.isprintable() else "?" for each in text)
