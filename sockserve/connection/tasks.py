"""Coroutines in asyncio tasks, which await Deferreds and futures side by side.

`start` gives a coroutine a task of its own, as asyncio's timeouts, task groups and cancellations require, and takes its
first step at once. When a Deferred fires, the next step is taken at once too, and not in the loop's next turn. As long
as one Deferred follows the other, the task knows nothing of it: it waits for the same `_Firing`, and is the current
one while a step is taken. It has to do something when the coroutine awaits a future, is cancelled, or ends.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import current_task
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from sys import getrefcount
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from sockserve.connection.awaited import Awaited, Ending
from sockserve.connection.driver import Driver

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
        mixed = _Mixed(Driver(), coroutine, loop)
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

        def go_on(self, mixed: _Mixed, context: Context) -> None:
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
        mixed = _Mixed(driver, None, loop)
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
    return cast("T", await _Mixed(Driver(), _result(deferred), asyncio.get_running_loop(), at_once=False))


async def _result(deferred: Deferred[T]) -> T:
    return await deferred


class _Mixed(Ending):
    """A coroutine inside an asyncio task: futures go to the task, and a Deferred is waited for through a `_Firing`.

    If the task is cancelled, by asyncio.timeout for example, the coroutine gets asyncio's CancelledError, whatever it
    awaits. If `end` is cancelled, it gets Twisted's at a Deferred, as without asyncio.

    driver: drives the coroutine. task: its task, until that is over; None: it is somebody else's.
    ahead: what the driver has yielded, or what the coroutine has raised, before the task knew; None: nothing.
    postponed: a cancellation that came after a result: the next await raises it, if it is still in force then.
    """

    __slots__ = ("_at_once", "_coroutine", "_firing", "_given_up", "_loop", "ahead", "driver", "postponed", "task")

    def __init__(
        self,
        driver: Driver,
        coroutine: Coroutine[Any, Any, Any] | None,
        loop: asyncio.AbstractEventLoop,
        *,
        at_once: bool = True,
    ) -> None:
        """coroutine: what the driver is to drive; None: it does so already.

        at_once: take the next step when a Deferred fires, and not in the loop's next turn.
        """
        self.task: asyncio.Task[Any] | None = None
        self.driver = driver
        self._coroutine = coroutine
        self._loop = loop
        self._at_once = at_once
        # Set while the task waits for a Deferred.
        self._firing: _Firing | None = None
        # `end` was cancelled.
        self._given_up = False
        self.ahead: tuple[object] | BaseException | None = None
        self.postponed: asyncio.CancelledError | None = None

    def follow(self, task: asyncio.Task[Any]) -> Deferred[Any]:
        """What fires when this task of it is over."""
        self.task = task
        self.begin()
        task.add_done_callback(self._over)
        return self.end

    def give_up(self) -> None:
        """Cancel what is awaited. If that ends the coroutine, what it holds is free before this returns."""
        assert self.task is not None
        self._given_up = True
        firing = self._firing
        if firing is None or firing.done():
            self.task.cancel()
        else:
            firing.deferred.cancel()
            if self.task.done():
                self._over(self.task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        if self.task is None:
            # Told before.
            return
        self.task = None
        try:
            value = task.result()
        except BaseException:
            self.last.errback()
        else:
            self.last.callback(value)

    async def drive(self) -> Any:  # noqa: ANN401 - what the coroutine returns
        try:
            return await self
        except asyncio.CancelledError:
            raise
        except BaseException:
            # SystemExit and KeyboardInterrupt would end asyncio's loop, and a task keeps the traceback of what is
            # raised. To a Deferred, this is the same.
            return Failure()

    def __await__(self) -> Generator[Any, Any, Any]:
        driver = self.driver
        step: Callable[[Any], Any] = driver.send
        value: Any = self._coroutine
        while True:
            ahead, self.ahead = self.ahead, None
            if ahead is None:
                awaited = step(value)
            elif isinstance(ahead, tuple):
                (awaited,) = ahead
            else:
                raise ahead
            if awaited is driver.end:
                return driver.take()
            step, value = driver.send, None
            error: BaseException | None
            postponed, self.postponed = self.postponed, None
            if postponed is not None and _cancelling():
                _give_up(awaited)
                error = postponed
            elif isinstance(awaited, Deferred):
                error = yield from self._wait(awaited)
            else:
                try:
                    value = yield awaited
                    continue
                except BaseException as raised:  # an asyncio cancellation too is for the coroutine
                    error = raised
            if error is not None:
                step, value = driver.steps.throw, error

    def _wait(self, deferred: Deferred[Any]) -> Generator[Any, Any, BaseException | None]:
        """Wait until it has a result, which is left for the coroutine to take; or return what it is to raise."""
        cancelled: asyncio.CancelledError | None = None
        while True:
            firing = self._firing = _Firing(deferred, self, self._loop, at_once=self._at_once)
            try:
                yield firing
                break
            except asyncio.CancelledError as error:
                if not firing.cancelled():
                    # The result came first, and must not be lost.
                    self.postponed = error
                    break
                if not self._given_up:
                    cancelled = error
                # Not the first one, perhaps.
                deferred = firing.deferred
                deferred.cancel()
        self._firing = None
        if cancelled is None:
            return firing.failed()
        taken: list[object] = []

        def take(failure: Failure) -> None:
            taken.append(failure.trap(CancelledError, asyncio.CancelledError))

        deferred.addErrback(take)
        return cancelled if taken else None


class _Firing:
    """What a task waits for when its coroutine awaits a Deferred: as much of a future as tasks use.

    deferred: what the coroutine awaits now.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_at_once",
        "_cancelled",
        "_done",
        "_failure",
        "_loop",
        "_mixed",
        "_wake",
        "deferred",
    )

    def __init__(
        self, deferred: Deferred[Any], mixed: _Mixed, loop: asyncio.AbstractEventLoop, *, at_once: bool
    ) -> None:
        self._asyncio_future_blocking = True
        self._mixed = mixed
        self._loop = loop
        self._at_once = at_once
        self._done = self._cancelled = False
        # If the next step is taken while the Deferred fires: its failure, which that step is to raise.
        self._failure: Failure | None = None
        self._wake: tuple[Callable[[_Firing], object], Context | None] | None = None
        self._wait(deferred)

    def _wait(self, deferred: Deferred[Any]) -> None:
        self.deferred = deferred
        if type(deferred) is Awaited:
            deferred.then(self._fired)
        else:
            deferred.addBoth(self._fired)

    def _fired(self, result: object) -> object:
        if self._done:
            # Cancelled before.
            return result
        self._done = True
        if self._wake is None:
            return result
        function, context = self._wake
        if context is None or not self._at_once or current_task(self._loop) is not None:
            self._loop.call_soon(function, self, context=context)
            return result
        if isinstance(result, Failure):
            self._failure = result
        elif self._goes_on(context):
            return None
        context.run(function, self)
        return None

    def _goes_on(self, context: Context) -> bool:
        """Take the coroutine's next step. Returns whether it awaits another Deferred now, and that is all."""
        mixed = self._mixed
        task = mixed.task
        if task is None or mixed.postponed is not None:
            return False
        _enter_task(self._loop, task)
        try:
            awaited = context.run(mixed.driver.send, None)
        except BaseException as error:
            mixed.ahead = error
            return False
        finally:
            _leave_task(self._loop, task)
        if not isinstance(awaited, Deferred) or task._must_cancel:  # type: ignore[attr-defined]
            mixed.ahead = (awaited,)
            return False
        self._done = False
        self._wait(awaited)
        return True

    def failed(self) -> BaseException | None:
        """What the coroutine is to raise; None: it takes the result from the Deferred."""
        failure, self._failure = self._failure, None
        if failure is None or failure.value is None:
            return None
        return failure.value.with_traceback(failure.getTracebackObject())

    # What tasks call.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, function: Callable[[_Firing], object], *, context: Context | None = None) -> None:
        self._wake = function, context
        if self._done:
            self._loop.call_soon(function, self, context=context)

    def cancel(self, msg: object = None) -> bool:
        if self._done:
            return False
        self._done = self._cancelled = True
        if self._wake is not None:
            function, context = self._wake
            self._loop.call_soon(function, self, context=context)
        return True

    def cancelled(self) -> bool:
        return self._cancelled

    def done(self) -> bool:
        return self._done

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError


def _cancelling() -> bool:
    task = current_task()
    return task is not None and task.cancelling() > 0


def _give_up(awaited: object) -> None:
    if isinstance(awaited, Deferred):
        awaited.addErrback(lambda _: None)
        awaited.cancel()
    elif isinstance(awaited, asyncio.Future):
        awaited.cancel()
