"""Connections that go on in another socket, which takes the place of the one that they have come to."""

from __future__ import annotations

import itertools
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory

from sockserve.connection.channel import Channel
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.echo import Echo
from sockserve.server.handover import Parcel
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, Client, SocketCase, turn


def upper(message: bytes, _: Channel) -> bytes:
    return message.upper()


async def talk(channel: Channel) -> None:
    async for message in channel:
        await channel.write(message)


class Subclass(Echo):
    """May keep something: it says nothing about it."""


class Stateless(MessageProtocol):
    keepsState = False

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message + b"!")


class HandoverCase(SocketCase):
    def pair(self, listen: str = LOCAL, **settings: Any) -> tuple[SocketServer, SocketServer]:  # noqa: ANN401
        """Two sockets with these settings, both listening."""
        return self.serve(SocketServer("x", listen, **settings)), self.serve(SocketServer("x", LOCAL, **settings))

    def move(self, old: SocketServer, new: SocketServer, *endpoints: str) -> Deferred[int]:
        def give(parcel: Parcel, go: Callable[[], int]) -> None:
            new.take(parcel, go())

        return old.handOver(endpoints or (LOCAL,), give)

    async def assert_moved(self, client: Client, old: SocketServer, new: SocketServer, count: int = 1) -> None:
        self.assertEqual((len(old.channels), len(new.channels)), (0, count))
        before = len(client.received)
        client.send(b"\x03abc")
        self.assertEqual((await client.until(before + 4))[-3:].lower(), b"abc")


