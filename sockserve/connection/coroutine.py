"""Running coroutines that await Deferreds and, under the asyncio reactor, asyncio's awaitables too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar, cast
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

# The tasks in which Deferreds can be awaited.
_mixed_tasks: WeakSet[asyncio.Task[Any]] = WeakSet()


def run(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Start a coroutine. The Deferred fires with its result or exception; cancelling it cancels what is awaited."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Deferred.fromCoroutine(coroutine)
    return Deferred.fromFuture(cast("asyncio.Future[T]", _Mixed(coroutine, loop)))


async def wait(deferred: Deferred[T]) -> T:
    """The Deferred's result, in any coroutine: one of Twisted's, one of `run`, or one in an asyncio task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is None or task in _mixed_tasks:
        return await deferred
    return cast("T", await _Mixed(_result(deferred), task.get_loop(), task))


async def _result(deferred: Deferred[T]) -> T:
    return await deferred


class _Mixed:
    """A coroutine inside an asyncio task: futures go to the task, and a Deferred is waited for through a future.

    If the task is cancelled, by asyncio.timeout for example, the coroutine gets asyncio's CancelledError, whatever it
    awaits. If the Deferred of `run` is cancelled, it gets Twisted's at a Deferred, as without asyncio.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        loop: asyncio.AbstractEventLoop,
        task: asyncio.Task[Any] | None = None,
    ) -> None:
        """task: the one that awaits this; None: a new one."""
        self._coroutine = coroutine
        self._loop = loop
        # The Deferred of `run` was cancelled.
        self._given_up = False
        # A cancellation that came after a result: the next await raises it, if it is still in force then.
        self._postponed: asyncio.CancelledError | None = None
        if task is None:
            task = loop.create_task(self._drive())
            _mixed_tasks.add(task)
        self._task = task

    # What Deferred.fromFuture calls.

    def cancel(self) -> bool:
        self._given_up = True
        return self._task.cancel()

    def add_done_callback(self, function: Callable[[asyncio.Future[Any]], object]) -> None:
        self._task.add_done_callback(function)

    async def _drive(self) -> Any:  # noqa: ANN401 - what the coroutine returns
        try:
            return await self
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException:
            # SystemExit and KeyboardInterrupt would end asyncio's loop. To a Deferred, this is the same as raising.
            return Failure()

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
            if postponed is not None and self._task.cancelling():
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

    def _wait(self, deferred: Deferred[Any]) -> Generator[Any, Any, asyncio.CancelledError | None]:
        """Wait until it has a result, which is left for the coroutine to take; or return a cancellation."""
        cancelled: asyncio.CancelledError | None = None
        while True:
            future = self._future(deferred)
            try:
                yield from future
                break
            except asyncio.CancelledError as error:
                if not future.cancelled():
                    # The result came first, and must not be lost.
                    self._postponed = error
                    break
                if not self._given_up:
                    cancelled = error
                deferred.cancel()
        if cancelled is None:
            return None
        taken: list[object] = []

        def take(failure: Failure) -> None:
            taken.append(failure.trap(CancelledError, asyncio.CancelledError))

        deferred.addErrback(take)
        return cancelled if taken else None

    def _future(self, deferred: Deferred[Any]) -> asyncio.Future[None]:
        """Done when the Deferred has its result."""
        future: asyncio.Future[None] = self._loop.create_future()

        def fired(result: object) -> object:
            if not future.done():
                future.set_result(None)
            return result

        deferred.addBoth(fired)
        return future


def _give_up(awaited: object) -> None:
    if isinstance(awaited, Deferred):
        awaited.addErrback(lambda _: None)
        awaited.cancel()
    elif isinstance(awaited, asyncio.Future):
        awaited.cancel()
