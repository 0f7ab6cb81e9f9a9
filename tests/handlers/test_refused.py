"""Refused: one line and no traceback, whatever kind of handler raises it, and the end of that connection only."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater

from sockserve import Refused
from sockserve.connection.channel import Channel
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.answers import Answer
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, SocketCase

REASON = "unknown article\n'bad'"


def plain(message: bytes, _channel: Channel) -> Answer:
    if message == b"bad":
        raise Refused(REASON)
    return message


async def at_once(message: bytes, channel: Channel) -> Answer:
    return plain(message, channel)


async def slowly(message: bytes, channel: Channel) -> Answer:
    await deferLater(reactor, 0)
    return plain(message, channel)


def deferred(message: bytes, channel: Channel) -> Deferred[Answer]:
    return Deferred.fromCoroutine(slowly(message, channel))


def failed(message: bytes, _channel: Channel) -> Answer | Deferred[Answer]:
    return fail(Refused(REASON)) if message == b"bad" else message


async def talk(channel: Channel) -> None:
    async for message in channel:
        await channel.write(await slowly(message, channel) or b"")


class Single(MessageProtocol):
    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(plain(message, Channel(self)) or b"")


class Several(MessageProtocol):
    def messagesReceived(self, messages: list[bytes]) -> None:
        for message in messages:
            self.sendMessage(plain(message, Channel(self)) or b"")


class Unfriendly(MessageProtocol):
    def connectionMade(self) -> None:
        self.sendMessage(b"good")
        raise Refused(REASON)


class RefusedTests(SocketCase):
    async def check(self, **settings: Any) -> None:  # noqa: ANN401
        """A refusal comes after the answer to the message before it, and nobody else notices."""
        server = self.serve(SocketServer("orders", LOCAL, "buffered", **settings))
        refused, other = await self.client(server), await self.client(server)
        refused.send(b"good\r\nbad\r\nlate\r\n")
        await refused.lost
        self.assertEqual(bytes(refused.received), b"good\r\n")
        [line] = self.logged("refused: ")
        self.assertRegex(line, r"^orders 127.0.0.1:\d+: refused: unknown article 'bad'; closing$")
        self.assertEqual(server.closings, {"handler": 1})
        self.assertEqual(self.flushLoggedErrors(), [])
        other.send(b"good\r\n")
        self.assertEqual(await other.until(6), b"good\r\n")
        self.assertEqual(server.admission.totals.closed, {"handler": 1})

    async def test_a_function(self) -> None:
        await self.check(handler=plain)

    async def test_a_function_in_threads(self) -> None:
        await self.check(handler=plain, threads=True)

    async def test_a_coroutine_that_does_not_wait(self) -> None:
        await self.check(handler=at_once)

    async def test_a_coroutine_that_waits(self) -> None:
        await self.check(handler=slowly)

    async def test_a_function_that_returns_a_deferred(self) -> None:
        await self.check(handler=deferred)

    async def test_a_function_that_returns_a_deferred_that_has_failed(self) -> None:
        await self.check(handler=failed)

    async def test_a_conversation(self) -> None:
        await self.check(conversation=talk)

    async def test_a_protocol_class(self) -> None:
        await self.check(handler=Single)

    async def test_a_protocol_class_that_takes_all_messages_at_once(self) -> None:
        await self.check(handler=Several)

    async def test_a_protocol_that_refuses_a_client(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "buffered", Unfriendly))
        client = await self.client(server)
        await client.lost
        self.assertEqual(bytes(client.received), b"good\r\n")
        self.assertEqual(len(self.logged("refused: unknown article 'bad'; closing")), 1)
        self.assertEqual(self.flushLoggedErrors(), [])