class MovingTests(HandoverCase):
    async def test_a_client_between_two_messages(self) -> None:
        old, new = self.pair(framing="int8", handler=upper)
        client = await self.client(old)
        client.send(b"\x02hi\x03you")
        await client.until(7)
        before = next(iter(old.channels.values())).info
        self.assertEqual(await self.move(old, new), 1)
        await self.assert_moved(client, old, new)
        info = next(iter(new.channels.values())).info
        self.assertEqual((info.messages_received, info.messages_sent, info.bytes_sent), (3, 3, 11))
        self.assertEqual((info.connected, info.established), (before.connected, before.established))
        self.assertEqual((info.peer, info.local), (before.peer, before.local))

    async def test_many_that_ask_all_the_time(self) -> None:
        servers = [*self.pair(framing="int8"), *self.pair(framing="int8")]
        clients = [await self.client(servers[0]) for _ in range(20)]
        asked = [0] * len(clients)

        async def ask(client: Client, number: int) -> None:
            while len(new.channels) < len(clients) or asked[number] < 5:
                message = bytes([2, number, asked[number] % 256])
                client.send(message)
                asked[number] += 1
                received = await client.until(3 * asked[number])
                self.assertEqual(received[-3:], message)

        for old, new in itertools.pairwise(servers):
            asking = [Deferred.fromCoroutine(ask(client, number)) for number, client in enumerate(clients)]
            self.assertEqual(await self.move(old, new), len(clients))
            for each in asking:
                await each

    async def test_in_the_middle_of_a_frame(self) -> None:
        old, new = self.pair(framing="int8")
        client = await self.client(old)
        client.send(b"\x01a\x05hel")
        await client.until(2)
        await self.move(old, new)
        client.send(b"lo")
        self.assertEqual(await client.until(8), b"\x01a\x05hello")
        info = next(iter(new.channels.values())).info
        self.assertEqual((info.messages_received, info.bytes_received), (2, 8))

    async def test_in_the_middle_of_a_frame_that_is_skipped(self) -> None:
        old, new = self.pair(framing="int16", max_length=10, on_bad_frame="skip")
        client = await self.client(old)
        client.send(b"\0\x01a\0\x64" + b"x" * 50)
        await client.until(3)
        while next(iter(old.channels.values())).info.bytes_received < 55:
            await turn()
        moved = self.move(old, new)
        client.send(b"x" * 50 + b"\0\x01b")
        self.assertEqual(await moved, 1)
        self.assertEqual(await client.until(6), b"\0\x01a\0\x01b")
        self.assertEqual(len(new.channels), 1)

    async def test_with_answers_under_way_and_messages_behind_them(self) -> None:
        waiting: list[Deferred[bytes]] = []

        def answer(message: bytes, _: Channel) -> Deferred[bytes] | bytes:
            if message != b"slow":
                return message
            waiting.append(Deferred())
            return waiting[-1]

        old, new = self.pair(framing="int8", handler=answer)
        client = await self.client(old)
        client.send(b"\x04slow")
        while not waiting:
            await turn()
        moved = self.move(old, new)
        client.send(b"\x03abc")
        await turn()
        self.assertFalse(moved.called)
        waiting[0].callback(b"done")
        self.assertEqual(await moved, 1)
        self.assertEqual(await client.until(9), b"\x04done\x03abc")
        await self.assert_moved(client, old, new)

    async def test_a_framing_that_was_changed(self) -> None:
        def change(message: bytes, channel: Channel) -> bytes:
            channel.set_framing("netstring")
            return message

        old, new = self.pair(framing="int8", handler=change)
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(4)
        await self.move(old, new)
        client.send(b"1:b,")
        self.assertEqual(await client.until(8), b"1:a,1:b,")

    async def test_one_that_does_not_read_moves_when_it_has_read(self) -> None:
        old, new = self.pair(framing="int32", handler=lambda *_: bytes(1 << 20), drain_timeout=20)
        client = await self.client(old, paused=True)
        client.send(b"\0\0\0\x01a" * 8)
        while not (channel := next(iter(old.channels.values()))).queued:
            await turn()
        moved = self.move(old, new)
        await turn()
        self.assertFalse(moved.called)
        client.transport.resumeProducing()
        self.assertEqual(await moved, 1)
        self.assertTrue(channel.closed)
        await client.until(8 * ((1 << 20) + 4))
        await turn()
        client.send(b"\0\0\0\x01a")
        await client.until(9 * ((1 << 20) + 4))

    async def test_the_address_behind_a_proxy_header(self) -> None:
        old, new = self.pair(framing="int8", proxy_protocol=True)
        client = await self.client(old)
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n\x01a")
        await client.until(2)
        await self.move(old, new)
        await self.assert_moved(client, old, new)
        info = next(iter(new.channels.values())).info
        self.assertEqual((cast("Any", info.peer).host, cast("Any", info.local).host), ("192.0.2.7", "192.0.2.1"))
        assert info.proxy is not None
        self.assertEqual(cast("Any", info.proxy.address).host, "127.0.0.1")

    async def test_half_a_proxy_header_is_waited_for(self) -> None:
        old, new = self.pair(framing="int8", proxy_protocol=True)
        client = await self.client(old)
        client.send(b"PROXY TCP4 192.0.2.7 192.")
        while not old._arrivals:
            await turn()
        moved = self.move(old, new)
        client.send(b"0.2.1 4711 80\r\n")
        self.assertEqual(await moved, 1)
        await self.assert_moved(client, old, new)

    async def test_those_who_wait_for_a_place_move_too(self) -> None:
        old, new = self.pair(framing="int8", max_connections=1)
        first = await self.client(old)
        second = await self.client(old)
        second.send(b"\x01b")
        first.send(b"\x01a")
        await first.until(2)
        while len(old._admission.connections) < 2:
            await turn()
        self.assertEqual(await self.move(old, new), 2)
        await self.assert_moved(first, old, new)
        self.assertEqual(second.received, b"")
        first.transport.abortConnection()
        self.assertEqual(await second.until(2), b"\x01b")

    async def test_a_unix_socket(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = f"unix:{folder}/a"
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(path[5:])
        listening.listen()
        old, new = SocketServer("x", path, framing="int8"), SocketServer("x", path, framing="int8")
        old.inherit([[listening.fileno()]])
        self.serve(old)
        clients = []
        for _ in range(2):
            client = cast("Client", await UNIXClientEndpoint(reactor, path[5:]).connect(Factory.forProtocol(Client)))
            self.addCleanup(client.transport.abortConnection)
            client.send(b"\x01a")
            await client.until(2)
            clients.append(client)
        new.inherit([[listening.fileno()]])
        self.serve(new)
        self.assertEqual(await self.move(old, new, path), 2)
        await old.stopService()
        for client in clients:
            await self.assert_moved(client, old, new, 2)

    async def test_a_protocol_class_that_says_that_it_keeps_nothing(self) -> None:
        old, new = self.pair(framing="int8", handler=Stateless)
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(3)
        self.assertEqual(await self.move(old, new), 1)

    async def test_who_is_counted_for_its_address_is_counted_there(self) -> None:
        old, new = self.pair(framing="int8", max_connections_per_peer=1)
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(2)
        await self.move(old, new)
        late = await self.client(new)
        await late.ended
        self.assertEqual(len(self.logged("already has 1 connections")), 1)


class StayingTests(HandoverCase):
    """What cannot move is drained when the socket stops: it gets its answers, and the end of the stream."""

    async def assert_drained(self, client: Client, old: SocketServer, new: SocketServer, received: bytes) -> None:
        self.assertEqual(await self.move(old, new), 0)
        await gatherResults([maybeDeferred(old.stopService), client.ended])
        self.assertEqual((bytes(client.received), len(new.channels)), (received, 0))

    async def test_a_conversation(self) -> None:
        old, new = self.pair(framing="int8", conversation=talk)
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(2)
        await self.assert_drained(client, old, new, b"\x01a")

    async def test_a_protocol_that_says_nothing_about_its_state(self) -> None:
        old, new = self.pair(framing="int8", handler=Subclass)
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(2)
        await self.assert_drained(client, old, new, b"\x01a")

    async def test_an_endpoint_that_is_not_there_any_more(self) -> None:
        old, new = self.pair(framing="int8")
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(2)
        self.assertEqual(await self.move(old, new, "tcp:1"), 0)
        await gatherResults([maybeDeferred(old.stopService), client.ended])

    async def test_who_has_ended_its_stream_gets_its_answer_here(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        old, new = self.pair(framing="int8", handler=lambda *_: waiting)
        client = await self.client(old)
        client.send(b"\x01a")
        client.end()
        while not old.channels or not next(iter(old.channels.values()))._protocol._engine.state.cause:  # type: ignore[attr-defined]
            await turn()
        self.assertEqual(await self.move(old, new), 0)
        waiting.callback(b"b")
        await client.ended
        self.assertEqual(bytes(client.received), b"\x01b")

    async def test_what_has_not_moved_in_time_is_drained(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        old, new = self.pair(framing="int8", handler=lambda *_: waiting, drain_timeout=0.05)
        client = await self.client(old)
        client.send(b"\x01a")
        while not old.channels or not next(iter(old.channels.values())).info.messages_received:
            await turn()
        self.assertEqual(await self.move(old, new), 0)
        waiting.callback(b"b")
        self.assertEqual(await client.until(2), b"\x01b")
        self.assertEqual(len(old.channels), 1)

    async def test_who_comes_meanwhile_and_cannot_move_is_served_here(self) -> None:
        old, new = self.pair(framing="int8", proxy_protocol=True)
        client = await self.client(old)
        client.send(b"PROXY TCP4 192.0.2.7 192.")
        while not old._arrivals:
            await turn()
        moved = self.move(old, new, "tcp:1")
        client.send(b"0.2.1 4711 80\r\n\x01a")
        self.assertEqual(await moved, 0)
        stopped = old.stopService()
        self.assertEqual(await client.until(2), b"\x01a")
        await gatherResults([stopped, client.ended])

    async def test_a_parcel_that_cannot_be_passed_on(self) -> None:
        old, _ = self.pair(framing="int8")
        client = await self.client(old)
        client.send(b"\x01a")
        await client.until(2)

        def give(parcel: Parcel, go: Callable[[], int]) -> None:  # noqa: ARG001 - as in Give
            raise ValueError("it is too large")

        self.assertEqual(await old.handOver([LOCAL], give), 0)
        client.send(b"\x01b")
        await client.until(4)
        self.assertEqual(len(self.logged("it cannot move: it is too large")), 1)


class ReplacedTests(HandoverCase):
    """A reload in one process."""

    def server(self, **settings: Any) -> Server:  # noqa: ANN401
        server = Server([SocketServer("x", LOCAL, framing="int8", **settings)])
        server.startService()
        self.addCleanup(server.stopService)
        return server

    def replace(self, server: Server, **settings: Any) -> Deferred[None]:  # noqa: ANN401
        return server.replace([SocketServer("x", LOCAL, framing="int8", **settings)])

    async def test_a_port_that_had_to_rest_accepts_for_the_next_one(self) -> None:
        server = self.server(max_connections=1)
        first, second = [await self.client(server.sockets["x"]) for _ in range(2)]
        first.send(b"\x01a")
        await first.until(2)
        while len(server.sockets["x"].admission.waiting) < 1:
            await turn()
        await self.replace(server, max_connections=3)
        third = await self.client(server.sockets["x"])
        for client in (second, third):
            client.send(b"\x01b")
            self.assertEqual(await client.until(2), b"\x01b")

    async def test_who_drains_accepts_nobody_after_it_either(self) -> None:
        server = self.server()
        await server.sockets["x"].drain()
        await self.replace(server, max_length=10)
        self.assertEqual(server.sockets["x"].state, "suspended")

    async def test_who_waits_for_its_answer_goes_on_in_the_last_one_of_several(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        server = self.server(handler=lambda *_: waiting)
        client = await self.client(server.sockets["x"])
        client.send(b"\x01a")
        first = server.sockets["x"]
        while not first.channels or not next(iter(first.channels.values())).info.messages_received:
            await turn()
        replaced = [self.replace(server, handler=lambda *_: b"second")]
        second = server.sockets["x"]
        replaced.append(self.replace(server, handler=lambda *_: b"third"))
        await replaced[1]
        waiting.callback(b"first")
        await replaced[0]
        self.assertEqual(await client.until(6), b"\x05first")
        client.send(b"\x01a")
        self.assertEqual((await client.until(12))[6:], b"\x05third")
        self.assertEqual((len(second.channels), len(server.sockets["x"].channels)), (0, 1))

    async def test_nothing_moves_to_a_socket_that_stops(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        server = self.server(handler=lambda message, _: waiting if message == b"a" else message)
        client = await self.client(server.sockets["x"])
        client.send(b"\x01a\x01b")
        first = server.sockets["x"]
        while not first.channels or not next(iter(first.channels.values())).info.messages_received:
            await turn()
        replaced = self.replace(server, handler=lambda *_: b"second")
        second = server.sockets["x"]
        stopped = server.stopService()
        await replaced
        waiting.callback(b"first")
        await client.ended
        self.assertEqual((bytes(client.received), second.channels), (b"\x05first\x01b", {}))
        client.transport.loseConnection()
        await stopped


class AfterwardsTests(HandoverCase):
    async def test_nothing_is_left_of_it(self) -> None:
        old, new = self.pair(framing="int8", idle_timeout=30)
        clients = [await self.client(old) for _ in range(5)]
        for client in clients:
            client.send(b"\x01a")
            await client.until(2)
        await self.move(old, new)
        self.assertEqual((old.channels, len(new.channels)), ({}, 5))
        await old.stopService()
        for client in clients:
            client.send(b"\x01b")
            self.assertEqual(await client.until(4), b"\x01a\x01b")
            client.transport.loseConnection()

    async def test_nobody_is_accepted_any_more(self) -> None:
        old, new = self.pair(framing="int8")
        await self.move(old, new)
        with socket.create_connection(("127.0.0.1", cast("Any", old.ports[0]).getHost().port)) as client:
            client.sendall(b"\x01a")
            for _ in range(5):
                await turn()
            self.assertEqual(old.channels, {})
