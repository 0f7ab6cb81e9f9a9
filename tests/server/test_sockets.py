"""SocketServer and Server as Twisted services: their ports, their channels and their drain."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.tcp import Port
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sockserve.connection.channel import Channel, ChannelClosed
from sockserve.connection.conversation import Conversation
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, Client, SocketCase, turn


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

    async def test_what_was_aborted_before_does_not_count_behind_a_new_start(self) -> None:
        server = self.server(serverFromString(reactor, "tcp:0:interface=127.0.0.1"))
        server.closings["drain_timeout"] += 1
        self.assertFalse(server.clean)
        server.startService()
        self.assertEqual((server.clean, server.closings), (True, {}))
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


class ChannelsTests(SocketCase):
    async def test_a_message_is_pushed_from_elsewhere_by_id(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev"))
        first, second = await self.client(server), await self.client(server)
        while len(server.channels) < 2:
            await turn()
        channel = server.channel(2)
        assert channel is not None
        await channel.write(b"for you")
        await second.until(10)
        self.assertEqual((bytes(first.received), bytes(second.received)), (b"", b"7\r\nfor you"))
        self.assertEqual({number: one.id for number, one in server.channels.items()}, {1: 1, 2: 2})
        second.end()
        await second.lost
        while server.channel(2) is not None:
            await turn()
        with self.assertRaises(ChannelClosed):
            channel.send(b"late")
        self.assertEqual([*server.channels], [1])

    async def test_an_aborted_channel_closes_one_connection(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev"))
        first, second = await self.client(server), await self.client(server)
        while len(server.channels) < 2:
            await turn()
        server.channels[1].abort()
        await first.lost
        second.send(b"1\r\na")
        await second.until(4)


class ServerTests(SocketCase):
    def started(self, *sockets: SocketServer) -> Server:
        server = Server(sockets)
        server.startService()
        self.addCleanup(server.stopService)
        return server

    async def test_sockets_come_and_go_while_it_runs(self) -> None:
        orders, scale = SocketServer("orders", LOCAL, "windev"), SocketServer("scale", LOCAL, "netstring")
        server = self.started(orders)
        self.assertEqual([*server.sockets], ["orders"])
        server.add(scale)
        client = await self.client(scale)
        client.send(b"1:a,")
        await client.until(4)
        await server.remove("scale")
        await client.lost
        self.assertNotIn("scale", server.sockets)
        self.assertEqual((scale.running, orders.running), (0, 1))
        server.add(scale)
        self.assertEqual(len(scale.ports), 1)

    async def test_a_name_can_be_taken_once(self) -> None:
        server = self.started(SocketServer("orders", LOCAL))
        second = SocketServer("orders", LOCAL)
        with self.assertRaisesRegex(ValueError, "'orders'"):
            server.add(second)
        self.assertEqual(second.ports, [])
        with self.assertRaises(KeyError):
            server.remove("scale")

    async def test_a_socket_that_cannot_listen_is_not_added(self) -> None:
        server = self.started()
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = f"tcp:{holder.getsockname()[1]}:interface=127.0.0.1"
            failing = SocketServer("orders", [LOCAL, taken])
            with self.assertRaises(CannotListenError):
                server.add(failing)
        self.assertEqual((server.sockets, failing.ports), ({}, []))
        server.add(SocketServer("orders", LOCAL))

    async def test_stopping_stops_all(self) -> None:
        sockets = [SocketServer(name, LOCAL, "windev") for name in ("orders", "scale")]
        server = self.started(*sockets)
        clients = [await self.client(one) for one in sockets]
        while not all(one.channels for one in sockets):
            await turn()
        await server.stopService()
        await gatherResults([client.lost for client in clients])
        self.assertEqual([one.ports for one in sockets], [[], []])


class DrainTests(SocketCase):
    async def connected(self, server: SocketServer, **options: Any) -> Client:  # noqa: ANN401 - as SocketCase.client's
        before = len(server.channels)
        client = await self.client(server, **options)
        while len(server.channels) == before:
            await turn()
        return client

    async def test_idle_connections_end_at_once_even_if_the_client_stays(self) -> None:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                await channel.write(message)

        for options in ({"handler": "echo"}, {"handler": "relay"}, {"conversation": talk}):
            server = self.serve(SocketServer("orders", LOCAL, "windev", drain_timeout=15, **options))
            clients = [await self.connected(server, make=lambda: Client(stays=True)) for _ in range(3)]
            began = reactor.seconds()
            await server.stopService()
            self.assertLess(reactor.seconds() - began, 5)
            await gatherResults([client.ended for client in clients])
            for client in clients:
                client.transport.abortConnection()
            self.assertEqual(self.logged("aborted"), [])

    async def stop_after(self, talk: Conversation) -> None:
        """Stop a server when a client that stays has seen the end of this conversation's side, and take no time."""
        server = self.serve(SocketServer("orders", LOCAL, "windev", conversation=talk, drain_timeout=15))
        client = await self.connected(server, make=lambda: Client(stays=True))
        await client.ended
        began = reactor.seconds()
        await server.stopService()
        self.assertLess(reactor.seconds() - began, 5)

    async def test_a_side_that_was_ended_before_does_not_hold_it_up(self) -> None:
        async def talk(channel: Channel) -> None:
            channel.send(b"a")
            channel.end()
            await channel.read()

        await self.stop_after(talk)

    async def test_nor_if_its_conversation_goes_on_for_a_moment(self) -> None:
        async def talk(channel: Channel) -> None:
            channel.end()
            with contextlib.suppress(ChannelClosed):
                await channel.read()
            await turn()

        await self.stop_after(talk)

    async def test_what_is_owed_arrives(self) -> None:
        piece, count = bytes(1 << 20), 7

        async def talk(channel: Channel) -> None:
            for _ in range(count):
                channel.send(piece)
            await channel.read()

        server = self.serve(SocketServer("orders", LOCAL, "raw", conversation=talk, drain_timeout=15))
        client = await self.connected(server, paused=True)
        stopped = server.stopService()
        done: list[object] = []
        stopped.addBoth(done.append)
        for _ in range(20):
            await turn()
        self.assertEqual(done, [])
        client.transport.resumeProducing()
        await stopped
        await client.lost
        self.assertEqual(len(client.received), count * len(piece))

    async def test_pending_answers_are_answered(self) -> None:
        waiting: list[Deferred[bytes | None]] = []
        both: Deferred[None] = Deferred()

        def answer(*_: object) -> Deferred[bytes | None]:
            waiting.append(Deferred())
            if len(waiting) == 2:
                both.callback(None)
            return waiting[-1]

        server = self.serve(SocketServer("orders", LOCAL, "windev", answer, drain_timeout=15))
        client = await self.connected(server)
        client.send(b"1\r\na1\r\nb")
        await both
        stopped = server.stopService()
        done: list[object] = []
        stopped.addBoth(done.append)
        for deferred in reversed(waiting):
            await turn()
            self.assertEqual(done, [])
            deferred.callback(b"done")
        await stopped
        await client.lost
        self.assertEqual(bytes(client.received), b"4\r\ndone" * 2)

    async def test_at_drain_timeout_the_rest_is_aborted_and_counted(self) -> None:
        never: list[Deferred[None]] = []

        async def busy(_: Channel) -> None:
            never.append(Deferred())
            await never[-1]

        server = self.serve(SocketServer("orders", LOCAL, "windev", conversation=busy, drain_timeout=0.1))
        clients = [await self.connected(server) for _ in range(3)]
        await server.stopService()
        await gatherResults([client.lost for client in clients])
        self.assertEqual(
            self.logged("aborted"),
            ["orders: 3 connections aborted, not finished within 0.1 seconds (drain_timeout)"],
        )
        for deferred in never:
            deferred.callback(None)

    async def test_it_serves_again_behind_a_stop(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", max_connections=1, drain_timeout=15))
        staying = await self.connected(server, make=lambda: Client(stays=True))
        await server.stopService()
        staying.transport.abortConnection()
        await staying.lost
        server.startService()
        client = await self.client(server)
        client.send(b"1\r\na")
        await client.until(4)

    async def test_a_client_that_connects_while_it_stops_is_closed(self) -> None:
        async def busy(_: Channel) -> None:
            await never

        never: Deferred[None] = Deferred()
        server = self.serve(SocketServer("orders", LOCAL, "windev", conversation=busy, drain_timeout=0.2))
        await self.connected(server)
        late = Deferred.fromCoroutine(self.client(server))
        stopped = server.stopService()
        try:
            client = await late
        except ConnectError:
            pass
        else:
            await client.lost
        await stopped
        never.callback(None)


class EdgeTests(SocketCase):
    async def test_stopping_it_twice_waits_for_the_same_end(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        server = self.serve(SocketServer("slow", LOCAL, "windev", lambda _message, _channel: waiting))
        client = await self.client(server)
        client.send(b"1\r\na")
        while not server.channels or not server.channels[1].info.messages_received:
            await turn()
        stops = [server.stopService(), server.stopService()]
        ends: list[object] = []
        for stop in stops:
            stop.addCallback(ends.append)
        self.assertEqual(ends, [])
        waiting.callback(b"b")
        for stop in stops:
            await stop
        self.assertEqual(bytes(await client.until(4)), b"1\r\nb")

    async def test_waiting_clients_do_not_stop_datagrams_and_a_closed_port_is_left_alone(self) -> None:
        server = self.serve(SocketServer("mixed", [LOCAL, "udp:0"], max_connections=1))
        first, second = await self.client(server), await self.client(server)
        stream, datagrams = cast("list[Any]", server.ports)
        while stream in reactor.getReaders():
            await turn()
        self.assertIn(datagrams, reactor.getReaders())
        # As the reactor does at its end, without the service.
        await maybeDeferred(stream.stopListening)
        first.end()
        await first.ended
        second.send(b"served")
        self.assertEqual(await second.until(6), b"served")

    def test_settings_that_mean_nothing_are_refused(self) -> None:
        async def answer(message: bytes, _: object) -> bytes:
            return message

        for options, words in (
            ({"max_connections": 0}, "max_connections"),
            ({"handler": answer, "max_pending": 0}, "max_pending"),
            ({"when_full": "waiting"}, "when_full"),
            ({"handler": answer, "threads": True}, "threads"),
        ):
            with self.subTest(options=options):
                error = self.assertRaises(ValueError, SocketServer, "name", LOCAL, **options)
                self.assertIn(words, str(error))


class Upper(MessageProtocol):
    """A protocol of someone's own, with settings of its class."""

    framing = "buffered"
    options = ConnectionOptions(close_timeout=3.0, idle_timeout=30.0)

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message.upper())


class ProtocolClassTests(SocketCase):
    """A MessageProtocol subclass as the handler of a named socket."""

    async def test_it_is_served_in_its_own_framing_or_in_the_one_that_is_named(self) -> None:
        own = self.serve(SocketServer("orders", LOCAL, handler=Upper))
        named = self.serve(SocketServer("orders", LOCAL, "windev", f"{__name__}:Upper"))
        for server, sent, owed in ((own, b"a\r\n", b"A\r\n"), (named, b"1\r\na", b"1\r\nA")):
            client = await self.client(server)
            client.send(sent)
            self.assertEqual(bytes(await client.until(len(owed))), owed)
            client.end()
            await client.lost

    async def test_its_class_says_what_the_settings_leave_open(self) -> None:
        for given, expected in (({}, (3.0, 30.0)), ({"close_timeout": "5s", "idle_timeout": 60}, (5.0, 60.0))):
            server = self.serve(SocketServer("orders", LOCAL, handler=Upper, **given))  # type: ignore[arg-type]
            client = await self.client(server)
            client.send(b"a\r\n")
            await client.until(3)
            (connection,) = server._admission.running.values()
            self.assertEqual((connection.options.close_timeout, connection.options.idle_timeout), expected)

    async def test_it_has_the_limits_and_the_drain_of_the_socket(self) -> None:
        server = self.serve(
            SocketServer("orders", LOCAL, handler=Upper, max_length=2, max_connections=1, when_full="refuse")
        )
        client = await self.client(server)
        client.send(b"ab\r\n")
        await client.until(4)
        refused = await self.client(server)
        await refused.lost
        client.send(b"abc\r\n")
        await client.lost
        self.assertEqual(server.closings["max_connections"], 1)
        self.assertEqual(len(self.logged("limit of 2 bytes (max_length)")), 1)
        last = await self.client(server)
        last.send(b"c\r\n")
        await last.until(3)
        await server.stopService()
        await last.lost
        self.assertTrue(server.clean)


class GivenLimitTests(SocketCase):
    async def test_a_message_over_max_length_is_not_taken(self) -> None:
        for value in (16, "16"):
            server = self.serve(SocketServer("orders", LOCAL, "windev", max_length=value))
            client = await self.client(server)
            client.send(b"16\r\n" + b"a" * 16 + b"17\r\n" + b"b" * 17)
            await client.lost
            self.assertEqual(bytes(client.received), b"16\r\n" + b"a" * 16)

    async def test_a_bad_frame_is_skipped_when_that_is_said(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "buffered", max_length=2, on_bad_frame="skip"))
        client = await self.client(server)
        client.send(b"a\r\nlong\r\nb\r\n")
        self.assertEqual(bytes(await client.until(6)), b"a\r\nb\r\n")

    async def test_an_inherited_socket(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        # The endpoint closes the descriptor that it was given.
        server = self.serve(SocketServer("orders", f"fd:{listening.detach()}"))
        client = await self.client(server)
        client.send(b"hello")
        self.assertEqual(bytes(await client.until(5)), b"hello")

    async def test_a_descriptor_that_does_not_listen(self) -> None:
        words = "is a socket that does not listen; accepted: fd:N"
        with socket.socket() as idle, self.assertRaisesRegex(ValueError, words):
            SocketServer("orders", f"fd:{idle.fileno()}")
