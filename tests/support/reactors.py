"""Tests of situations on reactors of their own: Twisted's epoll and asyncio reactors, and ours.

`class ReadingTests(Situations)` has tests that are `@situation`s, coroutines that run on `self.reactor`; and
`globals().update(ReadingTests.makeTestCaseClasses())` makes a test case of it for each reactor. So one test says what
is the same on all of them. `self.ours` tells which it is, where that cannot be.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import uvloop
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sockserve import reactor

if TYPE_CHECKING:

    class Builder(ReactorBuilder, SynchronousTestCase):
        """What its test cases are."""
else:
    Builder = ReactorBuilder

P = ParamSpec("P")
T = TypeVar("T")
# Seconds that nothing here needs.
PATIENCE = 20


def closed(test: SynchronousTestCase, loop: AbstractEventLoop) -> AbstractEventLoop:
    """The loop; it will be closed after the test, when what was to be called soon has been called."""
    test.addCleanup(loop.close)
    test.addCleanup(lambda: [loop.run_until_complete(asyncio.sleep(0)) for _ in range(3)])
    return loop


def AsyncioReactor(test: SynchronousTestCase) -> AsyncioSelectorReactor:
    return AsyncioSelectorReactor(closed(test, asyncio.new_event_loop()))


def UvloopReactor(test: SynchronousTestCase) -> reactor.UvloopReactor:
    return reactor.UvloopReactor(closed(test, uvloop.new_event_loop()))


class Situations(Builder):
    """Makes a reactor for each test, runs it until the test has ended, and makes the connections that tests need.

    patience: seconds that no test needs.
    """

    patience = PATIENCE

    _reactors = [
        "twisted.internet.epollreactor.EPollReactor",
        f"{__name__}.AsyncioReactor",
        f"{__name__}.UvloopReactor",
    ]

    @property
    def ours(self) -> bool:
        return isinstance(self.reactor, reactor.UvloopReactor)

    def go(self, test: Coroutine[Deferred[Any], Any, None]) -> None:
        self.reactor: Any = self.buildReactor()
        results: list[Failure | None] = []

        async def run() -> None:
            try:
                await test
            finally:
                for protocol in self.protocols:
                    if protocol.connected and "lost" not in protocol.events:
                        protocol.transport.abortConnection()
                        await protocol.event("lost")

        def begin() -> None:
            ended = Deferred.fromCoroutine(run())
            ended.addBoth(results.append)
            ended.addBoth(lambda _: stop())

        def stop() -> None:
            # A test may have done so.
            with suppress(ReactorNotRunning):
                self.reactor.stop()

        self.protocols: list[Recorder] = []
        self.reactor.callWhenRunning(begin)
        self.runReactor(self.reactor, self.patience)
        assert results
        if isinstance(results[0], Failure):
            results[0].raiseException()

    def apart(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call what blocks, in a thread."""
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), function, *args, **kwargs)

    def turn(self) -> Deferred[None]:
        """Fires when the reactor has had a turn."""
        turned: Deferred[None] = Deferred()
        self.reactor.callLater(0, turned.callback, None)
        return turned

    def factory(self, *protocols: Recorder) -> Factory:
        """Of these protocols, one a connection, which ends with the test."""
        self.protocols += protocols
        return Factory.forProtocol(iter(protocols).__next__)

    def connect(self, protocol: Recorder) -> socket.socket:
        """A socket whose peer will be the protocol; it blocks."""
        port = self.reactor.listenTCP(0, self.factory(protocol), interface="127.0.0.1")
        return self.closing(socket.create_connection(("127.0.0.1", port.getHost().port), PATIENCE))

    def adopt(self, protocol: Recorder, handle: socket.socket) -> None:
        """Give a connected socket to the reactor, for the protocol."""
        self.reactor.adoptStreamConnection(handle.fileno(), handle.family, self.factory(protocol))
        handle.close()

    def closing(self, handle: socket.socket) -> socket.socket:
        self.addCleanup(handle.close)
        return handle

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets of TCP: one for the reactor to adopt, and its peer."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            peer = self.closing(socket.create_connection(listening.getsockname(), PATIENCE))
            ours = self.closing(listening.accept()[0])
        ours.setblocking(False)
        return ours, peer


def situation(
    test: Callable[[Any], Coroutine[Deferred[Any], Any, None]],
) -> Callable[[Situations], None]:
    """Makes a test of a coroutine."""

    @wraps(test)
    def run(case: Situations) -> None:
        case.go(test(case))

    return run


class Recorder(Protocol):
    """Remembers what happens to a connection, and lets tests wait for it.

    data: all that was received. events: "made", "lost", and of a `HalfClosing` "end" when the peer's stream has ended,
    "written" when ours has. reason: why it was lost.
    """

    transport: Any

    def __init__(self) -> None:
        self.data = bytearray()
        self.events: list[str] = []
        self.reason: Failure | None = None
        self._waiting: list[tuple[Callable[[], object], Deferred[None]]] = []

    def until(self, condition: Callable[[], object]) -> Deferred[None]:
        """Fires when something has happened, if the condition is true then."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((condition, waiting))
        self.happened()
        return waiting

    def event(self, name: str) -> Deferred[None]:
        return self.until(lambda: name in self.events)

    def received(self, count: int) -> Deferred[None]:
        return self.until(lambda: len(self.data) >= count)

    def happened(self, *events: str) -> None:
        self.events += events
        ready = [each for each in self._waiting if each[0]()]
        self._waiting = [each for each in self._waiting if each not in ready]
        for _, waiting in ready:
            waiting.callback(None)

    def connectionMade(self) -> None:
        self.made()
        self.happened("made")

    def made(self) -> None:
        """For the tests."""

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.came(data)
        self.happened()

    def came(self, data: bytes) -> None:
        """For the tests."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.happened("lost")


@implementer(IHalfCloseableProtocol)
class HalfClosing(Recorder):
    def readConnectionLost(self) -> None:
        self.happened("end")

    def writeConnectionLost(self) -> None:
        self.happened("written")


def read(handle: socket.socket, count: int = -1) -> bytes:
    """So many bytes, or all until the end; it blocks."""
    data = bytearray()
    while count < 0 or len(data) < count:
        more = handle.recv(1 << 16 if count < 0 else count - len(data))
        if not more:
            break
        data += more
    return bytes(data)


def reset(handle: socket.socket) -> None:
    """Leave with a RST."""
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handle.close()
