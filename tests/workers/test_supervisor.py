"""The supervisor, with workers that are told what to say: what comes at a bad moment."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.workers import supervisor
from sockserve.workers.process import Command, Standing
from sockserve.workers.supervisor import Supervisor


class Process:
    """A worker that does what the test says."""

    started: list[Process]

    def __init__(self, _reactor: object, owner: Supervisor, _command: object, source: dict[str, Any]) -> None:
        self.owner = owner
        self.loaded = {"workers": 2, "limits": {}, "drain_timeout": 1.0, **source}
        self.listens: list[tuple[str, str]] = []
        self.standing = Standing.STARTING
        self.line = ""
        self.since = 0.0
        self.clean = True
        self.over: Deferred[None] = Deferred()
        self.told: list[str] = []
        self.started.append(self)

    def ready(self) -> None:
        self.standing = Standing.READY
        self.owner.ready(cast("Any", self))

    def serves(self) -> None:
        self.owner.serving(cast("Any", self))

    def ends(self) -> None:
        self.standing = Standing.GONE
        self.owner.gone(cast("Any", self))
        self.over.callback(None)

    def serve(self, *_: object) -> None:
        self.standing = Standing.SERVING
        self.told.append("serve")

    def give(self, _: object) -> None:
        self.standing = Standing.LEAVING
        self.told.append("give")

    def stop(self) -> None:
        self.standing = Standing.LEAVING
        self.told.append("stop")

    def kill(self) -> None:
        self.told.append("kill")


class SupervisorTests(SynchronousTestCase):
    def setUp(self) -> None:
        Process.started = []
        self.patch(supervisor, "WorkerProcess", Process)
        self.source: dict[str, Any] = {}
        self.clock = Clock()
        # Not zero, which says that a worker does not serve yet.
        self.clock.advance(1)
        self.service = Supervisor(
            self.clock, Command((), {}), self.source, 2, [], lambda: self.source, self.fail, lambda: None
        )
        self.service.startService()
        for each in [*Process.started]:
            each.ready()
        for each in [*Process.started]:
            each.serves()

    def reload(self) -> list[Process]:
        """Begin one; returns its workers, all ready and told to serve."""
        count = len(Process.started)
        self.service.reload()
        Process.started[count].ready()
        for each in Process.started[count + 1 :]:
            each.ready()
        coming = Process.started[count:]
        self.assertEqual([each.told for each in coming], [["serve"]] * 2)
        return coming

    def test_nobody_is_started_once_it_stops(self) -> None:
        for ready in (False, True):
            with self.subTest(ready=ready):
                self.setUp()
                if ready:
                    coming = self.reload()
                else:
                    self.service.reload()
                    coming = Process.started[-1:]
                stopped = self.service.stopService()
                count = len(Process.started)
                for each in coming:
                    if ready:
                        each.serves()
                    else:
                        each.ready()
                self.assertEqual(len(Process.started), count)
                for each in Process.started:
                    each.ends()
                self.successResultOf(stopped)

    def test_a_new_worker_that_has_clients_is_not_killed_when_another_one_fails(self) -> None:
        one, other = self.reload()
        one.serves()
        other.ends()
        self.assertEqual((one.told, other.told), (["serve", "stop"], ["serve"]))
        one.ends()
        self.assertEqual(self.service._leaving, set())

    def test_limits_of_a_reload_that_fails_do_not_hold(self) -> None:
        self.source["limits"] = {"x": {"connections": 1}}
        _, other = self.reload()
        keeper = self.service._places._of("x")
        self.assertEqual(keeper._limits.connections, 1)
        other.ends()
        self.assertIsNone(keeper._limits.connections)
