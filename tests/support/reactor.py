"""The reactor that the tests run on, which the processes that they start run on too.

`python -m twisted.trial --reactor=NAME`, or `REACTOR=NAME python -m pytest`, whose workers inherit it; without a name
it is Twisted's default. The names are those of `twistd --help-reactors`.
"""

from __future__ import annotations

import sys

from twisted.application.reactors import Reactor, getReactorTypes


def module() -> str:
    """Where the class of the installed reactor is defined; "" if none is installed."""
    installed = sys.modules.get("twisted.internet.reactor")
    return "" if installed is None else type(installed).__module__


def option() -> tuple[str, ...]:
    """What makes twistd, and a worker, run on the same; nothing if none is installed here."""
    known = [each for each in getReactorTypes() if isinstance(each, Reactor)]
    return tuple(f"--reactor={each.shortName}" for each in known if f"{module()}.".startswith(f"{each.moduleName}."))
