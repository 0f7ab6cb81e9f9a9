"""A reactor whose time does not jump when the clock of the machine is set."""

from __future__ import annotations

import time
from typing import Any, cast

from twisted.python.runtime import seconds as wall_clock


def make_steady(reactor: object) -> None:
    """Let the reactor's timers run by the system's monotonic clock.

    Twisted's reactors take the time of day. Set forward by an hour, it ends every timeout at once, and with it
    connections that were served well; set back, none ends for that hour. From here on `reactor.seconds()` goes on from
    the time of day there is now. Other reactors, such as those of tests, are left alone.
    """
    steady = cast("Any", reactor)
    if getattr(reactor, "seconds", None) is wall_clock:
        start = wall_clock() - time.monotonic()
        steady.seconds = lambda: start + time.monotonic()
