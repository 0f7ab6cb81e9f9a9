"""connect and reconnecting, over real sockets: every way that connecting can end, and what is left behind then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, quoteStringArgument, serverFromString
from twisted.internet.error import ConnectError, DNSLookupError, SSLError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection, Port
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from sockserve.client.connecting import connect, disconnect
from sockserve.client.endpoints import ACCEPTED, as_endpoint
from sockserve.client.reconnecting import reconnecting
from sockserve.connection.channel import Channel, ChannelClosed
from sockserve.connection.conversation import Conversation
from sockserve.framing import parse
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority

LOCAL = "tcp:0:interface=127.0.0.1"


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.write(message)


class Silent(Protocol):
    """Never answers. Fires `lost` when the connection is over."""

    transport: Connection

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class Deaf(Silent):
    """Does not read either."""

    def connectionMade(self) -> None:
        self.transport.pauseProducing()


class Greeting(Silent):
    """Speaks first."""

    def connectionMade(self) -> None:
        self.transport.write(b"7\r\nwelcome3\r\nyou")


@implementer(IStreamClientEndpoint)
class Late:
    """Is cancelled too late: the connection is there already."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self.made: Deferred[None] = Deferred()
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's name
        def made(protocol: IProtocol) -> None:
            self._protocol = protocol
            self.made.callback(None)

        self._endpoint.connect(protocolFactory).addCallback(made)
        return Deferred(lambda connecting: connecting.callback(self._protocol))


@implementer(IHostnameResolver)
class Resolver:
    """Gives these addresses for every name; None: never ends."""

    def __init__(self, *hosts: str) -> None:
        self.hosts: tuple[str, ...] | None = hosts

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: object = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        resolution = cast("IHostResolution", self)
        resolutionReceiver.resolutionBegan(resolution)
        if self.hosts is not None:
            for host in self.hosts:
                kind: type[IPv4Address | IPv6Address] = IPv6Address if ":" in host else IPv4Address
                resolutionReceiver.addressResolved(cast("IAddress", kind("TCP", host, portNumber)))
            resolutionReceiver.resolutionComplete()
        return resolution


class ClientTestCase(TestCase):
    timeout = 20

    def serve(
        self, conversation: Conversation = echo, framing: str = "windev", endpoint: str = LOCAL, **options: float
    ) -> SocketServer:
        server = SocketServer("here", endpoint, framing, conversation=conversation, **options)  # type: ignore[arg-type]
        server.startService()
        self.addCleanup(server.stopService)
        return server

    def port(self, server: SocketServer) -> int:
        [port] = server.ports
        assert isinstance(port, Port)
        return int(port.getHost().port)

    def address(self, server: SocketServer) -> str:
        return f"tcp:127.0.0.1:{self.port(server)}"

    async def silent(self, kind: Callable[[], Silent] = Silent, endpoint: str = LOCAL) -> tuple[int, Silent]:
        """A server that accepts one connection and says nothing: its port, and its protocol."""
        protocol = kind()
        port = await serverFromString(reactor, endpoint).listen(Factory.forProtocol(lambda: protocol))
        self.addCleanup(port.stopListening)
        assert isinstance(port, Port)
        return int(port.getHost().port), protocol

    def resolve(self, resolver: Resolver) -> None:
        plugs = cast("IReactorPluggableNameResolver", reactor)
        before = plugs.installNameResolver(resolver)
        self.addCleanup(plugs.installNameResolver, before)

    async def failing(self, connecting: Deferred[Channel], kind: type[Exception]) -> str:
        """The line of the error that it fails with."""
        with self.assertRaises(kind) as caught:
            await connecting
        line = str(caught.exception)
        self.assertNotIn("\n", line)
        return line


