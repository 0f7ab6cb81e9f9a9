"""MessageProtocol over all that Twisted calls a transport, and over some that it would not."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any, cast
from unittest import SkipTest

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.connection import SSHConnection
from twisted.internet import reactor, tcp
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import ProcessEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.testing import StringTransport
from twisted.protocols.loopback import loopbackAsync
from twisted.protocols.policies import LimitTotalConnectionsFactory, ThrottlingFactory, TimeoutFactory, WrappingFactory
from twisted.python.failure import Failure
from twisted.test.iosim import connectedServerAndClient
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from sockserve.client.connecting import connect
from sockserve.client.endpoints import as_endpoint
from sockserve.connection.channel import ChannelClosed
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.connection.transports import NO_ADDRESS, footprint
from sockserve.handlers.echo import Echo
from sockserve.limits.memory import OBJECT
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, SocketCase, turn


class Server(Echo):
    framing = "int32"


class Asking(MessageProtocol):
    """Sends two messages, ends its side, and keeps what comes back."""

    framing = "int32"

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.sendMessage(b"one")
        self.sendMessage(b"two")
        self.endMessages()

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        if len(self.seen) == 2:
            self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.lost.callback(None)


class ProcessTests(TestCase):
    timeout = 20

    async def test_a_channel_to_a_process(self) -> None:
        channel = await connect(ProcessEndpoint(reactor, "/bin/cat", ["cat"]), "int32", timeout=10)
        await channel.write(b"hello")
        self.assertEqual(await channel.read(10), b"hello")
        self.assertEqual((channel.info.peer, channel.info.local), (NO_ADDRESS, NO_ADDRESS))
        # The end of its standard input is what ends cat.
        channel.end()
        with self.assertRaises(ChannelClosed):
            await channel.read(10)

    async def test_what_it_still_writes_after_the_end_of_its_input_is_read(self) -> None:
        channel = await connect(ProcessEndpoint(reactor, "/usr/bin/sort", ["sort"]), "buffered:\\n", timeout=10)
        for word in (b"pear", b"apple", b"fig"):
            channel.send(word)
        channel.end()
        self.assertEqual([message async for message in channel], [b"apple", b"fig", b"pear"])


class PipeTests(TestCase):
    timeout = 20

    async def test_standard_input_and_output(self) -> None:
        """As inetd and ssh start a program. Twisted leaves the descriptors open: their end is that of the program."""

        class Noting(Server):
            lost: Deferred[None]

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                super().connectionLost(reason)
                self.lost.callback(None)

        there, back = os.pipe(), os.pipe()
        server, client = Noting(), Asking()
        server.lost = Deferred()
        standard_io = cast("Any", StandardIO)
        standard_io(server, there[0], back[1], reactor)
        standard_io(client, back[0], there[1], reactor)
        await client.lost
        self.assertEqual(client.seen, [b"one", b"two"])
        for descriptor in (there[1], back[0]):
            os.close(descriptor)
        await server.lost
        self.assertTrue(server.closing)
        for descriptor in (there[0], back[1]):
            os.close(descriptor)


class Connection(SSHConnection):
    """One side of an SSH connection, in memory, with one channel."""

    other: Channel

    def __init__(self) -> None:
        super().__init__()
        self.transport = cast("Any", self)
        self.log: list[str] = []

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.7", 22)

    getHost = getPeer

    def sendData(self, channel: Channel, data: bytes) -> None:
        self.other.protocol.dataReceived(data)

    def sendClose(self, channel: Channel) -> None:
        if self.log:
            return
        self.log.append("close")
        for each in (channel, self.other):
            each.protocol.connectionLost(Failure(ConnectionDone()))


class Channel(SSHChannel):
    protocol: MessageProtocol

    def __init__(self, connection: Connection) -> None:
        super().__init__(localWindow=64, remoteWindow=64, remoteMaxPacket=16, conn=connection)


class SSHTests(SynchronousTestCase):
    def connected(self) -> tuple[Channel, Channel, Connection]:
        near, far = Connection(), Connection()
        ours, theirs = Channel(near), Channel(far)
        near.other, far.other = theirs, ours
        for channel, protocol in ((ours, Server()), (theirs, Asking())):
            channel.protocol = protocol
            protocol.options = ConnectionOptions(reactor=Clock())
        ours.protocol.makeConnection(ours)
        return ours, theirs, far

    def test_messages_go_both_ways_and_the_close_arrives(self) -> None:
        ours, theirs, connection = self.connected()
        theirs.protocol.makeConnection(theirs)
        self.assertEqual(theirs.protocol.seen, [b"one", b"two"])  # type: ignore[attr-defined]
        self.assertTrue(ours.protocol.closing)
        self.assertEqual(ours.protocol.peer, "192.0.2.7:22")
        self.assertIn("close", connection.log)

    def test_a_peer_without_window_holds_up_reading(self) -> None:
        ours, theirs, _ = self.connected()
        self.patch(theirs.protocol, "dataReceived", lambda _: None)
        message = b"\0\0\0\x14" + bytes(20)
        ours.protocol.dataReceived(message * 5)
        self.assertEqual((ours.remoteWindowLeft, ours.protocol._engine.sending.blocked), (0, True))
        sent = ours.protocol.info.messages_sent
        ours.protocol.dataReceived(message)
        self.assertEqual(ours.protocol.info.messages_sent, sent)
        ours.addWindowBytes(1000)
        self.assertFalse(ours.protocol._engine.sending.blocked)
        self.assertEqual(ours.protocol.info.messages_sent, 6)


class LoopbackTests(TestCase):
    timeout = 20

    async def test_loopback_of_twisted(self) -> None:
        server, client = Server(), Asking()
        await loopbackAsync(server, client)
        self.assertEqual(client.seen, [b"one", b"two"])
        self.assertTrue(server.closing)

    def test_simulated_io(self) -> None:
        client, server, pump = connectedServerAndClient(Server, Asking)
        pump.flush()
        self.assertEqual(client.seen, [b"one", b"two"])
        self.assertTrue(server.closing)


class WrapperTests(TestCase):
    timeout = 20

    def wrapped(self) -> list[Callable[[IProtocolFactory], Any]]:
        def limited(factory: IProtocolFactory) -> LimitTotalConnectionsFactory:
            limiting = LimitTotalConnectionsFactory()
            limiting.protocol = factory.buildProtocol  # type: ignore[assignment]
            limiting.buildProtocol = factory.buildProtocol  # type: ignore[method-assign]
            return limiting

        return [
            WrappingFactory,
            lambda factory: TimeoutFactory(factory, 10),
            lambda factory: ThrottlingFactory(factory, 100),
            limited,
        ]

    async def test_messages_pass_the_wrappers_of_twisted(self) -> None:
        for wrap in self.wrapped():
            port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(wrap(Factory.forProtocol(Server)))
            assert isinstance(port, Port)
            channel = await connect(f"tcp:127.0.0.1:{port.getHost().port}", "int32", timeout=10)
            await channel.write(b"hello")
            self.assertEqual(await channel.read(10), b"hello")
            channel.abort()
            await port.stopListening()


class Bare:
    """No more than ITransport asks for, and not all of that."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def loseConnection(self) -> None:
        self.closed = True


