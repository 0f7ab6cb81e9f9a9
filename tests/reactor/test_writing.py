"""What is sent to a peer: one that does not read, producers, and the ends of a connection with bytes waiting."""

from __future__ import annotations

import resource
import socket

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from tests.support.reactors import HalfClosing, Recorder, Situations, read, reset, situation

# More than the kernel's buffers take: bytes.
MANY = 24 << 20
PATTERN = bytes(range(251)) * 4111


@implementer(IPushProducer)
class Pushing:
    """Writes pieces until it is paused. calls: what was asked of it."""

    def __init__(self, protocol: Recorder, count: int) -> None:
        self.protocol = protocol
        self.left = count
        self.calls: list[str] = []
        self.written = 0

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.produce()

    def produce(self) -> None:
        while self.left and (not self.calls or self.calls[-1] == "resume"):
            self.left -= 1
            self.written += len(PATTERN)
            self.protocol.transport.write(PATTERN)
        if not self.left:
            self.protocol.transport.unregisterProducer()
            self.protocol.happened("produced")

    def pauseProducing(self) -> None:
        self.calls.append("pause")
        self.protocol.happened()

    def stopProducing(self) -> None:
        self.calls.append("stop")


@implementer(IPullProducer)
class Pulled(Pushing):
    """Writes one piece when it is asked to."""

    def produce(self) -> None:
        self.left -= 1
        self.protocol.transport.write(PATTERN)
        if not self.left:
            self.protocol.transport.unregisterProducer()
            self.protocol.happened("produced")


