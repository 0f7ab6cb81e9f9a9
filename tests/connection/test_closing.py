"""How connections end, over real sockets: nothing owed is lost, and nobody holds a connection for ever."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection, Port
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from sockserve.connection.closing import Closing
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.connection.state import State
from sockserve.connection.transports import unsent, untaken

CLOSE_TIMEOUT = 0.3
MUCH = bytes(16 << 20)
"""More than the kernel takes for a peer that does not read."""


class Server(MessageProtocol):
    """Fires `lost` with the reason of its end."""

    options = ConnectionOptions(close_timeout=CLOSE_TIMEOUT)

    def __init__(self) -> None:
        self.lost: Deferred[type | None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.lost.callback(reason.type)


class Client(Protocol):
    """Reads everything; fires `lost` with the reason of its end."""

    transport: Connection

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: Deferred[type | None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.type)


class Deaf(Client):
    """Never reads."""

    def connectionMade(self) -> None:
        self.transport.pauseProducing()


@implementer(IHalfCloseableProtocol)
class Staying(Client):
    """Does not close when the server ends its stream."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        self.ended.callback(None)

    def writeConnectionLost(self) -> None:
        pass


class ClosingTests(TestCase):
    timeout = 20

    async def connected(
        self, framing: str, server: Callable[[], Server], client: Callable[[], Client]
    ) -> tuple[Server, Client]:
        """Both ends of a new connection."""
        made: Deferred[Server] = Deferred()

        class Making(MessageFactory):
            def buildProtocol(self, addr: object) -> MessageProtocol:
                protocol = super().buildProtocol(None)
                reactor.callLater(0, made.callback, protocol)
                return protocol

        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Making(framing, server))
        assert isinstance(port, Port)
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        connection = await endpoint.connect(Factory.forProtocol(client))
        assert isinstance(connection, Client)
        return await made, connection

    async def test_a_peer_that_has_ended_and_is_owed_nothing_is_closed_at_once(self) -> None:
        at_once: list[bool] = []

        class Watching(Server):
            def messageReceived(self, message: bytes) -> None:
                self.sendMessage(message)

            def readConnectionLost(self) -> None:
                super().readConnectionLost()
                at_once.append(self.lost.called)

        server, client = await self.connected("int8", Watching, Client)
        client.transport.write(b"\1a")
        client.transport.loseWriteConnection()
        self.assertEqual(await gatherResults([server.lost, client.lost]), [ConnectionDone] * 2)
        self.assertEqual((bytes(client.received), at_once), (b"\1a", [True]))

    async def test_a_reset_that_is_reported_as_the_end_of_the_stream_is_a_loss(self) -> None:
        server, client = await self.connected("int8", Server, Client)
        handle = client.transport.getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.transport.stopReading()
        handle.close()
        # As a poller does that is told of the error before there is anything to read.
        server.transport.stopReading()
        server.transport.readConnectionLost(Failure(ConnectionDone()))
        self.assertIs(await server.lost, ConnectionLost)
        self.assertIsInstance(server.lossReason, ConnectionLost)

    async def test_a_protocol_that_talks_on_after_the_end_of_its_peer_is_not(self) -> None:
        class Late(Server):
            def messagesEnded(self) -> None:
                reactor.callLater(0, self.say)

            def say(self) -> None:
                self.sendMessage(b"late")
                self.loseConnection()

        server, client = await self.connected("int8", Late, Client)
        client.transport.loseWriteConnection()
        self.assertEqual(await gatherResults([server.lost, client.lost]), [ConnectionDone] * 2)
        self.assertEqual(bytes(client.received), b"\4late")

    async def test_a_peer_that_never_reads_is_aborted_close_timeout_after_the_close_began(self) -> None:
        server, client = await self.connected("raw", Server, Deaf)
        server.transport.write(MUCH)
        began = reactor.seconds()
        server.loseConnection()
        reason = await server.lost
        self.assertIs(reason, ConnectionAborted)
        self.assertGreaterEqual(reactor.seconds() - began, CLOSE_TIMEOUT)
        client.transport.abortConnection()
        await client.lost

    async def test_a_peer_that_half_closes_and_never_reads_is_aborted(self) -> None:
        class Generous(Server):
            def messageReceived(self, message: bytes) -> None:
                self.transport.write(MUCH)

        server, client = await self.connected("raw", Generous, Deaf)
        client.transport.write(b"?")
        client.transport.loseWriteConnection()
        reason = await server.lost
        self.assertIs(reason, ConnectionAborted)
        client.transport.abortConnection()
        await client.lost

    async def test_a_peer_that_reads_late_after_its_half_close_gets_everything(self) -> None:
        class Generous(Server):
            options = ConnectionOptions(close_timeout=10)

            def messageReceived(self, message: bytes) -> None:
                self.transport.write(MUCH)
                reactor.callLater(0, client.transport.resumeProducing)

        server, client = await self.connected("raw", Generous, Deaf)
        client.transport.write(b"?")
        client.transport.loseWriteConnection()
        await server.lost
        await client.lost
        self.assertEqual(len(client.received), len(MUCH))

    async def test_a_peer_that_reads_slowly_has_the_time_it_needs(self) -> None:
        """Both after our close and after its own half-close: some of it ten times in each close_timeout."""

        class Patient(Server):
            options = ConnectionOptions(close_timeout=2 * CLOSE_TIMEOUT)

        class Slow(Deaf):
            def take(self) -> None:
                """Read for a moment."""
                self.transport.resumeProducing()
                self.wait()

            def wait(self) -> None:
                self.call = reactor.callLater(CLOSE_TIMEOUT / 5, self.take)

            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                # 64 KiB are in a read: about a second for all.
                if len(self.received) % (1 << 20) < len(data):
                    self.transport.pauseProducing()

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                self.call.cancel()
                super().connectionLost(reason)

        for half_closes in (False, True):
            server, client = await self.connected("raw", Patient, Slow)
            assert isinstance(client, Slow)
            server.transport.write(MUCH)
            client.wait()
            if half_closes:
                client.transport.loseWriteConnection()
            else:
                server.loseConnection()
            await gatherResults([server.lost, client.lost])
            self.assertEqual(len(client.received), len(MUCH))

    async def test_the_answer_before_a_bad_frame_reaches_a_peer_that_goes_on_sending(self) -> None:
        """Closing with bytes unread would reset the connection under the answer."""

        class Answering(Server):
            def messageReceived(self, message: bytes) -> None:
                self.sendMessage(message * 1000)

        for _ in range(20):
            server, client = await self.connected("windev", Answering, Client)
            client.transport.write(b"5\r\nhello-1\r\n" + bytes(1 << 20))
            reasons = await gatherResults([server.lost, client.lost])
            self.assertEqual(reasons, [ConnectionDone, ConnectionDone])
            self.assertEqual(bytes(client.received), b"5000\r\n" + b"hello" * 1000)

    async def test_a_close_after_our_end_of_stream_is_no_reset(self) -> None:
        server, client = await self.connected("windev", Server, Staying)
        server.sendMessage(b"goodbye")
        server.endMessages()
        assert isinstance(client, Staying)
        await client.ended
        server.loseConnection()
        reason = await server.lost
        self.assertIs(reason, ConnectionDone)
        self.assertEqual(bytes(client.received), b"7\r\ngoodbye")
        client.transport.abortConnection()
        await client.lost

    async def test_a_peer_that_stays_after_our_end_of_stream_is_left_behind(self) -> None:
        server, client = await self.connected("windev", Server, Staying)
        server.sendMessage(b"goodbye")
        server.loseConnection()
        reason = await server.lost
        self.assertIs(reason, ConnectionDone)
        self.assertEqual(bytes(client.received), b"7\r\ngoodbye")
        client.transport.abortConnection()
        await client.lost


