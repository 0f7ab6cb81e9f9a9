"""The distribution of latencies as a picture. Needs matplotlib, of the extra `bench`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sockserve.commands.bench.latency import Histogram
from sockserve.commands.bench.report import describe, duration, per_second
from sockserve.commands.bench.settings import Result, Settings

SHARES = (50, 90, 99, 99.9, 99.99, 99.999)


def check(path: Path) -> None:
    """Raises ValueError, in one line, when a picture cannot be drawn there."""
    if find_spec("matplotlib") is None:
        raise ValueError("drawing needs matplotlib: pip install 'sockserve[bench]'")
    if not path.parent.is_dir():
        raise ValueError(f"there is no directory {str(path.parent)!r}")
    if path.suffix != ".png":
        raise ValueError(f"{str(path)!r}: the name of the picture ends in .png")


def draw(path: Path, settings: Settings, result: Result) -> None:
    """Write the picture. Raises OSError."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    histogram = result.latencies
    steps = list(histogram.steps())
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    figure.suptitle(f"{describe(settings)}\n{per_second(result):,.0f} messages/s", fontsize=10)
    left, right = figure.subplots(1, 2)
    seconds = FuncFormatter(lambda value, _: duration(value))

    shares, edges = _bars(histogram)
    left.stairs(shares, edges, fill=True)
    left.set_xscale("log")
    left.xaxis.set_major_formatter(seconds)
    left.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    left.set_xlabel("latency")
    left.set_ylabel("share of the messages, %")

    # How many nines: the tail, where waiting happens, gets as much room as the rest.
    below = [1 - step[2] / histogram.total for step in steps]
    smallest = 1 / histogram.total
    right.step([1 / max(rest, smallest) for rest in (1.0, *below)], [steps[0][0] / 1e9, *(s[1] / 1e9 for s in steps)])
    right.set_xscale("log")
    right.set_yscale("log")
    ticks = [share for share in SHARES if 1 - share / 100 >= smallest]
    right.set_xticks([1 / (1 - share / 100) for share in ticks], [f"{share:g} %" for share in ticks])
    right.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    right.yaxis.set_major_formatter(seconds)
    right.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    right.set_xlabel("share of the messages that took no longer")
    right.set_ylabel("latency")
    right.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120)


def _bars(histogram: Histogram, most: int = 80) -> tuple[list[float], list[float]]:
    """Shares in percent, and the edges between them in seconds: at most so many bars, equally wide on a log scale."""
    steps = list(histogram.steps())
    low, high = max(steps[0][0], 1), steps[-1][1] + 1
    factor = max((high / low) ** (1 / most), 1.01)
    edges = [float(low)]
    while edges[-1] < high:
        edges.append(edges[-1] * factor)
    counts = [0] * (len(edges) - 1)
    before, at = 0, 0
    for lower, upper, below in steps:
        while at < len(counts) - 1 and edges[at + 1] <= (lower + upper) / 2:
            at += 1
        counts[at] += below - before
        before = below
    return [100 * count / histogram.total for count in counts], [edge / 1e9 for edge in edges]
