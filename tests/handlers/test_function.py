"""Answers of a function: their order, their number, and what becomes of them when a connection ends."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from asyncio import _get_running_loop as running_loop
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.failures import Refused
from sockserve.connection.options import ConnectionOptions
from sockserve.handlers.answers import Answer, Function
from sockserve.handlers.function import Answering
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import CountingTransport, connect, lose
from tests.support.sockets import LOCAL, SocketCase, turn

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase


def answering(
    function: Function, framing: str = "buffered", max_pending: int = 100
) -> tuple[Answering, CountingTransport]:
    protocol = Answering(function, max_pending=max_pending)
    protocol.framing = framing
    protocol.options = ConnectionOptions(socket="orders", reactor=Clock())
    return connect(protocol)


class Later:
    """A handler whose answers are Deferreds to fire, by message."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, Deferred[Answer]] = {}
        self.cancelled: list[bytes] = []

    def __call__(self, message: bytes, _: Channel) -> Deferred[Answer]:
        deferred: Deferred[Answer] = Deferred(lambda _: self.cancelled.append(message))
        self.waiting[message] = deferred
        return deferred

    def answer(self, message: bytes) -> None:
        self.waiting.pop(message).callback(message.upper())


def constant(answer: Any, *_: object) -> Any:  # noqa: ANN401 - right or wrong
    return answer


class AnswerTests(SynchronousTestCase):
    def test_plain_a_coroutine_and_a_deferred(self) -> None:
        def plain(message: bytes, _: Channel) -> Answer:
            return message.upper()

        async def coroutine(message: bytes, _: Channel) -> Answer:
            return await succeed(message.upper())

        def deferred(message: bytes, _: Channel) -> Deferred[Answer]:
            return succeed(message.upper())

        functions: tuple[Function, ...] = (plain, coroutine, deferred)
        for function in functions:
            protocol, transport = answering(function)
            protocol.dataReceived(b"a\r\nb\r\n")
            self.assertEqual(transport.value(), b"A\r\nB\r\n")
            self.assertEqual(transport.writes, 1)

    def test_coroutines_that_need_not_wait_are_no_answers_under_way(self) -> None:
        slow: Deferred[Answer] = Deferred()

        async def answer(message: bytes, _: Channel) -> Answer:
            return await slow if message == b"slow" else await succeed(message)

        protocol, transport = answering(answer, max_pending=2)
        protocol.dataReceived(b"a\r\n" * 5)
        self.assertEqual(transport.value(), b"a\r\n" * 5)
        self.assertEqual(protocol.keptBytes, 0)
        protocol.dataReceived(b"slow\r\nb\r\nc\r\n")
        self.assertEqual(transport.producerState, "paused")
        slow.callback(b"done")
        self.assertEqual(transport.value(), b"a\r\n" * 5 + b"done\r\nb\r\nc\r\n")
        self.assertEqual(transport.producerState, "producing")

    def test_none_sends_nothing_and_empty_is_a_message(self) -> None:
        answers = {b"a": None, b"b": b"", b"c": b"c"}
        protocol, transport = answering(lambda message, _: answers[message])
        protocol.dataReceived(b"a\r\nb\r\nc\r\n")
        self.assertEqual(transport.value(), b"\r\nc\r\n")

    def test_the_channel_is_of_this_connection(self) -> None:
        def twice(_: bytes, channel: Channel) -> Answer:
            channel.send(b"first")
            return b"second"

        protocol, transport = answering(twice)
        protocol.dataReceived(b"a\r\n")
        self.assertEqual(transport.value(), b"first\r\nsecond\r\n")

    def test_a_plain_answer_waits_for_a_slow_one_before_it(self) -> None:
        slow: Deferred[Answer] = Deferred()
        protocol, transport = answering(lambda message, _: slow if message == b"slow" else message)
        protocol.dataReceived(b"slow\r\nfast\r\n")
        self.assertEqual(transport.value(), b"")
        slow.callback(b"done")
        self.assertEqual(transport.value(), b"done\r\nfast\r\n")

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40), st.integers(1, 10))
    def test_answers_leave_in_the_order_of_the_messages(self, plan: list[tuple[int, bool]], max_pending: int) -> None:
        clock = Clock()
        under_way = [0, 0]

        def answer(message: bytes, _: Channel) -> Answer | Awaitable[Answer]:
            seconds, wait = plan[int(message)]
            if not wait:
                return message
            under_way[0] += 1
            under_way[1] = max(under_way)

            def done() -> Answer:
                under_way[0] -= 1
                return message

            return deferLater(clock, seconds, done)

        protocol, transport = answering(answer, max_pending=max_pending)
        wire = b"".join(b"%d\r\n" % number for number in range(len(plan)))
        protocol.dataReceived(wire)
        protocol.readConnectionLost()
        for _ in range(6 * len(plan) + 1):
            clock.advance(1)
        self.assertEqual(transport.value(), wire)
        self.assertTrue(transport.disconnecting)
        self.assertLessEqual(under_way[1], max_pending)

    def test_max_pending_bounds_what_is_under_way_and_pauses_reading(self) -> None:
        later = Later()
        protocol, transport = answering(later, max_pending=3)
        protocol.dataReceived(b"a\r\nb\r\nc\r\nd\r\ne\r\n")
        self.assertEqual([*later.waiting], [b"a", b"b", b"c"])
        self.assertEqual(transport.producerState, "paused")
        later.answer(b"c")
        self.assertEqual([*later.waiting], [b"a", b"b"])
        later.answer(b"a")
        self.assertEqual([*later.waiting], [b"b", b"d"])
        later.answer(b"b")
        self.assertEqual([*later.waiting], [b"d", b"e"])
        self.assertEqual(transport.producerState, "producing")
        later.answer(b"e")
        later.answer(b"d")
        self.assertEqual(transport.value(), b"A\r\nB\r\nC\r\nD\r\nE\r\n")

    def test_thousands_that_are_done_at_once_after_a_slow_one(self) -> None:
        slow: Deferred[Answer] = Deferred()

        async def answer(message: bytes, _: Channel) -> Answer:
            return await slow if message == b"0" else message

        protocol, transport = answering(answer, max_pending=2)
        wire = b"".join(b"%d\r\n" % number for number in range(5000))
        protocol.dataReceived(wire)
        slow.callback(b"0")
        self.assertEqual(transport.value(), wire)


