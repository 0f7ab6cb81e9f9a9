"""Driving coroutines, one after the other, without the price of a StopIteration for each."""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Driver:
    """Drives one coroutine after the other: it is sent the coroutine, and then what it awaited has given.

    At a coroutine's end it yields `end`, which holds the result. So the end costs no StopIteration, which takes longer
    than all the rest. What a coroutine raises ends the driver too.
    """

    __slots__ = ("end", "send", "steps")

    def __init__(self) -> None:
        self.end: list[Any] = [None]
        self.steps = _drive(self.end)
        self.send = self.steps.send
        self.send(None)

    def take(self) -> Any:  # noqa: ANN401 - of any coroutine
        """The result of the coroutine that has ended. The driver can have the next one then."""
        result, self.end[0] = self.end[0], None
        if type(result) is not bytes:
            need_no_deferred(result)
        return result

    def throw(self, failure: Failure) -> object:
        """Let the coroutine raise this where it waits, and go on as `send` does."""
        return failure.throwExceptionIntoGenerator(self.steps)


@types.coroutine
def _drive(end: list[Any]) -> Generator[Any, Any, None]:
    while True:
        end[0] = yield from (yield end)


def need_no_deferred(value: object) -> None:
    """Raise TypeError for a Deferred as a result: no Deferred can fire with another."""
    if isinstance(value, Deferred):
        raise TypeError("a Deferred was returned where its result is needed: await it first")
