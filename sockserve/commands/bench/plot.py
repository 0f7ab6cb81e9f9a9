"""The distribution of latencies as a picture. Needs matplotlib, of the extra `bench`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sockserve.commands.bench.latency import Histogram
from sockserve.commands.bench.report import describe, per_second
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
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    def in_seconds(axis: Axis, label: str) -> None:
        """Seconds on a log scale; with few powers of ten, 2 and 5 between them as well."""
        few = longest < 1000 * shortest
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        axis.set_major_formatter(EngFormatter("s"))
        axis.set_minor_formatter(NullFormatter())
        axis.set_label_text(label)

    histogram = result.latencies
    steps = list(histogram.steps())
    shortest, longest = max(steps[0][0], 1), steps[-1][1]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    figure.suptitle(f"{describe(settings)}\n{per_second(result):,.0f} messages/s", fontsize=10)
    left, right = figure.subplots(1, 2)

    shares, edges = _bars(histogram)
    left.stairs(shares, edges, fill=True)
    left.set_xscale("log")
    in_seconds(left.xaxis, "latency")
    left.tick_params("x", rotation=30)
    left.set_ylabel("share of the messages, %")

    # How many nines: the tail, where waiting happens, gets as much room as the rest.
    rests = [max(histogram.total - below, 1) / histogram.total for _, _, below in steps]
    right.step([1.0, *(1 / rest for rest in rests)], [shortest / 1e9, *(upper / 1e9 for _, upper, _ in steps)])
    right.set_xscale("log")
    right.set_yscale("log")
    ticks = [share for share in SHARES if 1 - share / 100 >= 1 / histogram.total]
    right.set_xticks([1 / (1 - share / 100) for share in ticks], [f"{share:g} %" for share in ticks])
    right.tick_params("x", rotation=30)
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("share of the messages that took no longer")
    in_seconds(right.yaxis, "latency")
    right.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120)


def _bars(histogram: Histogram, most: int = 80) -> tuple[list[float], list[float]]:
    """Shares in percent, and the edges between them in seconds: at most this many bars, equally wide on a log scale."""
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
