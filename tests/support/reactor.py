"""The reactor that the tests run on, which the processes that they start run on too.

`python -m twisted.trial --reactor=NAME`, or `REACTOR=NAME python -m pytest`, whose workers inherit it; without a name
it is Twisted's default. The names are those of `twistd --help-reactors`.
"""

from __future__ import annotations

import sys

from sockserve.text import reactor_name


def module() -> str:
    """Where the class of the installed reactor is defined; "" if none is installed."""
    installed = sys.modules.get("twisted.internet.reactor")
    return "" if installed is None else type(installed).__module__


def name() -> str:
    """What twistd calls the installed reactor; "" if none is installed."""
    installed = sys.modules.get("twisted.internet.reactor")
    return "" if installed is None else reactor_name(installed)


def option() -> tuple[str, ...]:
    """What makes twistd, and a worker, run on the same; nothing if none is installed here."""
    return (f"--reactor={name()}",) if name() else ()
