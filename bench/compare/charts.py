"""The results as pictures: for each case, a panel for each framing and a bar for each server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.tables import HELD_COLUMNS, number, slug

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from bench.compare.samples import Results, Row

OURS, THEIRS = "#c44e52", "#8da0b3"
COLUMNS = 3


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the pictures of all cases."""
    written: list[Path] = []
    for case in results.cases():
        rows = [row for row in results.of(case) if row.samples]
        if not rows:
            continue
        path = folder / f"{slug(case)}.png"
        if any(row.values("idle_bytes") for row in rows):
            _figure(path, case, [(heading, what, form, rows) for what, heading, form in HELD_COLUMNS])
        else:
            framings = dict.fromkeys(row.framing for row in rows)
            panels: list[Panel] = [
                (name, "cpu_us", number, [row for row in rows if row.framing == name]) for name in framings
            ]
            _figure(path, f"{case}: server CPU time per message, in µs", panels, logarithmic=True)
        written.append(path)
    return written


Panel = tuple[str, str, "Callable[[float], str]", "list[Row]"]


def _figure(path: Path, title: str, panels: list[Panel], *, logarithmic: bool = False) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    bars = max(len(rows) for _, _, _, rows in panels)
    height = 0.9 + lines * (0.8 + 0.26 * bars)
    figure, axes = plt.subplots(
        lines, columns, figsize=(max(6.0, 4.6 * columns), height), squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    for place, panel in zip(axes.flat, panels, strict=False):
        _bars(place, *panel, logarithmic=logarithmic)
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _bars(
    axes: Axes, title: str, what: str, form: Callable[[float], str], rows: list[Row], *, logarithmic: bool
) -> None:
    values = [row.median(what) or 0.0 for row in rows]
    quartiles = [row.quartiles(what) or (0.0, 0.0) for row in rows]
    errors = (
        [max(0.0, value - low) for value, (low, _) in zip(values, quartiles, strict=True)],
        [max(0.0, high - value) for value, (_, high) in zip(values, quartiles, strict=True)],
    )
    places = range(len(rows))
    axes.barh(places, values, xerr=errors, color=[OURS if row.ours else THEIRS for row in rows], ecolor="#333333")
    axes.set_yticks(places, [row.title for row in rows])
    axes.invert_yaxis()
    axes.set_title(title)
    if logarithmic:
        axes.set_xscale("log")
        # Powers of ten have room for their numbers; what is between them does not.
        axes.xaxis.set_minor_formatter("")
        axes.set_xlim(min(values) / 2, max(values) * 4)
    else:
        # The values are written at the bars, in the unit of the heading.
        axes.set_xlim(0, max(values) * 1.25 or 1)
        axes.set_xticks([])
    for place, value, error in zip(places, values, errors[1], strict=True):
        axes.annotate(form(value), (value + error, place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.spines[["top", "right"]].set_visible(False)
