"""Threads for a handler that blocks: those of one named socket, and nobody else's.

The reactor's own pool has ten threads, for the look-up of host names too, and a process that ends waits for them.
Handlers that block for good would take all of it. Here they hold up their own socket only, and a process ends without
them.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

P = ParamSpec("P")
T = TypeVar("T")

_SIZE = 10
# Seconds after which a thread without work ends.
_IDLE = 5.0


class Threads:
    """Up to ten, started as they are needed.

    reactor: results are given back in its thread; None: the global one.
    """

    def __init__(self, reactor: IReactorFromThreads | None = None) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = IReactorFromThreads(installed)
        self._reactor = reactor
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = Lock()
        self._threads = 0
        # Threads that work, and calls that wait for one.
        self._busy = 0

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """What the function returns or raises. Cancelled before it has begun, it is not called.

        Raises RuntimeError when no thread can be started and none is there.
        """
        result: Deferred[T] = Deferred()

        def work() -> None:
            if result.called:
                return
            try:
                value: T | Failure = function(*args, **kwargs)
            except BaseException:
                value = Failure()
            self._reactor.callFromThread(give, value)

        def give(value: T | Failure) -> None:
            if not result.called:
                result.callback(value)

        with self._lock:
            self._busy += 1
            if self._busy > self._threads and self._threads < _SIZE:
                self._start()
            self._work.put(work)
        return result

    def _start(self) -> None:
        # A daemon: the end of the process does not wait for it.
        thread = Thread(target=self._run, name=f"handler {self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has none left; but those that there are can do the work.
            if not self._threads:
                self._busy -= 1
                raise
        else:
            self._threads += 1

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if self._busy < self._threads:
                        self._threads -= 1
                        return
                continue
            try:
                work()
            finally:
                with self._lock:
                    self._busy -= 1