class Broken(StringTransport):
    def registerProducer(self, producer: object, streaming: bool) -> None:
        raise LookupError("no producers here")


@implementer(IStreamClientEndpoint)
class Giving:
    """An endpoint that connects to this transport at once."""

    def __init__(self, transport: StringTransport) -> None:
        self.transport = transport

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's name
        connected: Deferred[IProtocol] = Deferred()
        protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 1))
        assert protocol is not None
        protocol.makeConnection(self.transport)
        connected.callback(protocol)
        return connected


class FootprintTests(SynchronousTestCase):
    def test_what_waits_for_several_is_counted_once_and_never_less(self) -> None:
        for count in (1, 2, 50):
            first = bytes(30_000)
            others = [bytes([number]) * 20_000 for number in range(30)]
            sockets = [tcp.Connection.__new__(tcp.Connection) for _ in range(count)]
            for each in sockets:
                each.dataBuffer, each._tempDataBuffer, each._tempDataLen = first, [*others], 600_000
            self.assertEqual(footprint(sockets[0]), 630_000 + 30 * OBJECT)
            del each, first, others
            footprints = sum(footprint(each, shares=True) - 30 * OBJECT for each in sockets)
            # The interpreter may hold fewer references while it looks; then it is more.
            self.assertTrue(629_000 <= footprints < 630_000 * (1 + 2 / count), footprints)

    def test_small_pieces_are_counted_for_each(self) -> None:
        piece = bytes(2000)
        each = tcp.Connection.__new__(tcp.Connection)
        each._tempDataBuffer, each._tempDataLen = [piece] * 10, 20_000
        self.assertEqual(footprint(each, shares=True), 20_000 + 10 * OBJECT)


class AbortTests(SocketCase):
    async def test_what_waits_for_a_peer_that_does_not_read_is_free_before_that_returns(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "raw"))
        client = await self.client(server)
        client.transport.pauseProducing()
        while not server.channels:
            await turn()
        [channel] = server.channels.values()
        transport = cast("MessageProtocol", channel._protocol).transport
        transport.write(bytes(64 << 20))
        sent = -1
        while sent != transport.offset or not sent:
            sent = transport.offset
            # Two, so that the reactor has met a kernel that takes no more.
            await turn()
            await turn()
        waiting = transport.dataBuffer
        channel.abort()
        # Only this test has it: its variable, and the argument of the call.
        self.assertEqual(sys.getrefcount(waiting), 2)
        client.transport.abortConnection()


