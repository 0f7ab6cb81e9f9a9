"""Coroutines that await Deferreds, and under the asyncio reactor asyncio's awaitables too."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Generator
from contextvars import ContextVar
from pathlib import Path
from textwrap import dedent
from types import coroutine

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.coroutine import begin, run
from tests.support import processes
from tests.support.twistd import PATIENCE


@coroutine
def pause() -> Generator[None, object, None]:
    """As asyncio.sleep(0) does."""
    yield


class PlainTests(SynchronousTestCase):
    """Without asyncio."""

    def test_the_result_of_one_that_waits_for_nothing_is_there_at_once(self) -> None:
        async def add(one: int) -> int:
            return one + await succeed(1)

        async def nested() -> int:
            inner = begin(add(2))
            assert isinstance(inner, int)
            return inner + await add(3)

        self.assertEqual(begin(add(1)), 2)
        self.assertEqual(begin(nested()), 7)

    def test_what_it_raises_before_it_waits_is_raised_and_the_next_one_runs(self) -> None:
        async def fall(error: BaseException | None) -> str:
            if error is not None:
                raise error
            return "stands"

        for error in (LookupError(), SystemExit(), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()):
            with self.assertRaises(type(error)):
                begin(fall(error))
            self.failureResultOf(run(fall(error)), type(error))
            self.assertEqual(begin(fall(None)), "stands")

    def test_a_deferred_as_its_result_is_an_error(self) -> None:
        async def forget(wait: Deferred[None]) -> Deferred[str]:
            await wait
            return succeed("not awaited")

        with self.assertRaises(TypeError):
            begin(forget(succeed(None)))
        gate: Deferred[None] = Deferred()
        running = run(forget(gate))
        gate.callback(None)
        self.failureResultOf(running, TypeError)

    def test_all_its_steps_have_one_context_of_their_own(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="outside")
        gate: Deferred[None] = Deferred()

        async def change() -> str:
            token = variable.set("inside")
            await gate
            seen = variable.get()
            variable.reset(token)
            return seen

        running = run(change())
        self.assertEqual(variable.get(), "outside")
        gate.callback(None)
        self.assertEqual(self.successResultOf(running), "inside")
        self.assertEqual(variable.get(), "outside")

    def test_a_hundred_thousand_pauses_and_deferreds_in_a_row(self) -> None:
        async def count(gates: list[Deferred[None]]) -> int:
            for gate in gates:
                await gate
                await pause()
            return len(gates)

        gates: list[Deferred[None]] = [Deferred() for _ in range(1000)]
        running = run(count(gates))
        for gate in gates:
            gate.callback(None)
        self.assertEqual(self.successResultOf(running), 1000)
        self.assertEqual(self.successResultOf(run(count([succeed(None) for _ in range(100_000)]))), 100_000)

    def test_it_may_go_on_after_a_cancellation_and_be_cancelled_again(self) -> None:
        gates: list[Deferred[str]] = [Deferred() for _ in range(3)]
        caught: list[int] = []

        async def stubborn() -> str:
            for number, gate in enumerate(gates):
                try:
                    return await gate
                except CancelledError:
                    caught.append(number)
            return "never"

        running = run(stubborn())
        running.cancel()
        self.assertNoResult(running)
        running.cancel()
        self.assertEqual(caught, [0, 1])
        gates[2].callback("at last")
        self.assertEqual(self.successResultOf(running), "at last")

    def test_a_cancellation_while_it_runs_comes_too_late_for_what_it_awaited(self) -> None:
        gate: Deferred[None] = Deferred()
        after: Deferred[str] = Deferred()

        async def cancel_itself() -> str:
            await gate
            running.cancel()
            return await after

        running = run(cancel_itself())
        gate.callback(None)
        self.assertNoResult(running)
        after.callback("done")
        self.assertEqual(self.successResultOf(running), "done")

    def test_it_starts_at_once_and_fires_with_the_result(self) -> None:
        gate: Deferred[int] = Deferred()

        async def add() -> int:
            return await gate + await succeed(1)

        running = run(add())
        self.assertNoResult(running)
        gate.callback(2)
        self.assertEqual(self.successResultOf(running), 3)

    def test_exceptions_go_both_ways(self) -> None:
        async def catch() -> None:
            try:
                await fail(LookupError("in"))
            except LookupError as error:
                raise ValueError("out") from error

        self.failureResultOf(run(catch()), ValueError)

    def test_a_cancellation_reaches_what_is_awaited(self) -> None:
        cancelled: list[object] = []
        gate: Deferred[None] = Deferred(cancelled.append)

        async def wait() -> str:
            try:
                await gate
            except CancelledError:
                return "cancelled"
            return "not cancelled"

        running = run(wait())
        running.cancel()
        self.assertEqual(self.successResultOf(running), "cancelled")
        self.assertEqual(cancelled, [gate])


EXPECTED = re.compile(
    r"listens on|; messages: \d+ received|\(TCP Port|(?i:starting|stopping) factory|MessageFactory starting"
    # What asyncio says, with -X dev, of each call of 100 ms or more: any, on a busy machine.
    r"|Executing <.* took \d"
)
PROLOGUE = """
import asyncio, sys
from twisted.internet import asyncioreactor
asyncioreactor.install()
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater, react
from twisted.logger import globalLogBeginner, textFileLogObserver
from sockserve.connection.channel import ChannelClosed, ReadTimeout
from sockserve.connection.coroutine import begin, run
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, Client
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)

