"""Running coroutines that await Deferreds and, under the asyncio reactor, asyncio's awaitables too.

A coroutine takes its first step at once, in the caller's turn. Most end there, and cost no Deferred and no turn of the
reactor. In the others, each step is taken when the Deferred fires that is awaited. Under asyncio each coroutine has a
task; see sockserve.connection.tasks.
"""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop
from asyncio import current_task
from collections.abc import Awaitable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from sockserve.connection import tasks
from sockserve.connection.awaited import Awaited, Ending
from sockserve.connection.driver import Driver

T = TypeVar("T")


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Deferred[T]:
    """Start a coroutine. Returns what it returns, or raises what it raises, if it ends without having to wait.

    Otherwise returns a Deferred as `run` does.
    """
    loop = running_loop()
    if loop is not None:
        return tasks.start(coroutine, loop)
    driver = _spare.pop() if _spare else Driver()
    context = copy_context()
    awaited = context.run(driver.send, coroutine)
    if awaited is driver.end:
        if len(_spare) < _SPARE:
            _spare.append(driver)
        return cast("T", driver.take())
    return _Waiting(driver, context, awaited).end


# Drivers without a coroutine: enough for coroutines that start others.
_spare: list[Driver] = []
_SPARE = 16


def run(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Start a coroutine. The Deferred fires with its result or exception; cancelling it cancels what is awaited."""
    try:
        result = begin(coroutine)
    except BaseException:
        return fail()
    return result if isinstance(result, Deferred) else succeed(result)


def awaitable(deferred: Deferred[T]) -> Awaitable[T]:
    """What gives the Deferred's result in any coroutine: one of Twisted's, of `run`, or in an asyncio task."""
    loop = running_loop()
    if loop is None or tasks.takes_deferreds(current_task(loop)):
        return deferred
    return tasks.awaited(deferred)


class _Waiting(Ending):
    """A coroutine that waits for Deferreds, without asyncio."""

    __slots__ = ("_awaited", "_context", "_driver")

    def __init__(self, driver: Driver, context: Context, awaited: object) -> None:
        self._driver = driver
        self._context = context
        self._awaited: Deferred[Any] | None = None
        self.begin()
        self._wait(awaited)

    def give_up(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()

    def _wait(self, awaited: object) -> None:
        """Wait for what the coroutine awaits, or take its result."""
        if type(awaited) is Awaited:
            self._awaited = awaited
            awaited.then(self._fired)
            return
        try:
            while not isinstance(awaited, Deferred):
                if awaited is self._driver.end:
                    result = self._driver.take()
                    if len(_spare) < _SPARE:
                        _spare.append(self._driver)
                    break
                # Nothing to wait for, such as the None of asyncio.sleep(0).
                awaited = self._context.run(self._driver.send, awaited)
            else:
                self._awaited = awaited
                awaited.addBoth(self._fired)
                return
        except BaseException:
            self.last.errback()
            return
        self.last.callback(result)

    def _fired(self, result: object) -> None:
        driver = self._driver
        try:
            if isinstance(result, Failure):
                awaited = self._context.run(driver.throw, result)
            else:
                awaited = self._context.run(driver.send, result)
        except BaseException:
            self.last.errback()
        else:
            self._wait(awaited)
