"""The Deferred of a read that waits, at a lower price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Awaited(Deferred[T]):
    """A Deferred that a coroutine awaits, as a rule, and nobody else sees: then its value goes straight there.

    alone: whether that is so. Who adds callbacks of their own sets it to False first.
    """

    alone = True
    _waiter: Callable[[Any], object] | None = None

    def then(self, waiter: Callable[[Any], object]) -> None:
        """As addBoth, for what goes on with the coroutine."""
        if self.alone and not self.called:
            self._waiter = waiter
        else:
            self.addBoth(waiter)

    def give(self, value: T) -> None:
        """As callback."""
        waiter = self._waiter
        if waiter is None:
            self.callback(value)
        else:
            # All that a coroutine looks at when it goes on.
            self.called = True
            self.result = value
            waiter(value)

    def errback(self, fail: Failure | BaseException | None = None) -> None:
        if self._waiter is not None:
            self.addBoth(self._waiter)
        super().errback(fail)


class Ending:
    """The end of a coroutine that has to wait.

    end: fires with its result. Cancelling it cancels what is awaited, and the coroutine may still go on.
    last: what is to be fired: `end`, or what `end` waits for after it was cancelled.
    """

    __slots__ = ("end", "last")

    def begin(self) -> None:
        self.end = self.last = self._new()

    def give_up(self) -> None:
        """Cancel what is awaited."""
        raise NotImplementedError

    def _new(self) -> Deferred[Any]:
        return Deferred(self._cancel).addCallback(self._follow)

    def _cancel(self, cancelled: Deferred[Any]) -> None:
        # If it did not fire now, it would fire with a CancelledError, whatever the coroutine does about that.
        self.last = self._new()
        cancelled.callback(self)
        self.give_up()

    def _follow(self, value: object) -> object:
        return self.last if value is self else value