class WritingTests(Situations):
    async def made(self, protocol: Recorder) -> socket.socket:
        peer = self.connect(protocol)
        await protocol.event("made")
        return peer

    @situation
    async def test_push_producer_is_paused_while_the_peer_does_not_read_and_resumed_when_it_does(self) -> None:
        protocol = HalfClosing()
        peer = await self.made(protocol)
        producer = Pushing(protocol, 40)
        protocol.transport.registerProducer(producer, streaming=True)
        producer.produce()
        await protocol.until(lambda: producer.calls and producer.calls[-1] == "pause")
        # Until the kernel has no room left.
        before = -1
        while producer.written > before:
            before = producer.written
            for _ in range(5):
                await self.turn()
        self.assertEqual(producer.calls[-1], "pause")
        self.assertLess(producer.written, 40 * len(PATTERN))
        reading = self.apart(read, peer, 40 * len(PATTERN))
        await protocol.event("produced")
        self.assertEqual(await reading, PATTERN * 40)

    @situation
    async def test_pull_producer_is_asked_for_each_piece(self) -> None:
        protocol = HalfClosing()
        peer = await self.made(protocol)
        producer = Pulled(protocol, 20)
        protocol.transport.registerProducer(producer, streaming=False)
        reading = self.apart(read, peer)
        await protocol.event("produced")
        protocol.transport.loseConnection()
        self.assertEqual(await reading, PATTERN * 20)
        self.assertEqual(producer.calls, ["resume"] * 20)

    @situation
    async def test_loseConnection_with_a_producer_waits_for_its_end(self) -> None:
        protocol = HalfClosing()
        peer = await self.made(protocol)
        producer = Pulled(protocol, 20)
        protocol.transport.registerProducer(producer, streaming=False)
        protocol.transport.loseConnection()
        self.assertEqual(await self.apart(read, peer), PATTERN * 20)
        await protocol.event("lost")

    @situation
    async def test_loseConnection_sends_all_that_waits_first(self) -> None:
        for kind in (Recorder, HalfClosing):
            protocol = kind()
            peer = await self.made(protocol)
            protocol.transport.write(bytes(MANY))
            protocol.transport.writeSequence([b"the ", b"end"])
            protocol.transport.loseConnection()
            # It is over.
            protocol.transport.write(b", and more")
            for _ in range(5):
                await self.turn()
            self.assertNotIn("lost", protocol.events)
            data = await self.apart(read, peer)
            # Twisted sends what is written until all has been sent.
            self.assertEqual((len(data), data[-17:]), (MANY + 17, b"the end, and more"))
            await protocol.event("lost")
            assert protocol.reason is not None
            protocol.reason.trap(ConnectionDone)
            protocol.transport.write(b"too late")
            protocol.transport.writeSequence([b"too late"])
            protocol.transport.loseConnection()
            protocol.transport.abortConnection()

    @situation
    async def test_loseConnection_waits_for_a_peer_that_does_not_read_until_it_is_aborted(self) -> None:
        protocol = HalfClosing()
        peer = await self.made(protocol)
        producer = Pushing(protocol, 0)
        protocol.transport.registerProducer(producer, streaming=True)
        protocol.transport.write(bytes(MANY))
        protocol.transport.loseConnection()
        for _ in range(20):
            await self.turn()
        self.assertEqual(protocol.events, ["made"])
        protocol.transport.abortConnection()
        await protocol.event("lost")
        assert protocol.reason is not None
        protocol.reason.trap(ConnectionAborted)
        self.assertEqual(producer.calls, ["pause", "stop"])
        await self.apart(self.assertRaises, ConnectionResetError, read, peer)

    @situation
    async def test_a_peer_that_never_reads_takes_no_more_memory_than_what_was_written(self) -> None:
        protocol = HalfClosing()
        await self.made(protocol)
        protocol.transport.write(bytes(MANY))
        for _ in range(20):
            await self.turn()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(200):
            await self.turn()
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 1024)

    @situation
    async def test_reset_while_bytes_wait(self) -> None:
        for paused in (False, True):
            protocol = HalfClosing()
            peer = await self.made(protocol)
            producer = Pushing(protocol, 0)
            protocol.transport.registerProducer(producer, streaming=True)
            protocol.transport.write(bytes(MANY))
            for _ in range(5):
                await self.turn()
            if paused:
                protocol.transport.pauseProducing()
            reset(peer)
            await protocol.event("lost")
            assert protocol.reason is not None
            protocol.reason.trap(ConnectionLost)
            self.assertEqual(producer.calls, ["pause", "stop"])

    @situation
    async def test_abortConnection_at_every_stage(self) -> None:
        class Stage(HalfClosing):
            stage = ""

            def reached(self, stage: str) -> None:
                if stage == self.stage:
                    self.transport.abortConnection()

            def made(self) -> None:
                self.reached("made")
                if self.stage == "given bytes":
                    self.transport.write(b"x" * 1000)
                    self.transport.abortConnection()

            def came(self, data: bytes) -> None:
                self.transport.write(data)
                self.reached("data")
                if self.stage == "closing":
                    self.transport.loseConnection()
                    self.transport.abortConnection()

            def readConnectionLost(self) -> None:
                super().readConnectionLost()
                self.reached("end")

            def writeConnectionLost(self) -> None:
                super().writeConnectionLost()
                self.reached("written")

        for stage in ("made", "given bytes", "data", "closing", "end", "written", "paused", "waiting", "twice"):
            protocol = Stage()
            protocol.stage = stage
            peer = self.connect(protocol)
            peer.sendall(b"hello")
            await protocol.event("made")
            if stage not in ("made", "given bytes"):
                await protocol.received(5)
            if stage == "end":
                peer.shutdown(socket.SHUT_WR)
            elif stage == "written":
                protocol.transport.loseWriteConnection()
            elif stage == "paused":
                protocol.transport.pauseProducing()
                protocol.transport.abortConnection()
            elif stage == "waiting":
                protocol.transport.write(bytes(MANY))
                for _ in range(5):
                    await self.turn()
                protocol.transport.abortConnection()
            elif stage == "twice":
                protocol.transport.abortConnection()
                protocol.transport.abortConnection()
            await protocol.event("lost")
            assert protocol.reason is not None
            protocol.reason.trap(ConnectionAborted)
            self.assertEqual(protocol.events.count("lost"), 1)
            if stage != "written":
                await self.apart(self.assertRaises, ConnectionResetError, read, peer)

    @situation
    async def test_abort_and_loss_before_the_stream_is_open(self) -> None:
        class Leaving(Recorder):
            how = ""

            def made(self) -> None:
                getattr(self.transport, self.how)()

        for how in ("abortConnection", "loseConnection"):
            protocol = Leaving()
            protocol.how = how
            ours, peer = self.pair()
            self.adopt(protocol, ours)
            await protocol.event("lost")
            if how == "loseConnection":
                self.assertEqual(await self.apart(read, peer), b"")
            else:
                await self.apart(self.assertRaises, ConnectionResetError, read, peer)

    @situation
    async def test_large_transfers_both_ways_at_once(self) -> None:
        protocol = HalfClosing()
        peer = await self.made(protocol)
        sending, reading = self.apart(peer.sendall, PATTERN * 16), self.apart(read, peer, 16 * len(PATTERN))
        for _ in range(4):
            protocol.transport.write(PATTERN * 4)
        self.assertEqual(await reading, PATTERN * 16)
        await sending
        await protocol.received(16 * len(PATTERN))
        self.assertEqual(protocol.data, PATTERN * 16)

    @situation
    async def test_echo_to_a_peer_that_reads_late_loses_nothing(self) -> None:
        class Echo(HalfClosing):
            def made(self) -> None:
                self.transport.registerProducer(self.transport, True)

            def came(self, data: bytes) -> None:
                self.transport.write(data)

            def readConnectionLost(self) -> None:
                self.transport.unregisterProducer()
                self.transport.loseConnection()

        protocol = Echo()
        peer = await self.made(protocol)

        def send() -> None:
            peer.sendall(PATTERN * 16)
            peer.shutdown(socket.SHUT_WR)

        sending = self.apart(send)
        # It is pushed back.
        await protocol.received(1 << 16)
        for _ in range(20):
            await self.turn()
        self.assertEqual(await self.apart(read, peer), PATTERN * 16)
        await sending

    @situation
    async def test_what_is_asked_of_it_after_its_end_does_nothing(self) -> None:
        protocol = HalfClosing()
        await self.made(protocol)
        transport = protocol.transport
        transport.abortConnection()
        await protocol.event("lost")
        for ask in (
            lambda: transport.write(b"too late"),
            transport.pauseProducing,
            transport.resumeProducing,
            transport.loseConnection,
            transport.abortConnection,
            # Errors, as Twisted has it: the descriptor is gone.
            *([transport.startReading, transport.startWriting, transport.loseWriteConnection] if self.ours else []),
        ):
            ask()
            await self.turn()
            await self.turn()
        self.assertEqual(protocol.events, ["made", "lost"])
        self.assertNotIn(transport, self.reactor.getReaders())
        self.assertNotIn(transport, self.reactor.getWriters())

    @situation
    async def test_options_of_the_socket(self) -> None:
        class Setting(Recorder):
            def made(self) -> None:
                self.defaults = self.transport.getTcpNoDelay(), self.transport.getTcpKeepAlive()

        protocol = Setting()
        peer = await self.made(protocol)
        transport = protocol.transport
        peer.sendall(b"?")
        await protocol.received(1)
        # Nobody but the program sets them.
        self.assertEqual(protocol.defaults, (False, False))
        self.assertEqual((transport.getTcpNoDelay(), transport.getTcpKeepAlive()), (False, False))
        for value in (True, False, True):
            transport.setTcpNoDelay(value)
            transport.setTcpKeepAlive(value)
            self.assertEqual((transport.getTcpNoDelay(), transport.getTcpKeepAlive()), (value, value))
        handle = transport.getHandle()
        self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
        self.assertEqual(handle.getsockname()[1], transport.getHost().port)

    @situation
    async def test_many_connections_opened_and_closed_in_the_same_turn(self) -> None:
        class Greeting(Recorder):
            def made(self) -> None:
                self.transport.write(b"hello")
                self.transport.loseConnection()

        protocols = [Greeting() for _ in range(200)]
        port = self.reactor.listenTCP(0, self.factory(*protocols), backlog=200, interface="127.0.0.1")
        address = ("127.0.0.1", port.getHost().port)
        peers = [self.closing(socket.create_connection(address)) for _ in protocols]
        for protocol in protocols:
            await protocol.event("lost")
        self.assertEqual({await self.apart(read, peer) for peer in peers}, {b"hello"})


globals().update(WritingTests.makeTestCaseClasses())