class ConnectTests(ClientTestCase):
    async def test_messages_go_out_and_come_back(self) -> None:
        channel = await connect(self.address(self.serve()), "windev")
        await channel.write(b"Hello World")
        self.assertEqual(await channel.read(), b"Hello World")
        await disconnect(channel)
        self.assertTrue(channel.closed)

    async def test_what_arrives_behind_our_end_is_read_to_the_last_message(self) -> None:
        async def late(channel: Channel) -> None:
            messages = [message async for message in channel]
            for message in messages:
                await channel.write(message)

        channel = await connect(self.address(self.serve(late)), "windev")
        channel.send(b"one")
        channel.send(b"two")
        channel.end()
        self.assertEqual([message async for message in channel], [b"one", b"two"])
        await disconnect(channel)

    async def test_the_endpoint_may_be_a_value_and_the_framing_too(self) -> None:
        server = self.serve()
        channel = await connect(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port(server)), parse("windev"))
        await channel.write(b"x")
        self.assertEqual(await channel.read(), b"x")
        await disconnect(channel)

    async def test_a_unix_socket(self) -> None:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        self.serve(endpoint=f"unix:{path}")
        for endpoint in (f"unix:{path}", UNIXClientEndpoint(reactor, str(path))):
            channel = await connect(endpoint, "windev")
            await channel.write(b"x")
            self.assertEqual(await channel.read(), b"x")
            await disconnect(channel)

    async def test_what_we_send_behind_the_peers_end_arrives(self) -> None:
        received: Deferred[list[bytes]] = Deferred()

        async def ending(channel: Channel) -> None:
            channel.end()
            received.callback([message async for message in channel])

        address = self.address(self.serve(ending))
        channel = await connect(address, "windev")
        with self.assertRaises(ChannelClosed):
            await channel.read()
        self.assertFalse(channel.closed)
        for number in range(100):
            channel.send(b"%d" % number)
        await disconnect(channel)
        self.assertEqual(await received, [b"%d" % number for number in range(100)])

    async def test_an_echo_of_more_than_both_sides_can_keep(self) -> None:
        """Our writes wait for the server, which waits for our reads: these must go on."""
        channel = await connect(self.address(self.serve(framing="raw")), "raw")

        async def send() -> None:
            for _ in range(32):
                await channel.write(bytes(1 << 20))
            channel.end()

        sending = Deferred.fromCoroutine(send())
        self.assertEqual(sum([len(message) async for message in channel]), 32 << 20)
        await sending
        await disconnect(channel)

    async def test_disconnect_sends_what_is_owed_before_it_fires(self) -> None:
        received: Deferred[int] = Deferred()

        async def count(channel: Channel) -> None:
            received.callback(sum([len(message) async for message in channel]))

        channel = await connect(self.address(self.serve(count, "raw")), "raw", max_queued=16 << 20)
        for _ in range(16):
            channel.send(bytes(1 << 20))
        await disconnect(channel)
        self.assertEqual(await received, 16 << 20)

    async def test_disconnect_gives_a_peer_that_does_not_read_close_timeout_seconds(self) -> None:
        port, server = await self.silent()
        channel = await connect(f"tcp:127.0.0.1:{port}", close_timeout=0.2)
        await disconnect(channel)
        await disconnect(channel)
        await server.lost

    async def test_only_the_channel_of_connect_can_be_disconnected(self) -> None:
        async def talk(channel: Channel) -> None:
            with self.assertRaises(TypeError):
                disconnect(channel)

        channel = await connect(self.address(self.serve(talk)), "windev")
        with self.assertRaises(ChannelClosed):
            await channel.read()
        await disconnect(channel)


