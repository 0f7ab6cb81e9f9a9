"""The figures of all workers together, those that are gone included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall

from sockserve.server.figures import merge, remains
from sockserve.workers.process import Standing

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.workers.link import Message
    from sockserve.workers.process import WorkerProcess

# Seconds that a worker has to answer; and between two looks at all of them: what is lost of one that is killed.
_PATIENCE = 2.0
_BETWEEN = 1.0

_FIGURES = {"ask": "figures"}


class AllFigures:
    """Asks all workers, once somebody wants to know.

    workers: returns those that live. restarts: how many workers have died while they served.
    """

    def __init__(self, reactor: IReactorTime, workers: Callable[[], Iterable[WorkerProcess]]) -> None:
        self._reactor = reactor
        self._workers = workers
        self.restarts = 0
        # What is known of those that live, and what is left of the others.
        self._known: dict[WorkerProcess, Message] = {}
        self._left: Message = {"process": {}, "sockets": {}}
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def answer(self, request: Message) -> Deferred[Message]:
        """Fires with one answer for all of them."""
        asked = self._asked()
        if not self._looking.running:
            self._looking.start(_BETWEEN, now=False)
        answers = [self._ask(each, request) for each in asked]
        return DeferredList(answers).addCallback(self._merged, request, asked)

    def last(self, worker: WorkerProcess, figures: Message) -> None:
        """The last figures of a worker."""
        self._known[worker] = figures

    def gone(self, worker: WorkerProcess) -> None:
        """A worker is over: what it has counted remains."""
        known = self._known.pop(worker, None)
        if known is not None:
            self._left = merge([self._left, remains(known)])

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        for worker in self._asked():
            self._ask(worker, _FIGURES).addCallback(self._keep, worker)

    def _asked(self) -> list[WorkerProcess]:
        """Those that serve, or have served."""
        return [each for each in self._workers() if each.standing in (Standing.SERVING, Standing.LEAVING)]

    def _ask(self, worker: WorkerProcess, request: Message) -> Deferred[Message]:
        # One that stands still must not keep the others from being seen.
        return worker.ask(request).addTimeout(_PATIENCE, self._reactor, lambda *_: {})

    def _keep(self, figures: Message, worker: WorkerProcess) -> None:
        if "sockets" in figures and worker.standing is not Standing.GONE:
            self._known[worker] = figures

    def _merged(self, results: list[tuple[bool, Message]], request: Message, asked: list[WorkerProcess]) -> Message:
        answers = []
        for (_, found), worker in zip(results, asked, strict=True):
            if request == _FIGURES:
                self._keep(found, worker)
            # What it said last will do.
            answer = found or (self._known.get(worker, {}) if request == _FIGURES else {})
            if worker.standing is Standing.LEAVING and "process" in answer:
                # Its place, and its share of the memory, are another one's.
                answer = {**answer, "process": {**answer["process"], "gauges": {}}}
            if answer:
                answers.append(answer)
        if not any("sockets" in answer for answer in answers):
            return merge(answers)
        own = {"process": {"counters": {"worker_restarts": self.restarts}}, "sockets": {}}
        return merge([*answers, self._left, own])
