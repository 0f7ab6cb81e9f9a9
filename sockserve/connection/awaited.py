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