class AddressTests(ClientTestCase):
    async def test_a_name_that_is_ipv6_first_is_found_where_only_ipv4_listens(self) -> None:
        self.resolve(Resolver("::1", "127.0.0.1"))
        channel = await connect(f"tcp:localhost:{self.port(self.serve())}", "windev")
        self.assertEqual(channel.info.peer.host, "127.0.0.1")  # type: ignore[attr-defined]
        await disconnect(channel)

    async def test_the_real_localhost(self) -> None:
        channel = await connect(f"tcp:localhost:{self.port(self.serve())}", "windev")
        await disconnect(channel)

    async def test_an_ipv6_address(self) -> None:
        server = self.serve(endpoint=r"tcp6:0:interface=\:\:1")
        channel = await connect(rf"tcp:\:\:1:{self.port(server)}", "windev")
        await disconnect(channel)

    async def test_the_local_address_can_be_chosen(self) -> None:
        address = self.address(self.serve())
        channel = await connect(f"{address}:bindAddress=127.0.0.2:timeout=5", "windev")
        self.assertEqual(channel.info.local.host, "127.0.0.2")  # type: ignore[attr-defined]
        await disconnect(channel)

    async def test_options_may_stand_anywhere(self) -> None:
        port = self.port(self.serve())
        for endpoint in (f"tcp:host=127.0.0.1:port={port}", f"tcp:port={port}:127.0.0.1"):
            channel = await connect(endpoint, "windev")
            await disconnect(channel)

    async def test_a_refused_connection(self) -> None:
        server = self.serve()
        address = self.address(server)
        await server.stopService()
        line = await self.failing(connect(address), Refused)
        self.assertIn("refused", line)
        self.assertTrue(issubclass(Refused, ConnectError))

    async def test_a_name_without_addresses(self) -> None:
        self.resolve(Resolver())
        line = await self.failing(connect("tcp:nowhere:7000"), DNSLookupError)
        self.assertIn("nowhere", line)

    async def test_a_unix_socket_that_is_not_there(self) -> None:
        await self.failing(connect(f"unix:{self.mktemp()}"), ConnectError)


