"""Threads for a handler that blocks, for one named socket alone.

The reactor's own pool has ten threads, which host name look-ups need too, and a process that ends waits for them.
Handlers that block for ever would use them all up. Here they only delay their own socket, and a process ends without
waiting for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from sockserve.connection.driver import need_no_deferred

P = ParamSpec("P")
T = TypeVar("T")

_SIZE = 10
# Seconds after which a thread without work ends.
_IDLE = 5.0


class Threads:
    """Up to ten threads, started when they are needed.

    reactor: Deferreds fire in its thread; None: the global one.
    """

    def __init__(self, reactor: IReactorFromThreads | None = None) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = IReactorFromThreads(installed)
        self._reactor = reactor
        self._work: SimpleQueue[tuple[Deferred[Any], Callable[[], object]]] = SimpleQueue()
        # Results on their way to the reactor's thread, and whether it knows of them.
        self._results: deque[tuple[Deferred[Any], object]] = deque()
        self._announced = False
        self._lock = Lock()
        self._threads = 0
        # Calls that wait for a thread, run, or whose results are on their way.
        self._busy = 0

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fires with what the function returns or raises. If cancelled before the call has begun, it is not called.

        Raises RuntimeError if no thread can be started and there is none.
        """
        result: Deferred[T] = Deferred()
        with self._lock:
            self._busy += 1
            if self._busy > self._threads and self._threads < _SIZE:
                self._start()
            self._work.put((result, partial(function, *args, **kwargs)))
        return result

    def _give(self) -> None:
        """In the reactor's thread: fire for the calls that are done."""
        # First: what a thread adds from now on is announced again.
        self._announced = False
        for _ in range(len(self._results)):
            result, value = self._results.popleft()
            with self._lock:
                self._busy -= 1
            if not result.called:
                result.callback(value)

    def _start(self) -> None:
        # A daemon thread: the end of the process does not wait for it.
        thread = Thread(target=self._run, name=f"handler {self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads, but existing ones can do the work.
            if not self._threads:
                self._busy -= 1
                raise
        else:
            self._threads += 1

    def _run(self) -> None:
        while True:
            try:
                result, function = self._work.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if self._busy < self._threads:
                        self._threads -= 1
                        return
                continue
            value: object = None
            if not result.called:
                try:
                    value = function()
                    need_no_deferred(value)
                except BaseException:
                    value = Failure()
            self._results.append((result, value))
            # What they hold is not to stay while this thread waits.
            del result, function, value
            if not self._announced:
                # Once for all results that are there when the reactor comes to them.
                self._announced = True
                self._reactor.callFromThread(self._give)
