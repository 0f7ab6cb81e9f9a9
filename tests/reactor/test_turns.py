"""The reactor itself: who waits for what, turns, threads, signals and processes."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.support.reactors import HalfClosing, Recorder, Situations, read, situation


class Ended(ProcessProtocol):
    """ended: fires with how. output: all that it said."""

    def __init__(self) -> None:
        self.ended: Deferred[Any] = Deferred()
        self.output = bytearray()

    def outReceived(self, data: bytes) -> None:
        self.output += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(reason.value)


class TurnTests(Situations):
    @situation
    async def test_who_reads_and_who_writes(self) -> None:
        protocol = HalfClosing()
        peer = self.connect(protocol)
        await protocol.event("made")
        transport = protocol.transport
        self.assertIn(transport, self.reactor.getReaders())
        self.assertNotIn(transport, self.reactor.getWriters())
        transport.pauseProducing()
        self.assertNotIn(transport, self.reactor.getReaders())
        transport.write(bytes(24 << 20))
        self.assertIn(transport, self.reactor.getWriters())
        for _ in range(5):
            await self.turn()
        self.assertIn(transport, self.reactor.getWriters())
        await self.apart(read, peer, 24 << 20)
        await self.turn()
        await self.turn()
        self.assertNotIn(transport, self.reactor.getWriters())
        transport.resumeProducing()
        self.assertIn(transport, self.reactor.getReaders())
        transport.abortConnection()
        await protocol.event("lost")
        self.assertNotIn(transport, self.reactor.getReaders())

    @situation
    async def test_removeAll_gives_connections_once_and_they_are_left_alone(self) -> None:
        protocol = HalfClosing()
        peer = self.connect(protocol)
        await protocol.event("made")
        protocol.transport.write(b"never sent")
        removed = self.reactor.removeAll()
        self.assertEqual(removed.count(protocol.transport), 1)
        self.assertNotIn(protocol.transport, self.reactor.getReaders())
        self.assertNotIn(protocol.transport, self.reactor.getWriters())
        peer.sendall(b"hello")
        for _ in range(5):
            await self.turn()
        self.assertEqual(protocol.data, b"")
        peer.setblocking(False)
        self.assertRaises(BlockingIOError, peer.recv, 1)
        for each in removed:
            each.connectionLost(Failure(ConnectionDone()))
        await protocol.event("lost")

    @situation
    async def test_connections_that_are_there_at_the_end_are_lost(self) -> None:
        protocol = Recorder()
        self.connect(protocol)
        await protocol.event("made")
        self.protocols.remove(protocol)
        self.reactor.addSystemEventTrigger(
            "after", "shutdown", lambda: self.assertEqual(protocol.events, ["made", "lost"])
        )

    @situation
    async def test_called_from_a_thread_while_nothing_happens(self) -> None:
        for number in range(3):
            called: Deferred[int] = Deferred()
            self.reactor.callInThread(self.reactor.callFromThread, called.callback, number)
            self.assertEqual(await called, number)

    @situation
    async def test_child_processes_are_reaped(self) -> None:
        protocols = [Ended() for _ in range(20)]
        pids = [self.reactor.spawnProcess(each, "/bin/true", ["true"], {}).pid for each in protocols]
        for protocol in protocols:
            self.assertEqual((await protocol.ended).exitCode, 0)
        # None: it had ended at once.
        for pid in filter(None, pids):
            self.assertRaises(ChildProcessError, os.waitpid, pid, os.WNOHANG)

    @situation
    async def test_output_of_a_child_and_its_signal(self) -> None:
        protocol = Ended()
        code = "import os; os.write(1, b'x' * 100_000); os.kill(os.getpid(), 9)"
        self.reactor.spawnProcess(protocol, sys.executable, [sys.executable, "-S", "-c", code])
        self.assertEqual((await protocol.ended).signal, signal.SIGKILL)
        self.assertEqual(len(protocol.output), 100_000)

    @situation
    async def test_signal_of_the_program_while_nothing_happens(self) -> None:
        came: Deferred[None] = Deferred()
        before = signal.signal(signal.SIGUSR1, lambda *_: self.reactor.callFromThread(came.callback, None))
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        self.reactor.callInThread(os.kill, os.getpid(), signal.SIGUSR1)
        await came

    @situation
    async def test_SIGTERM_stops_it(self) -> None:
        stopped: Deferred[None] = Deferred()
        self.reactor.addSystemEventTrigger("before", "shutdown", stopped.callback, None)
        self.reactor.callInThread(os.kill, os.getpid(), signal.SIGTERM)
        await stopped

    def test_turns_outside_of_run(self) -> None:
        self.reactor = reactor = self.buildReactor()
        self.protocols = []
        protocol = Recorder()
        peer = self.connect(protocol)
        peer.sendall(b"hello")
        for _ in range(1000):
            if protocol.data:
                break
            reactor.iterate(0.01)
        protocol.transport.write(b"bye")
        protocol.transport.loseConnection()
        while "lost" not in protocol.events:
            reactor.iterate(0.01)
        self.assertEqual((bytes(protocol.data), read(peer)), (b"hello", b"bye"))

    @situation
    async def test_turns_inside_of_a_turn(self) -> None:
        """Only epoll has them; elsewhere it is an error, and does no harm."""
        name = type(self.reactor).__name__
        if name == "AsyncioSelectorReactor":
            # Its loop is stopped by what was to stop the inner turn.
            return
        errors: list[BaseException] = []

        class Iterating(HalfClosing):
            def came(self, data: bytes) -> None:
                try:
                    self.transport.reactor.iterate(0)
                except RuntimeError as error:
                    errors.append(error)

        protocol = Iterating()
        peer = self.connect(protocol)
        peer.sendall(b"hello")
        await protocol.received(5)
        self.assertEqual(len(errors), 1 if self.ours else 0)
        ended: Deferred[None] = Deferred()
        self.reactor.callLater(0.05, ended.callback, None)
        await ended
        peer.sendall(b" again")
        await protocol.received(11)
        self.assertEqual(protocol.data, b"hello again")


globals().update(TurnTests.makeTestCaseClasses())
