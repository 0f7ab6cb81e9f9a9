"""What the log says of whose event it was."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python import context, log

from tests.support.reactors import HalfClosing, Situations, situation


class Telling(HalfClosing):
    """Remembers whose event each of its calls is, as the log has it. systems: by the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.systems: dict[str, str] = {}

    def tell(self, name: str) -> None:
        self.systems[name] = context.get(log.ILogContext)["system"]

    def came(self, data: bytes) -> None:
        self.tell("data")
        self.transport.reactor.callLater(0, self.tell, "later")

    def readConnectionLost(self) -> None:
        self.tell("end")
        super().readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.tell("written")
        super().writeConnectionLost()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ANN401
        self.tell("lost")
        super().connectionLost(reason)


class LoggingTests(Situations):
    @situation
    async def test_events_of_a_connection_are_logged_as_its_own(self) -> None:
        protocol = Telling()
        peer = self.connect(protocol)
        peer.sendall(b"?")
        await protocol.received(1)
        await self.turn()
        protocol.transport.loseWriteConnection()
        await protocol.event("written")
        peer.shutdown(socket.SHUT_WR)
        await protocol.event("end")
        own = "Telling,0,127.0.0.1"
        self.assertEqual(protocol.systems, {"data": own, "later": "-", "written": own, "end": own})
        protocol.transport.abortConnection()
        await protocol.event("lost")
        self.assertEqual(protocol.systems["lost"], "-")

    @situation
    async def test_reset_is_logged_as_the_connections(self) -> None:
        protocol = Telling()
        peer = self.connect(protocol)
        await protocol.event("made")
        peer.close()
        await protocol.event("end")
        protocol.transport.loseConnection()
        await protocol.event("lost")
        self.assertEqual(protocol.systems["lost"], "Telling,0,127.0.0.1")

    @situation
    async def test_what_a_protocol_raises_is_logged_as_its_connections(self) -> None:
        class Failing(HalfClosing):
            def came(self, data: bytes) -> None:
                raise ZeroDivisionError

            def connectionLost(self, reason: Any = None) -> None:  # noqa: ANN401
                super().connectionLost(reason)
                raise ZeroDivisionError

        systems: list[str] = []

        def observe(event: dict[str, Any]) -> None:
            if event["isError"]:
                systems.append(event["system"])

        log.addObserver(observe)
        self.addCleanup(log.removeObserver, observe)
        protocol = Failing()
        self.connect(protocol).sendall(b"?")
        await protocol.event("lost")
        await self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        # Where Twisted's asyncio reactor logs the first, it is the reactor that does.
        self.assertEqual(systems[-1], "Failing,0,127.0.0.1")
        if type(self.reactor).__name__ != "AsyncioSelectorReactor":
            self.assertEqual(systems, ["Failing,0,127.0.0.1"] * 2)

    @situation
    async def test_a_thread_goes_on_with_the_context_that_it_was_called_in(self) -> None:
        """And not with that of what the reactor handles while the thread runs."""
        systems: list[str] = []

        class Asking(Telling):
            def came(self, data: bytes) -> None:
                reactor = self.transport.reactor
                deferToThreadPool(reactor, reactor.getThreadPool(), self.work).addCallback(
                    lambda _: self.happened("worked")
                )

            def work(self) -> None:
                systems.append(context.get(log.ILogContext)["system"])

        protocol = Asking()
        peer = self.connect(protocol)
        peer.sendall(b"?")
        await protocol.event("worked")
        self.assertEqual(systems, ["Asking,0,127.0.0.1"])

    @situation
    async def test_the_context_that_the_reactor_was_run_in_is_there_too(self) -> None:
        values: list[Any] = []

        class Looking(HalfClosing):
            def came(self, data: bytes) -> None:
                values.append((context.get("of the test"), context.get(log.ILogContext)["of the test"]))

        protocol = Looking()
        peer = self.connect(protocol)
        peer.sendall(b"?")
        await protocol.received(1)
        self.assertEqual(values, [("there", "too")])

    def runReactor(self, *args: Any) -> None:  # noqa: ANN401
        outer = {"of the test": "there", log.ILogContext: {"system": "-", "isError": 0, "of the test": "too"}}
        context.call(outer, super().runReactor, *args)


globals().update(LoggingTests.makeTestCaseClasses())
