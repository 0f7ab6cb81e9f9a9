"""A reactor whose time does not jump when the system clock is set."""

from __future__ import annotations

import time
from typing import Any, cast

from twisted.python.runtime import seconds as wall_clock


def make_steady(reactor: object) -> None:
    """Make the reactor's timers use the system's monotonic clock.

    Twisted's reactors use the time of day. When that is set forward by an hour, every timeout ends at once, and healthy
    connections are closed; when it is set back, none ends for an hour. From now on, `reactor.seconds()` advances
    steadily from the current time of day. Other reactors, such as those of tests, are left alone.
    """
    steady = cast("Any", reactor)
    if getattr(reactor, "seconds", None) is wall_clock:
        start = wall_clock() - time.monotonic()
        steady.seconds = lambda: start + time.monotonic()
