"""A MessageProtocol in tests that are written for pytest-twisted.

trial ignores functions, so these run under pytest only; everything else in this folder runs under both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import connectionDone

from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.echo import Echo

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTCP
    from twisted.python.failure import Failure


class Collector(MessageProtocol):
    """Keeps what it receives, and closes once that is `expected` messages; `ended` fires with them behind the close."""

    framing = "windev"

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.messages: list[bytes] = []
        self.ended: Deferred[list[bytes]] = Deferred()

    def messageReceived(self, message: bytes) -> None:
        self.messages.append(message)
        if len(self.messages) == self.expected:
            self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.ended.callback(self.messages)


def global_reactor() -> IReactorTCP:
    from twisted.internet import reactor

    return cast("IReactorTCP", reactor)


@async_yield_fixture  # type: ignore[untyped-decorator]
async def port() -> AsyncIterator[int]:
    """The number of a port where an echo server listens."""
    endpoint = TCP4ServerEndpoint(global_reactor(), 0, interface="127.0.0.1")
    listening = await endpoint.listen(MessageFactory("windev", Echo))
    yield listening.getHost().port
    await listening.stopListening()


async def connected(port: int, expected: int) -> Collector:
    client = Collector(expected)
    await connectProtocol(TCP4ClientEndpoint(global_reactor(), "127.0.0.1", port), client)
    return client


@ensureDeferred  # type: ignore[untyped-decorator]
async def test_echo_to_a_client_that_shuts_down_its_sending_side(port: int) -> None:
    client = await connected(port, 99)
    client.sendMessages([b"Hello World", b"", b"over"])
    client.transport.loseWriteConnection()
    assert await client.ended == [b"Hello World", b"", b"over"]


@ensureDeferred  # type: ignore[untyped-decorator]
@pytest.mark.parametrize("size", [0, 1, 1024 * 1024])
async def test_message_of_any_size(port: int, size: int) -> None:
    client = await connected(port, 1)
    client.sendMessage(bytes(size))
    assert await client.ended == [bytes(size)]


def test_function_that_needs_no_reactor() -> None:
    assert str(MessageFactory("windev", Echo).framing) == "windev"
