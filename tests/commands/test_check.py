"""`sockserve check`: what it holds of this server in every framing, and what it finds in servers with faults."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols import wire
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from sockserve.commands.check import bad_frames, endings, messages
from sockserve.commands.check.command import TRIALS, run_trials
from sockserve.commands.check.echo import Echo
from sockserve.commands.check.frames import (
    bad_headers,
    cuts,
    good_messages,
    long_headers,
    long_messages,
    longest,
    sample,
)
from sockserve.commands.check.report import FAILED, NOT_APPLICABLE, OK, Row, Table, as_json, summary
from sockserve.commands.check.trial import NotApplicable, Result, Target
from sockserve.commands.program import many_messages
from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority
from tests.support.cases import MANY
from tests.support.commands import outcome
from tests.support.processes import ROOT
from tests.support.spawned import Spawned

LOCAL = "tcp:0:interface=127.0.0.1"
PATIENCE = 20.0
"""Seconds for what comes, on a busy machine."""
SHORT = 0.2
"""Seconds for what never comes."""

ALL = tuple(trial.name for trial in TRIALS)
FEWER = tuple(trial.name for trial in TRIALS if trial.name not in ("bytes", "splits"))
"""Those two are about messages, in a thousand segments, whatever is below them."""

FRAMINGS = (
    *MANY,
    "raw:10",
    "standard:t",
    "fixed:1",
    "fixed:14",
    "fixed:3000",
    "envelope:\\x0b:\\x1c\\r",
    "envelope:<<:>>:crc16",
    "length:4:little:at=4:inclusive",
    "length:2:at=0:add=20",
    "digits:3",
)


class Stock(Protocol):
    """What the servers with faults share: they can be told to be gone."""

    transport: Any

    def connectionMade(self) -> None:
        self.gone: Deferred[None] = Deferred()
        cast("StockFactory", self.factory).connections.append(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class StockFactory(Factory[Any]):
    def __init__(self, protocol: Callable[[], Protocol]) -> None:
        self.protocol = protocol
        self.connections: list[Stock] = []


class StockEcho(Stock, wire.Echo):
    """Twisted's Echo."""


class StockInt32Echo(Int32StringReceiver, Stock):
    MAX_LENGTH = 1024 * 1024

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        Stock.connectionLost(self, reason)

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Late(Protocol):
    """Writes a turn late, on any reactor; Twisted's own transports do so anyway."""

    def dataReceived(self, data: bytes) -> None:
        reactor.callLater(0, super().dataReceived, data)


class LateEcho(Late, StockEcho):
    pass


class LateInt32Echo(Late, StockInt32Echo):
    pass


@implementer(IHalfCloseableProtocol)
class Silent(Stock):
    """Takes everything, answers nothing, never closes."""

    def readConnectionLost(self) -> None:
        pass

    def writeConnectionLost(self) -> None:
        pass


