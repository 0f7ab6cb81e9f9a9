"""Deadlines: when they fire, and that a process which stood still is not the peer's fault."""

from __future__ import annotations

import socket
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.limits.deadlines import Deadline
from tests.support.sockets import SocketCase


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fired: list[float] = []
        self.deadline = Deadline(self.clock, 8, lambda: self.fired.append(self.clock.seconds()))

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.25] * int(seconds * 4))

    def test_it_fires_once_when_its_time_is_over(self) -> None:
        self.run_for(7.75)
        self.assertEqual(self.fired, [])
        self.run_for(0.5)
        self.assertEqual(len(self.fired), 1)
        self.run_for(100)
        self.assertEqual(len(self.fired), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_does_not_fire_when_it_was_cancelled(self) -> None:
        self.run_for(5)
        self.deadline.cancel()
        self.deadline.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.run_for(10)
        self.assertEqual(self.fired, [])

    def test_to_cancel_one_that_has_fired_is_harmless(self) -> None:
        self.run_for(9)
        self.deadline.cancel()
        self.assertEqual(len(self.fired), 1)

    def test_the_peer_keeps_its_time_while_the_process_stands_still(self) -> None:
        self.run_for(2)
        self.clock.advance(3600)
        self.run_for(5.5)
        self.assertEqual(self.fired, [])
        self.run_for(1)
        self.assertEqual(len(self.fired), 1)

    def test_a_standstill_at_the_very_end_leaves_time_for_an_answer(self) -> None:
        self.run_for(7.75)
        self.clock.advance(3)
        self.assertEqual(self.fired, [])
        self.run_for(0.75)
        self.assertEqual(self.fired, [])
        self.run_for(0.5)
        self.assertEqual(len(self.fired), 1)

    def test_a_process_that_always_stands_still_ends_it_too(self) -> None:
        for _ in range(17):
            self.clock.advance(10)
        self.assertEqual(len(self.fired), 1)


class Watcher(Protocol):
    """Has a deadline of 80 ms for its first bytes. came: what happened first."""

    def __init__(self) -> None:
        self.connected_now: Deferred[None] = Deferred()
        self.came: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        self.deadline = Deadline(reactor, 0.08, lambda: self.came.callback("deadline"))
        self.connected_now.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.deadline.cancel()
        self.came.callback("data")
        self.transport.loseConnection()  # type: ignore[union-attr]


class ReactorTests(SocketCase):
    async def test_what_the_kernel_had_before_a_standstill_is_read_first(self) -> None:
        watcher = Watcher()
        server = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(lambda: watcher)
        )
        self.addCleanup(server.stopListening)
        with socket.create_connection(("127.0.0.1", server.getHost().port)) as client:
            await watcher.connected_now
            client.sendall(b"in time")
            # The process stands still: no reactor runs in this time.
            time.sleep(0.3)  # noqa: ASYNC251 - that is the standstill
            self.assertEqual(await watcher.came, "data")
