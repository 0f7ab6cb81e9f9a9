"""The time of a reactor; tests/system/test_faults.py has a process whose clock is set."""

from __future__ import annotations

import time

from twisted.internet.base import ReactorBase
from twisted.internet.task import Clock
from twisted.python.runtime import seconds
from twisted.trial.unittest import SynchronousTestCase

from sockserve.service.clock import make_steady


class OfTheDay:
    """With the clock of Twisted's reactors."""

    seconds = staticmethod(seconds)


class SteadyTests(SynchronousTestCase):
    def test_twisted_takes_the_time_of_day(self) -> None:
        """When it does not any more, sockserve.service.clock has no work."""
        self.assertIs(ReactorBase.seconds, time.time)

    def test_it_goes_on_from_the_time_of_day_with_the_monotonic_clock(self) -> None:
        reactor = OfTheDay()
        make_steady(reactor)
        now = [5.0]
        self.patch(time, "monotonic", lambda: now[0])
        before = reactor.seconds()
        now[0] = 8.0
        self.assertEqual(reactor.seconds(), before + 3)
        self.patch(time, "monotonic", time.perf_counter)
        steady = OfTheDay()
        make_steady(steady)
        self.assertLess(abs(steady.seconds() - time.time()), 1)

    def test_another_clock_is_left_alone(self) -> None:
        clock = Clock()
        make_steady(clock)
        clock.advance(3)
        self.assertEqual(clock.seconds(), 3)
