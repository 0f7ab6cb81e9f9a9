"""`sockserve bench` as its users meet it: a process and its exit status, against good servers and bad ones."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, cast
from unittest import skipIf, skipUnless
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection as Transport
from twisted.internet.tcp import Port
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from sockserve.commands.bench import load
from sockserve.commands.bench.connection import Connection, Fault, Intended, Sent, Tally
from sockserve.commands.bench.latency import Histogram, bounds, bucket, summary
from sockserve.commands.bench.pace import Closed, Open
from sockserve.commands.bench.settings import Settings
from sockserve.commands.bench.stream import SMALL, Messages
from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import parse
from sockserve.framing.errors import FramingError
from sockserve.handlers.echo import Echo
from tests.support.authority import Authority
from tests.support.cases import MANY
from tests.support.commands import outcome
from tests.support.processes import ROOT, Process
from tests.support.spawned import Spawned
from tests.support.twistd import running

COMMAND = (sys.executable, "-m", "sockserve", "bench")
FORKING = (sys.executable, "-m", "tests.support.forked_bench", "bench")
"""The same, whose processes start sooner."""
LOCAL = "tcp:0:interface=127.0.0.1"
LARGE = ("mbap", "cobs", "envelope:\\x02:\\x03:astm", "json")
"""Those of them whose long messages are not simply between the same bytes."""
KEYS = {
    "settings",
    "messages",
    "seconds",
    "messages_per_second",
    "bytes_per_second",
    "latency",
    "client_cpu_seconds",
    "server_cpu_seconds",
    "errors",
}


class Counting(MessageProtocol):
    """An echo server with something wrong at one message."""

    framing = "int32"
    AT = 20

    def __init__(self) -> None:
        self.count = 0

    def messageReceived(self, message: bytes) -> None:
        self.count += 1
        if self.count == self.AT:
            self.fail(message)
        else:
            self.sendMessage(message)

    def fail(self, message: bytes) -> None:
        raise NotImplementedError


class Loses(Counting):
    def fail(self, message: bytes) -> None:
        pass


class Doubles(Counting):
    def fail(self, message: bytes) -> None:
        self.sendMessages([message, message])


class Corrupts(Counting):
    def fail(self, message: bytes) -> None:
        self.sendMessage(message[:-1] + bytes([message[-1] ^ 1]))


class Shortens(Counting):
    def fail(self, message: bytes) -> None:
        self.sendMessage(message[:-1])


class Swaps(Counting):
    def fail(self, message: bytes) -> None:
        self.late = message

    def messageReceived(self, message: bytes) -> None:
        super().messageReceived(message)
        if self.count == self.AT + 1:
            self.sendMessage(self.late)


class Mixes(Counting):
    """Gives the message of one connection to the other."""

    def fail(self, message: bytes) -> None:
        here = self.factory.__dict__.setdefault("here", [])
        here.append((self, message))
        if len(here) == 2:
            (one, first), (other, second) = here
            one.sendMessage(second)
            other.sendMessage(first)


class Leaves(Counting):
    def fail(self, message: bytes) -> None:
        self.loseConnection()


class Resets(Counting):
    def fail(self, message: bytes) -> None:
        self.abortConnection()


class Stalls(Protocol):
    """Stands still once, for STALL seconds."""

    STALL = 0.3
    transport: Transport
    stalled = False

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)
        if not self.stalled:
            self.stalled = True
            self.transport.pauseProducing()
            reactor.callLater(self.STALL, self.transport.resumeProducing)


@implementer(IHalfCloseableProtocol)
class AddsAtTheEnd(Protocol):
    """Sends one byte too many when all is answered."""

    transport: Transport

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.transport.write(b"!")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass


class BenchTestCase(TestCase):
    timeout = 60

    def listen(self, factory: IProtocolFactory, endpoint: str = LOCAL) -> Deferred[str]:
        """The endpoint for clients of a server with this factory."""

        def listening(port: Port) -> str:
            self.addCleanup(port.stopListening)
            return f"tcp:127.0.0.1:{port.getHost().port}"

        listened: Deferred[str] = serverFromString(reactor, endpoint).listen(factory).addCallback(listening)
        return listened

    async def bench(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        bench = Spawned((*FORKING, *arguments), cwd=ROOT)
        self.addCleanup(bench.send_signal, signal.SIGKILL)
        status = await bench.ended
        return status, bench.output.decode(), bench.errors.decode()

    async def measured(self, *arguments: str) -> dict[str, Any]:
        """The JSON object of a run in which every answer came."""
        status, output, errors = await self.bench(*arguments, "--json")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(output.count("\n"), 1)
        result: dict[str, Any] = json.loads(output)
        self.assertEqual((set(result), result["errors"]), (KEYS, []))
        return result

    async def fault(self, endpoint: str, *arguments: str) -> str:
        """The one line of a run that found something wrong, behind the endpoint."""
        status, _, errors = await self.bench(endpoint, *arguments)
        self.assertEqual((status, errors.count("\n")), (1, 1), errors)
        start = f"sockserve bench: {endpoint}: "
        self.assertTrue(errors.startswith(start), errors)
        return errors.removeprefix(start).rstrip("\n")


class GoodServerTests(BenchTestCase):
    async def test_json_has_the_measures_and_the_settings(self) -> None:
        endpoint = await self.listen(MessageFactory("int32", Echo))
        result = await self.measured(endpoint, "-f", "int32", "-c", "3", "-w", "10", "-n", "1000", "--size", "100")
        self.assertEqual(result["messages"], 1000)
        self.assertGreater(result["seconds"], 0)
        self.assertAlmostEqual(result["messages_per_second"], 1000 / result["seconds"])
        self.assertAlmostEqual(result["bytes_per_second"], 100_000 / result["seconds"])
        self.assertGreater(result["client_cpu_seconds"], 0)
        latency = result["latency"]
        self.assertEqual(list(latency), ["p50", "p90", "p99", "p999", "max"])
        self.assertEqual(sorted(latency.values()), list(latency.values()))
        self.assertEqual(
            result["settings"],
            {
                "endpoint": endpoint,
                "framing": "int32",
                "size": 100,
                "connections": 3,
                "window": 10,
                "rate": None,
                "duration": None,
                "messages": 1000,
                "warmup": 0.0,
                "processes": 1,
                "timeout": 10.0,
                "server_pid": None,
            },
        )
        self.assertIsNone(result["server_cpu_seconds"])

    @skipUnless(sys.platform == "linux", "told on Linux only")
    async def test_the_processor_time_of_the_server(self) -> None:
        endpoint = await self.listen(MessageFactory("int32", Echo))
        pid = ("--server-pid", str(os.getpid()))
        before = time.process_time()
        result = await self.measured(endpoint, "-f", "int32", "-n", "2000", *pid)
        self.assertTrue(0 < result["server_cpu_seconds"] <= time.process_time() - before, result)
        _, output, _ = await self.bench(endpoint, "-f", "int32", "-n", "100", *pid)
        self.assertRegex(output.splitlines()[-1], r"^server: \d+\.\d\d µs of CPU a message$")

    async def test_duration_and_warmup(self) -> None:
        endpoint = await self.listen(MessageFactory("windev", Echo))
        result = await self.measured(endpoint, "-f", "windev", "-d", "200ms", "--warmup", "100ms")
        self.assertGreater(result["messages"], 0)
        self.assertGreaterEqual(result["settings"]["duration"], 0.2)

    async def test_an_open_loop_sends_as_many_as_rate_and_duration_say(self) -> None:
        endpoint = await self.listen(MessageFactory("windev", Echo))
        result = await self.measured(endpoint, "-f", "windev", "-d", "300ms", "--rate", "1000", "-c", "7")
        self.assertEqual(result["messages"], 300)

    async def test_an_open_loop_shows_that_the_server_stood_still(self) -> None:
        endpoint = await self.listen(Factory.forProtocol(Stalls))
        result = await self.measured(endpoint, "-d", "600ms", "--rate", "500", "--window", "1")
        # Half of the messages were due while it did, and the first of them were late by nearly all of it.
        self.assertEqual(result["messages"], 300)
        self.assertGreater(result["latency"]["p99"], 0.9 * Stalls.STALL)
        self.assertGreater(result["latency"]["p90"], 0.6 * Stalls.STALL)

    async def test_connections_shared_by_processes(self) -> None:
        endpoint = await self.listen(MessageFactory("netstring", Echo))
        result = await self.measured(endpoint, "-f", "netstring", "-c", "5", "-p", "2", "-n", "1001", "-w", "3")
        self.assertEqual(result["messages"], 1001)

    async def test_messages_longer_than_the_buffers_of_sockets(self) -> None:
        endpoint = await self.listen(MessageFactory(parse("int32", max_length=8 << 20), Echo))
        result = await self.measured(endpoint, "-f", "int32", "-s", "8M", "-c", "2", "-w", "2", "-n", "6")
        self.assertEqual(result["messages"], 6)

    async def test_a_server_that_answers_byte_by_byte(self) -> None:
        class Bytes(Protocol):
            transport: Transport

            def dataReceived(self, data: bytes) -> None:
                for at in range(len(data)):
                    reactor.callLater(0, self.transport.write, data[at : at + 1])

        endpoint = await self.listen(Factory.forProtocol(Bytes))
        result = await self.measured(endpoint, "-f", "standard", "-s", "3", "-c", "2", "-w", "4", "-n", "60")
        self.assertEqual(result["messages"], 60)

    async def test_tls(self) -> None:
        authority = Authority(self.mktemp())
        server = await self.listen(MessageFactory("windev", Echo), authority.listen())
        endpoint = authority.trusting(int(server.rpartition(":")[2]))
        arguments = ("-f", "windev", "-c", "3", "-w", "5", "-n", "500")
        self.assertEqual((await self.measured(endpoint, *arguments))["messages"], 500)
        result = await self.measured(endpoint, *arguments, "--rate", "5000", "-s", "100k")
        self.assertEqual(result["messages"], 500)

    async def test_a_unix_socket(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/socket"
        port = await serverFromString(reactor, f"unix:{path}").listen(MessageFactory("windev", Echo))
        self.addCleanup(port.stopListening)
        result = await self.measured(f"unix:{path}", "-f", "windev", "-n", "100")
        self.assertEqual(result["messages"], 100)

    async def test_the_table(self) -> None:
        endpoint = await self.listen(MessageFactory("raw", Echo))
        status, output, errors = await self.bench(endpoint, "-n", "1000", "-c", "2")
        self.assertEqual((status, errors), (0, ""))
        described, heads, values, end = output.splitlines()
        self.assertEqual(described, f"{endpoint}  raw, 32 bytes, 2 connections, window 1")
        self.assertEqual(heads.split(), ["messages/s", "MB/s", "p50", "p90", "p99", "p99.9", "max"])
        self.assertRegex(values, r"^ *[\d,]+ +[\d.]+( +[\d.,]+ (µs|ms|s)){5}$")
        self.assertRegex(end, r"^1,000 messages answered in \d+\.\d\d s; client: \d+\.\d\d µs of CPU a message, ")

    @skipIf(find_spec("matplotlib") is None and "CI" not in os.environ, "matplotlib is not installed")
    async def test_the_picture(self) -> None:
        endpoint = await self.listen(MessageFactory("raw", Echo))
        picture = Path(self.mktemp()).with_suffix(".png").absolute()
        status, _, errors = await self.bench(endpoint, "-n", "500", "--plot", str(picture))
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(picture.read_bytes().startswith(b"\x89PNG\r\n"))

    async def test_an_interruption_ends_it_with_the_table(self) -> None:
        under_way: Deferred[None] = Deferred()

        class Watched(MessageProtocol):
            count = 0

            def messageReceived(self, message: bytes) -> None:
                self.count += 1
                self.sendMessage(message)
                if self.count == 100 and not under_way.called:
                    under_way.callback(None)

        endpoint = await self.listen(MessageFactory("windev", Watched))
        bench = Spawned((*COMMAND, endpoint, "-f", "windev", "-d", "60s", "-c", "4", "-p", "2"), cwd=ROOT)
        self.addCleanup(bench.send_signal, signal.SIGKILL)
        await under_way
        bench.send_signal(signal.SIGINT)
        self.assertEqual((await bench.ended, bench.errors), (130, b""))
        self.assertIn(b" messages answered in ", bench.output)


class ProgressTests(SynchronousTestCase):
    def on_terminal(self, start: type[Process | subprocess.Popen[bytes]], *words: str) -> str:
        """What is written to a terminal while 2000 messages a second are answered for half a second."""
        ours, theirs = pty.openpty()
        with running("--listen", LOCAL) as server:
            host, port = server.address
            command = (*words, "bench", f"tcp:{host}:{port}", "-d", "600ms", "--rate", "2000")
            ended = start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"})
            os.close(theirs)
            written = b""
            # At its end Linux gives an error, others give nothing.
            with contextlib.suppress(OSError):
                while piece := os.read(ours, 4096):
                    written += piece
            os.close(ours)
            output, _ = ended.communicate(timeout=30)
        self.assertEqual(ended.returncode, 0)
        self.assertIn(b"1,200 messages answered", output)
        return written.decode()

    def test_a_bar_on_a_terminal(self) -> None:
        self.assertRegex(self.on_terminal(subprocess.Popen, sys.executable, "-m", "sockserve"), r"[\d,]+ messages/s")

    def test_a_plain_line_without_rich(self) -> None:
        program = (
            "import sys; sys.modules['rich.console'] = None; from tests.support import forked_bench; forked_bench.run()"
        )
        written = self.on_terminal(Process, sys.executable, "-c", program)
        self.assertTrue(written.startswith("\r  0% 0 messages/s"), written)
        self.assertRegex(written, r"^(\r[ \d]{3}% [\d,]+ messages/s\x1b\[K)+\r\x1b\[K$")


class EveryFramingTests(TestCase):
    timeout = 60

    async def test_a_real_server_answers_in_every_framing(self) -> None:
        # It would stay off for all tests after this one.
        self.patch(load, "gc", Mock())
        with running("--config", self.config(), listen=len(MANY)) as server:
            for framing, address in zip(MANY, server.addresses, strict=True):
                for size in (32, SMALL + 1) if framing in LARGE else (11,):
                    with self.subTest(framing, size=size):
                        await self.hold(f"tcp:{address}", framing, size)

    def config(self) -> str:
        file = Path(self.mktemp()).absolute()
        listens = ", ".join(f"{{ endpoint = '{LOCAL}', framing = '{framing}' }}" for framing in MANY)
        file.write_text(f"[socket.all]\nlisten = [{listens}]\n")
        return str(file)

    async def hold(self, endpoint: str, framing: str, size: int) -> None:
        settings = Settings(
            endpoint=endpoint,
            framing=framing,
            size=size,
            connections=2,
            window=10,
            rate=None,
            duration=None,
            messages=30,
            warmup=0,
            processes=1,
            timeout=20,
        )
        parent, pipe = Pipe()
        parent.send("go")
        result = await load.Load(settings, pipe, cast("Any", reactor)).run()
        self.assertEqual((result.errors, result.messages), ([], 30))


class WrongServerTests(BenchTestCase):
    """Each is found, whatever is done to the answer of message 20 of a connection."""

    async def wrong(self, protocol: type[Protocol], *arguments: str, window: str = "50") -> str:
        endpoint = await self.listen(Factory.forProtocol(protocol))
        line = await self.fault(endpoint, "-f", "int32", "-w", window, "-n", "200", *arguments)
        self.flushLoggedErrors()
        return line

    async def test_a_lost_answer(self) -> None:
        line = await self.wrong(Loses)
        self.assertRegex(line, r"^connection 1: byte \d+ of the answers is 0x.. instead of 0x..: byte 4 of the frame ")
        self.assertTrue(line.endswith("of message 20; the frame of message 21 stands there"), line)

    async def test_a_lost_answer_that_was_waited_for(self) -> None:
        line = await self.wrong(Loses, "-t", "1s", window="1")
        self.assertEqual(
            line,
            "connection 1: nothing came for 1 seconds, from byte 684 of the answers on, 1 of 20 answers missing",
        )

    async def test_an_answer_twice(self) -> None:
        line = await self.wrong(Doubles)
        self.assertTrue(line.endswith("of message 21; the frame of message 20 stands there"), line)

    async def test_an_answer_twice_to_a_client_that_waits_for_each(self) -> None:
        line = await self.wrong(Doubles, window="1")
        self.assertRegex(line, "^connection 1: (36 bytes came that were not sent, from byte 720|byte 724 of)")

    async def test_answers_in_the_wrong_order(self) -> None:
        line = await self.wrong(Swaps)
        self.assertTrue(line.endswith("of message 20; the frame of message 21 stands there"), line)

    async def test_a_wrong_byte(self) -> None:
        line = await self.wrong(Corrupts)
        self.assertRegex(
            line,
            r"^connection 1: byte 719 of the answers is 0x(..) instead of 0x..: byte 35 of the frame of message 20$",
        )

    async def test_a_byte_too_few(self) -> None:
        line = await self.wrong(Shortens)
        self.assertRegex(line, r"^connection 1: byte 687 of the answers is 0x1f instead of 0x20: byte 3 of the frame ")

    async def test_an_answer_to_the_wrong_connection(self) -> None:
        line = await self.wrong(Mixes, "-c", "2", window="1")
        self.assertRegex(line, r"^connection [12]: byte 692 of the answers is 0x.. instead of 0x..: byte 8 of the ")

    async def test_a_byte_too_many_at_the_end(self) -> None:
        endpoint = await self.listen(Factory.forProtocol(AddsAtTheEnd))
        line = await self.fault(endpoint, "-n", "100")
        self.assertEqual(line, "connection 1: 1 bytes came that were not sent, from byte 3200 of the answers on")

    async def test_a_server_that_closes(self) -> None:
        line = await self.wrong(Leaves)
        self.assertRegex(
            line, r"^connection 1: closed by the server at byte 684 of the answers, \d+ of \d+ answers missing$"
        )

    async def test_a_server_that_resets(self) -> None:
        line = await self.wrong(Resets)
        self.assertRegex(line, r"^connection 1: (lost \(.+\)|closed by the server) at byte \d+ of the answers, ")

    async def test_what_was_right_before_is_shown(self) -> None:
        endpoint = await self.listen(Factory.forProtocol(Corrupts))
        status, output, _ = await self.bench(endpoint, "-f", "int32", "-n", "200", "--json")
        result = json.loads(output)
        self.assertEqual((status, result["messages"], len(result["errors"])), (1, 19, 1))

    async def test_one_of_several_processes_ends_all(self) -> None:
        line = await self.wrong(Corrupts, "-c", "2", "-p", "2")
        self.assertRegex(line, r"^connection [12]: byte 719 of the answers is ")

    async def test_refused_connections_are_one_line(self) -> None:
        line = await self.fault("tcp:127.0.0.1:1", "-c", "100", "-n", "1000")
        self.assertRegex(line, r"^connection \d+: not made: .*refused.*$")

    async def test_a_certificate_that_nobody_trusts(self) -> None:
        authority = Authority(self.mktemp())
        server = await self.listen(MessageFactory("windev", Echo), authority.listen())
        line = await self.fault(server.replace("tcp:127.0.0.1", "tls:localhost"), "-n", "10")
        self.assertRegex(line, r"^connection 1: not made: .*certificate verify failed")

    async def test_wrong_bytes_over_tls(self) -> None:
        authority = Authority(self.mktemp())
        server = await self.listen(Factory.forProtocol(Corrupts), authority.listen())
        endpoint = authority.trusting(int(server.rpartition(":")[2]))
        line = await self.fault(endpoint, "-f", "int32", "-n", "100", "-w", "9")
        self.assertRegex(line, r"^connection 1: byte 719 of the answers is ")


class StreamTests(SynchronousTestCase):
    """What is sent is what the framing encodes, and one changed bit anywhere is found where it is."""

    def test_every_framing_and_size(self) -> None:
        for name in (*MANY, "length:4:little:at=4:inclusive", "length:2:add=5", "envelope:<<:>>:lrc"):
            for size in (1, 2, 7, 9, 32, 255, SMALL + 1):
                if size in sizes(name):
                    with self.subTest(name, size=size):
                        self.check(name.replace("fixed:11", f"fixed:{size}"), size)

    def check(self, name: str, size: int) -> None:
        framing = parse(name)
        messages = Messages(framing, size)
        count = 151 if size <= SMALL else 11
        stream = messages.stream(7, 150)
        payloads = [messages.message(number, 7) for number in range(count)]
        frames = framing.encode_all(payloads)
        self.assertEqual({len(payload) for payload in payloads}, {size})
        self.assertEqual(len(set(payloads)), count)
        sent = b""
        while len(sent) < len(frames):
            sent += stream.piece(len(sent), len(frames) - len(sent))
        self.assertEqual(sent, frames)
        self.assertEqual(stream.frame * count, len(frames))
        self.assertEqual(stream.wrong(0, memoryview(frames)), -1)
        for start in range(0, len(frames) // 2, max(1, len(frames) // 11)):
            data = bytearray(frames[start:])
            self.assertEqual(stream.wrong(start, memoryview(data)), -1)
            data[len(data) // 2] ^= 1
            self.assertEqual(stream.wrong(start, memoryview(data)), len(data) // 2)

    def test_connections_differ(self) -> None:
        messages = Messages(parse("raw"), 16)
        self.assertNotEqual(messages.message(3, 1), messages.message(3, 2))

    def test_messages_have_no_bytes_of_a_delimiter(self) -> None:
        messages = Messages(parse("envelope:\\x02:\\x03\\x00"), 5000)
        payloads = b"".join(messages.message(number, number) for number in range(300))
        self.assertEqual(set(payloads), set(range(256)) - {0, 3})

    def test_a_size_that_the_framing_cannot_send(self) -> None:
        with self.assertRaises(FramingError):
            Messages(parse("int8"), 256)
        with self.assertRaises(FramingError):
            Messages(parse("fixed:3"), 4)
        with self.assertRaises(FramingError):
            Messages(parse("tpkt"), 65536)
        with self.assertRaises(FramingError):
            Messages(parse("length:2:at=0:add=20"), 10)

    def test_no_byte_is_escaped(self) -> None:
        for name, overhead in (("slip", 1), ("dle", 4), ("cobs", 2), ("mllp", 3)):
            self.assertEqual(Messages(parse(name), 200).frame, 200 + overhead, name)


def sizes(name: str) -> range:
    """Those of messages that have a number in them."""
    least = {"json": 5, "mbap": 7, "tpkt": 5, "length:4:little:at=4:inclusive": 9, "length:2:add=5": 5}.get(name, 1)
    return range(least, 256 if name.startswith("int8") else SMALL + 2)


class LatencyTests(SynchronousTestCase):
    @given(st.integers(0, 1 << 60))
    def test_a_bucket_is_narrow_and_holds_its_value(self, value: int) -> None:
        lower, upper = bounds(bucket(value))
        self.assertTrue(lower <= value <= upper)
        self.assertLessEqual((upper - lower) * 128, lower)
        self.assertEqual(bucket(upper + 1), bucket(lower) + 1)

    @given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 1000)), min_size=1))
    def test_percentiles_are_those_of_the_sorted_values(self, recorded: list[tuple[int, int]]) -> None:
        histogram = Histogram()
        for value, count in recorded:
            histogram.record(value, count)
        values = sorted(value for value, count in recorded for _ in range(count))
        for share in (50, 90, 99, 99.9, 100):
            true = values[max(0, -int(-len(values) * share // 100) - 1)]
            measured = histogram.percentile(share)
            assert measured is not None
            self.assertTrue(true <= measured <= true * 1.008, (share, true, measured))
        self.assertEqual(histogram.percentile(100), values[-1])

    @given(st.floats(-1e3, 1e10), st.floats(0.01, 1e8), st.integers(1, 2000))
    def test_a_series_is_as_if_recorded_one_by_one(self, largest: float, step: float, count: int) -> None:
        series, single = Histogram(), Histogram()
        series.record_series(largest, step, count)
        for at in range(count):
            single.record(int(largest - at * step))
        self.assertEqual((series.total, series.largest), (single.total, single.largest))
        # A value on the border of two buckets may be rounded into either.
        for share in (0, 25, 50, 75, 99):
            one, other = series.percentile(share), single.percentile(share)
            assert one is not None
            assert other is not None
            self.assertLessEqual(abs(one - other), 2 + other / 64)

    def test_merging(self) -> None:
        one, other = Histogram(), Histogram()
        one.record(5, 99)
        other.record(10**9)
        one.merge(other)
        self.assertEqual(summary(one)["p99"], 5e-9)
        self.assertEqual(summary(one)["max"], 1.0)

    def test_without_messages_there_are_no_latencies(self) -> None:
        self.assertEqual(set(summary(Histogram()).values()), {None})


class PaceTests(SynchronousTestCase):
    """The load without sockets: times are numbers here."""

    def connections(self, count: int, window: int) -> list[Connection]:
        messages = Messages(parse("raw"), 10)
        return [Connection(number + 1, messages.stream(number, window), window) for number in range(count)]

    def answer(self, connection: Connection, count: int, now: int) -> None:
        """Write what may be written, and give `count` answers."""
        data = b""
        while piece := connection.piece():
            connection.wrote(len(piece))
        while len(data) < 10 * count:
            data += connection.stream.piece(10 * connection.answered + len(data), 10 * count - len(data))
        connection.received(memoryview(data), now)

    def test_a_closed_loop_never_has_more_in_flight_than_the_window(self) -> None:
        (connection,) = self.connections(1, 3)
        tally = Tally()
        pace = Closed([connection], tally, 0, None, 5)
        self.assertEqual(list(pace.due(0)), [connection])
        self.assertTrue(connection.ask(0))
        self.assertEqual(connection.asked, 3)
        self.answer(connection, 1, 100)
        connection.ask(100)
        self.assertEqual(connection.asked, 4)
        self.answer(connection, 3, 300)
        connection.ask(300)
        self.assertEqual((connection.asked, tally.answered, pace.total), (5, 4, 5))
        # One answer came after 100 ns, two after 300, one 200 behind its message.
        self.assertEqual(
            [(lower, below) for lower, _, below in tally.latencies.steps()], [(100, 1), (200, 2), (300, 4)]
        )

    def test_a_closed_loop_ends_with_its_time_when_all_is_answered(self) -> None:
        connections = self.connections(2, 4)
        tally = Tally()
        pace = Closed(connections, tally, 0, 1.0, None)
        for connection in pace.due(0):
            connection.ask(0)
        self.assertEqual((list(pace.due(999_999_999)), pace.total), ([], None))
        pace.due(1_000_000_000)
        self.assertEqual(pace.total, 8)
        for connection in connections:
            self.answer(connection, 4, 1_000_000_500)
            self.assertFalse(connection.ask(1_000_000_500))
        self.assertEqual(tally.answered, 8)

    def test_an_open_loop_counts_from_when_a_message_was_due(self) -> None:
        """The server stands still for a second: the messages that were due then were late, sent or not."""
        connections = self.connections(2, 1)
        tally = Tally()
        pace = Open(connections, tally, 0, 2.0, None, 1000)
        self.assertEqual(pace.total, 2000)
        now = 0
        while tally.answered < 2000:
            for connection in pace.due(now):
                connection.ask(now)
            for connection in connections:
                # All that was held back is answered at once behind the second, then each within its millisecond.
                while (now < 500_000_000 or now >= 1_500_000_000) and connection.asked > connection.answered:
                    self.answer(connection, 1, now)
                    connection.ask(now)
            now += 1_000_000
        latency = summary(tally.latencies)
        self.assertEqual(latency["max"], 1.0)
        # Half of all messages fell into the second: their latencies run evenly from one second to none.
        for name, seconds in (("p50", 0.0), ("p90", 0.8), ("p99", 0.98)):
            value = latency[name]
            assert value is not None
            self.assertTrue(seconds <= value <= seconds * 1.01 + 0.001, (name, value))

    def test_an_open_loop_deals_out_in_turn_and_waits_for_the_next_message(self) -> None:
        connections = self.connections(3, 100)
        pace = Open(connections, Tally(), 0, None, 8, 1000)
        self.assertEqual(list(pace.due(0)), connections[:1])
        self.assertAlmostEqual(pace.wait(200_000), 0.0008)
        pace.due(4_000_000)
        self.assertEqual([connection.due for connection in connections], [2, 2, 1])
        pace.due(10**9)
        self.assertEqual([connection.due for connection in connections], [3, 3, 2])

    def test_silence_is_a_fault_only_while_an_answer_is_owed(self) -> None:
        (connection,) = self.connections(1, 1)
        Closed([connection], Tally(), 0, None, 2)
        connection.check(10**12, 1.0)
        connection.ask(10**12)
        connection.check(10**12 + 10**9, 1.0)
        with self.assertRaises(Fault):
            connection.check(10**12 + 10**9 + 1, 1.0)

    def test_times_of_batches_and_of_a_schedule(self) -> None:
        sent, intended = Histogram(), Histogram()
        times = Sent()
        times.asked(2, 10)
        times.asked(2, 20)
        times.answered(3, 30, sent)
        self.assertEqual((sent.total, sent.largest, sent.percentile(1)), (3, 20, 10))
        Intended(10, 5).answered(3, 30, intended)
        self.assertEqual((intended.total, intended.largest, intended.percentile(1)), (3, 20, 10))

    def test_shares_of_processes_are_the_whole(self) -> None:
        whole = Settings("e", "raw", 32, 10, 1, 1000.0, None, 101, 0.0, 3, 10.0)
        shares = whole.shares()
        self.assertEqual([share.first for share in shares], [1, 4, 7])
        self.assertEqual(sum(share.connections for share in shares), 10)
        self.assertEqual(sum(share.messages or 0 for share in shares), 101)
        self.assertAlmostEqual(sum(share.rate or 0 for share in shares), 1000.0)


class UsageTests(SynchronousTestCase):
    def command(self, *arguments: str) -> tuple[object, str, str]:
        """Exit status, standard output and standard error, without a process of its own."""
        return outcome("bench", *arguments)

    def test_wrong_arguments_are_told_in_one_line_with_what_is_accepted(self) -> None:
        for arguments, expected in (
            ((), "the following arguments are required: ENDPOINT"),
            (("tcp:7000",), "argument ENDPOINT: 'tcp:7000': port is missing; accepted: "),
            (("tcp:h:7", "more"), "unexpected argument 'more', see sockserve bench --help"),
            (("tcp:h:7", "-f", "windew"), "argument --framing: unknown framing 'windew' (did you mean 'windev'?)"),
            (("tcp:h:7", "-f", "int8", "-s", "256"), "argument --size: message of 256 bytes is longer than the limit"),
            (("tcp:h:7", "-f", "fixed:8"), "argument --size: a message of fixed:8 has 8 bytes, not 32"),
            (
                ("tcp:h:7", "-f", "eof"),
                "eof carries one message in each direction, and a load needs many",
            ),
            (("tcp:h:7", "-f", "json", "-s", "4"), "argument --size: a message of json has at least 5 bytes here"),
            (("tcp:h:7", "-f", "mbap", "-s", "6"), "argument --size: a message of mbap has at least 7 bytes here"),
            (
                ("tcp:h:7", "-f", "mbap", "-s", "1M"),
                "argument --size: message of 1048576 bytes is longer than the limit",
            ),
            (("tcp:h:7", "-s", "0"), "argument --size/-s: '0' is not a size; accepted: "),
            (("tcp:h:7", "-c", "0"), "argument --connections/-c: '0' is not a number of connections; accepted: 1"),
            (("tcp:h:7", "-w", "x"), "argument --window/-w: 'x' is not a number of messages; accepted: 1 or more"),
            (("tcp:h:7", "-r", "-1"), "argument --rate/-r: "),
            (("tcp:h:7", "-r", "0"), "argument --rate/-r: '0' is not a number of messages a second; accepted: "),
            (("tcp:h:7", "-d", "1h"), "argument --duration/-d: '1h' is not a time; accepted: "),
            (("tcp:h:7", "-d", "1", "-n", "1"), "argument --messages/-n: not allowed with argument --duration/-d"),
            (("tcp:h:7", "-p", "2"), "argument --processes: 2 cannot share --connections 1"),
            (("tcp:h:7", "--plot", "/nowhere/a.png"), "argument --plot: "),
            (("tcp:h:7", "--server-pid", "0"), "argument --server-pid: '0' is not the number of a process"),
            (("tcp:h:7", "--server-pid", "99999999"), "argument --server-pid: there is no process 99999999"),
            (("tcp:h:7", "--wnidow", "1"), "unknown option '--wnidow', see sockserve bench --help"),
        ):
            with self.subTest(arguments):
                status, output, errors = self.command(*arguments)
                self.assertEqual((status, output, errors.count("\n")), (2, "", 1), errors)
                self.assertIn(expected, errors)

    def test_a_picture_without_matplotlib_names_the_extra(self) -> None:
        program = (
            "import sys, importlib.util as util\n"
            "find = util.find_spec\n"
            "util.find_spec = lambda name, *rest: None if name == 'matplotlib' else find(name, *rest)\n"
            "from sockserve.commands.main import main\n"
            "main(['bench', 'tcp:h:7', '--plot', 'a.png'])\n"
        )
        # An interpreter of its own, which has not imported it.
        ended = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        line = "sockserve bench: argument --plot: drawing needs matplotlib: pip install 'sockserve[bench]'\n"
        self.assertTrue(ended.stderr.endswith(line), ended.stderr)
        self.assertEqual((ended.returncode, ended.stderr.count("\n")), (2, 1))

    def test_help(self) -> None:
        status, output, _ = self.command("--help")
        self.assertEqual(status, 0)
        for option in ("framing", "size", "connections", "window", "rate", "duration", "messages", "warmup"):
            self.assertIn(f"--{option}", output)
        for option in ("processes", "timeout", "json", "plot"):
            self.assertIn(f"--{option}", output)
