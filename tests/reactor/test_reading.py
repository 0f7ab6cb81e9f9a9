"""What a peer sends: pauses, the end of its stream, resets, and errors of the protocol."""

from __future__ import annotations

import contextlib
import socket

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from tests.support.reactors import HalfClosing, Recorder, Situations, read, reset, situation

BIG = bytes(range(256)) * 4096


class PausedAtOnce(Recorder):
    def made(self) -> None:
        self.transport.pauseProducing()


class Flooded(Recorder):
    """Its peer fills what it has just read from. turns: of the reactor, so far; reads: at the most, in one of them."""

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__()
        self.peer: socket.socket | None = None
        self.count = self.turns = self.reads = self._reads = 0
        self._reactor = reactor

    def came(self, data: bytes) -> None:
        assert self.peer is not None
        self.count += len(data)
        self.data.clear()
        with contextlib.suppress(BlockingIOError):
            while True:
                self.peer.send(BIG)
        if not self._reads:
            self._reactor.callLater(0, self._turn)
        self._reads += 1
        self.reads = max(self.reads, self._reads)

    def _turn(self) -> None:
        self.turns += 1
        self._reads = 0


class ReadingTests(Situations):
    @situation
    async def test_a_peer_that_is_always_faster_leaves_each_turn_to_others_too(self) -> None:
        protocol = Flooded(self.reactor)
        protocol.peer = self.connect(protocol)
        await protocol.event("made")
        protocol.peer.setblocking(False)
        protocol.peer.send(b"first")
        await protocol.until(lambda: protocol.count > 40 << 20)
        self.assertGreater(protocol.turns, 20)
        # A turn may begin between the first and the last of those that are ready.
        self.assertLessEqual(protocol.reads, 2)

    @situation
    async def test_paused_in_connectionMade_with_bytes_there_and_resumed_later(self) -> None:
        protocol = PausedAtOnce()
        peer = self.connect(protocol)
        sending = self.apart(peer.sendall, BIG)
        await protocol.event("made")
        for _ in range(5):
            await self.turn()
        self.assertEqual(protocol.data, b"")
        protocol.transport.resumeProducing()
        await sending
        await protocol.received(len(BIG))
        self.assertEqual(protocol.data, BIG)

    @situation
    async def test_paused_while_the_stream_opens_and_resumed_in_any_turn(self) -> None:
        """Bytes that were read nevertheless come first, and once."""
        for turns in range(6):
            for again in (False, True):
                protocol = Recorder()
                ours, peer = self.pair()
                peer.sendall(b"first ")
                self.adopt(protocol, ours)
                # Read from by now, or about to be.
                await self.turn()
                protocol.transport.pauseProducing()
                for _ in range(turns):
                    await self.turn()
                peer.sendall(b"second ")
                protocol.transport.resumeProducing()
                if again:
                    protocol.transport.pauseProducing()
                    protocol.transport.resumeProducing()
                peer.sendall(b"third")
                peer.shutdown(socket.SHUT_WR)
                await protocol.event("lost")
                self.assertEqual(protocol.data, b"first second third")

    @situation
    async def test_paused_in_dataReceived_gets_nothing_until_it_is_resumed(self) -> None:
        class Pausing(Recorder):
            def came(self, data: bytes) -> None:
                self.transport.pauseProducing()
                self.happened("paused")

        protocol = Pausing()
        peer = self.connect(protocol)
        sending = self.apart(peer.sendall, BIG)
        await protocol.event("paused")
        while len(protocol.data) < len(BIG):
            count = len(protocol.data)
            for _ in range(3):
                await self.turn()
            self.assertEqual(len(protocol.data), count)
            protocol.transport.resumeProducing()
            await protocol.received(count + 1)
        await sending
        self.assertEqual(protocol.data, BIG)

    @situation
    async def test_end_of_stream_while_paused_comes_after_what_was_sent(self) -> None:
        for kind in (Recorder, HalfClosing):
            protocol = kind()
            peer = self.connect(protocol)
            await protocol.event("made")
            protocol.transport.pauseProducing()
            peer.sendall(b"last words")
            peer.shutdown(socket.SHUT_WR)
            for _ in range(5):
                await self.turn()
            self.assertEqual((protocol.data, protocol.events), (b"", ["made"]))
            protocol.transport.resumeProducing()
            await protocol.event("end" if kind is HalfClosing else "lost")
            self.assertEqual(protocol.data, b"last words")

    @situation
    async def test_reset_while_paused_is_told_when_it_is_resumed(self) -> None:
        protocol = Recorder()
        peer = self.connect(protocol)
        await protocol.event("made")
        protocol.transport.pauseProducing()
        reset(peer)
        await self.turn()
        self.assertEqual(protocol.events, ["made"])
        protocol.transport.resumeProducing()
        await protocol.event("lost")
        assert protocol.reason is not None
        protocol.reason.trap(ConnectionLost)

    @situation
    async def test_reset_while_reading(self) -> None:
        protocol = HalfClosing()
        peer = self.connect(protocol)
        await protocol.event("made")
        reset(peer)
        await protocol.event("lost")
        assert protocol.reason is not None
        protocol.reason.trap(ConnectionLost)
        self.assertEqual(protocol.events, ["made", "lost"])

    @situation
    async def test_peer_ends_first_and_then_we(self) -> None:
        protocol = HalfClosing()
        peer = self.connect(protocol)
        peer.shutdown(socket.SHUT_WR)
        await protocol.event("end")
        protocol.transport.write(BIG)
        protocol.transport.loseConnection()
        self.assertEqual(await self.apart(read, peer), BIG)
        await protocol.event("lost")
        assert protocol.reason is not None
        protocol.reason.trap(ConnectionDone)

    @situation
    async def test_we_end_first_and_then_the_peer(self) -> None:
        protocol = HalfClosing()
        peer = self.connect(protocol)
        await protocol.event("made")
        protocol.transport.write(BIG)
        protocol.transport.loseWriteConnection()
        self.assertEqual(await self.apart(read, peer), BIG)
        await protocol.event("written")
        # It is over.
        protocol.transport.write(b"too late")
        peer.sendall(b"still here")
        await protocol.received(10)
        peer.shutdown(socket.SHUT_WR)
        await protocol.event("end")
        self.assertEqual(protocol.events, ["made", "written", "end"])
        protocol.transport.loseConnection()
        self.assertEqual(protocol.events[3:], ["lost"])
        self.assertEqual(await self.apart(read, peer), b"")

    @situation
    async def test_end_of_stream_without_half_close_drops_what_waits(self) -> None:
        protocol = Recorder()
        peer = self.connect(protocol)
        await protocol.event("made")
        # More than the kernel takes.
        protocol.transport.write(bytes(64 << 20))
        await self.turn()
        peer.shutdown(socket.SHUT_WR)
        await protocol.event("lost")
        assert protocol.reason is not None
        protocol.reason.trap(ConnectionDone)
        self.assertLess(len(await self.apart(read, peer)), 64 << 20)

    @situation
    async def test_after_abortConnection_nothing_is_received_even_if_it_is_resumed(self) -> None:
        reads = []

        class Aborting(Recorder):
            def came(self, data: bytes) -> None:
                reads.append(len(data))
                self.transport.abortConnection()
                self.transport.resumeProducing()

        protocol = Aborting()
        ours, peer = self.pair()
        for handle, option in ((ours, socket.SO_RCVBUF), (peer, socket.SO_SNDBUF)):
            handle.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        # More than one read.
        peer.setblocking(False)
        peer.send(bytes(4 << 20))
        self.adopt(protocol, ours)
        await protocol.event("lost")
        self.assertEqual(len(reads), 1)
        assert protocol.reason is not None
        protocol.reason.trap(ConnectionAborted)

    @situation
    async def test_exception_in_dataReceived_closes_and_is_logged_once_for_the_connection(self) -> None:
        for error in (ZeroDivisionError, SystemExit, KeyboardInterrupt):
            if error is not ZeroDivisionError and type(self.reactor).__module__ == "twisted.internet.asyncioreactor":
                # It ends with them.
                continue

            class Failing(Recorder):
                def came(self, data: bytes) -> None:
                    raise error("oh")  # noqa: B023

            protocol = Failing()
            peer = self.connect(protocol)
            peer.sendall(b"?")
            await protocol.event("lost")
            assert protocol.reason is not None
            protocol.reason.trap(error)
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)
            self.assertEqual(await self.apart(read, peer), b"")

    @situation
    async def test_exception_in_connectionLost_is_logged_once(self) -> None:
        class Failing(Recorder):
            def connectionLost(self, reason: Failure = connectionDone) -> None:
                super().connectionLost(reason)
                raise ZeroDivisionError

        protocol = Failing()
        peer = self.connect(protocol)
        await protocol.event("made")
        peer.shutdown(socket.SHUT_WR)
        await protocol.event("lost")
        await self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(await self.apart(read, peer), b"")


globals().update(ReadingTests.makeTestCaseClasses())
