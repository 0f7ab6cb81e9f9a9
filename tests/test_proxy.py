"""The PROXY protocol in front of other protocols: in memory, on real sockets, and behind a real HAProxy.

haproxy must be installed (`apt-get install haproxy`): without it its tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.network import parse_network
from sockserve.proxy import HeaderProtocol, ProxyFactory
from sockserve.proxy.binary import SIGNATURE
from tests.wire import splits

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
            self.assertEqual(self.factory.waiting, set())

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
            self.clock.advance(4.9)
            self.assertFalse(transport.aborted)
            self.clock.advance(0.2)
            self.assertTrue(transport.aborted)
            self.lose(transport)
            line = "aborted, no whole PROXY header within 5 seconds (handshake_timeout)"
            self.assertEqual(self.reports, [("handshake_timeout", "127.0.0.1:40000", line)])
            self.reports.clear()

    def test_the_deadline_ends_with_the_header(self) -> None:
        transport = self.connect()
        self.clock.advance(4.9)
        transport.protocol.dataReceived(TEXT)
        self.clock.advance(100)
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
