"""`sockserve send` as its users meet it: a process, its pipes, its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.tcp import Port
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sockserve import __version__
from sockserve.connection.channel import Channel
from sockserve.connection.conversation import Conversation
from sockserve.framing import compiled
from sockserve.server.sockets import SocketServer
from sockserve.tls.certificates import TLSConfig
from tests.support.authority import Authority
from tests.support.cases import EXAMPLES, message_of
from tests.support.commands import outcome
from tests.support.processes import ROOT, run
from tests.support.spawned import Spawned

COMMAND = (sys.executable, "-m", "sockserve")
LOCAL = "tcp:0:interface=127.0.0.1"
SHORT = "0.3"
"""Seconds that a peer which never answers is given."""


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.write(message)


async def silence(channel: Channel) -> None:
    async for _ in channel:
        pass


async def two_answers(channel: Channel) -> None:
    for _ in range(2):
        await channel.write(await channel.read())


async def staying(channel: Channel) -> None:
    """Answers, and does not close behind the last answer."""
    await echo(channel)
    await Deferred()


async def deaf(_: Channel) -> None:
    await Deferred()


class SendTestCase(TestCase):
    timeout = 30

    async def serve(self, conversation: Conversation = echo, framing: str = "windev", endpoint: str = LOCAL) -> str:
        """The endpoint of a server with this conversation, for clients."""
        server = SocketServer("here", endpoint, framing, conversation=conversation, drain_timeout=0.1)
        server.startService()
        self.addCleanup(server.stopService)
        [port] = server.ports
        assert isinstance(port, Port)
        return f"tcp:127.0.0.1:{port.getHost().port}"

    def start(self, *arguments: str) -> Spawned:
        sending = Spawned((*COMMAND, "send", *arguments), cwd=ROOT)
        self.addCleanup(sending.send_signal, signal.SIGKILL)
        return sending

    async def send(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Exit status, standard output and standard error of the whole run."""
        sending = self.start(*arguments)
        sending.write(stdin)
        sending.end_input()
        status = await sending.ended
        return status, bytes(sending.output), sending.errors.decode()

    async def complete(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What it prints when every answer comes."""
        status, output, errors = await self.send(*arguments, stdin=stdin)
        self.assertEqual((status, errors), (0, ""))
        return output

    async def incomplete(self, *arguments: str, stdin: bytes = b"") -> tuple[bytes, str]:
        """What it prints when not, and its line about it, without what the line starts with."""
        status, output, errors = await self.send(*arguments, stdin=stdin)
        self.assertEqual((status, errors.count("\n")), (1, 1), errors)
        endpoint = next(argument for argument in arguments if argument.startswith(("tcp:", "tls:")))
        start = f"sockserve send: {endpoint}: "
        self.assertTrue(errors.startswith(start), errors)
        return output, errors.removeprefix(start).rstrip("\n")


class MessagesTests(SendTestCase):
    async def test_each_argument_is_a_message(self) -> None:
        output = await self.complete(await self.serve(), "Hello World", "", "é", "--framing", "windev")
        self.assertEqual(output, "Hello World\n\né\n".encode())

    async def test_options_may_stand_between_messages_and_dashes_behind_two(self) -> None:
        output = await self.complete(await self.serve(), "one", "--framing=windev", "two", "--", "--three", "-")
        self.assertEqual(output, b"one\ntwo\n--three\n-\n")

    async def test_each_line_of_standard_input_is_a_message_of_any_bytes(self) -> None:
        lines = b"\xff\0\r\n\nlast"
        self.assertEqual(await self.complete(await self.serve(), "-f", "windev", stdin=lines), lines + b"\n")

    async def test_no_messages(self) -> None:
        self.assertEqual(await self.complete(await self.serve(), "-f", "windev"), b"")

    async def test_answers_are_printed_while_the_pipe_is_open(self) -> None:
        sending = self.start(await self.serve(), "-f", "windev")
        sending.write(b"one\ntw")
        await sending.printed(b"one\n")
        sending.write(b"o\nthree\n")
        await sending.printed(b"one\ntwo\nthree\n")
        sending.end_input()
        self.assertEqual(await sending.ended, 0)

    async def test_a_pipe_that_is_open_and_silent_is_no_reason_to_give_up(self) -> None:
        sending = self.start(await self.serve(), "-f", "windev", "--timeout", SHORT)
        sending.write(b"one\n")
        await sending.printed(b"one\n")
        await deferLater(reactor, 2 * float(SHORT))
        sending.write(b"two\n")
        await sending.printed(b"one\ntwo\n")
        sending.end_input()
        self.assertEqual(await sending.ended, 0)

    async def test_hexadecimal(self) -> None:
        endpoint = await self.serve()
        self.assertEqual(await self.complete(endpoint, "-f", "windev", "--hex", "00 FF", "0a"), b"00ff\n0a\n")
        output = await self.complete(endpoint, "-f", "windev", "--hex", stdin=b"00ff\r\n0 a\n".replace(b" ", b""))
        self.assertEqual(output, b"00ff\n0a\n")

    async def test_repeat(self) -> None:
        endpoint = await self.serve()
        self.assertEqual(await self.complete(endpoint, "-f", "windev", "--repeat", "2", "a", "b"), b"a\na\nb\nb\n")
        self.assertEqual(await self.complete(endpoint, "-f", "windev", "-n", "3", stdin=b"a\n"), b"a\na\na\n")

    async def test_answers_behind_our_end(self) -> None:
        async def late(channel: Channel) -> None:
            for message in [message async for message in channel]:
                await channel.write(message[::-1])

        self.assertEqual(await self.complete(await self.serve(late), "-f", "windev", "ab", "cd"), b"ba\ndc\n")

    async def test_more_answers_than_messages_are_all_printed(self) -> None:
        async def twice(channel: Channel) -> None:
            await channel.write(b"welcome")
            await echo(channel)

        self.assertEqual(await self.complete(await self.serve(twice), "-f", "windev", "a"), b"welcome\na\n")

    async def test_ten_megabytes_of_lines_through_a_pipe(self) -> None:
        lines = b"".join(b"%d " % number * 1000 + b"\n" for number in range(2300))
        self.assertGreater(len(lines), 9_000_000)
        output = await self.complete(await self.serve(), "-f", "windev", stdin=lines)
        self.assertTrue(output == lines)

    async def test_max_length(self) -> None:
        endpoint = await self.serve()
        long = b"x" * (3 << 20)
        output = await self.complete(endpoint, "-f", "windev", "--max-length", "1k", "x" * 1024)
        self.assertEqual(len(output), 1025)
        output, line = await self.incomplete(endpoint, "-f", "windev", stdin=b"short\n" + long + b"\n")
        self.assertEqual(output, b"short\n")
        self.assertEqual(line, "line 2 of standard input is longer than the limit of 1048576 bytes (max_length)")

    async def test_over_tls_our_end_goes_out_alone_too(self) -> None:
        async def late(channel: Channel) -> None:
            for message in [message async for message in channel]:
                await channel.write(message[::-1])

        authority = Authority(self.mktemp())
        server = await self.serve(late, endpoint=authority.listen())
        port = int(server.rpartition(":")[2])
        self.assertEqual(await self.complete(authority.trusting(port), "-f", "windev", "ab", "cd"), b"ba\ndc\n")
        _, line = await self.incomplete(f"tls:localhost:{port}", "-f", "windev", "a")
        self.assertIn("certificate verify failed", line)

    async def test_what_it_trusts_and_shows_and_expects_can_be_said_in_options(self) -> None:
        authority = Authority(self.mktemp())
        own = str(authority.issue("shop", authority.folder / "shop.key"))
        config = TLSConfig(certificate=str(authority.server), client_ca=str(authority.ca))
        server = SocketServer("here", LOCAL, "windev", tls=config)
        server.startService()
        self.addCleanup(server.stopService)
        port = cast("Any", server.ports[0].getHost()).port
        endpoint = rf"tls:127.0.0.2:{port}:endpoint=tcp\:127.0.0.1\:{port}"
        options = ["-f", "windev", "--cafile", str(authority.ca), "--certificate", own, "a"]
        self.assertEqual(await self.complete(endpoint, *options, "--server-name", "localhost"), b"a\n")
        _, line = await self.incomplete(endpoint, *options)
        self.assertIn("IP address mismatch, certificate is not valid for '127.0.0.2'", line)

    async def test_tls_options_that_cannot_be(self) -> None:
        for endpoint, option, value, expected in (
            ("tcp:localhost:1", "--cafile", "x.pem", "tcp has no TLS, and its options are for tls: and ssl: endpoints"),
            ("tls:localhost:1", "--cafile", "x.pem", "x.pem: cannot be read: No such file or directory"),
            ("tls:localhost:1", "--key", "x.pem", "x.pem: a key needs the certificate that it belongs to"),
            ("tls:localhost:1", "--server-name", ".x", "'.x' can be nobody's name"),
        ):
            sending = self.start(endpoint, option, value, "a")
            self.assertEqual(await sending.ended, 2)
            [line] = bytes(sending.errors).decode().splitlines()
            self.assertIn(f"sockserve send: argument ENDPOINT: '{endpoint}': ", line)
            self.assertIn(expected, line)


class RawTests(SendTestCase):
    """raw has no messages: bytes are counted, and nothing is added to them or taken away."""

    async def test_arguments_come_back_as_they_are(self) -> None:
        self.assertEqual(await self.complete(await self.serve(framing="raw"), "this is", " a test"), b"this is a test")

    async def test_standard_input_comes_back_as_it_is(self) -> None:
        lines = b"\n\0one\r\n\ntwo"
        self.assertEqual(await self.complete(await self.serve(framing="raw"), stdin=lines), lines)

    async def test_hexadecimal_is_one_line(self) -> None:
        output = await self.complete(await self.serve(framing="raw"), "--hex", "-f", "raw:2", "00ff", "0a0b0c")
        self.assertEqual(output, b"00ff0a0b0c\n")

    async def test_ten_megabytes_through_a_pipe(self) -> None:
        data = os.urandom(10_000_000)
        output = await self.complete(await self.serve(framing="raw"), stdin=data)
        self.assertTrue(output == data)

    async def test_bytes_that_do_not_come_back(self) -> None:
        async def some(channel: Channel) -> None:
            await channel.write((await channel.read())[:3])

        output, line = await self.incomplete(await self.serve(some, "raw"), "this is a test")
        self.assertEqual((output, line), (b"thi", "3 of 14 bytes came back before the peer closed"))


class EofTests(SendTestCase):
    """One message, which the end of the stream ends."""

    async def test_an_argument_or_all_of_standard_input_is_the_message(self) -> None:
        endpoint = await self.serve(framing="eof")
        self.assertEqual(await self.complete(endpoint, "-f", "eof", "Hello World"), b"Hello World\n")
        self.assertEqual(await self.complete(endpoint, "-f", "eof", stdin=b"two\nlines\0\n"), b"two\nlines\0\n\n")
        self.assertEqual(await self.complete(endpoint, "-f", "eof", "--hex", stdin=b"00 ff\n41"), b"00ff41\n")
        self.assertEqual(await self.complete(endpoint, "-f", "eof"), b"")

    async def test_standard_input_that_is_no_message(self) -> None:
        endpoint = await self.serve(framing="eof")
        _, line = await self.incomplete(endpoint, "-f", "eof", "--max-length", "5", stdin=b"123456")
        self.assertEqual(line, "standard input is longer than the limit of 5 bytes (max_length)")

    async def test_no_answer(self) -> None:
        _, line = await self.incomplete(await self.serve(silence, "eof"), "-f", "eof", "Hello")
        self.assertEqual(line, "0 of 1 answers came before the peer closed")


class EveryFramingTests(SendTestCase):
    async def test_messages_go_out_and_answers_come_in_every_framing(self) -> None:
        runs = []
        for name in EXAMPLES.values():
            message = message_of(name).hex()
            # What carries one message at a time is not asked for more.
            messages = [message] if name == "eof" else [message, message]
            endpoint = await self.serve(framing=name)
            runs.append(Deferred.fromCoroutine(self.complete(endpoint, "-f", name, "--hex", *messages)))
        for name, output in zip(EXAMPLES.values(), await gatherResults(runs), strict=True):
            with self.subTest(name):
                answers = b"".join(output.split()) if name.startswith("raw") else output
                answer = message_of(name).hex().encode() + (b"" if name.startswith("raw") else b"\n")
                self.assertEqual(answers, answer * (1 if name == "eof" else 2))


class MissingTests(SendTestCase):
    async def test_the_peer_closes_early(self) -> None:
        output, line = await self.incomplete(await self.serve(two_answers), "-f", "windev", "a", "b", "c")
        self.assertEqual((output, line), (b"a\nb\n", "2 of 3 answers came before the peer closed"))

    async def test_the_peer_never_answers(self) -> None:
        output, line = await self.incomplete(await self.serve(silence), "-f", "windev", "a")
        self.assertEqual((output, line), (b"", "0 of 1 answers came before the peer closed"))

    async def test_the_peer_never_answers_and_never_closes(self) -> None:
        async def nothing(channel: Channel) -> None:
            await channel.read()
            await Deferred()

        _, line = await self.incomplete(await self.serve(nothing), "-f", "windev", "-t", "300ms", "a")
        self.assertEqual(line, "0 of 1 answers came, then none for 0.3 seconds")

    async def test_the_peer_does_not_even_read(self) -> None:
        stdin = bytes(30_000_000)
        _, line = await self.incomplete(await self.serve(deaf, "raw"), "-t", SHORT, stdin=stdin)
        self.assertRegex(line, r"^0 of \d+ bytes came back, then none for 0\.3 seconds$")

    async def test_the_peer_does_not_close_behind_the_last_answer(self) -> None:
        output, line = await self.incomplete(await self.serve(staying), "-f", "windev", "-t", SHORT, "a")
        self.assertEqual(output, b"a\n")
        self.assertEqual(line, "1 of 1 answers came, but no end within 0.3 seconds")

    async def test_the_peer_closes_while_the_pipe_is_open(self) -> None:
        endpoint = await self.serve(two_answers)
        pipe, ours = os.pipe()
        self.addCleanup(os.close, ours)
        os.write(ours, b"a\nb\n")
        # An interpreter of its own, which has to end while a thread reads from the pipe.
        command = (*COMMAND, "send", endpoint, "-f", "windev", "-t", SHORT)
        ended = await deferToThread(subprocess.run, command, cwd=ROOT, stdin=pipe, capture_output=True, timeout=30)
        os.close(pipe)
        self.assertEqual((ended.returncode, ended.stdout), (1, b"a\nb\n"))
        self.assertTrue(
            ended.stderr.endswith(b": 2 of 2 answers came before the peer closed, but standard input has not ended\n")
        )

    async def test_the_peer_closes_and_the_pipe_ends_with_it(self) -> None:
        sending = self.start(await self.serve(two_answers), "-f", "windev")
        sending.write(b"a\nb\n")
        await sending.printed(b"a\nb\n")
        sending.end_input()
        self.assertEqual((await sending.ended, sending.errors), (0, b""))

    async def test_a_bad_frame(self) -> None:
        async def bad(channel: Channel) -> None:
            await echo(channel)
            channel.set_framing("raw")
            await channel.write(b"HTTP/1.1 400 Bad Request\r\n")

        output, line = await self.incomplete(await self.serve(bad), "-f", "windev", "-n", "2", "a")
        self.assertEqual(output, b"a\na\n")
        self.assertTrue(line.startswith("2 of 2 answers came, then a bad frame: malformed header b'H'"), line)

    async def test_an_answer_that_stops_in_its_middle(self) -> None:
        async def half(channel: Channel) -> None:
            await channel.read()
            channel.set_framing("raw")
            await channel.write(b"5\r\nhal")

        _, line = await self.incomplete(await self.serve(half), "-f", "windev", "a")
        self.assertEqual(
            line,
            "0 of 1 answers came, then a bad frame: stream ended inside a frame: header announced 5 bytes, 3 arrived",
        )

    async def test_a_lost_connection(self) -> None:
        async def reset(channel: Channel) -> None:
            await channel.write(await channel.read())
            await channel.read()
            channel.abort()

        sending = self.start(await self.serve(reset), "-f", "windev")
        sending.write(b"a\n")
        await sending.printed(b"a\n")
        sending.write(b"b\n")
        sending.end_input()
        self.assertEqual(await sending.ended, 1)
        self.assertIn(b": 1 of 2 answers came, then the connection was lost: ", sending.errors)

    async def test_no_connection(self) -> None:
        _, line = await self.incomplete("tcp:127.0.0.1:1", "a")
        self.assertIn("refused", line)
        _, line = await self.incomplete("tcp:nowhere.invalid:7000", "-t", "20s", "a")
        self.assertIn("nowhere.invalid", line)

    async def test_a_line_that_is_not_hexadecimal(self) -> None:
        output, line = await self.incomplete(await self.serve(), "-f", "windev", "--hex", stdin=b"00\nxy\n01\n")
        self.assertEqual(output, b"00\n")
        self.assertTrue(line.startswith("line 2 of standard input: 'xy' is not hexadecimal; accepted: "), line)


class InterruptedTests(SendTestCase):
    async def test_interrupt(self) -> None:
        sending = self.start(await self.serve(), "-f", "windev")
        sending.write(b"a\n")
        await sending.printed(b"a\n")
        sending.send_signal(signal.SIGINT)
        self.assertEqual((await sending.ended, sending.errors), (130, b""))

    async def test_terminated(self) -> None:
        sending = self.start(await self.serve(), "-f", "windev")
        sending.write(b"a\n")
        await sending.printed(b"a\n")
        sending.send_signal(signal.SIGTERM)
        self.assertEqual((await sending.ended, sending.errors), (143, b""))

    async def test_nobody_reads_the_answers(self) -> None:
        sending = self.start(await self.serve(), "-f", "windev")
        sending.write(b"a\n")
        await sending.printed(b"a\n")
        sending.stop_reading()
        sending.write(b"b\nc\n")
        sending.end_input()
        self.assertEqual((await sending.ended, sending.errors), (1, b""))

    async def test_answers_that_nobody_reads_yet_hold_up_the_messages(self) -> None:
        sending = self.start(await self.serve(framing="raw"), "-t", SHORT)
        sending.pause()
        data = os.urandom(8_000_000)
        sending.write(data)
        sending.end_input()
        await deferLater(reactor, 3 * float(SHORT))
        sending.resume()
        self.assertEqual((await sending.ended, sending.errors), (0, b""))
        self.assertTrue(sending.output == data)


class UsageTests(SynchronousTestCase):
    def process(self, *arguments: str) -> tuple[object, str, str]:
        ended = run([*COMMAND, *arguments], cwd=ROOT, text=True, timeout=30)
        return ended.returncode, ended.stdout, ended.stderr

    def test_an_endpoint_that_is_none(self) -> None:
        status, output, errors = self.process("send", "tcp:7000", "x")
        self.assertEqual((status, output, errors.count("\n")), (2, "", 1), errors)
        self.assertIn("argument ENDPOINT: 'tcp:7000': port is missing; accepted: ", errors)

    def test_wrong_arguments_are_told_in_one_line_with_what_is_accepted(self) -> None:
        for arguments, expected in (
            ((), "sockserve: the following arguments are required: COMMAND"),
            (("sned",), "invalid choice: 'sned' (choose from "),
            (("send",), "sockserve send: the following arguments are required: ENDPOINT"),
            (
                ("send", "tcp:h:7", "-f", "windew"),
                "argument --framing: unknown framing 'windew' (did you mean 'windev'?)",
            ),
            (("send", "tcp:h:7", "-t", "3h"), "argument --timeout/-t: '3h' is not a time"),
            (
                ("send", "tcp:h:7", "--repeat", "0"),
                "argument --repeat/-n: '0' is not a number of times; accepted: 1 or",
            ),
            (
                ("send", "tcp:h:7", "--max-length", "1G"),
                "argument --max-length: '1G' is not a size; accepted: ",
            ),
            (("send", "tcp:h:7", "--hex", "0x00"), "argument MESSAGE: '0x00': '0x00' is not hexadecimal; accepted: "),
            (("send", "tcp:h:7", "-f", "fixed:3", "four"), "argument MESSAGE: 'four': "),
            (
                ("send", "tcp:h:7", "-f", "mbap", "--hex", "00"),
                "argument MESSAGE: '00': a message of mbap starts with ",
            ),
            (("send", "tcp:h:7", "-f", "slip", ""), "argument MESSAGE: '': slip has no empty messages"),
            (("send", "tcp:h:7", "-f", "json", "1"), "argument MESSAGE: '1': a message is an object or an array"),
            (("send", "tcp:h:7", "-f", "eof", "a", "b"), "eof carries one message in each direction; accepted: one "),
            (("send", "tcp:h:7", "-f", "eof", "-n", "2"), "eof carries one message in each direction; accepted: one "),
            (("send", "tcp:h:7", "-f", "eof", ""), "argument MESSAGE: '': an empty message over eof would be none"),
            (("send", "tcp:h:7", "--bogus", "x"), "unknown option '--bogus', see sockserve send --help"),
            (("send", "tcp:h:7", "--time", "1s"), "unknown option '--time', see sockserve send --help"),
        ):
            with self.subTest(arguments):
                status, output, errors = outcome(*arguments)
                self.assertEqual((status, output, errors.count("\n")), (2, "", 1), errors)
                self.assertIn(expected, errors)

    def test_help_and_version(self) -> None:
        status, output, _ = outcome("--help")
        self.assertEqual(status, 0)
        self.assertIn("send", output)
        status, output, _ = outcome("send", "--help")
        self.assertEqual(status, 0)
        for word in ("--framing", "--timeout", "--hex", "--repeat", "--max-length", "Exit status", "netstring"):
            self.assertIn(word, output)
        self.assertEqual(
            self.process("--version"),
            (0, f"sockserve {__version__}, framings {'compiled' if compiled else 'pure'}\n", ""),
        )

    def test_importing_the_command_installs_no_reactor(self) -> None:
        program = "import sys, sockserve.commands; sys.exit('twisted.internet.reactor' in sys.modules)"
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
