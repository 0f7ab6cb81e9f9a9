"""A progress bar on standard error, on a terminal only: rich's where it is installed, else one plain line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from sockserve.commands.bench.settings import Settings

SHORTEST = 0.2
"""Seconds over which a rate is worth showing: several processes tell their counts one after the other."""


@contextmanager
def progress(settings: Settings) -> Iterator[Callable[[int], None]]:
    """A function to be called with the number of messages answered so far."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        with _plain(settings) as show:
            yield show
        return
    measure = Measure(settings)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("connecting", total=1.0)

        def show(answered: int) -> None:
            share, text = measure(answered)
            bar.update(task, completed=share, description=text)

        yield show


@contextmanager
def _plain(settings: Settings) -> Iterator[Callable[[int], None]]:
    measure = Measure(settings)

    def show(answered: int) -> None:
        share, text = measure(answered)
        sys.stderr.write(f"\r{share:4.0%} {text}\x1b[K")
        sys.stderr.flush()

    yield show
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


class Measure:
    """How far the load is, and how fast it is now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # The first call says that it begins.
        self._begin = self._last = 0.0
        self._answered = 0
        self._rate = 0.0

    def __call__(self, answered: int) -> tuple[float, str]:
        """The share that is done, and a text."""
        settings = self._settings
        now = monotonic()
        self._begin = self._begin or now
        if now - self._last > SHORTEST:
            # Behind the warm-up counting begins anew.
            before = self._answered if answered >= self._answered else 0
            self._rate = (answered - before) / (now - self._last)
            self._last, self._answered = now, answered
        if settings.messages is not None:
            share = answered / settings.messages
        else:
            share = (now - self._begin) / ((settings.duration or 1.0) + settings.warmup)
        return min(share, 1.0), f"{self._rate:,.0f} messages/s"