@implementer(IHalfCloseableDescriptor)
class Ended:
    """The transport of a peer that has ended its stream. dataBuffer: what waits for the kernel."""

    def __init__(self) -> None:
        self._socket, self.peer = socket.socketpair()
        self._socket.setblocking(False)
        self.peer.shutdown(socket.SHUT_WR)
        self.dataBuffer = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def fill(self) -> None:
        """Write until the kernel takes no more."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.send(bytes(1 << 16))
        self.dataBuffer = b"the rest"

    def loseWriteConnection(self) -> None: ...

    def readConnectionLost(self, reason: object) -> None: ...

    def writeConnectionLost(self, reason: object) -> None: ...

    def close(self) -> None:
        self._socket.close()
        self.peer.close()


class StallTests(SynchronousTestCase):
    """A peer that has ended its stream, and does not read for a while."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.options = ConnectionOptions(close_timeout=10.0, reactor=self.clock)
        self.transport = Ended()
        self.addCleanup(self.transport.close)
        self.written = 0
        self.aborted = 0
        transport: Any = self.transport
        self.closing = Closing(transport, State(), self)

    @property
    def taken(self) -> int:
        return self.written - len(self.transport.dataBuffer)

    def close_timed_out(self) -> None:
        self.aborted += 1

    def write(self, count: int) -> None:
        self.written += count
        self.transport.dataBuffer += bytes(count)

    def test_it_is_aborted_when_it_has_taken_nothing(self) -> None:
        self.write(100)
        self.closing.stalled()
        self.clock.pump([1] * 9)
        self.assertEqual(self.aborted, 0)
        self.clock.pump([1, 0])
        self.assertEqual(self.aborted, 1)

    def test_one_that_stops_again_and_again_and_takes_all_is_left_to_read(self) -> None:
        for _ in range(20):
            self.write(100)
            self.closing.stalled()
            self.clock.pump([1] * 3)
            self.transport.dataBuffer = b""
            self.closing.moving()
        self.assertEqual(self.aborted, 0)

    def test_it_takes_what_the_kernel_holds_before_the_kernel_takes_more_from_us(self) -> None:
        self.transport.fill()
        before = untaken(self.transport)
        self.assertGreater(before, unsent(self.transport))
        self.assertEqual(unsent(self.transport), len(b"the rest"))
        self.transport.peer.recv(1 << 16)
        self.assertLess(untaken(self.transport), before)
        self.transport.dataBuffer = b""
        self.assertGreater(untaken(self.transport), 0)
        while untaken(self.transport):
            self.transport.peer.recv(1 << 16)
