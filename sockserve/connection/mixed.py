"""A coroutine in an asyncio task that awaits Deferreds as well as futures.

As long as one Deferred follows the other, the task knows nothing of it: it waits for the same `_Firing`, and is the
current one while a step is taken. It has to do something when the coroutine awaits a future, is cancelled, or ends.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from sockserve.connection.awaited import Awaited, Ending
from sockserve.connection.driver import Driver


class Mixed(Ending):
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
        task = self.task
        if firing is None or firing.done():
            task.cancel()
            return
        # A task that is over is kept until the loop has called who waits for it, in its next turn.
        task.remove_done_callback(self._over)
        firing.deferred.cancel()
        if task.done():
            self._over(task)
        else:
            task.add_done_callback(self._over)

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
        self, deferred: Deferred[Any], mixed: Mixed, loop: asyncio.AbstractEventLoop, *, at_once: bool
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
        # The type first: Deferred is an abstract class, for which isinstance takes long.
        deferred = type(awaited) is Awaited or isinstance(awaited, Deferred)
        if not deferred or task._must_cancel:  # type: ignore[attr-defined]
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
