"""Coroutines in asyncio tasks, which await Deferreds and futures side by side.

`start` gives a coroutine a task of its own, as asyncio's timeouts, task groups and cancellations require, and takes its
first step at once. When a Deferred fires, the next step is taken at once too, and not in the loop's next turn.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import current_task
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine
from contextvars import Context, copy_context
from sys import getrefcount
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sockserve.connection.driver import Driver
from sockserve.connection.mixed import Mixed

T = TypeVar("T")

if TYPE_CHECKING:

    class EagerTask(asyncio.Task[T]):
        """A task whose first step is taken when it is made, or before. In it, Deferreds can be awaited."""

    def start(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T | Deferred[T]:
        """See sockserve.connection.coroutine.begin."""

elif sys.version_info >= (3, 12):

    class EagerTask(asyncio.Task):
        pass

    def start(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T | Deferred[T]:
        mixed = Mixed(Driver(), coroutine, loop)
        task = EagerTask(mixed.drive(), loop=loop, eager_start=True)
        return _result_of(task) if task.done() else mixed.follow(task)

else:
    # Python 3.11 changes no more. This is its own task, in Python, without the wait for the loop's next turn. Most
    # coroutines end in their first step, and then the task can be the next one's, unless somebody has kept it.
    from asyncio.tasks import _PyTask, _register_task, _task_name_counter

    class EagerTask(_PyTask):
        # As long as it is not started.
        _log_destroy_pending = False
        renamed = False

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            _PyTask.__base__.__init__(self, loop=loop)
            self.driver = Driver()
            self._name = f"Task-{_task_name_counter()}"
            self._num_cancels_requested = 0
            self._must_cancel = False
            self._fut_waiter = None
            self._coro = None

        def set_name(self, value: object) -> None:
            super().set_name(value)
            self.renamed = True

        def go_on(self, mixed: Mixed, context: Context) -> None:
            """Take over what has taken its first step."""
            if self._must_cancel:
                self._must_cancel = False
                mixed.postponed = self._make_cancelled_error()
            self._log_destroy_pending = True
            self._coro = mixed.drive()
            self._context = context
            context.run(self._Task__step)
            if not self.done():
                _register_task(self)

    _spare: list[EagerTask] = []
    # Enough for coroutines that start others.
    _SPARE = 16

    def start(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T | Deferred[T]:
        outer = current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
            try:
                return start(coroutine, loop)
            finally:
                _enter_task(loop, outer)
        task = _spare.pop() if _spare else EagerTask(loop)
        if task._loop is not loop:
            task = EagerTask(loop)
        task._coro = coroutine
        driver = task.driver
        context = copy_context()
        _enter_task(loop, task)
        try:
            awaited = context.run(driver.send, coroutine)
        finally:
            _leave_task(loop, task)
        if awaited is driver.end:
            if task._must_cancel:
                raise task._make_cancelled_error()
            # Two: the variable, and what getrefcount looks at.
            if getrefcount(task) == 2 and not task.renamed and len(_spare) < _SPARE:
                _spare.append(task)
            return driver.take()
        mixed = Mixed(driver, None, loop)
        mixed.ahead = (awaited,)
        mixed.task = task
        task.go_on(mixed, context)
        return _result_of(task) if task.done() else mixed.follow(task)


def _result_of(task: EagerTask[T]) -> T:
    value = task.result()
    if isinstance(value, Failure):
        value.raiseException()
    return value


def takes_deferreds(task: asyncio.Task[Any] | None) -> bool:
    """Whether Deferreds can be awaited there; None: in no task, where Twisted drives the coroutine."""
    return task is None or isinstance(task, EagerTask)


async def awaited(deferred: Deferred[T]) -> T:
    """The Deferred's result, in any other task."""
    return cast("T", await Mixed(Driver(), _result(deferred), asyncio.get_running_loop(), at_once=False))


async def _result(deferred: Deferred[T]) -> T:
    return await deferred
