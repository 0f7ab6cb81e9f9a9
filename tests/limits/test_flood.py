"""Floods of lines in the log."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.limits.flood import FEW, FloodGuard


class FloodTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.guard = FloodGuard(Logger(), self.clock, "orders")
        self.number = 0

    def lines(self, count: int, kind: str = "deny", seconds: float = 0) -> list[str | None]:
        """What is logged while that many lines come, and then that many seconds pass."""
        with capturedLogs() as events:
            for _ in range(count):
                self.number += 1
                self.guard.warn(kind, "line {number}", number=self.number)
            if seconds:
                self.clock.pump([0.25] * int(seconds * 4))
        return [formatEvent(event) for event in events]

    def test_a_few_lines_appear_as_they_come_and_leave_no_timer(self) -> None:
        self.assertEqual(self.lines(FEW), [f"line {number}" for number in range(1, FEW + 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_second_later_a_few_more_do(self) -> None:
        for _ in range(3):
            self.assertEqual(len(self.lines(FEW, seconds=1)), FEW)

    def test_what_is_more_is_counted_in_one_line(self) -> None:
        self.assertEqual(len(self.lines(FEW + 1000)), FEW)
        self.assertEqual(self.lines(0, seconds=1), ["orders: 1000 more lines of this kind (deny)"])

    def test_a_flood_that_goes_on_is_one_line_a_second(self) -> None:
        self.lines(FEW + 10, seconds=1)
        for _ in range(5):
            self.assertEqual(self.lines(10_000, seconds=1), ["orders: 10000 more lines of this kind (deny)"])

    def test_after_a_second_without_any_all_is_as_before(self) -> None:
        self.lines(FEW + 10, seconds=3)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.lines(FEW)), FEW)

    def test_a_single_line_that_was_left_out_appears_itself(self) -> None:
        self.lines(FEW + 1)
        self.assertEqual(self.lines(0, seconds=1), [f"line {FEW + 1}"])

    def test_kinds_do_not_hide_each_other(self) -> None:
        self.lines(1000)
        self.assertEqual(len(self.lines(1, "max_length")), 1)

    def test_at_the_end_the_counts_are_logged_and_no_timer_is_left(self) -> None:
        self.lines(FEW + 7)
        with capturedLogs() as events:
            self.guard.flush()
        self.assertEqual([formatEvent(event) for event in events], ["orders: 7 more lines of this kind (deny)"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failure_has_its_traceback_a_few_times(self) -> None:
        for _ in range(FEW + 10):
            self.guard.failure("handler", "the handler failed", Failure(LookupError()))
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), FEW)
        with capturedLogs() as events:
            self.guard.flush()
        self.assertEqual([formatEvent(event) for event in events], ["orders: 10 more lines of this kind (handler)"])
