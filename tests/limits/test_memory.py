"""The budget for what all connections hold."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.limits.memory import MemoryBudget, budget_of
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import connect


class Holder:
    """A connection that holds so many bytes. weighed: how often it was asked."""

    def __init__(self, held: int = 0) -> None:
        self.size = held
        self.weighed = 0
        self.paused = False
        self.aborted: list[str] = []

    @property
    def held(self) -> int:
        self.weighed += 1
        return self.weigh()

    @held.setter
    def held(self, held: int) -> None:
        self.size = held

    def weigh(self) -> int:
        return self.size

    def hold_reading(self, reason: str) -> None:
        assert reason == "memory_budget"
        self.paused = True

    def release_reading(self, reason: str) -> None:
        assert reason == "memory_budget"
        self.paused = False

    def abort_for(self, limit: str, text: str) -> None:
        self.aborted.append(text)
        self.held = 0


class BudgetTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.budget = MemoryBudget(1000, self.clock)

    def holders(self, *sizes: int) -> list[Holder]:
        holders = [Holder(size) for size in sizes]
        for holder in holders:
            self.budget.join(holder)
        return holders

    def paused(self, holders: Sequence[Holder]) -> list[bool]:
        return [holder.paused for holder in holders]

    def test_below_the_budget_nobody_is_held_up(self) -> None:
        holders = self.holders(400, 500)
        for _ in range(100):
            self.budget.grow(90)
        self.assertEqual(self.paused(holders), [False, False])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_above_it_the_largest_are_not_read_from(self) -> None:
        holders = self.holders(100, 500, 200, 300)
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [False, True, True, True])

    def test_a_little_above_it_only_some_are(self) -> None:
        holders = self.holders(10, 700, 90, 210)
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [False, True, False, True])
        self.assertEqual(self.paused(self.holders(*[0] * 5)), [False] * 5)

    def test_one_always_goes_on(self) -> None:
        holders = self.holders(560, 540)
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [True, False])
        holders[1].held = 555
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [True, False])
        holders[1].held = 0
        self.clock.advance(1)
        self.assertEqual(self.paused(holders), [False, False])

    def test_one_that_holds_too_much_alone_is_aborted(self) -> None:
        (holder,) = self.holders(1100)
        self.budget.grow(1001)
        self.clock.pump([1] * 11)
        self.assertEqual(len(holder.aborted), 1)

    def test_they_are_read_from_again_when_there_is_room(self) -> None:
        holders = self.holders(10, 1050)
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [False, True])
        self.clock.advance(1)
        self.assertEqual(self.paused(holders), [False, True])
        holders[1].held = 800
        self.clock.advance(1)
        self.assertEqual(self.paused(holders), [False, False])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_grows_while_others_are_held_up_is_held_up_next(self) -> None:
        holders = self.holders(10, 1050)
        self.budget.grow(1001)
        holders += self.holders(20)
        holders[0].held = 40
        self.budget.grow(600)
        self.assertEqual(self.paused(holders), [True, True, False])

    def test_what_never_goes_down_is_aborted_the_largest_first(self) -> None:
        holders = self.holders(100, 520, 490)
        self.budget.grow(1001)
        self.clock.pump([1] * 10)
        self.assertEqual([len(holder.aborted) for holder in holders], [0, 0, 0])
        self.clock.advance(1)
        self.assertEqual([len(holder.aborted) for holder in holders], [0, 1, 0])
        self.assertIn("memory_budget", holders[1].aborted[0])
        self.assertEqual(self.paused([holders[0], holders[2]]), [False, False])

    def test_above_an_eighth_more_the_largest_are_aborted_at_once_until_the_others_have_room(self) -> None:
        holders = self.holders(100, 600, 500, 400)
        self.budget.grow(1001)
        self.assertEqual([len(holder.aborted) for holder in holders], [0, 1, 0, 0])
        self.assertEqual(self.paused(holders), [False, False, False, False])
        self.assertIn("600 bytes are held for it", holders[1].aborted[0])

    def test_smaller_ones_are_aborted_too_where_the_largest_are_not_enough(self) -> None:
        holders = self.holders(125, *[102] * 10)
        self.budget.grow(1001)
        self.assertEqual([len(holder.aborted) for holder in holders], [1, 1] + [0] * 9)

    def test_who_ends_with_another_is_not_aborted_as_well(self) -> None:
        budget = self.budget

        class Paired(Holder):
            def abort_for(self, limit: str, text: str) -> None:
                super().abort_for(limit, text)
                holders[1].held = 0
                budget.leave(holders[1])

        holders: list[Holder] = [Paired(900), Holder(800), Holder(700)]
        for holder in holders:
            budget.join(holder)
        budget.grow(1001)
        self.assertEqual([len(holder.aborted) for holder in holders], [1, 0, 0])

    def test_what_several_hold_together_is_given_up_by_the_last_of_them(self) -> None:
        class Sharing(Holder):
            def weigh(self) -> int:
                return 0 if self.aborted else 1200 // sum(not holder.aborted for holder in sharing)

        sharing = [Sharing() for _ in range(10)]
        alone = Holder(100)
        for holder in (*sharing, alone):
            self.budget.join(holder)
        self.budget.grow(1001)
        self.assertEqual([len(holder.aborted) for holder in sharing], [1] * 10)
        self.assertEqual(alone.aborted, [])

    def test_only_those_that_have_grown_are_weighed_as_long_as_there_is_room(self) -> None:
        *quiet, busy = self.holders(*[0] * 100, 10)
        for _ in range(100):
            self.budget.grow(90, busy)
        self.assertEqual([holder.weighed for holder in quiet], [0] * 100)
        self.assertGreater(busy.weighed, 5)
        # There may be no room any more: the others may hold less than when they had grown.
        busy.held = 1001
        self.budget.grow(1000, busy)
        self.assertEqual([holder.weighed for holder in quiet], [1] * 100)

    def test_who_has_given_something_up_since_is_found_out_before_others_are_held_up(self) -> None:
        holders = self.holders(600, 0, 0)
        self.budget.grow(600, holders[0])
        self.budget.grow(401, holders[0])
        holders[0].held, holders[1].held = 0, 900
        self.budget.grow(900, holders[1])
        self.assertEqual(self.paused(holders), [False, False, False])
        holders[2].held = 150
        self.budget.grow(150, holders[2])
        self.assertEqual(self.paused(holders), [False, True, False])

    def test_who_was_large_a_moment_ago_is_not_aborted(self) -> None:
        """Weighing takes time here, and all are not weighed again at once."""
        clock = self.clock

        class Slow(Holder):
            def weigh(self) -> int:
                clock.rightNow += 0.01
                return self.size

        holders = [Slow(600), Slow(450), Slow()]
        for holder in holders:
            self.budget.join(holder)
            self.budget.grow(holder.size, holder)
        self.assertEqual(self.paused(holders), [True, False, False])
        holders[0].held, holders[2].held = 0, 700
        self.budget.grow(700, holders[2])
        self.assertEqual([len(holder.aborted) for holder in holders], [0, 0, 1])

    def test_those_held_up_are_not_read_from_again_at_once_when_others_are_aborted(self) -> None:
        holders = self.holders(10, 1050)
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [False, True])
        holders[1].held = 980
        self.budget.grow(300)
        self.assertEqual(self.paused(holders), [False, True])
        holders[1].held = 750
        self.budget.grow(300)
        self.assertEqual(self.paused(holders), [False, False])

    def test_its_size_can_change(self) -> None:
        holders = self.holders(300, 600)
        self.budget.grow(400)
        self.assertEqual(self.paused(holders), [False, False])
        self.budget.resize(800)
        self.budget.grow(1)
        self.assertEqual(self.paused(holders), [False, True])
        with self.assertRaisesRegex(ValueError, "memory_budget must be at least 1, not 0"):
            self.budget.resize(0)

    def test_the_line_comes_every_ten_seconds_however_often_they_are_held_up(self) -> None:
        (holder, _) = self.holders(900, 100)
        with capturedLogs() as events:
            for _ in range(21):
                holder.held = 1000
                self.budget.grow(1001)
                holder.held = 100
                self.clock.advance(1)
        self.assertEqual(len(events), 3)
        self.assertIn("more than 1000 (memory_budget)", formatEvent(events[0]))

    def test_a_process_has_one_unless_one_is_given(self) -> None:
        budget = budget_of(self.clock)
        self.assertEqual(budget.limit, 256 << 20)
        self.assertIs(budget_of(self.clock), budget)
        self.assertIs(budget_of(self.clock, 1 << 20), budget)
        self.assertEqual(budget.limit, 1 << 20)
        self.assertIsNot(budget_of(Clock()), budget)
        first, second = (SocketServer(name, "tcp:0", reactor=MemoryReactorClock()) for name in ("a", "b"))
        self.assertIsNot(first._memory, second._memory)
        self.assertIs(SocketServer("c", "tcp:0", reactor=first._reactor)._memory, first._memory)
        self.assertIs(SocketServer("c", "tcp:0", memory=budget)._memory, budget)

    def test_the_time_above_the_budget_begins_again_below_it(self) -> None:
        (holder,) = self.holders(1100)
        self.budget.grow(1001)
        for _ in range(5):
            self.clock.pump([1] * 9)
            holder.held = 100
            self.clock.advance(1)
            holder.held = 1100
            self.budget.grow(1001)
        self.assertEqual(holder.aborted, [])

    def test_who_has_left_holds_nothing(self) -> None:
        holders = self.holders(600, 600)
        self.budget.leave(holders[0])
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [False, False])

    def test_without_connections_nothing_is_left_on_the_clock(self) -> None:
        for holder in self.holders(600, 600):
            self.budget.grow(1001)
            self.budget.leave(holder)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_is_at_least_one_byte(self) -> None:
        with self.assertRaises(ValueError):
            MemoryBudget(0, self.clock)

    def test_who_is_held_up_again_while_others_go_on_stays_held_up(self) -> None:
        budget = self.budget

        class Bursting(Holder):
            """The first one that goes on makes all of them large."""

            def release_reading(self, reason: str) -> None:
                super().release_reading(reason)
                if not any(each.held == 370 for each in holders):
                    for each in holders:
                        each.held = 370
                    budget.grow(6000)

        holders = [Bursting(340), Bursting(340), Bursting(340)]
        small = Holder(1)
        for holder in (*holders, small):
            self.budget.join(holder)
        self.budget.grow(1001)
        self.assertEqual(self.paused(holders), [True] * 3)
        for holder in holders:
            holder.held = 0
        self.clock.advance(1)
        self.assertEqual(self.paused([*holders, small]), [True, True, True, False])


class Answering(MessageProtocol):
    framing = "buffered:\n"

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(b"answer to " + message)


class OrderTests(SynchronousTestCase):
    def test_what_makes_room_for_others_leaves_before_their_answers(self) -> None:
        clock = Clock()
        protocol = Answering()
        memory = MemoryBudget(100, clock)
        protocol.options = ConnectionOptions(reactor=clock, memory=memory)
        _, transport = connect(protocol)
        other = Holder(50)
        memory.join(other)
        protocol.pauseProducing()
        protocol.dataReceived(b"question\n" + bytes(51))
        memory.grow(50)
        protocol.resumeProducing()
        self.assertEqual(transport.value(), b"")
        other.held = 0
        protocol.sendMessage(b"first, and long enough to count again")
        self.assertEqual(transport.value().partition(b"\n")[0], b"first, and long enough to count again")
        self.assertEqual(transport.value().partition(b"\n")[2], b"answer to question\n")
