"""Sockets that connect: a device that is not there, comes, dies and returns, and what is said to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint, quoteStringArgument
from twisted.internet.error import ConnectionRefusedError as Refusal
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sockserve.connection.channel import Channel
from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.echo import Echo
from sockserve.limits.flood import FloodGuard
from sockserve.server.dialling import Dialler, State
from sockserve.server.figures import figures, view
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import CountingTransport
from tests.support.authority import Authority
from tests.support.sockets import Client, SocketCase, turn


@implementer(IStreamClientEndpoint)
class Line:
    """A device, as the test says. attempts: those that nobody has answered."""

    def __init__(self) -> None:
        self.attempts: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's name
        attempt: Deferred[IProtocol] = Deferred()
        self.attempts.append((protocolFactory, attempt))
        return attempt

    def accept(self) -> MessageProtocol:
        factory, attempt = self.attempts.pop()
        protocol: Any = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4001))
        assert isinstance(protocol, MessageProtocol)
        protocol.makeConnection(CountingTransport())
        attempt.callback(protocol)
        return protocol

    def refuse(self, reason: str = "") -> None:
        self.attempts.pop()[1].errback(Refusal(string=reason))


class DiallerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.line = Line()
        self.dialler = Dialler(
            "scale",
            self.line,
            MessageFactory("windev", Echo, reactor=self.clock),
            self.clock,
            timeout=5.0,
            lines=FloodGuard(Logger("sockserve.connection"), self.clock, "scale"),
            pause=lambda failed: float(2**failed),
        )

    def logged(self, act: Callable[[], object]) -> list[str]:
        with capturedLogs() as events:
            act()
        return [formatEvent(event) or "" for event in events]

    def test_it_tries_again_after_longer_and_longer_pauses(self) -> None:
        self.dialler.start()
        for pause in (2, 4, 8):
            self.line.refuse()
            self.clock.advance(pause - 0.1)
            self.assertEqual((self.dialler.state, len(self.line.attempts)), (State.WAITING, 0))
            self.clock.advance(0.1)
            self.assertEqual((self.dialler.state, len(self.line.attempts)), (State.DIALLING, 1))
        self.line.accept()
        self.assertEqual((self.dialler.state, self.dialler.failures), (State.CONNECTED, 3))

    def test_a_device_that_is_off_is_one_line_however_long(self) -> None:
        self.dialler.start()
        lines = self.logged(lambda: self.line.refuse("no route"))
        self.assertEqual(len(lines), 1)
        self.assertIn("scale cannot connect to ", lines[0])
        self.assertTrue(lines[0].endswith(": no route; trying again"), lines)
        for _ in range(10):
            self.clock.advance(5000)
            self.assertEqual(self.logged(lambda: self.line.refuse("no route")), [])
        self.clock.advance(5000)
        self.assertIn("refused", self.logged(lambda: self.line.refuse("refused"))[0])
        self.clock.advance(5000)
        self.assertEqual(self.logged(self.line.accept), ["scale connected to 192.0.2.7:4711"])

    def test_one_that_never_answers_is_given_up_after_connect_timeout(self) -> None:
        self.dialler.start()
        lines = self.logged(lambda: self.clock.advance(5))
        self.assertIn("no connection within 5 seconds; trying again", lines[0])
        self.assertIs(self.dialler.state, State.WAITING)

    def test_one_that_accepts_and_leaves_at_once_is_as_one_that_refuses(self) -> None:
        self.dialler.start()
        for pause in (2, 4):
            self.dialler.ended(self.line.accept()._engine)
            self.clock.advance(pause - 0.1)
            self.assertEqual(self.line.attempts, [])
            self.clock.advance(0.1)
        protocol = self.line.accept()
        protocol.dataReceived(b"1\r\na")
        self.dialler.ended(protocol._engine)
        self.clock.advance(1)
        self.assertEqual(len(self.line.attempts), 1)

    def test_stopping_leaves_nothing_behind(self) -> None:
        for act in (lambda: None, self.line.refuse):
            self.dialler.start()
            act()
            self.dialler.stop()
            self.assertEqual((self.dialler.state, self.clock.getDelayedCalls()), (State.OFF, []))
            self.line.attempts.clear()

    def test_a_connection_outlives_a_stop_and_none_follows_it_until_it_starts_again(self) -> None:
        self.dialler.start()
        first = self.line.accept()
        self.dialler.stop()
        self.dialler.start()
        self.assertIs(self.dialler.state, State.CONNECTED)
        self.dialler.stop()
        self.dialler.ended(first._engine)
        self.assertIs(self.dialler.state, State.OFF)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_another_has_made_is_kept(self) -> None:
        self.dialler.start()
        self.dialler.taken()
        self.assertEqual((self.dialler.state, self.clock.getDelayedCalls()), (State.CONNECTED, []))


def upper(message: bytes, _: Channel) -> Deferred[bytes]:
    return succeed(message.upper())


async def talk(channel: Channel) -> None:
    async for message in channel:
        await channel.write(message + b"!")


class Device(Factory[Client]):
    """Accepts connections. came: those that nobody has asked for yet."""

    def __init__(self) -> None:
        self.came: list[Client] = []
        self._waiting: list[Deferred[Client]] = []

    def buildProtocol(self, addr: object) -> Client:
        device = self

        class Accepted(Client):
            def connectionMade(self) -> None:
                if device._waiting:
                    device._waiting.pop().callback(self)
                else:
                    device.came.append(self)

        return Accepted()

    def next(self) -> Deferred[Client]:
        """Fires with the next connection."""
        if self.came:
            return succeed(self.came.pop(0))
        waiting: Deferred[Client] = Deferred()
        self._waiting.append(waiting)
        return waiting


class DialOutTests(SocketCase):
    async def device(self, port: int = 0) -> tuple[Device, Port]:
        device = Device()
        opened: IListeningPort = await TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(device)
        assert isinstance(opened, Port)
        self.addCleanup(opened.stopListening)
        return device, opened

    def dial(self, port: Port | int, framing: str = "windev", **settings: Any) -> SocketServer:  # noqa: ANN401
        number = port if isinstance(port, int) else port.getHost().port
        settings = {"drain_timeout": 0.5, **settings}
        server = SocketServer("scale", connect=f"tcp:127.0.0.1:{number}", framing=framing, **settings)
        assert server.dialler is not None
        server.dialler._pause = lambda _: 0.01
        return self.serve(server)

    async def test_it_is_greeted_answered_and_connected_again_when_it_returns(self) -> None:
        device, port = await self.device()
        server = self.dial(port, greeting="HELLO")
        for times in range(1, 3):
            scale = await device.next()
            scale.send(b"2\r\nab")
            self.assertEqual(await scale.until(13), b"5\r\nHELLO2\r\nab")
            self.assertEqual(len(self.logged("scale connected to 127.0.0.1:")), times)
            (scale.reset if times == 1 else scale.end)()
            await scale.lost
        self.assertEqual(figures(server)["counters"]["connections_accepted"], 2)

    async def test_a_device_that_is_not_there_at_the_start(self) -> None:
        _, port = await self.device()
        number = port.getHost().port
        await port.stopListening()
        server = self.dial(number)
        assert server.dialler is not None
        while server.dialler.failures < 3:
            await turn()
        device, _ = await self.device(number)
        scale = await device.next()
        scale.send(b"1\r\na")
        await scale.until(4)
        self.assertEqual(len(self.logged("cannot connect")), 1)
        self.assertGreaterEqual(figures(server)["counters"]["connect_failures"], 3)
        self.assertEqual(view(server)["about"]["endpoints"], [f"tcp:127.0.0.1:{number}"])

    async def test_one_that_ends_inside_a_frame_is_a_line_and_connected_again(self) -> None:
        device, port = await self.device()
        self.dial(port)
        scale = await device.next()
        scale.send(b"5\r\nab")
        scale.end()
        await device.next()
        self.assertEqual(len(self.logged("header announced 5 bytes, 2 arrived")), 1)

    async def test_heartbeats_of_the_peer_are_counted_and_not_delivered(self) -> None:
        for settings in (
            {"handler": "echo"},
            {"handler": upper},
            {"conversation": talk},
            {"handler": Echo},
        ):
            device, port = await self.device()
            server = self.dial(port, ignore=["PING", b"PONG"], **settings)
            scale = await device.next()
            scale.send(b"4\r\nPING1\r\na4\r\nPONG1\r\nb4\r\nPING4\r\nPINX")
            await scale.until(15 + (3 if "conversation" in settings else 0))
            self.assertNotIn(b"PING", bytes(scale.received).upper().replace(b"PINX", b""))
            counters = figures(server)["counters"]
            self.assertEqual((counters["messages_ignored"], counters["messages_received"]), (3, 6))
            await server.stopService()

    async def test_heartbeats_end_when_the_socket_stops_so_their_answers_do_not_delay_it(self) -> None:
        device, port = await self.device()
        server = self.dial(port, heartbeat="PING", heartbeat_every=0.02, ignore="PONG", drain_timeout=10)
        scale = await device.next()
        heard = scale.dataReceived

        def answer(data: bytes) -> None:
            heard(data)
            scale.send(b"4\r\nPONG")

        with patch.object(scale, "dataReceived", answer):
            await scale.until(14)
            # Another one may be on its way.
            most = len(scale.received) + 7
            await server.stopService()
            await scale.lost
        self.assertLessEqual(len(scale.received), most)

    async def test_the_drain_of_a_program_that_stops(self) -> None:
        device, port = await self.device()
        server = self.dial(port)
        scale = await device.next()
        scale.send(b"1\r\na")
        await scale.until(4)
        await server.stopService()
        await scale.lost
        self.assertEqual((device.came, server.channels), ([], {}))
        self.assertEqual(server.state, "stopped")

    async def test_a_suspended_one_does_not_connect_again(self) -> None:
        device, port = await self.device()
        server = self.dial(port)
        scale = await device.next()
        scale.send(b"1\r\na")
        await scale.until(4)
        server.suspend()
        scale.send(b"1\r\nb")
        await scale.until(8)
        scale.end()
        await scale.lost
        while server.channels:
            await turn()
        assert server.dialler is not None
        self.assertIs(server.dialler.state, State.OFF)
        server.resume()
        await device.next()

    async def test_a_device_with_tls(self) -> None:
        authority = Authority(self.mktemp())
        device = self.serve(SocketServer("device", authority.listen(), "windev"))
        assert isinstance(device.ports[0], Port)
        number = device.ports[0].getHost().port
        endpoint = f"tls:127.0.0.1:{number}:trustRoots={quoteStringArgument(str(authority.folder))}:serverName="
        replies: list[bytes] = []
        answered: Deferred[None] = Deferred()

        def reply(message: bytes, _: Channel) -> None:
            replies.append(message)
            answered.callback(None)

        wrong = SocketServer("scale", connect=f"{endpoint}other", framing="windev")
        self.serve(wrong)
        assert wrong.dialler is not None
        while not wrong.dialler.failures:
            await turn()
        self.assertEqual(len(self.logged("scale cannot connect to tls:127.0.0.1")), 1)
        await wrong.stopService()
        self.serve(
            SocketServer("scale", connect=f"{endpoint}localhost", framing="windev", handler=reply, greeting="over TLS")
        )
        await answered
        self.assertEqual(replies, [b"over TLS"])

    async def test_in_a_reload_one_connection_at_a_time(self) -> None:
        device, port = await self.device()
        number = port.getHost().port

        def made(**settings: Any) -> SocketServer:  # noqa: ANN401
            return SocketServer(
                "scale", connect=f"tcp:127.0.0.1:{number}", framing="windev", drain_timeout=0.5, **settings
            )

        server = Server([made()])
        server.startService()
        self.addCleanup(server.stopService)
        scale = await device.next()
        scale.send(b"1\r\na")
        await scale.until(4)
        # Nothing that matters to it has changed: it goes on.
        await server.replace([made()])
        self.assertEqual((len(server.sockets["scale"].channels), device.came), (1, []))
        scale.send(b"1\r\nb")
        await scale.until(8)
        left = server.replace([made(greeting="NEW")])
        await scale.ended
        self.assertEqual(device.came, [])
        await left
        scale = await device.next()
        self.assertEqual(await scale.until(6), b"3\r\nNEW")
