"""Coroutines in asyncio tasks, which await Deferreds and futures side by side.

`start` gives a coroutine a task of its own, as asyncio's timeouts, task groups and cancellations require, and takes its
first step at once. When a Deferred fires, the next step is taken at once too, and not in the loop's next turn.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import current_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from sockserve.connection.awaited import Awaited, Ending

T = TypeVar("T")

if TYPE_CHECKING:

    class EagerTask(asyncio.Task[T]):
        """Takes its first step when it is made. In it, Deferreds can be awaited."""

        def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None: ...

elif sys.version_info >= (3, 12):

    class EagerTask(asyncio.Task):
        def __init__(self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
            super().__init__(coroutine, loop=loop, eager_start=True)

else:
    # Python 3.11 changes no more. This is its own task, in Python, without the wait for the loop's next turn.
    from asyncio.tasks import _enter_task, _leave_task, _PyTask, _register_task, _task_name_counter

    class EagerTask(_PyTask):
        def __init__(self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
            _PyTask.__base__.__init__(self, loop=loop)
            self._coro = coroutine
            self._context = copy_context()
            self._name = f"Task-{_task_name_counter()}"
            self._num_cancels_requested = 0
            self._must_cancel = False
            self._fut_waiter = None
            outer = current_task(loop)
            if outer is not None:
                _leave_task(loop, outer)
            try:
                self._context.run(self._Task__step)
            finally:
                if outer is not None:
                    _enter_task(loop, outer)
            if not self.done():
                _register_task(self)


def start(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T | Deferred[T]:
    """See sockserve.connection.coroutine.begin."""
    mixed = _Mixed(coroutine, loop)
    task = EagerTask(mixed.drive(), loop)
    if not task.done():
        return mixed.follow(task)
    value = task.result()
    if isinstance(value, Failure):
        value.raiseException()
    return cast("T", value)


def takes_deferreds(task: asyncio.Task[Any] | None) -> bool:
    """Whether Deferreds can be awaited there; None: in no task, where Twisted drives the coroutine."""
    return task is None or isinstance(task, EagerTask)


async def awaited(deferred: Deferred[T]) -> T:
    """The Deferred's result, in any other task."""
    return cast("T", await _Mixed(_result(deferred), asyncio.get_running_loop(), at_once=False))


async def _result(deferred: Deferred[T]) -> T:
    return await deferred


class _Mixed(Ending):
    """A coroutine inside an asyncio task: futures go to the task, and a Deferred is waited for through a `_Firing`.

    If the task is cancelled, by asyncio.timeout for example, the coroutine gets asyncio's CancelledError, whatever it
    awaits. If `end` is cancelled, it gets Twisted's at a Deferred, as without asyncio.
    """

    __slots__ = ("_at_once", "_coroutine", "_deferred", "_given_up", "_loop", "_postponed", "_task")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop, *, at_once: bool = True
    ) -> None:
        """at_once: take the next step when a Deferred fires, and not in the loop's next turn."""
        self._task: asyncio.Task[Any] | None = None
        self._coroutine = coroutine
        self._loop = loop
        self._at_once = at_once
        # What the coroutine awaits, if it is a Deferred.
        self._deferred: Deferred[Any] | None = None
        # `end` was cancelled.
        self._given_up = False
        # A cancellation that came after a result: the next await raises it, if it is still in force then.
        self._postponed: asyncio.CancelledError | None = None

    def follow(self, task: asyncio.Task[Any]) -> Deferred[Any]:
        """What fires when this task of it is over."""
        self._task = task
        self.begin()
        task.add_done_callback(self._over)
        return self.end

    def give_up(self) -> None:
        """Cancel what is awaited. If that ends the coroutine, what it holds is free before this returns."""
        assert self._task is not None
        self._given_up = True
        if self._deferred is None:
            self._task.cancel()
        else:
            self._deferred.cancel()
            if self._task.done():
                self._over(self._task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        if self._task is None:
            # Told before.
            return
        self._task = None
        try:
            value = task.result()
        except BaseException:
            self.last.errback()
        else:
            self.last.callback(value)

    async def drive(self) -> Any:  # noqa: ANN401 - what the coroutine returns
        try:
            value = await self
        except asyncio.CancelledError:
            raise
        except BaseException:
            # SystemExit and KeyboardInterrupt would end asyncio's loop, and a task keeps the traceback of what is
            # raised. To a Deferred, this is the same.
            return Failure()
        need_no_deferred(value)
        return value

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration as stop:
                return stop.value
            step, value = coroutine.send, None
            error: BaseException | None
            postponed, self._postponed = self._postponed, None
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
                step, value = coroutine.throw, error

    def _wait(self, deferred: Deferred[Any]) -> Generator[Any, Any, BaseException | None]:
        """Wait until it has a result, which is left for the coroutine to take; or return what it is to raise."""
        cancelled: asyncio.CancelledError | None = None
        self._deferred = deferred
        while True:
            firing = _Firing(deferred, self._loop, at_once=self._at_once)
            try:
                yield firing
                break
            except asyncio.CancelledError as error:
                if not firing.cancelled():
                    # The result came first, and must not be lost.
                    self._postponed = error
                    break
                if not self._given_up:
                    cancelled = error
                deferred.cancel()
        self._deferred = None
        if cancelled is None:
            return firing.failed()
        taken: list[object] = []

        def take(failure: Failure) -> None:
            taken.append(failure.trap(CancelledError, asyncio.CancelledError))

        deferred.addErrback(take)
        return cancelled if taken else None


class _Firing:
    """What a task waits for when its coroutine awaits a Deferred: as much of a future as tasks use."""

    __slots__ = ("_asyncio_future_blocking", "_at_once", "_cancelled", "_done", "_failure", "_loop", "_wake")

    def __init__(self, deferred: Deferred[Any], loop: asyncio.AbstractEventLoop, *, at_once: bool) -> None:
        self._asyncio_future_blocking = True
        self._loop = loop
        self._at_once = at_once
        self._done = self._cancelled = False
        # If the next step is taken while the Deferred fires: its failure, which that step is to raise.
        self._failure: Failure | None = None
        self._wake: tuple[Callable[[_Firing], object], Context | None] | None = None
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
        context.run(function, self)
        return None

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


def need_no_deferred(value: object) -> None:
    """Raise TypeError for a Deferred as a result: no Deferred can fire with another."""
    if isinstance(value, Deferred):
        raise TypeError("a Deferred was returned where its result is needed: await it first")


def _cancelling() -> bool:
    task = current_task()
    return task is not None and task.cancelling() > 0


def _give_up(awaited: object) -> None:
    if isinstance(awaited, Deferred):
        awaited.addErrback(lambda _: None)
        awaited.cancel()
    elif isinstance(awaited, asyncio.Future):
        awaited.cancel()
