"""Ports that rest while there is no descriptor for another connection."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.factory import MessageFactory
from sockserve.handlers.echo import Echo
from sockserve.limits.descriptors import Ports
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, SocketCase, turn

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address
    from twisted.internet.interfaces import IReactorTime


class Full:
    """A listening socket whose process has no descriptor left, or that fails in another way."""

    error = errno.EMFILE

    def accept(self) -> None:
        raise OSError(self.error, os.strerror(self.error))


class RestingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.reactor = MemoryReactorClock()
        self.port = Port(0, MessageFactory("raw", Echo), interface="127.0.0.1", reactor=self.reactor)
        self.port.startListening()
        self.addCleanup(self.port.socket.close)
        self.port.socket = self.full = Full()
        self.ports = Ports("orders", cast("IReactorTime", self.clock))
        self.ports.add(self.port)

    @property
    def reads(self) -> bool:
        return self.port in self.reactor.getReaders()

    def lines(self, seconds: int) -> list[str]:
        """What is logged while somebody waits at a port for that many seconds."""
        with capturedLogs() as events:
            for _ in range(seconds):
                if self.reads:
                    self.port.doRead()
                self.clock.advance(1)
        return [formatEvent(event) for event in events]

    def test_a_port_rests_for_a_second(self) -> None:
        self.port.doRead()
        self.assertFalse(self.reads)
        self.clock.advance(0.9)
        self.assertFalse(self.reads)
        self.clock.advance(0.1)
        self.assertTrue(self.reads)

    def test_one_line_a_minute(self) -> None:
        advice = "(raise the limit on open files, or set max_connections)"
        line = f"orders: connections have to wait: Too many open files {advice}"
        self.assertEqual(self.lines(60), [line])
        self.assertEqual(self.lines(121), [line] * 3)

    def test_a_connection_that_leaves_ends_the_rest(self) -> None:
        self.port.doRead()
        self.ports.accept(True)
        self.assertTrue(self.reads)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_end_of_a_rest_does_not_open_a_gate_that_is_full(self) -> None:
        self.port.doRead()
        self.ports.accept(False)
        self.clock.advance(5)
        self.assertFalse(self.reads)

    def test_a_port_that_is_closed_stays_closed(self) -> None:
        self.port.doRead()
        self.assertEqual(self.ports.close(), [self.port])
        self.clock.advance(5)
        self.assertFalse(self.reads)

    def test_other_errors_are_left_to_twisted(self) -> None:
        self.full.error = errno.ECONNABORTED
        (line,) = self.lines(1)
        self.assertIn("ECONNABORTED", line)
        self.assertTrue(self.reads)


class Arriving:
    """A listening socket where one after the other connects."""

    def accept(self) -> tuple[object, object]:
        return self, None


class AcceptingTests(SynchronousTestCase):
    def accepted(self, seconds: float) -> list[int]:
        """How many are accepted in each of two turns of the reactor, when each takes so many seconds."""
        clock = Clock()
        port = Port(0, MessageFactory("raw", Echo), interface="127.0.0.1", reactor=MemoryReactorClock())
        port.startListening()
        self.addCleanup(port.socket.close)
        port.socket = Arriving()
        counts = []

        def read() -> None:
            counts.append(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    port.socket.accept()
                    clock.rightNow += seconds
                    counts[-1] += 1

        vars(port)["doRead"] = read
        Ports("orders", cast("IReactorTime", clock)).add(port)
        for _ in range(2):
            port.doRead()
        return counts

    def test_a_port_accepts_sixteen_in_a_turn(self) -> None:
        self.assertEqual(self.accepted(0.0001), [16, 16])

    def test_or_what_takes_it_five_milliseconds_but_one_at_least(self) -> None:
        self.assertEqual(self.accepted(0.002), [3, 3])
        self.assertEqual(self.accepted(0.1), [1, 1])


class SocketTests(SocketCase):
    async def test_a_port_that_has_descriptors_accepts_and_has_its_address(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL))
        client = await self.client(server)
        client.send(b"hello")
        self.assertEqual(await client.until(5), b"hello")
        (port,) = server.ports
        self.assertEqual(port.getHost(), client.transport.getPeer())


class TurnTests(SocketCase):
    async def test_a_port_accepts_no_more_than_a_few_in_one_turn_and_the_others_in_the_next_ones(self) -> None:
        server = self.serve(SocketServer("echo", f"{LOCAL}:backlog=200"))
        (port,) = server.ports
        number = cast("IPv4Address", port.getHost()).port
        clients = [socket.create_connection(("127.0.0.1", number)) for _ in range(50)]
        for client in clients:
            self.addCleanup(client.close)
        cast("Port", port).doRead()
        self.assertLessEqual(len(server.channels), 16)
        while len(server.channels) < 50:
            await turn()
