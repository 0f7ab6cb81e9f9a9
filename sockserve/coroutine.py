"""Running a coroutine that awaits Deferreds and, under the asyncio reactor, asyncio's awaitables too."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Start it. The Deferred fires with its result or its exception; cancelling the Deferred cancels what it awaits."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Deferred.fromCoroutine(coroutine)
    return Deferred.fromFuture(loop.create_task(_Mixed(coroutine, loop).drive()))


class _Mixed:
    """A coroutine inside an asyncio task: futures go to the task, and a Deferred is waited for through a future."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop

    async def drive(self) -> Any:  # noqa: ANN401 - what the coroutine returns
        return await self

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        step, value = coroutine.send, None
        while True:
            try:
                awaited = step(value)
            except StopIteration as stop:
                return stop.value
            step, value = coroutine.send, None
            if isinstance(awaited, Deferred):
                try:
                    yield from self._future(awaited)
                except asyncio.CancelledError:
                    # The coroutine finds Twisted's CancelledError in it, as it does elsewhere.
                    awaited.cancel()
            else:
                try:
                    value = yield awaited
                except BaseException as error:  # an asyncio cancellation too is the coroutine's business
                    step, value = coroutine.throw, error

    def _future(self, deferred: Deferred[Any]) -> asyncio.Future[None]:
        """Done when the Deferred has its result, which stays there for the coroutine to take."""
        future: asyncio.Future[None] = self._loop.create_future()

        def fired(result: object) -> object:
            if not future.done():
                future.set_result(None)
            return result

        deferred.addBoth(fired)
        return future
