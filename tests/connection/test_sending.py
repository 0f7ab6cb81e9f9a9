"""What is written to the socket at once, when nothing waits before it: order, back-pressure, errors, TLS."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from operator import attrgetter
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.ssl import CertificateOptions, DefaultOpenSSLContextFactory
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from sockserve.connection.channel import Channel
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import parse
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, Client, SocketCase, turn

MUCH = bytes(range(256)) * (1 << 16)
"""More than the kernel takes for a peer that does not read."""


class Written(MessageProtocol):
    """Writes in its first moment; remembers when it was told that the peer does not read."""

    made: Written
    told: list[str]
    options = ConnectionOptions(max_queued=1 << 30)

    def connectionMade(self) -> None:
        type(self).made = self
        self.told = []
        self.sendMessage(b"hello,")

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(b"answer,")

    def writingPaused(self) -> None:
        self.told.append("paused")
        super().writingPaused()

    def writingResumed(self) -> None:
        self.told.append("resumed")
        super().writingResumed()


class DirectTests(SocketCase):
    async def listen(self, make: Callable[[], MessageProtocol]) -> Port:
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(MessageFactory("raw", make))
        assert isinstance(port, Port)
        self.addCleanup(port.stopListening)
        return port

    async def written(self, *, paused: bool = False) -> tuple[Written, Client]:
        client = await self.client(await self.listen(Written), paused=paused)
        while not hasattr(Written, "made"):
            await turn()
        server = Written.made
        del Written.made
        return server, client

    async def test_it_does_not_overtake_what_the_transport_was_given(self) -> None:
        server, client = await self.written()
        for number in range(100):
            server.transport.write(b"%d " % number)
            server.sendMessage(b"%d," % number)
        expected = b"hello," + b"".join(b"%d %d," % (number, number) for number in range(100))
        self.assertEqual(await client.until(len(expected)), expected)

    async def test_a_peer_that_does_not_read_is_noticed_and_has_all_in_order(self) -> None:
        server, client = await self.written(paused=True)
        pieces = [MUCH[start : start + 50_000] for start in range(0, len(MUCH), 50_000)]
        for piece in pieces:
            server.sendMessage(piece)
        self.assertEqual(server.told, ["paused"])
        client.transport.resumeProducing()
        received = await client.until(len(b"hello,") + len(MUCH))
        self.assertTrue(received == b"hello," + MUCH)
        while server.told[-1] != "resumed":
            await turn()
        server.loseConnection()
        await client.lost

    async def test_what_a_program_sends_in_one_turn_is_one_write_that_no_poller_is_told_of(self) -> None:
        server, client = await self.written()
        await client.until(len(b"hello,"))
        below, writes = server.transport.socket, []

        class Noted:
            """The socket, and what it is given."""

            def send(self, data: bytes) -> int:
                writes.append(bytes(data))
                return int(below.send(data))

            def __getattr__(self, name: str) -> object:
                return getattr(below, name)

        server.transport.socket = Noted()
        for number in range(3):
            server.sendMessage(b"%d," % number)
        self.assertEqual(server.queued, len(b"0,1,2,"))
        self.assertNotIn(server.transport, cast("PosixReactorBase", reactor).getWriters())
        self.assertEqual(await client.until(len(b"hello,0,1,2,")), b"hello,0,1,2,")
        self.assertEqual((writes, server.queued), ([b"0,1,2,"], 0))

    async def test_what_the_poller_has_sent_in_part_in_the_same_turn_is_not_overtaken(self) -> None:
        server, client = await self.written()
        await client.until(len(b"hello,"))
        transport = server.transport
        server.sendMessage(b"first,")
        write = transport.writeSomeData
        transport.writeSomeData = lambda data: write(data[:2])
        transport.startWriting()
        transport.doWrite()
        transport.writeSomeData = write
        server.sendMessage(b"second,")
        self.assertEqual(await client.until(len(b"hello,first,second,")), b"hello,first,second,")

    async def test_small_pieces_for_a_peer_that_does_not_read_arrive_in_order(self) -> None:
        server, client = await self.written(paused=True)
        pieces = [MUCH[start : start + 30_000] for start in range(0, len(MUCH), 30_000)]
        for piece in pieces:
            server.sendMessage(piece)
            await turn()
        self.assertEqual(server.told[0], "paused")
        client.transport.resumeProducing()
        received = await client.until(len(b"hello,") + len(MUCH))
        self.assertTrue(received == b"hello," + MUCH)

    async def test_closing_in_the_same_turn_sends_it_first(self) -> None:
        for close in ("loseConnection", "endMessages", "transport.loseConnection", "transport.loseWriteConnection"):
            server, client = await self.written()
            await client.until(len(b"hello,"))
            server.sendMessage(b"last")
            attrgetter(close)(server)()
            self.assertEqual(await client.until(len(b"hello,last")), b"hello,last")
            client.end()
            await client.lost

    async def test_an_abort_in_the_same_turn_sends_nothing(self) -> None:
        server, client = await self.written()
        await client.until(len(b"hello,"))
        server.sendMessage(b"last")
        server.abortConnection()
        await client.lost
        self.assertEqual(bytes(client.received), b"hello,")

    async def test_over_a_unix_socket(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)

        path = self.mktemp()[-60:].replace("/", "-")
        self.serve(SocketServer("unix", f"unix:{path}", "raw", conversation=talk))
        client = await UNIXClientEndpoint(reactor, path).connect(Factory.forProtocol(Client))
        assert isinstance(client, Client)
        client.send(MUCH)
        client.end()
        await client.lost
        self.assertTrue(bytes(client.received) == MUCH)

    async def test_a_reset_that_a_write_meets_is_not_an_end_of_the_stream(self) -> None:
        """The kernel tells it once: a read after it would find the end of the stream."""
        ended: Deferred[str] = Deferred()

        async def talk(channel: Channel) -> None:
            await channel.read()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            channel.send(b"too late")
            try:
                await channel.read()
            except Exception as error:
                ended.callback(type(error).__name__)
                raise

        server = self.serve(SocketServer("orders", LOCAL, "raw", conversation=talk))
        (port,) = server.ports
        assert isinstance(port, Port)
        peer = socket.create_connection(("127.0.0.1", port.getHost().port))
        peer.sendall(b"?")
        self.assertEqual(await ended, ConnectionLost.__name__)

    async def test_after_startTLS_nothing_is_sent_in_the_clear(self) -> None:
        file = Authority(self.mktemp()).server
        context = DefaultOpenSSLContextFactory(str(file), str(file))

        class Upgrading(MessageProtocol):
            def messageReceived(self, message: bytes) -> None:
                if message == b"STARTTLS":
                    self.sendMessage(b"go")
                    reactor.callLater(0, self.transport.startTLS, context)
                else:
                    self.sendMessage(b"secret")

        client = await self.client(await self.listen(Upgrading))
        client.send(b"STARTTLS")
        await client.until(2)
        client.transport.startTLS(CertificateOptions())
        client.send(b"?")
        self.assertEqual(await client.until(8), b"gosecret")


class LargeTests(SocketCase):
    """Large messages: they are sent as they are, and what the kernel does not take waits without a copy."""

    async def served(self, name: str, make: Callable[[], MessageProtocol], *, paused: bool = False) -> Client:
        factory = MessageFactory(parse(name, max_length=1 << 25), make)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        assert isinstance(port, Port)
        self.addCleanup(port.stopListening)
        return await self.client(port, paused=paused)

    async def test_they_come_back_in_order_with_small_ones_between(self) -> None:
        class Answer(MessageProtocol):
            def messageReceived(self, message: bytes) -> None:
                self.sendMessage(message)

        payload = MUCH.translate(None, b"E\r")
        for name in ("int32", "windev", "netstring", "standard", "buffered", "raw", "envelope:\\x02:EE"):
            framing = parse(name, max_length=1 << 25)
            wire = framing.encode_all([payload[:65532], b"a", payload, b"b", payload[:70_000], payload[:100_000], b"c"])
            client = await self.served(name, Answer)
            client.send(wire)
            self.assertTrue(await client.until(len(wire)) == wire, name)

    async def test_a_peer_that_does_not_read_is_counted_to_the_byte(self) -> None:
        made: Deferred[MessageProtocol] = Deferred()

        class Sends(MessageProtocol):
            options = ConnectionOptions(max_queued=1 << 30)

            def connectionMade(self) -> None:
                made.callback(self)

        client = await self.served("int32", Sends, paused=True)
        server = await made
        frame = len(MUCH) + 4
        server.sendMessage(MUCH)
        first = server.queued
        engine = server._engine
        self.assertTrue(64 * 1024 < first < frame)
        self.assertTrue(engine.sending.blocked)
        self.assertEqual(engine.sending.bytes_sent, frame)
        await turn()
        await turn()
        now = server.queued
        # What waits is the message itself; a transport of Twisted's keeps what it has sent of it.
        self.assertTrue(engine.transport.dataBuffer is MUCH)
        self.assertEqual(engine.held, now + engine.transport.offset)
        server.sendMessage(MUCH)
        server.sendMessage(b"last")
        self.assertEqual(server.queued, now + frame + 8)
        server.endMessages()
        client.transport.resumeProducing()
        framing = parse("int32", max_length=1 << 25)
        expected = framing.encode_all([MUCH, MUCH, b"last"])
        self.assertTrue(await client.until(len(expected)) == expected)
        await client.ended
        self.assertEqual(server.queued, 0)

    async def test_many_that_wait_are_sent_from_where_they_lie(self) -> None:
        """What others are sent too is not copied, however the peer takes it; the small ones between are joined."""
        made: Deferred[MessageProtocol] = Deferred()

        class Sends(MessageProtocol):
            options = ConnectionOptions(max_queued=1 << 30)

            def connectionMade(self) -> None:
                made.callback(self)

        client = await self.served("raw", Sends, paused=True)
        server = await made
        large = [MUCH[at : at + 20_000 + at % 7] for at in range(0, len(MUCH), 40_000)]
        lying = set(map(id, large))
        pieces: list[bytes] = []
        for piece in large:
            pieces += [piece, *([b"small"] * (100 if len(pieces) % 2 else 1))]
        for number, piece in enumerate(pieces):
            server._engine.encoder.send_all([piece], lambda _, messages: messages[0])
            if number % 1000 == 0:
                await turn()
        expected = b"".join(pieces)
        transport = server._engine.transport
        waited = 0
        while len(client.received) < len(expected):
            client.transport.resumeProducing()
            await turn()
            client.transport.pauseProducing()
            waiting = [transport.dataBuffer, *transport._tempDataBuffer]
            waited = max(waited, len(waiting))
            for piece in waiting:
                self.assertTrue(len(piece) < 20_000 or id(piece) in lying)
        self.assertGreater(waited, 100)
        self.assertTrue(client.received == expected)
        self.assertEqual(server.queued, 0)

    async def test_those_of_one_turn_are_sent_from_where_they_lie(self) -> None:
        made: Deferred[MessageProtocol] = Deferred()

        class Sends(MessageProtocol):
            options = ConnectionOptions(max_queued=1 << 30)

            def connectionMade(self) -> None:
                made.callback(self)

        client = await self.served("raw", Sends, paused=True)
        server = await made
        transport = server._engine.transport
        large = [bytes([number]) * 20_000 for number in range(3)]
        sent = b""
        while not transport.dataBuffer:
            for piece in (large[0], b"small", large[1], large[2]):
                server.sendMessage(piece)
                sent += piece
            await turn()
        waiting = [transport.dataBuffer, *transport._tempDataBuffer]
        self.assertTrue({id(piece) for piece in waiting if len(piece) > 5} <= set(map(id, large)))
        client.transport.resumeProducing()
        self.assertTrue(await client.until(len(sent)) == sent)

    async def test_what_waits_is_given_up_when_the_connection_is_lost(self) -> None:
        made: Deferred[MessageProtocol] = Deferred()
        lost: Deferred[None] = Deferred()

        class Sends(MessageProtocol):
            def connectionMade(self) -> None:
                made.callback(self)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                super().connectionLost(reason)
                lost.callback(None)

        client = await self.served("int32", Sends, paused=True)
        server = await made
        server.sendMessage(MUCH)
        self.assertGreater(server.queued, 0)
        client.reset()
        await lost
        self.assertEqual(server.queued, 0)

    async def test_what_waits_is_given_up_when_it_is_aborted(self) -> None:
        made: Deferred[MessageProtocol] = Deferred()

        class Sends(MessageProtocol):
            def connectionMade(self) -> None:
                made.callback(self)

        client = await self.served("int32", Sends, paused=True)
        server = await made
        server.sendMessage(MUCH)
        await turn()
        server.abortConnection()
        self.assertEqual(server.queued, 0)
        client.transport.resumeProducing()
        await client.lost
        self.assertLess(len(client.received), len(MUCH))

    async def test_a_reset_ends_it(self) -> None:
        lost: Deferred[type | None] = Deferred()

        class Sends(MessageProtocol):
            def connectionMade(self) -> None:
                self.sendMessage(MUCH)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                super().connectionLost(reason)
                lost.callback(reason.type)

        client = await self.served("int32", Sends, paused=True)
        await turn()
        client.reset()
        self.assertIs(await lost, ConnectionLost)