class EndTests(SynchronousTestCase):
    def test_pending_answers_are_owed_after_the_end_of_the_stream(self) -> None:
        later = Later()
        protocol, transport = answering(later)
        protocol.dataReceived(b"a\r\nb\r\n")
        protocol.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        later.answer(b"b")
        later.answer(b"a")
        self.assertEqual(transport.value(), b"A\r\nB\r\n")
        self.assertTrue(transport.disconnecting)

    def test_pending_answers_are_owed_after_a_bad_frame(self) -> None:
        later = Later()
        protocol, transport = answering(later, "windev")
        protocol.dataReceived(b"1\r\na1\r\nb-1\r\n")
        protocol.dataReceived(b"1\r\nc")
        self.assertEqual(transport.producerState, "paused")
        self.assertFalse(transport.disconnecting)
        later.answer(b"b")
        later.answer(b"a")
        self.assertEqual(transport.value(), b"1\r\nA1\r\nB")
        self.assertTrue(transport.disconnecting)
        self.assertEqual(later.waiting, {})

    def test_pending_answers_are_owed_when_the_connection_is_drained(self) -> None:
        later = Later()
        protocol, transport = answering(later, max_pending=2)
        protocol.dataReceived(b"a\r\nb\r\nc\r\n")
        protocol.drain()
        for message in (b"a", b"b", b"c"):
            self.assertFalse(transport.disconnecting)
            later.answer(message)
        self.assertEqual(transport.value(), b"A\r\nB\r\nC\r\n")
        self.assertTrue(transport.disconnecting)

    def test_a_bad_frame_is_reported_once_while_answers_are_pending(self) -> None:
        class Counting(Answering):
            failures = 0

            def framingFailed(self, error: Exception) -> None:
                self.failures += 1

        later = Later()
        protocol = Counting(later)
        protocol.framing = "windev"
        _, transport = connect(protocol)
        protocol.dataReceived(b"1\r\na-1\r\n")
        transport.producer.pauseProducing()
        transport.producer.resumeProducing()
        protocol.pauseProducing()
        protocol.resumeProducing()
        later.answer(b"a")
        self.assertEqual(protocol.failures, 1)

    def test_a_lost_connection_cancels_what_is_pending_without_noise(self) -> None:
        never: Deferred[Answer] = Deferred()
        cleaned: list[bytes] = []

        async def answer(message: bytes, _: Channel) -> Answer:
            try:
                return await never
            finally:
                cleaned.append(message)

        later = Later()
        functions: tuple[Function, ...] = (later, answer)
        for function in functions:
            protocol, _ = answering(function)
            protocol.dataReceived(b"a\r\n")
            lose(protocol)
        self.assertEqual((later.cancelled, cleaned), ([b"a"], [b"a"]))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_answer_that_comes_after_the_end_is_dropped(self) -> None:
        later = Later()
        protocol, transport = answering(later)
        protocol.dataReceived(b"a\r\n")
        protocol.loseConnection()
        later.answer(b"a")
        self.assertEqual(transport.value(), b"")