class PatienceTests(ClientTestCase):
    """The time is over, or the caller has lost interest."""

    async def test_the_look_up_of_the_name_counts(self) -> None:
        never = Resolver()
        never.hosts = None
        self.resolve(never)
        line = await self.failing(connect("tcp:nowhere:7000", timeout=0.05), ConnectTimeout)
        self.assertIn("no connection within 0.05 seconds", line)

    async def test_the_handshake_counts(self) -> None:
        port, server = await self.silent()
        await self.failing(connect(f"tls:127.0.0.1:{port}", timeout=0.2), ConnectTimeout)
        await server.lost

    async def test_cancelled_during_the_look_up(self) -> None:
        never = Resolver()
        never.hosts = None
        self.resolve(never)
        connecting = connect("tcp:nowhere:7000")
        connecting.cancel()
        await self.failing(connecting, CancelledError)

    async def test_cancelled_while_the_address_is_tried(self) -> None:
        connecting = connect(self.address(self.serve()))
        connecting.cancel()
        await self.failing(connecting, CancelledError)

    async def test_cancelled_during_the_handshake(self) -> None:
        port, server = await self.silent()
        connecting = connect(f"tls:127.0.0.1:{port}")
        reactor.callLater(0.1, connecting.cancel)
        await self.failing(connecting, CancelledError)
        await server.lost

    async def test_an_endpoint_that_connects_in_spite_of_the_cancellation_leaves_nothing(self) -> None:
        port, server = await self.silent()
        late = Late(TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        connecting = connect(late)
        await late.made
        connecting.cancel()
        await self.failing(connecting, CancelledError)
        await server.lost


class EndpointTests(SynchronousTestCase):
    def test_what_is_no_endpoint_is_said_in_one_line(self) -> None:
        tcp = "tcp:HOST:PORT"
        for text, reason, accepted in (
            ("", "unknown kind of endpoint ''", ACCEPTED),
            ("tcp", "host and port are missing", tcp),
            ("tcp:", "host and port are missing", tcp),
            ("tcp:host", "port is missing", tcp),
            ("tcp::7000", "host is missing", tcp),
            ("tcp:host:name", "the port is a number from 1 to 65535, not 'name'", tcp),
            ("tcp:host:0", "the port is a number from 1 to 65535, not '0'", tcp),
            ("tcp:host:70000", "the port is a number from 1 to 65535, not '70000'", tcp),
            ("tcp:host:7000:8000", "'8000' is one argument too many", tcp),
            ("tcp:host:7000:port=1", "port is given twice", tcp),
            ("tcp:host:7000:tmeout=3", "there is no argument 'tmeout'", tcp),
            ("tcp:host:7000:timeout=soon", "the timeout is a time, such as 30 or 500ms, not 'soon'", tcp),
            ("tcp:host:7000\\", "a backslash must stand before another character", tcp),
            ("localhost:7000", "unknown kind of endpoint 'localhost'", ACCEPTED),
            ("unx:/run/x", "unknown kind of endpoint 'unx' (did you mean 'unix'?)", ACCEPTED),
            ("tls:host", "port is missing", "tls:HOST:PORT"),
            ("tls:host:1:certificate=/no-such.pem", "/no-such.pem: cannot be read: No such file", "tls:HOST:PORT"),
            (
                f"tls:host:1:certificate={__file__}",
                "has no certificate that can be read; accepted: PEM",
                "tls:HOST:PORT",
            ),
            ("tls:host:1:trustRoots=/no-such", "/no-such: cannot be read", "tls:HOST:PORT"),
            ("tls:host:1:endpoint=pigeon", "nknown", "tls:HOST:PORT"),
            ("ssl:host:1:sslmethod=x", "there is no argument 'sslmethod'", "ssl:HOST:PORT"),
            ("ssl:host:1:timeout=", "the timeout is a time", "ssl:HOST:PORT"),
            ("unix", "path is missing", "unix:PATH"),
            ("unix:/run/x:lockfile=yes", "'yes' is neither 0 nor 1", "unix:PATH"),
            ("unix:/run/x:/run/y", "'/run/y' is one argument too many", "unix:PATH"),
        ):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                connect(text)
            line = str(caught.exception)
            self.assertIn(reason, line)
            self.assertIn(f"; accepted: {accepted}", line)
            self.assertNotIn("\n", line)

    def test_what_is_neither_a_string_nor_an_endpoint(self) -> None:
        for value in (None, 7000, b"tcp:localhost:7000", ["tcp:localhost:7000"]):
            with self.assertRaises(ValueError) as caught:
                connect(value)  # type: ignore[arg-type]
            self.assertIn("is no endpoint; accepted: ", str(caught.exception))

    def test_what_is_no_framing(self) -> None:
        with self.assertRaises(ValueError) as caught:
            connect("tcp:localhost:7000", "windew")
        self.assertIn("did you mean 'windev'?", str(caught.exception))

    def test_escapes(self) -> None:
        self.assertEqual(repr(as_endpoint(r"tcp:\:\:1:7000", reactor)), "<HostnameEndpoint [::1]:7000>")
        self.assertEqual(repr(as_endpoint(r"tcp:fe80\:\:1%a\=b:7", reactor)), "<HostnameEndpoint [fe80::1%a=b]:7>")


class TLSTests(ClientTestCase):
    def setUp(self) -> None:
        self.authority = Authority(self.mktemp())

    async def test_messages_go_out_and_come_back(self) -> None:
        server = self.serve(endpoint=self.authority.listen())
        channel = await connect(self.authority.trusting(self.port(server)), "windev")
        await channel.write(b"secret")
        self.assertEqual(await channel.read(), b"secret")
        certificate = channel.info.certificate
        assert certificate is not None
        self.assertEqual(certificate.subject, "CN=localhost")
        await disconnect(channel)

    async def test_a_server_that_speaks_first(self) -> None:
        async def greet(channel: Channel) -> None:
            await channel.write(b"welcome")
            async for message in channel:
                await channel.write(message)

        server = self.serve(greet, endpoint=self.authority.listen())
        channel = await connect(self.authority.trusting(self.port(server)), "windev")
        self.assertEqual(await channel.read(), b"welcome")
        await channel.write(b"thanks")
        self.assertEqual(await channel.read(), b"thanks")
        await disconnect(channel)

    async def test_the_older_endpoint_for_tls(self) -> None:
        server = self.serve(endpoint=self.authority.listen())
        folder = quoteStringArgument(str(self.authority.folder))
        endpoint = f"ssl:127.0.0.1:{self.port(server)}:hostname=localhost:caCertsDir={folder}"
        channel = await connect(endpoint, "windev")
        await channel.write(b"secret")
        self.assertEqual(await channel.read(), b"secret")
        await disconnect(channel)

    async def test_a_service_over_tls(self) -> None:
        server = self.serve(endpoint=self.authority.listen())
        folder = quoteStringArgument(str(self.authority.folder))
        for endpoint in (
            self.authority.trusting(self.port(server)),
            f"ssl:127.0.0.1:{self.port(server)}:hostname=localhost:caCertsDir={folder}",
        ):
            answered: Deferred[bytes] = Deferred()

            async def talk(channel: Channel, answered: Deferred[bytes] = answered) -> None:
                await channel.write(b"secret")
                answered.callback(await channel.read())

            service = reconnecting(endpoint, "windev", talk)
            service.startService()
            self.assertEqual(await answered, b"secret")
            await service.stopService()

    async def test_what_comes_with_the_handshake_waits_for_a_reader(self) -> None:
        port, server = await self.silent(Greeting, self.authority.listen())
        channel = await connect(self.authority.trusting(port), "windev")
        self.assertEqual([await channel.read(), await channel.read()], [b"welcome", b"you"])
        await disconnect(channel)
        await server.lost

    async def test_an_authority_that_is_not_trusted(self) -> None:
        server = self.serve(endpoint=self.authority.listen())
        line = await self.failing(connect(f"tls:localhost:{self.port(server)}"), SSLError)
        self.assertIn("certificate verify failed", line)

    async def test_a_certificate_for_another_name(self) -> None:
        server = self.serve(endpoint=self.authority.listen())
        self.resolve(Resolver("127.0.0.1"))
        line = await self.failing(connect(self.authority.trusting(self.port(server), "example.org")), SSLError)
        self.assertIn("no agreement on TLS", line)

    async def test_a_server_that_does_not_speak_tls(self) -> None:
        server = self.serve()
        line = await self.failing(connect(self.authority.trusting(self.port(server))), SSLError)
        self.assertIn("no agreement on TLS", line)

    async def test_a_service_logs_in_one_line_that_tls_was_not_agreed(self) -> None:
        async def never(channel: Channel) -> None:
            self.fail(f"{channel} must not begin")

        server = self.serve(endpoint=self.authority.listen())
        again: Deferred[int] = Deferred()
        asked: list[int] = []

        def policy(attempts: int) -> float:
            if attempts == 1 and not asked:
                asked.append(attempts)
                reactor.callLater(0, again.callback, attempts)
            return 0.01

        service = reconnecting(f"tls:localhost:{self.port(server)}", "windev", never, retry_policy=policy)
        with capturedLogs() as events:
            service.startService()
            await again
        await service.stopService()
        lines = [formatEvent(event) for event in events]
        self.assertTrue(any("certificate verify failed" in line for line in lines), lines)
        self.assertEqual(self.flushLoggedErrors(), [])


class ReconnectingTests(ClientTestCase):
    def soon(self, attempts: int) -> float:
        return 0.01

    async def test_each_connection_gets_the_conversation(self) -> None:
        answers: list[bytes] = []
        third: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            await channel.write(b"%d" % len(answers))
            answers.append(await channel.read())
            if len(answers) == 3:
                third.callback(None)

        service = reconnecting(self.address(self.serve()), "windev", talk, retry_policy=self.soon)
        service.startService()
        await third
        await service.stopService()
        self.assertEqual(answers, [b"0", b"1", b"2"])

    async def test_a_connection_that_the_peer_loses_is_made_again(self) -> None:
        ends: list[Exception] = []
        second: Deferred[None] = Deferred()

        async def rude(channel: Channel) -> None:
            channel.abort()

        async def talk(channel: Channel) -> None:
            try:
                await channel.read()
            except Exception as error:
                ends.append(error)
                raise
            finally:
                if len(ends) == 2:
                    second.callback(None)

        service = reconnecting(self.address(self.serve(rude)), "windev", talk, retry_policy=self.soon)
        service.startService()
        await second
        await service.stopService()
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_what_a_conversation_sends_behind_the_peers_end_arrives(self) -> None:
        received: Deferred[list[bytes]] = Deferred()

        async def ending(channel: Channel) -> None:
            channel.end()
            received.callback([message async for message in channel])

        async def talk(channel: Channel) -> None:
            async for _ in channel:
                pass
            await channel.write(b"last")

        service = reconnecting(self.address(self.serve(ending)), "windev", talk)
        service.startService()
        self.assertEqual(await received, [b"last"])
        await service.stopService()

    async def test_an_attempt_that_fails_is_logged_and_the_policy_is_asked(self) -> None:
        server = self.serve()
        address = self.address(server)
        await server.stopService()
        asked: list[int] = []
        enough: Deferred[None] = Deferred()

        def policy(attempts: int) -> float:
            asked.append(attempts)
            if attempts == 3:
                reactor.callLater(0, enough.callback, None)
            return 0.01

        service = reconnecting(address, "windev", echo, retry_policy=policy)
        with capturedLogs() as events:
            service.startService()
            await enough
        await service.stopService()
        self.assertEqual(asked[:3], [1, 2, 3])
        lines = [formatEvent(event) for event in events]
        refused = [line for line in lines if line.startswith(f"no connection to {address}: Connection was refused")]
        self.assertGreaterEqual(len(refused), 3, lines)

    async def test_stopping_sends_what_is_owed(self) -> None:
        received: Deferred[int] = Deferred()
        sent: Deferred[None] = Deferred()

        async def count(channel: Channel) -> None:
            received.callback(sum([len(message) async for message in channel]))

        async def talk(channel: Channel) -> None:
            for _ in range(16):
                channel.send(bytes(1 << 20))
            sent.callback(None)
            await channel.read()

        service = reconnecting(self.address(self.serve(count, "raw")), "raw", talk, max_queued=16 << 20)
        service.startService()
        await sent
        await service.stopService()
        self.assertEqual(await received, 16 << 20)

    async def test_stopping_does_not_wait_for_ever_for_a_peer_that_does_not_read(self) -> None:
        port, server = await self.silent(Deaf)
        sent: Deferred[None] = Deferred()

        async def talk(channel: Channel) -> None:
            channel.send(bytes(1 << 20))
            for _ in range(31):
                channel.send(bytes(1 << 20))
            sent.callback(None)
            await channel.read()

        service = reconnecting(f"tcp:127.0.0.1:{port}", "raw", talk, close_timeout=0.2, max_queued=32 << 20)
        service.startService()
        await sent
        await service.stopService()
        server.transport.resumeProducing()
        await server.lost

    async def test_stopping_while_it_waits_or_connects(self) -> None:
        server = self.serve()
        address = self.address(server)
        await server.stopService()
        waiting: Deferred[int] = Deferred()

        def policy(attempts: int) -> float:
            reactor.callLater(0, waiting.callback, attempts)
            return 1000

        service = reconnecting(address, "windev", echo, retry_policy=policy)
        service.startService()
        await waiting
        await service.stopService()
        never = Resolver()
        never.hosts = None
        self.resolve(never)
        service = reconnecting("tcp:nowhere:7000", "windev", echo)
        service.startService()
        await service.stopService()

    async def test_started_again_behind_its_stop_it_connects_again(self) -> None:
        talks: list[Deferred[None]] = [Deferred(), Deferred()]
        count = 0

        async def talk(channel: Channel) -> None:
            nonlocal count
            talks[count].callback(None)
            count += 1
            await channel.read()

        service = reconnecting(self.address(self.serve()), "windev", talk, retry_policy=self.soon)
        service.startService()
        await talks[0]
        stopped = service.stopService()
        service.startService()
        await talks[1]
        await stopped
        await service.stopService()

    def test_what_is_no_endpoint_or_framing(self) -> None:
        for endpoint, framing in (("tcp:nowhere", "raw"), ("tcp:nowhere:7", "rwa")):
            with self.assertRaises(ValueError):
                reconnecting(endpoint, framing, echo)
