"""A deadline counts the time of the process, not that of the clock on the wall."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.deadlines import Deadline


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[float] = []
        self.deadline = Deadline(self.clock, 8.0, lambda: self.calls.append(self.clock.seconds()))

    def test_it_is_over_after_its_time_and_once(self) -> None:
        self.clock.pump([0.5] * 15)
        self.assertEqual(self.calls, [])
        self.clock.pump([0.5] * 3)
        self.assertEqual(len(self.calls), 1)
        self.assertFalse(self.clock.getDelayedCalls())

    def test_a_process_that_stood_still_has_lost_two_steps_at_the_most(self) -> None:
        self.clock.advance(100)
        self.clock.pump([0.5] * 11)
        self.assertEqual(self.calls, [])
        self.clock.pump([0.5] * 3)
        self.assertEqual(len(self.calls), 1)

    def test_cancelled_it_leaves_nothing_on_the_clock(self) -> None:
        self.deadline.cancel()
        self.deadline.cancel()
        self.assertFalse(self.clock.getDelayedCalls())
