"""SocketServer as a Twisted service."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.tcp import Port
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sockserve.server import SocketServer


@implementer(IStreamServerEndpoint)
class Slow:
    """An endpoint that takes its time."""

    def __init__(self) -> None:
        self.opening: Deferred[IListeningPort] = Deferred()

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 - the interface's name
        return self.opening


class SocketServerTests(TestCase):
    timeout = 20

    def server(self, *endpoints: IStreamServerEndpoint) -> SocketServer:
        return SocketServer("orders", endpoints)

    async def test_it_listens_on_all_endpoints_until_it_stops(self) -> None:
        server = self.server(*(serverFromString(reactor, "tcp:0:interface=127.0.0.1") for _ in range(2)))
        with capturedLogs() as events:
            server.startService()
        ports = [port for port in server.ports if isinstance(port, Port)]
        addresses = [("127.0.0.1", port.getHost().port) for port in ports]
        lines = [formatEvent(event) for event in events]
        for host, port in addresses:
            self.assertIn(f"orders listens on {host}:{port}", lines)
        await server.stopService()
        for address in addresses:
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(address)

    async def test_it_can_be_started_again(self) -> None:
        server = self.server(serverFromString(reactor, "tcp:0:interface=127.0.0.1"))
        for _ in range(2):
            server.startService()
            self.assertEqual(len(server.ports), 1)
            await server.stopService()

    async def test_a_port_in_use_raises_when_the_service_starts(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            server = self.server(TCP4ServerEndpoint(reactor, holder.getsockname()[1], interface="127.0.0.1"))
            with self.assertRaises(CannotListenError):
                server.startService()
        await server.stopService()

    async def test_an_endpoint_that_fails_late_is_logged(self) -> None:
        slow = Slow()
        server = self.server(slow)
        server.startService()
        slow.opening.errback(CannotListenError("somewhere", 1, OSError("no")))
        self.assertEqual(len(self.flushLoggedErrors(CannotListenError)), 1)
        await server.stopService()

    async def test_stopping_gives_up_an_endpoint_that_is_not_open_yet(self) -> None:
        server = self.server(Slow())
        server.startService()
        await server.stopService()
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_an_endpoint_that_opens_late_is_logged_with_its_address(self) -> None:
        @implementer(IListeningPort)
        class Opened:
            def startListening(self) -> None:
                pass

            def stopListening(self) -> Deferred[None]:
                return succeed(None)

            def getHost(self) -> IPv4Address:
                return IPv4Address("TCP", "192.0.2.1", 99)

        slow = Slow()
        server = self.server(slow)
        server.startService()
        with capturedLogs() as events:
            slow.opening.callback(Opened())
        self.assertEqual([formatEvent(event) for event in events], ["orders listens on 192.0.2.1:99"])
        await server.stopService()
