"""Threads for a handler that blocks, for one named socket alone.

The reactor's own pool has ten threads, which host name look-ups need too, and a process that ends waits for them.
Handlers that block for ever would use them all up. Here they only delay their own socket, and a process ends without
waiting for them.
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
    """Up to ten threads, started when they are needed.

    reactor: Deferreds fire in its thread; None: the global one.
    """

    def __init__(self, reactor: IReactorFromThreads | None = None) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = IReactorFromThreads(installed)
        self._reactor = reactor
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = Lock()
        self._threads = 0
        # Calls that run or wait for a thread.
        self._busy = 0

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fires with what the function returns or raises. If cancelled before the call has begun, it is not called.

        Raises RuntimeError if no thread can be started and there is none.
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