class FailureTests(SynchronousTestCase):
    def check(self, function: Function, error: type[BaseException], message: bytes = b"bad") -> None:
        """The answer to the second of three messages fails."""
        first: Deferred[Answer] = Deferred()

        def answer(received: bytes, channel: Channel) -> Answer | Awaitable[Answer]:
            return first if received == b"1" else function(received, channel)

        protocol, transport = answering(answer)
        protocol.dataReceived(b"1\r\n" + message + b"\r\n3\r\n")
        self.assertFalse(transport.disconnecting)
        first.callback(b"one")
        self.assertEqual(len(self.flushLoggedErrors(error)), 1)
        self.assertEqual(transport.value(), b"one\r\n")
        self.assertTrue(transport.disconnecting)

    def test_what_would_end_a_process_ends_its_own_connection(self) -> None:
        for kind in (SystemExit, KeyboardInterrupt, GeneratorExit, BaseException):

            def plain(message: bytes, _: Channel, kind: type[BaseException] = kind) -> Answer:
                raise kind(message)

            async def coroutine(message: bytes, _: Channel, kind: type[BaseException] = kind) -> Answer:
                raise kind(message)

            def deferred(message: bytes, _: Channel, kind: type[BaseException] = kind) -> Deferred[Answer]:
                return fail(Failure(kind(message)))

            functions: tuple[Function, ...] = (plain, coroutine, deferred)
            for function in functions:
                self.check(function, kind)

    def test_the_traceback_begins_with_the_users_own_frames(self) -> None:
        def inner() -> Answer:
            raise LookupError

        def plain(_message: bytes, _: Channel) -> Answer:
            return inner()

        async def coroutine(_message: bytes, _: Channel) -> Answer:
            return inner()

        functions: tuple[Function, ...] = (plain, coroutine)
        for function in functions:
            protocol, _ = answering(function)
            protocol.dataReceived(b"bad\r\n")
            [failure] = self.flushLoggedErrors(LookupError)
            names = [frame[0] for frame in failure.frames]
            self.assertEqual(names, [function.__name__, "inner"])

    def test_a_refusal_is_one_line_and_closes_after_the_earlier_answers(self) -> None:
        async def answer(message: bytes, _: Channel) -> Answer:
            if message == b"bad":
                raise Refused("unknown article\n'bad'")
            return message

        protocol, transport = answering(answer)
        with capturedLogs() as events:
            protocol.dataReceived(b"good\r\nbad\r\nlate\r\n")
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["orders 192.0.2.7:4711: refused: unknown article 'bad'; closing"],
        )
        self.assertEqual(protocol.options.events.counts, {"handler": 1})
        self.assertEqual(transport.value(), b"good\r\n")
        self.assertTrue(transport.disconnecting)

    def test_an_exception_closes_after_the_earlier_answers(self) -> None:
        def plain(message: bytes, _: Channel) -> Answer:
            raise LookupError(message)

        async def coroutine(message: bytes, _: Channel) -> Answer:
            raise LookupError(message)

        def deferred(message: bytes, _: Channel) -> Deferred[Answer]:
            failed: Deferred[Answer] = Deferred()
            failed.errback(LookupError(message))
            return failed

        functions: tuple[Function, ...] = (plain, coroutine, deferred)
        for function in functions:
            self.check(function, LookupError)

    def test_an_exit_in_a_handler_is_a_failure_of_this_connection(self) -> None:
        def plain(*_: object) -> Answer:
            sys.exit(3)

        async def coroutine(*_: object) -> Answer:
            sys.exit(3)

        def deferred(*_: object) -> Deferred[Answer]:
            return fail(SystemExit(3))

        functions: tuple[Function, ...] = (plain, coroutine, deferred)
        for function in functions:
            self.check(function, SystemExit)

    def test_a_wrong_type_is_a_type_error_that_names_it(self) -> None:
        wrong: tuple[Any, ...] = ("text", 5, bytearray(b"a"), [b"a"])
        for answer in wrong:
            protocol, transport = answering(partial(constant, answer))
            protocol.dataReceived(b"a\r\n")
            (failure,) = self.flushLoggedErrors(TypeError)
            self.assertIn(type(answer).__name__, str(failure.value))
            self.assertTrue(transport.disconnecting)

    def test_an_answer_that_the_framing_cannot_carry(self) -> None:
        self.check(lambda *_: b"a\r\nb", Exception)

    def test_a_cancellation_that_is_nobodys_closes_too(self) -> None:
        async def answer(*_: object) -> Answer:
            raise asyncio.CancelledError

        protocol, transport = answering(answer)
        protocol.dataReceived(b"a\r\n")
        self.assertEqual(len(self.flushLoggedErrors(asyncio.CancelledError)), 1)
        self.assertTrue(transport.disconnecting)


