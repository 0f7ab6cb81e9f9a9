"""Standard input and output that neither block the reactor nor change the descriptors, which other programs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads

T = TypeVar("T")

PIECE = 64 * 1024


class Worker(Generic[T]):
    """A thread that makes one call after the other, each when it is asked for, and delays nobody's exit."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._calls: SimpleQueue[tuple[Deferred[T], Callable[[], T]]] = SimpleQueue()
        Thread(target=self._work, daemon=True).start()

    def call(self, function: Callable[[], T]) -> Deferred[T]:
        """Fires with its result."""
        done: Deferred[T] = Deferred()
        self._calls.put((done, function))
        return done

    def _work(self) -> None:
        while True:
            done, function = self._calls.get()
            try:
                result: T | Failure = function()
            except Exception:
                result = Failure()
            self._reactor.callFromThread(_fire, done, result)


def _fire(done: Deferred[T], result: T) -> None:
    if not done.called:
        done.callback(result)


class Input:
    """Standard input, read piece by piece when it is asked for."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._worker = Worker[bytes](reactor)

    def read(self) -> Deferred[bytes]:
        """What has come, as soon as something has; b"" at the end."""
        return self._worker.call(_read)


def _read() -> bytes:
    return b"" if sys.__stdin__ is None else os.read(0, PIECE)


class Output:
    """Standard output. What is written goes out at once, in one piece if the reader is slow."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._worker = Worker[None](reactor)
        self._waiting = bytearray()
        self._writing: Deferred[None] | None = None
        self._written: list[Deferred[None]] = []
        self._error: Failure | None = None

    @property
    def full(self) -> bool:
        """Before writing more, wait for `written` first."""
        return len(self._waiting) > PIECE or self._error is not None

    def write(self, data: bytes) -> None:
        self._waiting += data
        if self._writing is None and self._error is None:
            self._start()

    def written(self) -> Deferred[None]:
        """Fires when all is written. Fails with OSError when nobody reads it any more."""
        done: Deferred[None] = Deferred()
        if self._error is not None:
            done.errback(self._error)
        elif self._writing is None:
            done.callback(None)
        else:
            self._written.append(done)
        return done

    def _start(self) -> None:
        data = bytes(self._waiting)
        self._waiting.clear()
        self._writing = self._worker.call(lambda: _write(data))
        self._writing.addCallbacks(self._next, self._failed)

    def _next(self, _: object) -> None:
        if self._waiting:
            self._start()
            return
        self._writing = None
        written, self._written = self._written, []
        for done in written:
            done.callback(None)

    def _failed(self, failure: Failure) -> None:
        self._writing = None
        self._error = failure
        written, self._written = self._written, []
        for done in written:
            done.errback(failure)


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]
