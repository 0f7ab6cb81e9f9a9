"""Draws docs/rooms.svg: the rooms of the package, floor by floor, and the imports between them.

    python docs/rooms.py            writes the picture
    python docs/rooms.py --check    fails when the committed picture is not the one that the sources give

The floors are those of FLOORS in tests/test_layering.py, what each room does is what the docstring of
sockserve/__init__.py says, and the arrows are the imports in the sources. An import that follows from others is left
out: `config` imports `tls`, but it also imports `server`, which does. Arrows to the same room join on their way.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise, permutations
from math import fsum, inf
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).resolve().parents[1]
PICTURE = TREE / "docs/rooms.svg"

ROOM_WIDTH, ROOM_GAP = 236, 20
LANE = 26  # the room that an arrow needs where it passes a floor
LINE_HEIGHT, FLOOR_GAP = 16, 46
MARGIN, NUMBERS = 20, 34
FONT = 12
HEAD = 7  # the length of an arrow's head

STYLE = """\
  .paper { fill: #fbfaf7 }
  .floor { fill: #f1efe8 }
  .room { fill: #fff; stroke: #b9b2a0 }
  .name { fill: #1d3c63; font: 600 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
  .words { fill: #3c3a36 }
  .number { fill: #8a8474 }
  .arrow { fill: none; stroke: #5b7ea8 }
  .head { fill: #5b7ea8 }
  text { font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #17191d }
    .floor { fill: #1e2126 }
    .room { fill: #282c33; stroke: #4a505b }
    .name { fill: #a9c9f2 }
    .words { fill: #d3d5d9 }
    .number { fill: #80868f }
    .arrow { stroke: #6f94c2 }
    .head { fill: #6f94c2 }
  }
"""


class Stop(NamedTuple):
    """A place on a floor: a room, or the lane in which arrows to a room pass the floor."""

    floor: int
    room: str
    passing: bool = False

    @property
    def half(self) -> float:
        return (LANE if self.passing else ROOM_WIDTH + ROOM_GAP) / 2


Segments = Counter[tuple[Stop, Stop]]
"""How many imports go from an upper stop to one on the next lower floor."""


def read_floors() -> dict[str, int]:
    """The floor of each room, as the test of the imports has it."""
    for node in ast.parse((TREE / "tests/test_layering.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS":
            floors: dict[str, int] = ast.literal_eval(node.value)
            return {room: floor for room, floor in floors.items() if not room.startswith("__")}
    raise SystemExit("tests/test_layering.py has no FLOORS")


def read_words(package: Path) -> dict[str, str]:
    """What each room does: the map in the package's docstring."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    return dict(re.findall(r"^(\w+) {2,}(\S.*)$", text.replace("`", ""), re.MULTILINE))


def count_imports(package: Path, floors: dict[str, int]) -> Counter[tuple[str, str]]:
    """How many names each room imports from each other one."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in package.rglob("*.py"):
        own = path.relative_to(package).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                top, _, rest = name.partition(".")
                other = rest.partition(".")[0]
                if top == package.name and own in floors and other in floors and other != own:
                    counts[own, other] += 1
    return counts


def without_implied(imports: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """The transitive reduction: only those imports that no way through other rooms stands for."""

    def reaches(room: str, target: str) -> bool:
        return any(there == target or reaches(there, target) for here, there in imports if here == room)

    return Counter(
        {
            (room, target): count
            for (room, target), count in imports.items()
            if not any(here == room and there != target and reaches(there, target) for here, there in imports)
        }
    )


def route(imports: Counter[tuple[str, str]], floors: dict[str, int]) -> Segments:
    """Each arrow, floor by floor. Arrows to one room share its lane on the floors that they pass."""
    segments: Segments = Counter()
    for (room, target), count in imports.items():
        lanes = [Stop(floor, target, passing=True) for floor in range(floors[room] - 1, floors[target], -1)]
        for pair in pairwise([Stop(floors[room], room), *lanes, Stop(floors[target], target)]):
            segments[pair] += count
    return segments


def order(stops: Sequence[Sequence[Stop]], segments: Segments) -> list[list[Stop]]:
    """The stops of each floor from left to right, with as few crossings as there can be, then with short arrows.

    A crossing costs 100, and an arrow how far it goes to the side. Every order of a floor is tried against every order
    of the one below it that can still be the best.
    """
    best: list[tuple[float, list[list[Stop]]]] = [(0.0, [[]])]
    for floor in stops:
        lines = [(a, b) for a, b in segments if a in floor]
        lowers = []
        for cost, below in best:
            ends = spots(below[-1], [b for _, b in lines])
            lowers.append((cost, below, ends, sides(ends)))
        step = []
        for upper in permutations(floor):
            starts = spots(upper, [a for a, _ in lines])
            left, right = sides(starts)
            least, rows = inf, best[0][1]
            for already, below, ends, (lower_left, lower_right) in lowers:
                if already >= least:
                    break
                cost = already + 100 * (left & lower_right | right & lower_left).bit_count()
                if cost < least:
                    # Equal costs must be equal on every Python: since 3.12, sum rounds differently.
                    total = round(cost + fsum(abs(x - y) for x, y in zip(starts, ends, strict=True)), 6)
                    if total < least:
                        least, rows = total, [*below, list(upper)]
            step.append((least, rows))
        best = sorted(step, key=itemgetter(0))
    return best[0][1][1:]


def spots(row: Sequence[Stop], ends: Sequence[Stop]) -> list[float]:
    """Where arrows end in a row, from 0, its left, to 1."""
    places = {stop: index / max(len(row) - 1, 1) for index, stop in enumerate(row)}
    return [places[stop] for stop in ends]


def sides(places: Sequence[float]) -> tuple[int, int]:
    """Two numbers with a bit for each pair of arrows: whether the first is left of the second, and whether right."""
    left = right = 0
    for index, (one, other) in enumerate(combinations(places, 2)):
        left |= (one < other) << index
        right |= (one > other) << index
    return left, right


def place(rows: Sequence[Sequence[Stop]], segments: Segments) -> dict[Stop, int]:
    """The middle of each stop: as near to those it is connected with as its neighbours allow, with straight lanes."""
    at = {stop: float(index * ROOM_WIDTH) for row in rows for index, stop in enumerate(row)}
    lanes = {
        stop.room: [other for other in at if other.passing and other.room == stop.room] for stop in at if stop.passing
    }
    near: dict[Stop, list[Stop]] = {stop: [] for stop in at}
    for a, b in segments:
        near[a].append(b)
        near[b].append(a)
    # A lane first wishes to be near its ends, and then to be straight, which costs it what the rooms beside it need.
    for step in range(1200):
        for row in rows:
            wishes = []
            for stop in row:
                lane = lanes[stop.room] if stop.passing else [stop]
                ends = [at[other] for one in lane for other in near[one] if other not in lane]
                wishes.append(mean([at[one] for one in lane] if stop.passing and step > 600 else ends or [at[stop]]))
            at.update(zip(row, spread(row, wishes), strict=True))
    at.update({stop: mean([at[one] for one in lanes[stop.room]]) for stop in at if stop.passing})
    left = min(at[stop] - stop.half for stop in at) + ROOM_GAP / 2
    return {stop: round(x - left) + MARGIN + NUMBERS for stop, x in at.items()}


def spread(row: Sequence[Stop], wishes: Sequence[float]) -> list[float]:
    """The places nearest to what the stops of a floor wish for, at which none lies on another. Lanes get their wish."""
    shifts, shift = [], 0.0
    for index, stop in enumerate(row):
        shift += row[index - 1].half + stop.half if index else 0.0
        shifts.append(shift)
    # Stops that touch: their weight, a lane counting for a hundred rooms; the place of the first; how many.
    blocks: list[list[float]] = []
    for stop, wish, shift in zip(row, wishes, shifts, strict=True):
        blocks.append([100.0 if stop.passing else 1.0, wish - shift, 1])
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            (v, x, n), (w, y, m) = blocks[-2:]
            blocks[-2:] = [[v + w, (v * x + w * y) / (v + w), n + m]]
    places = [x for _, x, count in blocks for _ in range(int(count))]
    return [x + shift for x, shift in zip(places, shifts, strict=True)]


def mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def ports(stop: Stop, others: Sequence[Stop], at: dict[Stop, int]) -> dict[Stop, int]:
    """Where on a stop's edge its arrows begin or end: where they run straight, or as near to that as it reaches."""
    if stop.passing:
        return dict.fromkeys(others, at[stop])
    wishes = {other: at[other] if other.passing else (at[other] + at[stop]) // 2 for other in others}
    reach = ROOM_WIDTH // 2 - 14
    found: dict[Stop, int] = {}
    left = at[stop] - reach
    for index, other in enumerate(sorted(others, key=lambda other: wishes[other])):
        right = at[stop] + reach - 22 * (len(others) - 1 - index)
        found[other] = max(left, min(wishes[other], right))
        left = found[other] + 22
    return found


def wrap(words: str) -> list[str]:
    """Lines that fit into a room in any usual font: DejaVu Sans, the widest, needs 0.58 em for a letter."""
    room = int((ROOM_WIDTH - 24) / (FONT * 0.58))
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw(floors: dict[str, int], words: dict[str, str], segments: Segments) -> Iterator[str]:
    """The lines of the picture."""
    top = max(floors.values())
    everything = {Stop(floor, room) for room, floor in floors.items()}.union(*segments)
    rows = order([sorted(s for s in everything if s.floor == floor) for floor in range(top + 1)], segments)
    at = place(rows, segments)
    lines = {room: wrap(words.get(room, "")) for room in floors}
    heights = [34 + LINE_HEIGHT * max(len(lines[s.room]) for s in row if not s.passing) for row in rows]
    width = max(at[stop] + round(stop.half) for stop in at) + MARGIN
    ceilings = [MARGIN + sum(heights[floor + 1 :]) + FLOOR_GAP * (top - floor) for floor in range(top + 1)]
    total = ceilings[0] + heights[0] + MARGIN

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        'role="img" aria-labelledby="title">'
    )
    yield '<title id="title">The rooms of sockserve by floor, and which of them import from which</title>'
    yield f"<style>\n{STYLE}</style>"
    yield f'<rect class="paper" width="{width}" height="{total}" rx="10"/>'
    for floor in range(top, -1, -1):
        y, height = ceilings[floor], heights[floor]
        shape = f'x="{MARGIN // 2}" y="{y - 9}" width="{width - MARGIN}" height="{height + 18}" rx="8"'
        yield f'<rect class="floor" {shape}/>'
        yield f'<text class="number" x="{MARGIN + 4}" y="{y + height / 2 + 4:g}">{floor}</text>'
    below: dict[Stop, dict[Stop, int]] = {}
    above: dict[Stop, dict[Stop, int]] = {}
    for stop in at:
        below[stop] = ports(stop, [b for a, b in segments if a == stop], at)
        above[stop] = ports(stop, [a for a, b in segments if b == stop], at)
    for (a, b), count in sorted(segments.items()):
        x, y = below[a][b], ceilings[a.floor] + heights[a.floor]
        u, v = above[b][a], ceilings[b.floor] - (0 if b.passing else HEAD)
        middle = y + FLOOR_GAP // 2
        end = f" V{v + heights[b.floor]}" if b.passing else ""
        curve = f"V{v}" if x == u else f"C{x} {middle} {u} {middle} {u} {v}"
        thickness = 1.25 if count < 4 else 2.25 if count < 9 else 3.25
        yield f'<path class="arrow" stroke-width="{thickness}" d="M{x} {y} {curve}{end}"/>'
        if not b.passing:
            yield f'<path class="head" d="M{u - 5} {v - 1}h10l-5 {HEAD + 1}z"/>'
    for stop in sorted(at, reverse=True):
        if stop.passing:
            continue
        x, y = at[stop] - ROOM_WIDTH // 2, ceilings[stop.floor]
        yield f'<rect class="room" x="{x}" y="{y}" width="{ROOM_WIDTH}" height="{heights[stop.floor]}" rx="6"/>'
        yield f'<text class="name" x="{x + 12}" y="{y + 22}">{stop.room}</text>'
        for index, line in enumerate(lines[stop.room]):
            escaped = line.replace("&", "&amp;").replace("<", "&lt;")
            yield f'<text class="words" x="{x + 12}" y="{y + 41 + LINE_HEIGHT * index}">{escaped}</text>'
    yield "</svg>"


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the rooms of the package and the imports between them.")
    parser.add_argument("--check", action="store_true", help="only look whether docs/rooms.svg is current")
    parser.add_argument("package", nargs="?", type=Path, default=TREE / "sockserve", help="where the sources are")
    arguments = parser.parse_args()
    floors = read_floors()
    segments = route(without_implied(count_imports(arguments.package, floors)), floors)
    picture = "\n".join(draw(floors, read_words(arguments.package), segments)) + "\n"
    if not arguments.check:
        PICTURE.write_text(picture)
    elif not PICTURE.exists() or PICTURE.read_text() != picture:
        sys.exit("docs/rooms.svg is not current: run python docs/rooms.py")


if __name__ == "__main__":
    main()
