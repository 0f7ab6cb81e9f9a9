"""Who sends without pause, and the others."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, cast
from unittest.mock import patch

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import parse
from sockserve.limits import turns
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority
from tests.support.memory import stranger
from tests.support.sockets import LOCAL, SocketCase, turn

# One read of these: no other connection has its turn in between, unless somebody sees to it.
COUNT = 60_000
FLOOD = bytes(COUNT)


class FloodTests(SocketCase):
    """`seen`: the messages of all connections, in the order of their delivery."""

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[bytes] = []

    def see(self, message: bytes) -> None:
        self.seen.append(message)
        if len(self.seen) == 1:
            # It comes while the flood is being delivered.
            self.other.sendall(b"\5other")
        if len(self.seen) % 10_000 == 1:
            # However fast this machine is, the flood takes several shares.
            end = monotonic() + turns.SHARE
            while monotonic() <= end:
                pass

    async def flood(
        self,
        listen: str = LOCAL,
        context: ssl.SSLContext | None = None,
        until: Callable[[], bool] | None = None,
        **options: Any,  # noqa: ANN401 - as SocketServer's
    ) -> None:
        """until: returns then; None: when all messages were delivered."""
        server = self.serve(SocketServer("busy", listen, "int8", **options))
        address = "127.0.0.1", cast("IPv4Address", server.ports[0].getHost()).port

        def connect() -> socket.socket:
            client = socket.create_connection(address)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            if context is not None:
                client = context.wrap_socket(client, server_hostname="localhost")
            self.addCleanup(client.close)
            return client

        flooding, self.other = await deferToThread(connect), await deferToThread(connect)
        while len(server.channels) < 2:
            await turn()
        await deferToThread(flooding.sendall, FLOOD)
        while not (until() if until else len(self.seen) > COUNT):
            await turn()

    def check(self) -> None:
        self.assertLess(self.seen.index(b"other"), COUNT * 9 // 10)
        self.assertEqual(len(self.seen), COUNT + 1)

    async def test_a_method(self) -> None:
        see = self.see

        class Seeing(MessageProtocol):
            def messageReceived(self, message: bytes) -> None:
                see(message)

        await self.flood(handler=Seeing)
        self.check()

    async def test_a_function(self) -> None:
        def handler(message: bytes, _: Channel) -> bytes:
            self.see(message)
            return message

        await self.flood(handler=handler)
        self.check()

    async def test_a_coroutine_for_each_message(self) -> None:
        async def handler(message: bytes, _: Channel) -> bytes:
            self.see(message)
            return message

        await self.flood(handler=handler)
        self.check()

    async def test_a_conversation(self) -> None:
        await self.flood(conversation=self.conversation())
        self.check()

    async def test_over_tls(self) -> None:
        listen = Authority(self.mktemp()).listen()
        await self.flood(listen, stranger(), conversation=self.conversation())
        self.check()

    async def test_those_who_leave_meanwhile_are_forgotten(self) -> None:
        def handler(message: bytes, channel: Channel) -> None:
            self.see(message)
            if len(self.seen) == COUNT // 2:
                channel.abort()

        await self.flood(handler=handler, until=lambda: len(self.seen) >= COUNT // 2 and b"other" in self.seen)
        self.assertLessEqual(len(self.seen), COUNT // 2 + 1)

    async def test_bad_frames_are_told_of_once_a_read(self) -> None:
        framing = parse("buffered", max_length=3, on_bad_frame="skip")
        server = self.serve(SocketServer("busy", LOCAL, framing))
        client = await self.client(server)
        client.send(b"long\r\n" * 10_000 + b"ok\r\n")
        await client.until(4)
        self.assertEqual(server.events.bad_frames["MessageTooLong"], 10_000)
        self.assertLess(len(server.events.last_bad_frames), 8)

    def conversation(self) -> Callable[[Channel], Coroutine[Any, Any, None]]:
        async def talk(channel: Channel) -> None:
            async for message in channel:
                self.see(message)
                await channel.write(message)

        return talk


class WaitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[str] = []

    def wait(self, name: str, seconds: float = 0) -> None:
        def go_on() -> None:
            self.calls.append(name)
            self.now += seconds

        turns.wait(self.clock, go_on)

    def turn(self) -> str:
        """Who goes on in the next turn of the reactor."""
        self.calls.clear()
        self.now = 1000.0
        # A reactor calls what was scheduled before the turn; a Clock calls what is scheduled in it, too.
        due, self.clock.calls = self.clock.calls, []
        with patch("sockserve.limits.turns.monotonic", lambda: self.now):
            for call in due:
                call.func(*call.args, **call.kw)
        return "".join(self.calls)

    def test_they_go_on_in_the_next_turn_in_their_order(self) -> None:
        for name in "abc":
            self.wait(name)
        self.assertEqual((self.calls, self.turn(), self.turn()), ([], "abc", ""))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_together_they_have_a_part_of_a_turn(self) -> None:
        for name in "abcdef":
            self.wait(name, turns.SHARE)
        self.assertEqual([self.turn() for _ in range(4)], ["ab", "cd", "ef", ""])

    def test_who_waits_again_does_so_until_all_others_had_their_turn(self) -> None:
        def again() -> None:
            self.calls.append("a")
            self.wait("A")

        turns.wait(self.clock, again)
        self.wait("b")
        self.assertEqual([self.turn() for _ in range(3)], ["ab", "A", ""])

    def test_what_is_raised_keeps_nobody_from_going_on(self) -> None:
        turns.wait(self.clock, lambda: 1 // 0)
        self.wait("b")
        with self.assertRaises(ZeroDivisionError):
            self.turn()
        self.assertEqual([self.turn() for _ in range(2)], ["b", ""])