async def serve(framing="windev", **options):
    server = SocketServer("orders", LOCAL, framing, drain_timeout=1, **options)
    server.startService()
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.ports[0].getHost().port)
    return server, await endpoint.connect(Factory.forProtocol(Client))
"""
EPILOGUE = """
def start(reactor):
    reactor.callLater(25, reactor.stop)
    return deferLater(reactor, 0, lambda: Deferred.fromCoroutine(main()))

react(start)
"""


class AsyncioTests(SynchronousTestCase):
    """Each in a process of its own, which runs the asyncio reactor."""

    def check(self, program: str, expected: str, errors: tuple[str, ...] | None = ()) -> None:
        """What the program prints; its log holds no trouble but the lines that contain `errors`; None: any."""
        path = Path(self.mktemp())
        path.write_text(PROLOGUE + dedent(program) + EPILOGUE)
        done = processes.run(
            [sys.executable, path.absolute()], env={"PYTHONASYNCIODEBUG": "1"}, text=True, timeout=PATIENCE
        )
        self.assertEqual((done.stdout.split(), done.returncode), (expected.split(), 0), done.stderr)
        lines = [line for line in done.stderr.splitlines() if not EXPECTED.search(line)]
        if errors is None:
            return
        if errors:
            self.assertEqual(len([line for line in lines if errors[0] in line]), 1, done.stderr)
        else:
            self.assertEqual(lines, [])

    def test_what_would_end_the_process_ends_its_own_connection(self) -> None:
        self.check(
            """
            class Other(BaseException):
                pass

            async def answer(message, channel):
                await asyncio.sleep(0)
                raise {b"s": SystemExit, b"k": KeyboardInterrupt, b"o": Other}[message]

            async def talk(channel):
                await answer(await channel.read(), channel)

            async def main():
                for options in ({"handler": answer}, {"conversation": talk}):
                    for kind in (b"s", b"k", b"o"):
                        server, client = await serve(**options)
                        client.send(b"1\\r\\n" + kind)
                        await client.lost
                        print(server.closings["handler"])
                        await server.stopService()
            """,
            "1 1 1 1 1 1",
            errors=None,
        )

    def test_the_first_step_is_taken_at_once_in_a_task_of_its_own(self) -> None:
        self.check(
            """
            async def answer(message, channel):
                tasks.append(asyncio.current_task())
                return message

            async def late(message):
                task = asyncio.current_task()
                try:
                    async with asyncio.timeout(0.01):
                        await Deferred()
                except TimeoutError:
                    return asyncio.current_task() is task and task in asyncio.all_tasks()

            async def cancelled():
                asyncio.current_task().cancel()

            async def outer():
                task = asyncio.current_task()
                inner = begin(answer(b"inner", None))
                return inner, tasks[-1] is not task, asyncio.current_task() is task

            async def main():
                global tasks
                tasks = []
                print(begin(answer(b"a", None)), begin(answer(b"b", None)))
                print(len(set(tasks)), asyncio.current_task())
                print(await begin(late(b"c")))
                try:
                    begin(cancelled())
                except asyncio.CancelledError:
                    print("cancelled")
                print(*begin(outer()))
                print(*await Deferred.fromFuture(asyncio.create_task(outer())))
            """,
            "b'a' b'b' 2 None True cancelled b'inner' True True b'inner' True True",
        )

    def test_what_a_coroutine_does_to_its_task_is_not_there_for_the_next_one(self) -> None:
        self.check(
            """
            async def name(value):
                task = asyncio.current_task()
                before = task.get_name() in names, "pending" in repr(task)
                task.set_name(value)
                names.append(value)
                return before

            async def leave_cancelled():
                asyncio.current_task().cancel()
                asyncio.current_task().uncancel()

            async def wait(seconds):
                await asyncio.sleep(seconds)
                return asyncio.current_task().cancelling()

            async def main():
                global names
                names = []
                print(begin(name("first")), begin(name("second")), begin(name("third")))
                try:
                    begin(leave_cancelled())
                except asyncio.CancelledError:
                    # From Python 3.13 on, it is as if nothing had been.
                    pass
                print(await begin(wait(0)))
            """,
            "(False, True) (False, True) (False, True) 0",
        )

    def test_the_next_step_is_taken_when_the_deferred_fires(self) -> None:
        self.check(
            """
            async def main():
                seen = []

                async def follow(gates):
                    for gate in gates:
                        try:
                            seen.append(await gate)
                        except LookupError as error:
                            seen.append(type(error).__name__)
                    return "end"

                gates = [Deferred() for _ in range(3)]
                running = run(follow(gates))
                gates[0].callback("first")
                gates[1].errback(LookupError())
                print(*seen)

                async def fire():
                    gates[2].callback("third")
                    return len(seen)

                # Another task runs: it is not interrupted.
                print(begin(fire()))
                print(await running, seen[-1])
            """,
            "first LookupError 2 end third",
        )

    def test_a_conversation_that_waits_for_each_message_leaves_the_poller_alone(self) -> None:
        self.check(
            """
            async def talk(channel):
                async for message in channel:
                    await channel.write(message)

            async def main():
                server, client = await serve(conversation=talk)
                client.send(b"1\\r\\na")
                await client.until(4)
                calls = []
                remove = reactor.removeReader
                reactor.removeReader = lambda reader: (calls.append(reader), remove(reader))
                for number in range(2, 6):
                    client.send(b"1\\r\\nb")
                    await client.until(4 * number)
                print(len(calls))
                reactor.removeReader = remove
                client.end()
                await client.lost
                await server.stopService()
            """,
            "0",
        )

    def test_reads_and_writes_in_tasks_of_their_own(self) -> None:
        self.check(
            """
            async def talk(channel):
                try:
                    await asyncio.wait_for(channel.read(), 0.01)
                except TimeoutError:
                    print("late")
                client.send(b"1\\r\\na1\\r\\nb1\\r\\nc")
                print(await asyncio.wait_for(channel.read(), 5))
                print(*await asyncio.gather(channel.read(), channel.read()))
                await asyncio.create_task(channel.write(b"done"))
                waiting = asyncio.create_task(channel.read())
                await asyncio.sleep(0)
                waiting.cancel()
                try:
                    await waiting
                except asyncio.CancelledError:
                    print("cancelled")
                client.send(b"1\\r\\nd")
                print(await channel.read())

            async def main():
                global client
                server, client = await serve(conversation=talk)
                await client.ended
                print(bytes(client.received))
                await server.stopService()
            """,
            "late b'a' b'b' b'c' cancelled b'd' b'4\\r\\ndone'",
        )

    def test_a_conversation_that_awaits_both_kinds(self) -> None:
        self.check(
            """
            async def talk(channel):
                queue = asyncio.Queue()
                async def produce():
                    for number in range(3):
                        await asyncio.sleep(0.001)
                        await queue.put(number)
                producing = asyncio.create_task(produce())
                async for message in channel:
                    number = await asyncio.wait_for(queue.get(), 5)
                    await deferLater(reactor, 0.001)
                    async with asyncio.timeout(5):
                        extra = await succeed(b"!")
                    await asyncio.sleep(0)
                    await channel.write(b"%d" % number + message + extra)
                await producing

            async def main():
                server, client = await serve(conversation=talk)
                client.send(b"1\\r\\na1\\r\\nb1\\r\\nc")
                client.end()
                await client.lost
                print(bytes(client.received).replace(b"\\r\\n", b"_").decode())
                await server.stopService()
            """,
            "3_0a!3_1b!3_2c!",
        )

    def test_asyncio_timeout_around_a_read_loses_nothing(self) -> None:
        self.check(
            """
            async def talk(channel):
                try:
                    async with asyncio.timeout(0.01):
                        await channel.read()
                except TimeoutError as error:
                    channel.send(type(error).__name__.encode())
                channel.send(await channel.read())
                try:
                    await channel.read(0.01)
                except ReadTimeout:
                    channel.send(b"ReadTimeout")

            async def main():
                server, client = await serve(conversation=talk)
                await client.until(len("12__TimeoutError"))
                client.send(b"1\\r\\na")
                await client.lost
                print(bytes(client.received).replace(b"\\r\\n", b"_").decode())
                await server.stopService()
            """,
            "12_TimeoutError1_a11_ReadTimeout",
        )

    def test_a_cancellation_in_the_moment_of_the_message_keeps_it(self) -> None:
        self.check(
            """
            async def main():
                for late in (False, True):
                    gate = Deferred()
                    seen = []

                    async def wait():
                        me.append(asyncio.current_task())
                        seen.append(await gate)
                        if late:
                            try:
                                await asyncio.sleep(5)
                            except asyncio.CancelledError:
                                seen.append("cancelled")
                        return "done"

                    me = []
                    running = run(wait())
                    await deferLater(reactor, 0)
                    gate.callback("message")
                    me[0].cancel()
                    print(await running, *seen)
            """,
            "done message done message cancelled",
        )

    def test_cancelling_the_deferred_shows_twisteds_error_at_a_deferred(self) -> None:
        self.check(
            """
            async def main():
                gate = Deferred()

                async def at_deferred():
                    try:
                        await gate
                    except CancelledError:
                        return "twisted"

                async def at_future():
                    try:
                        await asyncio.sleep(5)
                    except asyncio.CancelledError:
                        return "asyncio"

                for function in (at_deferred, at_future):
                    running = run(function())
                    await deferLater(reactor, 0)
                    running.cancel()
                    print(await running)
            """,
            "twisted asyncio",
        )

    def test_exceptions_go_both_ways(self) -> None:
        self.check(
            """
            async def main():
                async def from_deferred():
                    try:
                        await fail(LookupError("in"))
                    except LookupError:
                        raise ValueError("out")

                async def from_task():
                    async def failing():
                        raise KeyError("in")
                    try:
                        await asyncio.create_task(failing())
                    except KeyError:
                        await succeed(None)
                        raise IndexError("out")

                for function in (from_deferred, from_task):
                    try:
                        await run(function())
                    except Exception as error:
                        print(type(error).__name__)
            """,
            "ValueError IndexError",
        )

    def test_a_coroutine_in_a_coroutine_and_a_task_group(self) -> None:
        self.check(
            """
            async def main():
                async def double(number):
                    await asyncio.sleep(0.001)
                    return 2 * await succeed(number)

                async def all():
                    return [await run(double(number)) for number in range(3)] + [await double(3)]

                print(*await run(all()))
            """,
            "0 2 4 6",
        )

    def test_a_lost_connection_cancels_an_answer_without_noise(self) -> None:
        self.check(
            """
            async def main():
                begun, over = Deferred(), Deferred()

                async def answer(message, channel):
                    begun.callback(None)
                    try:
                        if message == b"a":
                            await asyncio.sleep(60)
                        await Deferred()
                    finally:
                        over.callback(None)

                for message in (b"a", b"b"):
                    begun, over = Deferred(), Deferred()
                    server, client = await serve(handler=answer)
                    client.send(b"1\\r\\n" + message)
                    await begun
                    client.reset()
                    await over
                    print("over")
                    await server.stopService()
            """,
            "over over",
        )

    def test_an_exception_in_a_conversation_is_logged_once(self) -> None:
        self.check(
            """
            async def talk(channel):
                await asyncio.sleep(0)
                raise LookupError(await channel.read())

            async def main():
                server, client = await serve(conversation=talk)
                client.send(b"1\\r\\na")
                await client.lost
                print("closed")
                await server.stopService()
            """,
            "closed",
            ("the conversation failed; closing",),
        )

    def test_the_reply_to_a_bad_frame_is_sent(self) -> None:
        self.check(
            """
            async def talk(channel):
                try:
                    await channel.read()
                except ChannelClosed as error:
                    await channel.write(type(error.__cause__).__name__.encode())

            async def main():
                server, client = await serve(conversation=talk)
                client.send(b"-1")
                await client.lost
                print(bytes(client.received).replace(b"\\r\\n", b"_").decode())
                await server.stopService()
            """,
            "15_MalformedHeader",
            ("closing",),
        )

    def test_a_conversation_that_cancels_itself_closes_without_noise(self) -> None:
        self.check(
            """
            async def talk(channel):
                asyncio.current_task().cancel()
                await channel.read()

            async def main():
                server, client = await serve(conversation=talk)
                await client.lost
                print("closed")
                await server.stopService()
            """,
            "closed",
        )