class Deaf(Stock):
    """Does not even read."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.pauseProducing()


class FirstOnly(StockEcho):
    """Serves one connection; all later ones are dropped."""

    def connectionMade(self) -> None:
        super().connectionMade()
        if len(cast("StockFactory", self.factory).connections) > 1:
            self.transport.abortConnection()


class CheckCase(TestCase):
    timeout = 120

    async def serve(self, framing: Framing | str, listen: str = LOCAL) -> IListeningPort:
        """An echo server of this package."""
        server = SocketServer("here", listen, framing, drain_timeout=0.1)
        server.startService()
        self.addCleanup(server.stopService)
        [port] = server.ports
        return port

    async def listen(self, protocol: Callable[[], Protocol]) -> str:
        """A server with faults; the endpoint for clients."""
        factory = StockFactory(protocol)
        port = await serverFromString(reactor, LOCAL).listen(factory)

        async def stop() -> None:
            await port.stopListening()
            for connection in factory.connections:
                if not connection.gone.called:
                    connection.transport.abortConnection()
                await connection.gone

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return tcp(port)

    async def check(
        self,
        endpoint: str,
        framing: str,
        only: Sequence[str] = (),
        max_length: int = 1024 * 1024,
        timeout: float = PATIENCE,
    ) -> dict[str, Row]:
        """The rows by the names of their trials."""
        target = Target(cast("Any", reactor), endpoint, parse(framing, max_length=max_length), timeout, 1, SHORT)
        trials = [trial for trial in TRIALS if not only or trial.name in only]
        return {row.name: row async for row in run_trials(target, trials)}

    def verdicts(self, rows: dict[str, Row], verdict: str) -> set[str]:
        return {name for name, row in rows.items() if row.verdict == verdict}


def tcp(port: IListeningPort) -> str:
    return f"tcp:127.0.0.1:{cast('Any', port.getHost()).port}"


def without(framing: str) -> set[str]:
    """The trials that have no meaning in a framing."""
    kind = framing.partition(":")[0]
    by_kind = {
        "raw": {"truncated", "long-header", "long-message", "bad-header", "stall"},
        "fixed": {"long-header", "long-message", "bad-header"},
        "standard": {"long-header", "bad-header"},
        "buffered": {"long-header", "bad-header"},
        "lines": {"long-header", "bad-header"},
        "envelope": {"long-header"},
        "mllp": {"long-header"},
        "dle": {"long-header"},
        "slip": {"long-header"},
        "cobs": {"long-header"},
        "int8": {"long-header", "long-message", "bad-header"},
        "int16": {"long-header", "long-message", "bad-header"},
        "int32": {"bad-header"},
        "mbap": {"long-header", "long-message"},
        "tpkt": {"long-header", "long-message"},
        "digits": {"long-header", "long-message"},
        "json": {"long-header"},
    }
    return by_kind.get(kind, set())


class OwnServerTests(CheckCase):
    def setUp(self) -> None:
        # Fewer of the same in each framing; in windev all of it is tried by CommandTests.
        self.patch(messages, "EDGE", 128)
        self.patch(endings, "RACES", 20)

    async def hold(self, *framings: str, only: Sequence[str] = ALL) -> None:
        """Each in a server of its own, all at once: most of a check is waiting."""
        checks = []
        for framing in framings:
            endpoint = tcp(await self.serve(framing))
            checks.append(Deferred.fromCoroutine(self.check(endpoint, framing, only)))
        for framing, rows in zip(framings, await gatherResults(checks), strict=True):
            failed = {row.name: row.came for row in rows.values() if row.verdict == FAILED}
            self.assertEqual(failed, {}, framing)
            self.assertEqual(list(rows), [name for name in ALL if name in only])
            self.assertEqual(self.verdicts(rows, NOT_APPLICABLE), without(framing) & {*only}, framing)

    async def test_it_holds_in_every_framing(self) -> None:
        self.patch(bad_frames, "GARBAGE", 2)
        await self.hold(*MANY, only=("whole", "stall", "garbage"))

    async def test_it_holds_with_a_length_in_front_or_none(self) -> None:
        lengths = ("windev", "netstring", "varint", "int8", "mbap", "int32")
        await self.hold(*lengths, "fixed:100", "fixed:3000")

    async def test_it_holds_with_headers_or_json(self) -> None:
        await self.hold("content-length", "json")

    async def test_it_holds_with_delimiters_or_bytes_as_they_are(self) -> None:
        delimiters = ("standard", "standard:t", "buffered", "lines", "slip")
        await self.hold(*delimiters, "envelope:\\x02:\\x03:lrc", "mllp", "raw", "raw:10")

    async def test_a_server_that_skips_bad_frames_holds_too(self) -> None:
        names = ("windev", "buffered", "envelope:\\x02:\\x03", "int32")
        bad = ("truncated", "long-header", "long-message", "bad-header", "garbage", "stall")
        checks = []
        for name in names:
            endpoint = tcp(await self.serve(parse(name, max_length=1000, on_bad_frame="skip")))
            check = self.check(endpoint, name, bad, max_length=1000)
            checks.append(Deferred.fromCoroutine(check))
        for name, rows in zip(names, await gatherResults(checks), strict=True):
            self.assertEqual({row.name: row.came for row in rows.values() if row.verdict == FAILED}, {}, name)

    async def test_a_unix_socket_has_no_resets(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/s"
        await self.serve("windev", f"unix:{path}")
        rows = await self.check(f"unix:{path}", "windev", FEWER)
        self.assertEqual({row.name: row.came for row in rows.values() if row.verdict == FAILED}, {})
        self.assertEqual(self.verdicts(rows, NOT_APPLICABLE), {"reset-at-once", "reset-inside", "reset-unread"})
        self.assertEqual(rows["reset-inside"].came, "only TCP has a reset")

    async def test_over_tls_everything_is_tried(self) -> None:
        authority = Authority(self.mktemp())
        port = await self.serve("windev", authority.listen())
        rows = await self.check(authority.trusting(cast("Any", port.getHost()).port), "windev", FEWER)
        self.assertEqual({row.name: row.came for row in rows.values() if row.verdict == FAILED}, {})
        self.assertEqual(self.verdicts(rows, NOT_APPLICABLE), set())
        # Each of them got through, so that there was something to leave unread.
        self.assertRegex(rows["never-read"].came, r"^[\d.]+ [KM]iB taken, then no more$")


class FaultTests(CheckCase):
    async def test_stock_echo_loses_answers_at_a_half_close_and_holds_all_that_is_unread(self) -> None:
        rows = await self.check(await self.listen(LateEcho), "raw", FEWER)
        self.assertEqual(self.verdicts(rows, FAILED), {"end-behind", "end-pending", "never-read"})
        self.assertRegex(rows["end-behind"].came, r"^\d+ of 100 held; 0 of 14 bytes, closed$")
        self.assertRegex(rows["end-pending"].came, r"^\d+ of 16777216 bytes, closed$")
        self.assertEqual(rows["never-read"].came, "64 MiB taken, and no end of it")

    async def test_int32_string_receiver_does_the_same_and_ends_frames_well(self) -> None:
        rows = await self.check(await self.listen(LateInt32Echo), "int32", FEWER)
        self.assertEqual(self.verdicts(rows, FAILED), {"end-behind", "end-pending", "never-read"})
        self.assertEqual(self.verdicts(rows, NOT_APPLICABLE), {"bad-header"})
        self.assertEqual(rows["long-header"].came, "2 of 2: 1 answer, closed by itself")

    async def test_a_server_without_framing_answers_what_is_no_message(self) -> None:
        rows = await self.check(await self.listen(StockEcho), "windev", ["whole", "truncated", "bad-header", "stall"])
        self.assertEqual(self.verdicts(rows, OK), {"whole"})
        self.assertEqual(rows["truncated"].came, "0 of 17 held; '1': 1 answer, then '1', which was no message")

    async def test_a_limit_that_is_not_kept_is_found(self) -> None:
        rows = await self.check(tcp(await self.serve("netstring")), "netstring", ["long-message"], max_length=1000)
        self.assertEqual(self.verdicts(rows, FAILED), {"long-message"})
        self.assertIn("which was no message", rows["long-message"].came)

    async def test_a_server_with_a_smaller_limit_fails_the_largest_message(self) -> None:
        endpoint = tcp(await self.serve(parse("windev", max_length=1000)))
        rows = await self.check(endpoint, "windev", ["largest"])
        self.assertEqual(rows["largest"].verdict, FAILED)

    async def test_a_server_that_never_answers_fails_within_the_timeouts(self) -> None:
        trials = ["whole", "end-at-once", "end-behind", "garbage"]
        rows = await self.check(await self.listen(Silent), "int32", trials, timeout=SHORT)
        self.assertEqual(self.verdicts(rows, FAILED), set(rows))
        self.assertEqual(rows["end-at-once"].came, "no answer, no end in 0.2 s")
        self.assertEqual(rows["end-behind"].came, "0 of 18 bytes, no end in 0.2 s")

    async def test_a_server_that_does_not_read_fails_within_the_timeouts(self) -> None:
        trials = ["whole", "largest", "end-behind", "end-pending"]
        rows = await self.check(await self.listen(Deaf), "raw", trials, timeout=SHORT)
        self.assertEqual(self.verdicts(rows, FAILED), set(trials))
        self.assertEqual(rows["end-behind"].came, "0 of 14 bytes, no end in 0.2 s")

    async def test_a_server_that_drops_all_behind_a_hostile_peer_fails(self) -> None:
        rows = await self.check(await self.listen(FirstOnly), "raw", ["garbage"])
        self.assertEqual(rows["garbage"].verdict, FAILED)

    async def test_a_server_that_accepts_no_connection_ends_the_run(self) -> None:
        @implementer(IStreamClientEndpoint)
        class Full:
            def connect(self, protocolFactory: object) -> Deferred[Any]:  # noqa: N803 - the interface's name
                return Deferred(lambda attempt: attempt.errback(ConnectingCancelledError(None)))

        target = Target(cast("Any", reactor), cast("Any", Full()), parse("raw"), 0.01, seed=1)
        [row] = [row async for row in run_trials(target, TRIALS)]
        self.assertEqual((row.verdict, row.came), (FAILED, "no connection: none within 0.01 s"))

    async def test_no_server_any_more_ends_the_run(self) -> None:
        port = await serverFromString(reactor, LOCAL).listen(StockFactory(StockEcho))
        endpoint = tcp(port)
        await port.stopListening()
        rows = await self.check(endpoint, "raw", ["whole", "together"])
        self.assertEqual(list(rows), ["whole"])
        self.assertIn("no connection: ", rows["whole"].came)


class CommandTests(CheckCase):
    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        command = (sys.executable, "-m", "sockserve", "check", *arguments)
        check = Spawned(command, cwd=ROOT, env={**os.environ, "COLUMNS": "80"})
        self.addCleanup(check.send_signal, signal.SIGKILL)
        status = await check.ended
        return status, check.output.decode(), check.errors.decode()

    async def test_a_table_for_80_columns_and_status_0_when_all_held(self) -> None:
        endpoint = tcp(await self.serve(parse("windev", max_length=20)))
        limits = ("--timeout", "1s", "--max-length", "20")
        status, output, errors = await self.command(endpoint, "--framing", "windev", *limits)
        self.assertEqual((status, errors), (0, ""), output)
        lines = output.splitlines()
        self.assertLessEqual(max(map(len, lines[1:])), 80)
        for trial in TRIALS:
            self.assertTrue(any(line.split()[:1] == [trial.name] and line.endswith(" ok") for line in lines), trial)
        self.assertTrue(lines[-1].startswith("18 ok, 0 FAILED, 0 not applicable, in "), lines[-1])

    async def test_status_1_and_the_verdict_when_something_failed(self) -> None:
        endpoint = await self.listen(LateEcho)
        status, output, _ = await self.command(endpoint, "--only", "end-behind", "--only", "stall", "-t", "1", "-v")
        self.assertEqual(status, 1)
        self.assertRegex(output, r"\nend-behind .* FAILED\n")
        self.assertRegex(output, r"\nstall  +not applicable: raw has no frames +n/a\n")
        self.assertIn("0 of 14 bytes, closed\n", output)

    async def test_nothing_applicable_is_no_success(self) -> None:
        status, output, _ = await self.command(await self.listen(StockEcho), "--only", "stall")
        self.assertEqual(status, 1)
        self.assertIn("0 ok, 0 FAILED, 1 not applicable", output)

    async def test_json_is_one_object_with_each_connection(self) -> None:
        endpoint = tcp(await self.serve("int32"))
        arguments = ("-f", "int32", "--json", "--only", "long-header", "--only", "bad-header", "--seed", "7")
        status, output, errors = await self.command(endpoint, *arguments)
        self.assertEqual((status, errors), (0, ""))
        result = json.loads(output)
        self.assertEqual(
            {name: value for name, value in result.items() if name != "trials"},
            {
                "endpoint": endpoint,
                "framing": "int32",
                "max_length": 1048576,
                "timeout": 5.0,
                "seed": 7,
                "ok": 1,
                "failed": 0,
                "not_applicable": 1,
                "not_run": 0,
            },
        )
        long, bad = result["trials"]
        self.assertEqual((long["verdict"], bad["verdict"]), ("ok", "n/a"))
        self.assertEqual(len(long["connections"]), 2)
        self.assertTrue(all(connection["held"] for connection in long["connections"]))

    async def test_no_server_is_one_line_and_status_2(self) -> None:
        port = await serverFromString(reactor, LOCAL).listen(StockFactory(StockEcho))
        endpoint = tcp(port)
        await port.stopListening()
        status, output, errors = await self.command(endpoint)
        self.assertEqual((status, output, errors.count("\n")), (2, "", 1))
        self.assertTrue(errors.startswith(f"sockserve check: {endpoint}: "), errors)

    def parsed(self, *arguments: str) -> tuple[object, str, str]:
        """The same where it ends before it connects, without a process of its own."""
        return outcome("check", *arguments)

    async def test_an_endpoint_that_is_none(self) -> None:
        status, output, errors = await self.command("tcp:7")
        self.assertEqual((status, output, errors.count("\n")), (2, "", 1), errors)
        self.assertIn("argument ENDPOINT: 'tcp:7': port is missing; accepted: ", errors)

    def test_wrong_arguments_are_told_in_one_line(self) -> None:
        for arguments, expected in (
            ((), "the following arguments are required: ENDPOINT"),
            (("tcp:h:7", "-f", "windew"), "unknown framing 'windew' (did you mean 'windev'?)"),
            (
                ("tcp:h:7", "-f", "eof"),
                "eof carries one message in each direction, and a check needs many",
            ),
            (("tcp:h:7", "-f", "json", "--max-length", "4"), "of 4 is too short for json here; accepted: 5 or more"),
            (("tcp:h:7", "--only", "stal"), "unknown trial 'stal' (did you mean 'stall'?); accepted: whole, "),
            (("tcp:h:7", "--seed", "x"), "argument --seed: 'x' is not a seed; accepted: a whole number"),
        ):
            status, output, errors = self.parsed(*arguments)
            self.assertEqual((status, output, errors.count("\n")), (2, "", 1), errors)
            self.assertIn(expected, errors)

    async def test_list_and_help(self) -> None:
        status, output, _ = await self.command("--list")
        self.assertEqual((status, len(output.splitlines())), (0, len(TRIALS)))
        end, output, _ = self.parsed("--help")
        self.assertEqual(end, 0)
        for word in ("--framing", "--timeout", "--max-length", "--only", "--seed", "--json", "--list", "Exit status"):
            self.assertIn(word, output)


class FrameTests(SynchronousTestCase):
    """What is sent is what the decoders of this package say it is."""

    def framings(self) -> list[Framing]:
        return [parse(name, max_length=limit) for name in FRAMINGS for limit in (3, 14, 4096) if fits(name, limit)]

    def test_good_messages_are_good_and_bad_ones_bad(self) -> None:
        for framing in self.framings():
            with self.subTest(str(framing)):
                messages = good_messages(framing)
                self.assertTrue(messages)
                stream = framing.encode_all([*messages, longest(framing)])
                self.assertEqual(Echo(framing, stream).owed, len(stream))

    def test_bad_frames_are_bad(self) -> None:
        for framing in self.framings():
            for make in (long_headers, long_messages, bad_headers):
                try:
                    frames = make(framing)
                except NotApplicable:
                    continue
                for frame in frames:
                    with self.subTest(str(framing), frame=frame[:40]):
                        decoder = framing.decoder()
                        self.assertEqual(len(decoder.decode(framing.encode(sample(framing)))), 1)
                        with self.assertRaises(FramingError):
                            self.assertEqual(decoder.decode(frame), [])
                            decoder.decode(b"")

    def test_a_start_of_a_frame_is_truncated(self) -> None:
        for framing in self.framings():
            try:
                starts = cuts(framing)
            except NotApplicable:
                continue
            for start in starts:
                decoder = framing.decoder()
                self.assertEqual(decoder.decode(start), [])
                self.assertRaises(FramingError, decoder.finish)


def fits(name: str, limit: int) -> bool:
    try:
        many_messages(name, limit, "a test")
    except ValueError:
        return False
    return True


class EchoTests(SynchronousTestCase):
    def test_what_may_come_back(self) -> None:
        echo = Echo(parse("windev"), b"2\r\nok3\r\nabcx1\r\nz")
        self.assertEqual((str(echo), echo.data), ("2 answers", b"2\r\nok3\r\nabc"))
        for received, problem in (
            (b"2\r\nok3\r\nabc", ""),
            (b"", "0 of 11 bytes"),
            (b"2\r\nok", "5 of 11 bytes"),
            (b"2\r\noK", "no answer, then 'K'"),
            (b"2\r\nok3\r\nabcx", "2 answers, then 'x', which was no message"),
        ):
            self.assertEqual(echo.problem(received), problem)

    def test_behind_a_bad_frame_a_server_may_go_on_by_whole_answers(self) -> None:
        echo = Echo(parse("buffered", max_length=3), b"ab\r\ntoo long\r\ncd\r\n")
        self.assertEqual((echo.owed, echo.data), (4, b"ab\r\ncd\r\n"))
        self.assertEqual(echo.problem(b"ab\r\n"), "")
        self.assertEqual(echo.problem(b"ab\r\ncd\r\n"), "")
        self.assertEqual(echo.problem(b"ab\r\ncd"), "1 answer and a part of one")

    def test_a_message_may_come_back_in_another_form(self) -> None:
        echo = Echo(parse("lines"), b"one\ntwo\r\n\nthr")
        for received in (b"one\ntwo\r\n\n", b"one\r\ntwo\r\n\r\n", b"one\ntwo\n\n"):
            self.assertEqual((echo.complete(received), echo.problem(received)), (True, ""))
        self.assertEqual((echo.right(b"one\ntw"), echo.complete(b"one\ntw")), (True, False))
        self.assertEqual(echo.problem(b"one\ntw"), "7 of 12 bytes")
        self.assertEqual(echo.problem(b"one\ntow\n"), "1 answer, then 'ow\\r\\n'")

    def test_raw_counts_bytes(self) -> None:
        echo = Echo(parse("raw:3"), b"abcdef")
        self.assertEqual((str(echo), echo.problem(b"abcd")), ("6 bytes", "4 of 6 bytes"))


class ReportTests(SynchronousTestCase):
    row = Row("stall", "a message and more", "1 answer", "x" * 500, FAILED, 1.25, [Result("this", "it", "it")])

    def test_wide_values_are_cut_to_the_column(self) -> None:
        table = Table(TRIALS, 80)
        lines = [*table.head().splitlines(), *table.row(self.row).splitlines()]
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertLessEqual(len(lines), 6)
        self.assertIn(" ...", lines[-1])

    def test_the_last_line_counts(self) -> None:
        self.assertEqual(summary([self.row], 2), "0 ok, 1 FAILED, 0 not applicable, 2 not run, in 1.2 s")

    def test_json_has_the_whole_value(self) -> None:
        [trial] = json.loads(as_json([self.row], 0, seed=1))["trials"]
        self.assertEqual(trial["came"], "x" * 500)
        self.assertEqual(trial["connections"], [{"sent": "this", "came": "it", "held": False}])
