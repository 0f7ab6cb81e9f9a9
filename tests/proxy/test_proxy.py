"""The PROXY protocol in front of other protocols: in memory, on real sockets, and behind a real HAProxy.

haproxy must be installed (`apt-get install haproxy`): without it its tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

import os
import socket as sockets
import ssl
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.addresses import format_address, parse_network
from sockserve.connection.channel import Channel
from sockserve.connection.info import ConnectionInfo
from sockserve.limits.flood import FEW
from sockserve.proxy.binary import SIGNATURE
from sockserve.proxy.layer import HeaderProtocol, ProxyFactory
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority
from tests.support.programs import installed
from tests.support.sockets import LOCAL, Client, SocketCase, turn
from tests.support.twistd import PATIENCE, running
from tests.support.wire import splits

PROXY = IPv4Address("TCP", "127.0.0.1", 40000)
HERE = IPv4Address("TCP", "127.0.0.1", 7000)
CLIENT = IPv4Address("TCP", "192.0.2.7", 4711)
PUBLIC = IPv4Address("TCP", "198.51.100.1", 443)
TEXT = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
BINARY = SIGNATURE + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xBB])
LOCAL_HEADER = SIGNATURE + b"\x20\0\0\0"


class Recorder(Protocol):
    """What is behind the header. address: for which it was built. peer: that of the transport when it began."""

    def __init__(self, address: IAddress | None) -> None:
        self.address = address
        self.received = b""

    def connectionMade(self) -> None:
        self.peer = self.transport.getPeer()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class RecorderFactory(Factory[Recorder]):
    """built: the protocols. denies: build none."""

    noisy = False
    denies = False

    def __init__(self) -> None:
        self.built: list[Recorder] = []

    def buildProtocol(self, addr: IAddress | None) -> Recorder | None:
        if self.denies:
            return None
        self.built.append(Recorder(addr))
        return self.built[-1]


class Transport(StringTransport):
    """One that knows its protocol, as the transports of sockets do. aborted: abortConnection was called."""

    protocol: Any = None
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class LayerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = RecorderFactory()
        self.reports: list[tuple[str, str, str]] = []
        self.factory = ProxyFactory(
            self.inner, timeout=5, report=lambda *report: self.reports.append(report), reactor=self.clock
        )

    def connect(self, address: IAddress = PROXY) -> Transport:
        transport = Transport(hostAddress=HERE, peerAddress=address)
        protocol = self.factory.buildProtocol(address)
        assert isinstance(protocol, HeaderProtocol)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def lose(self, transport: Transport) -> None:
        transport.protocol.connectionLost(Failure(ConnectionDone()))

    def test_behind_the_header_the_wrapped_protocol_has_the_transport_to_itself(self) -> None:
        for header in (TEXT, BINARY):
            transport = self.connect()
            transport.protocol.dataReceived(header + b"mess")
            recorder = self.inner.built[-1]
            self.assertIs(transport.protocol, recorder)
            self.assertIs(recorder.transport, transport)
            self.assertEqual(recorder.received, b"mess")
            transport.protocol.dataReceived(b"age")
            self.assertEqual(recorder.received, b"message")
            self.assertEqual(self.reports, [])
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual(len(self.factory.arrivals), 0)

    def test_it_is_built_and_begins_with_the_clients_address(self) -> None:
        for header in (TEXT, BINARY):
            transport = self.connect()
            transport.protocol.dataReceived(header)
            recorder = self.inner.built[-1]
            self.assertEqual((recorder.address, recorder.peer), (CLIENT, CLIENT))
            self.assertEqual((transport.getPeer(), transport.getHost()), (CLIENT, PUBLIC))
            info = vars(transport)["proxy"]
            self.assertEqual(info.address, PROXY)
            self.assertEqual(info.header.source, CLIENT)

    def test_a_header_without_addresses_leaves_those_of_the_socket(self) -> None:
        for header in (b"PROXY UNKNOWN\r\n", LOCAL_HEADER, SIGNATURE + b"\x21\0\0\0"):
            transport = self.connect()
            transport.protocol.dataReceived(header)
            self.assertEqual((transport.getPeer(), transport.getHost()), (PROXY, HERE))
            self.assertEqual(self.inner.built[-1].peer, PROXY)
            self.assertEqual(vars(transport)["proxy"].header.local, header == LOCAL_HEADER)

    def test_every_split(self) -> None:
        for header in (TEXT, BINARY):
            for pieces in splits(header + b"message"):
                transport = self.connect()
                for piece in pieces:
                    transport.protocol.dataReceived(piece)
                self.assertEqual(self.inner.built[-1].received, b"message")
                self.assertEqual(transport.getPeer(), CLIENT)
        self.assertEqual(self.reports, [])

    def test_nothing_is_built_before_the_header_is_whole(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(TEXT[:-1])
        self.assertEqual(self.inner.built, [])

    def test_a_bad_header_closes_the_connection_with_one_line(self) -> None:
        for data, text in (
            (b"GET / HTTP/1.1\r\n", "closed, bad PROXY header: no PROXY header, it begins with b'G' (proxy_protocol)"),
            (TEXT.replace(b"4711", b"99999"), "closed, bad PROXY header: '99999' is no port (proxy_protocol)"),
        ):
            transport = self.connect()
            transport.protocol.dataReceived(data)
            self.assertTrue(transport.aborted)
            self.lose(transport)
            self.assertEqual(self.reports, [("proxy_protocol", "127.0.0.1:40000", text)])
            self.reports.clear()
        self.assertEqual(self.inner.built, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_header_that_takes_too_long_is_aborted(self) -> None:
        for sent in (b"", TEXT[:-1]):
            transport = self.connect()
            transport.protocol.dataReceived(sent)
            self.clock.pump([0.5] * 9)
            self.assertFalse(transport.aborted)
            self.clock.pump([0.5] * 3)
            self.assertTrue(transport.aborted)
            self.lose(transport)
            line = "aborted, no whole PROXY header within 5 seconds (handshake_timeout)"
            self.assertEqual(self.reports, [("handshake_timeout", "127.0.0.1:40000", line)])
            self.reports.clear()

    def test_the_deadline_ends_with_the_header(self) -> None:
        transport = self.connect()
        self.clock.pump([0.5] * 9)
        transport.protocol.dataReceived(TEXT)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(transport.aborted)

    def test_a_monitor_that_sends_nothing_is_not_reported(self) -> None:
        self.lose(self.connect())
        self.assertEqual(self.reports, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_connection_that_ends_inside_its_header_is_reported(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(TEXT[:5])
        self.lose(transport)
        line = "it ended inside its PROXY header, 5 bytes came (proxy_protocol)"
        self.assertEqual(self.reports, [("proxy_protocol", "127.0.0.1:40000", line)])

    def test_others_than_the_proxies_are_refused_before_they_say_a_word(self) -> None:
        self.assertIsNone(self.factory.buildProtocol(CLIENT))
        line = "refused, it is none of the proxies (proxy_from)"
        self.assertEqual(self.reports, [("proxy_from", "192.0.2.7:4711", line)])

    def test_which_addresses_are_proxies(self) -> None:
        networks = [parse_network(text) for text in ("10.0.0.0/8", "2001:db8::/32", "127.0.0.1")]
        factory = ProxyFactory(self.inner, networks, report=lambda *_: None, reactor=self.clock)
        for host, trusted in (
            ("10.255.0.1", True),
            ("11.0.0.1", False),
            ("127.0.0.1", True),
            ("127.0.0.2", False),
            ("2001:db8::7", True),
            ("2001:db9::7", False),
            # An IPv4 proxy at a socket for both.
            ("::ffff:10.0.0.1", True),
            ("::ffff:11.0.0.1", False),
            ("fe80::1%lo", False),
        ):
            kind = IPv6Address if ":" in host else IPv4Address
            self.assertEqual(factory.buildProtocol(kind("TCP", host, 1)) is not None, trusted, host)
        self.assertIsNotNone(factory.buildProtocol(UNIXAddress(None)))
        self.assertIsNone(factory.buildProtocol(None))

    def test_a_wrapped_factory_that_denies_the_client_closes_the_connection(self) -> None:
        self.inner.denies = True
        transport = self.connect()
        transport.protocol.dataReceived(TEXT)
        self.assertTrue(transport.aborted)
        self.lose(transport)
        self.assertEqual(self.reports, [])

    def test_a_protocol_that_closes_at_once_gets_no_data(self) -> None:
        class Closing(Recorder):
            def connectionMade(self) -> None:
                self.transport.loseConnection()  # type: ignore[union-attr]

        protocol = Closing(None)
        self.inner.buildProtocol = lambda _: protocol  # type: ignore[assignment,method-assign]
        self.connect().protocol.dataReceived(TEXT + b"message")
        self.assertEqual(protocol.received, b"")

    def test_an_endpoint_with_tls_beneath_the_header_is_refused(self) -> None:
        protocol = self.factory.buildProtocol(PROXY)
        assert protocol is not None
        transport = Transport(peerAddress=PROXY)
        protocol.makeConnection(transport)
        self.assertTrue(transport.aborted)
        line = "closed, its endpoint has TLS beneath the PROXY header (proxy_protocol)"
        self.assertEqual(self.reports, [("proxy_protocol", "127.0.0.1:40000", line)])

    def test_closing_the_port_drops_those_that_have_no_header_yet(self) -> None:
        self.factory.doStart()
        self.assertEqual(self.inner.numPorts, 1)
        waiting, served = self.connect(), self.connect()
        waiting.protocol.dataReceived(TEXT[:5])
        served.protocol.dataReceived(TEXT)
        self.factory.doStop()
        self.assertEqual(self.inner.numPorts, 0)
        self.assertEqual((waiting.aborted, served.aborted), (True, False))
        self.lose(waiting)
        self.assertEqual(self.reports, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_a_callback_reports_are_warnings(self) -> None:
        factory = ProxyFactory(self.inner, reactor=self.clock)
        with capturedLogs() as events:
            factory.buildProtocol(CLIENT)
        (event,) = events
        self.assertEqual(event["log_level"].name, "warn")
        line = "192.0.2.7:4711: refused, it is none of the proxies (proxy_from)"
        self.assertEqual(formatEvent(event), line)


class Meeting:
    """A conversation that echoes. infos: what was known of each connection at its begin."""

    def __init__(self) -> None:
        self.infos: list[ConnectionInfo] = []

    async def __call__(self, channel: Channel) -> None:
        self.infos.append(channel.info)
        async for message in channel:
            await channel.write(message)


class SocketTests(SocketCase):
    def proxied(self, where: str = LOCAL, **settings: Any) -> tuple[SocketServer, Meeting]:  # noqa: ANN401 - as SocketServer's
        meeting = Meeting()
        settings = {"conversation": meeting, "proxy_protocol": True, "drain_timeout": 0.5, **settings}
        return self.serve(SocketServer("orders", where, settings.pop("framing", "windev"), **settings)), meeting

    async def test_everything_that_knows_the_peer_knows_the_client(self) -> None:
        for header in (TEXT, BINARY):
            server, meeting = self.proxied()
            client = await self.client(server)
            client.send(header + b"2\r\nhi")
            await client.until(5)
            (info,) = meeting.infos
            self.assertEqual((info.peer, info.local), (CLIENT, PUBLIC))
            assert info.proxy is not None
            self.assertEqual(info.proxy.address, client.transport.getHost())
            (channel,) = server.channels.values()
            self.assertIn("orders 192.0.2.7:4711", repr(channel))
            client.send(b"x")
            client.end()
            await client.lost
            # Also when its socket is gone.
            self.assertEqual((channel.info.peer, channel.info.local), (CLIENT, PUBLIC))
            self.assertEqual(channel.info.bytes_received, 6)
            (line,) = self.logged("MalformedHeader") or self.logged("closing")
            self.assertTrue(line.startswith("orders 192.0.2.7:4711: "), line)
            self.lines.clear()

    async def test_without_a_proxy_there_is_no_proxy_in_the_info(self) -> None:
        server, meeting = self.proxied(proxy_protocol=False)
        client = await self.client(server)
        client.send(b"2\r\nhi")
        await client.until(5)
        self.assertIsNone(meeting.infos[0].proxy)

    async def test_byte_by_byte_and_the_end_of_the_stream_behind_the_last(self) -> None:
        server, meeting = self.proxied()
        for header in (TEXT, BINARY):
            client = await self.client(server)
            client.transport.setTcpNoDelay(True)
            for byte in header + b"2\r\nhi":
                client.send(bytes([byte]))
                await turn()
            client.end()
            await client.lost
            self.assertEqual(bytes(client.received), b"2\r\nhi")
        self.assertEqual([info.peer for info in meeting.infos], [CLIENT, CLIENT])

    async def test_limits_are_those_of_the_client(self) -> None:
        server, _ = self.proxied(max_connections_per_peer=1, deny=["203.0.113.0/24"])
        first, second, third, denied = [await self.client(server) for _ in range(4)]
        first.send(TEXT + b"1\r\na")
        await first.until(4)
        second.send(TEXT + b"1\r\na")
        await second.lost
        self.assertEqual(bytes(second.received), b"")
        # Another client of the same proxy.
        third.send(TEXT.replace(b"192.0.2.7", b"192.0.2.8") + b"1\r\na")
        await third.until(4)
        denied.send(TEXT.replace(b"192.0.2.7", b"203.0.113.7") + b"1\r\na")
        await denied.lost
        self.assertEqual(server.closings, {"max_connections_per_peer": 1, "deny": 1})

    async def test_what_comes_with_the_header_waits_for_its_turn(self) -> None:
        server, _ = self.proxied(max_connections=1)
        first = await self.client(server)
        first.send(TEXT + b"1\r\na")
        await first.until(4)
        second = await self.client(server)
        second.send(BINARY + b"1\r\nb1\r\nc")
        second.end()
        for _ in range(20):
            await turn()
        self.assertEqual(bytes(second.received), b"")
        first.end()
        await second.lost
        self.assertEqual(bytes(second.received), b"1\r\nb1\r\nc")

    async def test_a_connection_from_elsewhere_is_refused_at_once_and_counted(self) -> None:
        server, meeting = self.proxied(proxy_from=["192.0.2.0/24", "::1"])
        client = await self.client(server)
        address = format_address(client.transport.getHost())
        client.send(TEXT)
        await client.lost
        (line,) = self.logged("proxy_from")
        self.assertEqual(line, f"orders {address}: refused, it is none of the proxies (proxy_from)")
        self.assertEqual(server.closings, {"proxy_from": 1})
        self.assertEqual(meeting.infos, [])

    async def test_a_flood_of_refusals_is_all_counted_and_a_few_lines(self) -> None:
        server, _ = self.proxied(proxy_from=["192.0.2.0/24"])
        for _ in range(30):
            await (await self.client(server)).lost
        await server.stopService()
        self.assertEqual(server.closings, {"proxy_from": 30})
        self.assertEqual(len(self.logged("refused")), FEW)
        self.assertEqual(len(self.logged("more lines of this kind (proxy_from)")), 1)

    async def test_a_header_that_does_not_come_in_time(self) -> None:
        server, _ = self.proxied(handshake_timeout=0.05)
        silent, slow = await self.client(server), await self.client(server)
        slow.send(TEXT[:20])
        await gatherResults([silent.lost, slow.lost])
        self.assertEqual(len(self.logged("no whole PROXY header within 0.05 seconds (handshake_timeout)")), 2)
        self.assertEqual(server.closings, {"handshake_timeout": 2})

    async def test_a_header_that_came_before_the_process_stood_still_counts(self) -> None:
        server, _ = self.proxied(handshake_timeout=0.08)
        # Not by the reactor, which does not run then.
        with sockets.create_connection(("127.0.0.1", server.ports[0].getHost().port), PATIENCE) as client:  # type: ignore[attr-defined]
            client.sendall(TEXT[:20])
            while server.ports[0].sessionno == 0:  # type: ignore[attr-defined]
                await turn()
            client.sendall(TEXT[20:] + b"2\r\nhi")
            time.sleep(0.3)  # noqa: ASYNC251 - that is the standstill
            self.assertEqual(await deferToThread(client.recv, 100), b"2\r\nhi")
        self.assertEqual(server.closings, {})

    async def test_a_bad_header_is_one_line(self) -> None:
        server, _ = self.proxied()
        client = await self.client(server)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.lost
        (line,) = self.logged("PROXY")
        self.assertIn("closed, bad PROXY header: no PROXY header, it begins with b'G' (proxy_protocol)", line)
        self.assertEqual(server.closings, {"proxy_protocol": 1})

    async def test_a_monitor_that_connects_and_leaves_is_no_line(self) -> None:
        server, _ = self.proxied()
        for reset in (False, True):
            client = await self.client(server)
            if reset:
                client.reset()
            else:
                client.end()
            await client.lost
            await turn()
        self.assertEqual(self.logged("PROXY"), [])
        self.assertEqual(server.closings, {})

    async def test_stopping_waits_for_no_header(self) -> None:
        server, _ = self.proxied()
        waiting, served = await self.client(server), await self.client(server)
        served.send(TEXT + b"1\r\na")
        await served.until(4)
        waiting.send(TEXT[:9])
        await turn()
        await server.stopService()
        await waiting.lost
        self.assertEqual(self.logged("PROXY"), [])

    async def test_the_peers_of_a_unix_socket_are_trusted(self) -> None:
        # The path of a unix socket may have about 100 bytes.
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        _, meeting = self.proxied(f"unix:{folder.name}/s")
        endpoint = UNIXClientEndpoint(reactor, f"{folder.name}/s")
        client = await endpoint.connect(Factory.forProtocol(Client))
        assert isinstance(client, Client)
        client.send(BINARY + b"2\r\nhi")
        client.end()
        await client.lost
        self.assertEqual(bytes(client.received), b"2\r\nhi")
        self.assertEqual(meeting.infos[0].peer, CLIENT)

    async def test_a_path_in_a_header_cannot_write_lines_of_its_own_into_the_log(self) -> None:
        server, _ = self.proxied(deny=["0.0.0.0/0"])
        client = await self.client(server)
        path = b"/run/x\norders 192.0.2.7:1: established".ljust(108, b"\0")
        client.send(SIGNATURE + b"\x21\x31\0\xd8" + path + path + b"x")
        client.end()
        await client.lost
        (line,) = self.logged("closing")
        self.assertTrue(line.startswith("orders unix:/run/x\\norders 192.0.2.7:1: established: "), line)

    async def test_the_header_comes_before_tls(self) -> None:
        authority = Authority(self.mktemp())
        server, meeting = self.proxied(authority.listen(), framing="raw")
        context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
        for header in (TEXT, BINARY):
            listens = server.ports[0].getHost()
            assert isinstance(listens, IPv4Address)
            address = "127.0.0.1", listens.port
            self.assertEqual(await deferToThread(over_tls, context, address, header), b"this is a test")
            info = meeting.infos.pop()
            self.assertEqual((info.peer, info.local), (CLIENT, PUBLIC))
            assert info.proxy is not None
            self.assertEqual(info.proxy.header.size, len(header))

    def test_settings_that_do_not_go_together(self) -> None:
        for where, settings, line in (
            (LOCAL, {"proxy_from": ["::1"]}, "proxy_from: proxy_protocol is not set; accepted: both of them"),
            (
                "haproxy:tcp:7000",
                {},
                "listen: 'haproxy:tcp:7000' loses the end of a stream; accepted: 'tcp:7000', with proxy_protocol",
            ),
            (
                "udp:7000",
                {"proxy_protocol": True},
                "listen: 'udp:7000': udp has no PROXY headers; accepted: a socket without proxy_protocol",
            ),
        ):
            error = self.assertRaises(ValueError, SocketServer, "a", where, **settings)
            self.assertEqual(str(error), line)


class WholeTests(SynchronousTestCase):
    """The Winsock sample's client behind a proxy of three lines, against `twistd -n sockserve --proxy-protocol`."""

    def setUp(self) -> None:
        stack = ExitStack()
        self.server = stack.enter_context(running("-l", LOCAL, "--proxy-protocol"))
        self.addCleanup(stack.close)

    def test_every_client_gets_its_14_bytes(self) -> None:
        for header in (TEXT, BINARY, b"PROXY UNKNOWN\r\n", LOCAL_HEADER):
            for _ in range(100):
                with sockets.create_connection(self.server.address, PATIENCE) as client:
                    client.sendall(header + b"this is a test")
                    client.shutdown(sockets.SHUT_WR)
                    self.assertEqual(b"".join(iter(partial(client.recv, 65536), b"")), b"this is a test")

    def test_24_megabytes_come_back_to_a_client_that_reads_late(self) -> None:
        data = os.urandom(1_000_000) * 24
        for header in (TEXT, BINARY):
            with sockets.create_connection(self.server.address) as client:
                client.settimeout(0.3)
                sent = -len(header)
                whole = header + data
                try:
                    while sent < len(data):
                        at = sent + len(header)
                        sent += client.send(whole[at : at + 65536])
                except TimeoutError:
                    pass
                self.assertLess(sent, len(data))
                client.settimeout(PATIENCE)
                sender = Thread(target=self.send_the_rest, args=(client, data[sent:]))
                sender.start()
                answer = b"".join(iter(partial(client.recv, 1 << 20), b""))
                sender.join()
            self.assertTrue(answer == data)

    def send_the_rest(self, client: sockets.socket, data: bytes) -> None:
        client.sendall(data)
        client.shutdown(sockets.SHUT_WR)


HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen one
    bind {bind}
    {extra}
    server orders 127.0.0.1:{port} {server}
"""


class HAProxyTests(SocketCase):
    """A real one in front. Its clients come over the socket that it inherits."""

    def front(self, server: SocketServer, options: str, *, bind: str = "", extra: str = "") -> tuple[str, int]:
        """The address of a haproxy whose only server has these options."""
        program = installed("haproxy")
        listens = server.ports[0].getHost()
        assert isinstance(listens, IPv4Address)
        with sockets.create_server(("127.0.0.1", 0)) as listening:
            self.configuration = Path(self.mktemp())
            text = HAPROXY.format(
                bind=f"fd@{listening.fileno()} {bind}", extra=extra, port=listens.port, server=options
            )
            self.configuration.write_text(text)
            process = subprocess.Popen(
                [program, "-db", "-f", str(self.configuration)],
                pass_fds=[listening.fileno()],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            host, number = listening.getsockname()
            return str(host), int(number)

    def proxied(self) -> tuple[SocketServer, Meeting]:
        meeting = Meeting()
        server = SocketServer("orders", LOCAL, conversation=meeting, proxy_protocol=True, drain_timeout=0.5)
        return self.serve(server), meeting

    async def through(self, address: tuple[str, int], data: bytes) -> tuple[IAddress, bytes]:
        """The address of a client that sends, ends its stream and reads to the end; and what it gets."""
        client = await TCP4ClientEndpoint(reactor, *address).connect(Factory.forProtocol(Client))
        assert isinstance(client, Client)
        own = client.transport.getHost()
        client.send(data)
        client.end()
        await client.lost
        return own, bytes(client.received)

    async def test_version_1_and_2(self) -> None:
        for option, version in (("send-proxy", 1), ("send-proxy-v2", 2)):
            server, meeting = self.proxied()
            address = self.front(server, option)
            for data in (b"this is a test", os.urandom(2_000_000)):
                own, answer = await self.through(address, data)
                self.assertTrue(answer == data)
                info = meeting.infos.pop()
                self.assertEqual(info.peer, own)
                self.assertEqual(info.local, IPv4Address("TCP", *address))
                assert info.proxy is not None
                self.assertEqual((info.proxy.header.version, info.proxy.header.local), (version, False))
            self.assertEqual(self.logged("PROXY"), [])

    async def test_health_checks(self) -> None:
        for option in ("send-proxy", "send-proxy-v2"):
            server, meeting = self.proxied()
            self.front(server, f"{option} check inter 20ms check-send-proxy")
            while len(meeting.infos) < 3:
                await turn()
            proxies = [info.proxy for info in meeting.infos if info.proxy is not None]
            self.assertEqual(len(proxies), len(meeting.infos))
            for proxy in proxies:
                self.assertEqual(proxy.header.local, option == "send-proxy-v2")
            self.assertEqual(self.logged("PROXY"), [])
            await self._stop(server)

    async def test_what_it_says_of_a_tls_client(self) -> None:
        authority = Authority(self.mktemp())
        trusted = authority.folder / "ca.pem"
        server, meeting = self.proxied()
        address = self.front(
            server,
            "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id",
            bind=f"ssl crt {authority.server} ca-file {trusted} verify optional",
            extra='unique-id-format "order-%[int(7)]"',
        )
        for certificate in (False, True):
            context = ssl.create_default_context(cafile=trusted)
            if certificate:
                context.load_cert_chain(authority.server)
            self.assertEqual(await deferToThread(over_tls, context, address), b"this is a test")
            proxy = meeting.infos.pop().proxy
            assert proxy is not None
            header = proxy.header
            self.assertEqual((header.authority, header.unique_id, header.others), ("localhost", b"order-7", ()))
            assert header.tls is not None
            self.assertEqual((header.tls.certificate, header.tls.verified), (certificate, certificate))
            self.assertEqual(header.tls.common_name, "localhost" if certificate else None)
            self.assertEqual(header.tls.version, "TLSv1.3")


def over_tls(context: ssl.SSLContext, address: tuple[str, int], header: bytes = b"") -> bytes:
    """The answer to 14 bytes, sent over TLS behind a header in plain bytes."""
    with sockets.create_connection(address, PATIENCE) as client:
        client.sendall(header)
        with context.wrap_socket(client, server_hostname="localhost") as secure:
            secure.sendall(b"this is a test")
            return secure.recv(100)