class LineTests(TestCase):
    """The kernel is asked to notice a dead line, on either side of a connection."""

    timeout = 20

    def options_of(self, protocol: MessageProtocol) -> list[int]:
        if not hasattr(socket, "TCP_USER_TIMEOUT"):
            raise SkipTest("only on Linux")
        handle = cast("Any", protocol.transport).getHandle()
        names = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT
        of_tcp = [handle.getsockopt(socket.IPPROTO_TCP, each) for each in names]
        return [handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *of_tcp]

    async def of_server(self, listen: str, connect_to: Callable[[int], str]) -> list[int]:
        """What a named socket has set for its client."""
        server = SocketServer("a", listen, "int32", tcp_keepalive="40s", tcp_user_timeout="1500ms")
        server.startService()
        self.addCleanup(server.stopService)
        client = await connect(connect_to(cast("Any", server.ports[0]).getHost().port), "int32")
        await client.write(b"there?")
        await client.read()
        [channel] = server.channels.values()
        client.close()
        return self.options_of(cast("MessageProtocol", channel._protocol))

    async def test_over_tcp(self) -> None:
        options = await self.of_server("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:{}".format)
        self.assertEqual(options, [1, 40, 5, 8, 1500])

    async def test_over_tls(self) -> None:
        authority = Authority(self.mktemp())
        self.assertEqual(await self.of_server(authority.listen(), authority.trusting), [1, 40, 5, 8, 1500])

    async def test_as_a_client(self) -> None:
        class Watching(Server):
            options = ConnectionOptions(tcp_keepalive=120, tcp_user_timeout=90)

        port = cast(
            "Port", await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(MessageFactory("raw", Server))
        )
        self.addCleanup(port.stopListening)
        client = await as_endpoint(f"tcp:127.0.0.1:{port.getHost().port}", reactor).connect(
            Factory.forProtocol(Watching)
        )
        self.assertEqual(self.options_of(cast("Watching", client)), [1, 120, 15, 8, 90_000])
        cast("Watching", client).abortConnection()

    def test_a_transport_in_memory_has_no_line(self) -> None:
        protocol = Asking()
        protocol.options = ConnectionOptions(tcp_keepalive=10, tcp_user_timeout=10)
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.assertEqual(transport.value(), b"\0\0\0\3one\0\0\0\3two")


class LessTests(SynchronousTestCase):
    def test_write_and_lose_connection_are_enough(self) -> None:
        transport = Bare()
        protocol = MessageFactory("int8", Echo, reactor=Clock()).buildProtocol(None)
        protocol.makeConnection(transport)  # type: ignore[arg-type]
        protocol.pauseProducing()
        protocol.dataReceived(b"\x02hi")
        self.assertEqual(transport.written, b"")
        protocol.resumeProducing()
        self.assertEqual((transport.written, protocol.peer), (b"\x02hi", "pipe"))
        protocol.abortConnection()
        self.assertTrue(transport.closed)

    def after_a_failed_start(self, protocol: MessageProtocol) -> None:
        self.assertTrue(protocol.closing)
        protocol.sendMessage(b"late")
        protocol.dataReceived(b"late")
        protocol.pauseProducing()
        protocol.readConnectionLost()
        protocol.loseConnection()
        self.assertEqual(protocol.info.messages_sent, 0)
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_one_that_raises_when_the_connection_starts_is_closed_and_logged(self) -> None:
        transport = Broken()
        protocol = Server()
        protocol.makeConnection(transport)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertTrue(transport.disconnecting)
        self.after_a_failed_start(protocol)

    def test_a_class_with_a_framing_that_there_is_not_closes_and_says_so(self) -> None:
        class Wrong(MessageProtocol):
            framing = "windows"

        transport = StringTransport()
        protocol = Factory.forProtocol(Wrong).buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(transport)
        [failure] = self.flushLoggedErrors(ValueError)
        self.assertIn("unknown framing 'windows'", failure.getErrorMessage())
        self.assertTrue(transport.disconnecting)
        self.after_a_failed_start(protocol)

    def test_an_exception_while_connect_starts_reaches_its_caller(self) -> None:
        transport = Broken()
        failure = self.failureResultOf(connect(Giving(transport), reactor=Clock()), LookupError)
        self.assertEqual(failure.getErrorMessage(), "no producers here")
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertTrue(transport.disconnecting)


class WrappedConnectTests(TestCase):
    timeout = 20

    async def test_connect_through_an_endpoint_that_wraps_the_factory(self) -> None:
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Server))
        assert isinstance(port, Port)
        self.addCleanup(port.stopListening)

        @implementer(IStreamClientEndpoint)
        class Wrapping:
            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803
                from twisted.internet.endpoints import TCP4ClientEndpoint

                inner = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
                connecting: Deferred[IProtocol] = inner.connect(WrappingFactory(protocolFactory))
                return connecting

        channel = await connect(Wrapping(), "int32", timeout=10)
        await channel.write(b"hello")
        self.assertEqual(await channel.read(10), b"hello")
        channel.abort()
