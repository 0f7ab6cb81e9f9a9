"""Threads for handlers that block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from sockserve.handlers import threads
from sockserve.handlers.threads import Threads


class ThreadsTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.patch(threads, "_IDLE", 0.05)
        self.threads = Threads()
        self.go = threading.Event()
        self.addCleanup(self.go.set)

    def blocked(self, count: int) -> list[Deferred[bool]]:
        return [self.threads.call(self.go.wait, 10) for _ in range(count)]

    async def test_what_the_function_returns_and_what_it_raises(self) -> None:
        self.assertEqual(await self.threads.call(divmod, 7, 2), (3, 1))
        with self.assertRaises(ZeroDivisionError):
            await self.threads.call(divmod, 7, 0)

    async def test_what_has_become_ready_in_one_turn_comes_in_one_call(self) -> None:
        woken: list[object] = []

        class Reactor:
            def callFromThread(self, function: Callable[[], None]) -> None:
                woken.append(function)

        pool = Threads(cast("IReactorFromThreads", Reactor()))
        calls = [pool.call(divmod, number, 7) for number in range(20)]
        while len(pool._results) < 20:
            await deferLater(reactor, 0)
        self.assertEqual(len(woken), 1)
        for function in woken:
            cast("Callable[[], None]", function)()
        self.assertEqual(await gatherResults(calls), [divmod(number, 7) for number in range(20)])

    async def test_a_deferred_as_the_result_is_an_error(self) -> None:
        with self.assertRaises(TypeError):
            await self.threads.call(Deferred)

    async def test_ten_at_once_and_the_rest_in_turn(self) -> None:
        begun = threading.Barrier(11)
        ten = [self.threads.call(begun.wait, 10) for _ in range(10)]
        begun.wait(10)
        await gatherResults(ten)
        blocked = self.blocked(10)
        more = self.threads.call(self.go.is_set)
        self.go.set()
        self.assertTrue(await more)
        await gatherResults(blocked)

    async def test_a_call_cancelled_before_it_begins_is_not_made(self) -> None:
        made: list[int] = []
        blocked = self.blocked(10)
        append: Callable[[int], None] = made.append
        waiting = self.threads.call(append, 1)
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.go.set()
        await gatherResults(blocked)
        await self.threads.call(append, 2)
        self.assertEqual(made, [2])

    async def test_threads_without_work_end_and_come_back(self) -> None:
        names: set[threading.Thread] = set()
        for _ in range(3):
            names = {await self.threads.call(threading.current_thread)}
            for thread in names:
                self.assertTrue(thread.daemon)
                thread.join(10)
                self.assertFalse(thread.is_alive())

    async def test_threads_that_cannot_be_started(self) -> None:
        """With some there the work goes to them; without any it is an error, and is not done later."""

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        made: list[int] = []
        append: Callable[[int], None] = made.append
        refusing = self.patch(threading.Thread, "start", refuse)
        for _ in range(20):
            with self.assertRaises(RuntimeError):
                self.threads.call(append, 1)
        refusing.restore()
        (blocked,) = self.blocked(1)
        refusing.patch()
        waiting = self.threads.call(append, 2)
        self.go.set()
        await blocked
        await waiting
        self.assertEqual(made, [2])
