"""The supervisor: owns the ports, keeps so many workers at work, and lets new ones take the place of old ones.

All workers of one generation have loaded the same. One more than needed is kept ready, so that a worker that dies is
replaced at once, by one that has loaded what the others have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from sockserve.config.checking import ConfigError
from sockserve.workers.figures import AllFigures
from sockserve.workers.link import Message
from sockserve.workers.places import Places
from sockserve.workers.ports import Listens, PortError, SharedPorts
from sockserve.workers.process import Command, Standing, WorkerProcess

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

log = Logger()

# Seconds. A worker that ends sooner after it began to serve has not recovered from what ended the one before it.
_SOON = 1.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# What a worker has to load what it serves; and, when it leaves, beyond what its clients have.
_LOADING = 60.0
_LEAVING = 5.0


class Generation:
    """Workers that have loaded the same.

    source: what they load. count: how many serve.
    listens, limits: what its sockets listen to, and their limits, once that is known.
    close: closes the ports that were opened for it.
    places: the worker of each place, which serves its share of the ports; None: it is being replaced.
    others: those that start, or are ready to take a place.
    """

    def __init__(self, source: Message, count: int) -> None:
        self.source = source
        self.count = count
        self.listens: Listens = []
        self.limits: Mapping[str, Mapping[str, Any]] = {}
        self.close: Callable[[], object] = lambda: None
        self.places: list[WorkerProcess | None] = []
        self.others: list[WorkerProcess] = []
        # Seconds to wait before the next one is started, after one that did not last.
        self.pause = 0.0
        self.timer: IDelayedCall | None = None

    @property
    def workers(self) -> Iterator[WorkerProcess]:
        """All that live."""
        yield from (each for each in self.places if each is not None)
        yield from self.others

    @property
    def missing(self) -> int:
        """How many are to be started: one more than there are empty places."""
        return self.places.count(None) + 1 - len(self.others)

    def cancel(self) -> None:
        """Start no more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Supervisor(Service):
    """The service that runs workers.

    command: how one is started. source: what the first ones load; count, listens: what is known of it.
    read: returns what a reload loads; raises ConfigError. failed: called with a line if the start fails.
    check: called before a port is opened; raises PortError if what is to be served cannot be.

    started: fires when all of the first workers serve.
    clean: whether all workers have stopped with nothing aborted.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        command: Command,
        source: Message,
        count: int,
        listens: Listens,
        read: Callable[[], Message],
        failed: Callable[[str], object],
        check: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._first = Generation(source, count)
        self._listens = listens
        self._read = read
        self._failed = failed
        self._check = check
        self._ports = SharedPorts(reactor)
        # The generation that serves, and the one that is to take its place.
        self._current: Generation | None = None
        self._coming: Generation | None = None
        self._reload_again = False
        self._leaving: set[WorkerProcess] = set()
        self._places = Places()
        self._figures = AllFigures(reactor, self._workers)
        self._stopping = False
        # Sockets that accept nobody, in those workers either that come later.
        self._suspended: set[str] = set()
        self.started: Deferred[None] = Deferred()
        self.clean = True

    def privilegedStartService(self) -> None:
        """Open the ports. Raises PortError."""
        super().privilegedStartService()
        self._check()
        self._ports.open(self._listens, self._first.count)

    def startService(self) -> None:
        super().startService()
        self._bring_up(self._first, self._first.count)

    def stopService(self) -> Deferred[None]:
        """Stop accepting; fires when all workers have drained."""
        super().stopService()
        self._stopping = True
        workers = set(self._leaving)
        for generation in filter(None, (self._current, self._coming)):
            generation.cancel()
            for worker in generation.workers:
                self._dismiss(worker)
                workers.add(worker)
        self._ports.close_others([])
        self._figures.stop()
        stopped = DeferredList([worker.over for worker in workers])
        return stopped.addCallback(lambda _: None)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in [*self._workers()]:
            worker.kill()

    def reload(self) -> None:
        """Let new workers load everything again, and take the place of the others. A mistake changes nothing."""
        if self._stopping:
            return
        if self._coming is not None:
            self._reload_again = True
            return
        log.info("Reloading", event_name="sockserve.reload.started", attributes={})
        try:
            source = self._read()
        except ConfigError as error:
            self._unchanged(str(error))
            return
        # The first one finds out what is wrong, and how many there are to be.
        self._bring_up(Generation(source, 1), 1)

    def answer(self, request: Message) -> Deferred[Message]:
        """What all workers answer together to a request; see sockserve.server.figures."""
        match request:
            case {"ask": "suspend" | "drain", "socket": str(name)}:
                self._suspended.add(name)
            case {"ask": "resume", "socket": str(name)}:
                self._suspended.discard(name)
        return self._figures.answer(request)

    # What the processes tell; see sockserve.workers.process.

    def ready(self, worker: WorkerProcess) -> None:
        if self._stopping:
            return
        if self._coming is not None and worker in self._coming.others:
            self._one_is_ready(self._coming, worker)
        elif self._current is not None and worker in self._current.others:
            self._fill(self._current)

    def serving(self, worker: WorkerProcess) -> None:
        worker.since = self._reactor.seconds()
        coming = self._coming
        if coming is not None and not self._stopping and all(each.since for each in coming.workers):
            self._take_over(coming)

    def gone(self, worker: WorkerProcess) -> None:
        self._places.gone(worker)
        self._figures.gone(worker)
        if worker in self._leaving:
            self._leaving.remove(worker)
            if not self._leaving and worker.since and not self._stopping:
                log.info(
                    "All workers from before the reload have ended", event_name="sockserve.reload.done", attributes={}
                )
        if self._stopping:
            self.clean = self.clean and (worker.clean or not worker.since)
        elif self._coming is not None and worker in self._coming.workers:
            self._give_up(self._coming, worker.line or f"{worker} ended before it served")
        elif self._current is not None and worker in self._current.workers:
            self._replace(self._current, worker)

    def told(self, worker: WorkerProcess, message: Message) -> None:
        if "place" in message:
            self._places.told(worker, message)
        elif "figures" in message:
            self._figures.last(worker, message["figures"])

    # Bringing up a generation.

    def _bring_up(self, generation: Generation, count: int) -> None:
        self._coming = generation
        generation.timer = self._reactor.callLater(_LOADING, self._too_late, generation)
        self._start(generation, count)

    def _start(self, generation: Generation, count: int) -> None:
        for _ in range(count):
            generation.others.append(WorkerProcess(self._reactor, self, self._command, generation.source))

    def _one_is_ready(self, generation: Generation, worker: WorkerProcess) -> None:
        if not generation.limits:
            generation.listens = worker.listens
            generation.limits = worker.loaded["limits"]
            generation.count = worker.loaded["workers"]
            if not generation.count:
                self._give_up(
                    generation, "workers: a reload cannot change several processes to one; accepted: after a new start"
                )
                return
            self._start(generation, generation.count - len(generation.others))
        if all(each.standing is Standing.READY for each in generation.others):
            # Not sooner: who comes by a new slot waits until it is served.
            try:
                generation.close = self._ports.open(generation.listens, generation.count)
            except PortError as error:
                self._give_up(generation, f"{error.socket}: {error.__cause__}")
                return
            self._places.limit(generation.limits)
            generation.places, generation.others = [*generation.others], []
            for number, each in enumerate(generation.places):
                self._serve(generation, each, number)

    def _serve(self, generation: Generation, worker: WorkerProcess | None, number: int) -> None:
        if worker is not None:
            slots = self._ports.of_worker(generation.listens, number, generation.count)
            # The first one makes the connections of sockets that connect. In a reload it does so when the first of
            # those before it has them no more; see `_retire`.
            dials = number == 0 and self._current in (None, generation)
            worker.serve(slots, sorted(self._suspended), dials)

    def _take_over(self, generation: Generation) -> None:
        generation.cancel()
        old, self._current, self._coming = self._current, generation, None
        if old is not None:
            self._retire(old, generation)
            self._ports.close_others(generation.listens)
        log.info(
            "All workers serve: {count}",
            count=generation.count,
            event_name="sockserve.workers.serving",
            attributes={"sockserve.worker.count": generation.count},
        )
        if not self.started.called:
            self.started.callback(None)
        self._fill(generation)
        self._reload_if_asked()

    def _retire(self, old: Generation, new: Generation) -> None:
        """The connections of the old workers move to the new ones."""
        old.cancel()
        for number, worker in enumerate(old.places):
            taker = new.places[number % new.count]
            if worker is not None and taker is not None:
                worker.give(taker)
                self._watch(worker)
            elif number == 0 and taker is not None:
                taker.dial()
        for worker in old.workers:
            if worker.standing is not Standing.LEAVING:
                self._dismiss(worker)

    def _too_late(self, generation: Generation) -> None:
        generation.timer = None
        self._give_up(generation, f"a worker was not ready within {_LOADING:g} seconds")

    def _give_up(self, generation: Generation, line: str) -> None:
        """A generation cannot take over."""
        self._coming = None
        generation.cancel()
        generation.close()
        for worker in generation.workers:
            if worker.standing is not Standing.GONE:
                # It may have clients already.
                self._dismiss(worker)
        if self._current is None:
            self._failed(line)
            return
        self._places.limit(self._current.limits)
        self._unchanged(line)
        self._reload_if_asked()

    def _reload_if_asked(self) -> None:
        """The reload that came while another one was under way."""
        if self._reload_again:
            self._reload_again = False
            self.reload()

    def _unchanged(self, line: str) -> None:
        log.error("Nothing has changed: {line}", line=line, event_name="sockserve.reload.failed", attributes={})

    # Keeping one up.

    def _replace(self, generation: Generation, worker: WorkerProcess) -> None:
        """One of those that serve, or of those beside them, is gone."""
        if worker.line:
            log.error(
                "A worker cannot start: {line}", line=worker.line, event_name="sockserve.worker.failed", attributes={}
            )
        if worker in generation.others:
            generation.others.remove(worker)
        else:
            generation.places[generation.places.index(worker)] = None
        self._figures.restarts += bool(worker.since)
        lasted = worker.since and self._reactor.seconds() - worker.since >= _SOON
        generation.pause = 0.0 if lasted else min(max(_FIRST_PAUSE, 2 * generation.pause), _LONGEST_PAUSE)
        self._fill(generation)

    def _fill(self, generation: Generation) -> None:
        """Fill empty places with those that are ready, and start others, one more than there are empty places."""
        for number, each in enumerate(generation.places):
            ready = next((other for other in generation.others if other.standing is Standing.READY), None)
            if each is None and ready is not None:
                generation.others.remove(ready)
                generation.places[number] = ready
                self._serve(generation, ready, number)
        if generation.missing > 0 and generation.timer is None:
            if generation.pause:
                generation.timer = self._reactor.callLater(generation.pause, self._paused, generation)
            else:
                self._start(generation, generation.missing)

    def _paused(self, generation: Generation) -> None:
        generation.timer = None
        self._start(generation, generation.missing)

    # Letting go.

    def _dismiss(self, worker: WorkerProcess) -> None:
        if worker.standing >= Standing.SERVING:
            worker.stop()
            self._watch(worker)
        else:
            # It has nobody to drain.
            self._leaving.add(worker)
            worker.kill()

    def _watch(self, worker: WorkerProcess) -> None:
        """It must have ended when its clients have had their time."""
        self._leaving.add(worker)
        seconds = 2 * worker.loaded["drain_timeout"] + _LEAVING
        killing = self._reactor.callLater(seconds, worker.kill)
        worker.over.addCallback(lambda _: killing.cancel() if killing.active() else None)

    def _workers(self) -> Iterator[WorkerProcess]:
        yield from self._leaving
        for generation in filter(None, (self._current, self._coming)):
            yield from generation.workers