class SocketTests(SocketCase):
    def answering(self, function: Function, **options: Any) -> SocketServer:  # noqa: ANN401 - as SocketServer's
        return self.serve(SocketServer("orders", LOCAL, "windev", function, drain_timeout=0.2, **options))

    async def test_fifty_answers_outstanding_at_the_half_close_all_arrive(self) -> None:
        waiting: list[Callable[[], None]] = []
        all_there: Deferred[None] = Deferred()

        def answer(message: bytes, _: Channel) -> Deferred[Answer]:
            deferred: Deferred[Answer] = Deferred()
            waiting.append(lambda: deferred.callback(b"<" + message + b">"))
            if len(waiting) == 50:
                all_there.callback(None)
            return deferred

        client = await self.client(self.answering(answer))
        client.send(b"".join(b"2\r\n%02d" % number for number in range(50)))
        client.end()
        await all_there
        for fire in reversed(waiting):
            reactor.callLater(0, fire)
        await client.lost
        self.assertEqual(bytes(client.received), b"".join(b"4\r\n<%02d>" % number for number in range(50)))

    async def test_what_an_aborted_connection_had_under_way_is_free_before_that_returns(self) -> None:
        class Held:
            pass

        held: list[weakref.ref[object]] = []

        async def answer(_: bytes, __: Channel) -> None:
            mine = Held()
            held.append(weakref.ref(mine))
            loop = running_loop()
            if loop is not None:
                held.append(weakref.ref(asyncio.current_task(loop)))
            await Deferred()

        # Under asyncio, its loop does not run before.
        await turn()
        protocol, _ = answering(answer)
        protocol.dataReceived(b"one\r\ntwo\r\n")
        gc.disable()
        self.addCleanup(gc.enable)
        self.assertEqual(len(held), 2 if running_loop() is None else 4)
        self.assertNotIn(None, [each() for each in held])
        protocol._engine.abort_for("memory_budget", "too much")
        self.assertEqual({each() for each in held}, {None})

    async def test_blocking_functions_run_in_threads_and_their_answers_keep_the_order(self) -> None:
        second = threading.Event()
        threads: set[int] = set()

        def answer(message: bytes, _: Channel) -> Answer:
            threads.add(threading.get_ident())
            if message == b"1":
                second.wait(10)
            else:
                second.set()
            return message

        client = await self.client(self.answering(answer, threads=True))
        client.send(b"1\r\n11\r\n2")
        client.end()
        await client.lost
        self.assertEqual(bytes(client.received), b"1\r\n11\r\n2")
        self.assertNotIn(threading.get_ident(), threads)

    async def test_a_thread_whose_connection_is_gone_makes_no_noise(self) -> None:
        begun: Deferred[None] = Deferred()
        go = threading.Event()
        over: Deferred[None] = Deferred()
        in_reactor = cast("ReactorBase", reactor).callFromThread

        def answer(*_: object) -> Answer:
            in_reactor(begun.callback, None)
            go.wait(10)
            in_reactor(over.callback, None)
            raise LookupError

        server = self.answering(answer, threads=True)
        client = await self.client(server)
        client.send(b"1\r\na")
        await begun
        server.channels[1].abort()
        await client.lost
        go.set()
        await over
        await deferLater(reactor, 0, lambda: None)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_an_exception_closes_its_own_connection_and_is_logged_once_with_name_and_peer(self) -> None:
        def answer(message: bytes, _: Channel) -> Answer:
            return b"%d" % (1000 // int(message))

        server = self.answering(answer)
        one, two = await self.client(server), await self.client(server)
        port = one.transport.getHost().port
        one.send(b"1\r\n51\r\n01\r\n2")
        await one.lost
        two.send(b"1\r\n1")
        await two.until(7)
        self.assertEqual((bytes(one.received), bytes(two.received)), (b"3\r\n200", b"4\r\n1000"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.logged("failed"), [f"orders 127.0.0.1:{port}: the handler failed; closing"])

    async def test_the_last_answer_to_a_peer_that_goes_on_sending(self) -> None:
        def answer(message: bytes, _: Channel) -> Answer:
            if message == b"bad":
                raise LookupError
            return message

        for _ in range(10):
            client = await self.client(self.answering(answer))
            client.send(b"4\r\ngood3\r\nbad" + bytes(1 << 20))
            await client.lost
            self.assertEqual(bytes(client.received), b"4\r\ngood")
        self.flushLoggedErrors(LookupError)
