"""The log of real programs: for people on a terminal and in a file, and for programs as JSON; each thing once."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import sockserve
from tests.support import processes
from tests.support.twistd import PATIENCE, PROGRAM, ROOT, TWISTD, Server, failing, running

LOCAL = ("--listen", "tcp:0:interface=127.0.0.1")
JSON = ("--log-format", "json")
PAGE = ROOT / "docs/operating.md"


def records(log: str) -> list[dict[str, Any]]:
    """Each line of a log in JSON, read strictly."""
    return [json.loads(line) for line in log.splitlines()]


def named(log: str, name: str) -> list[dict[str, Any]]:
    """The records of the log with that event name."""
    return [each for each in records(log) if each.get("event_name") == f"sockserve.{name}"]


def talk(server: Server, data: bytes) -> tuple[bytes, int]:
    """What a client gets for these bytes, and its port."""
    with socket.create_connection(server.address, PATIENCE) as client:
        port: int = client.getsockname()[1]
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read(), port


class Terminal:
    """A program whose standard output and standard error are a terminal. said: all that it has shown."""

    def __init__(self, case: SynchronousTestCase, *args: str | Path, **env: str) -> None:
        master, slave = pty.openpty()
        self.process = processes.Process(args, cwd=ROOT, env={**os.environ, **env}, stdout=slave, stderr=slave)
        os.close(slave)
        self.said = ""
        self._master = master
        case.addCleanup(os.close, master)
        case.addCleanup(self.process.wait, PATIENCE)
        case.addCleanup(self.process.kill)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read on until there is something like it."""
        while not (found := re.search(pattern, self.said)):
            if not self._read():
                raise AssertionError(f"{pattern!r} did not come: {self.said}")
        return found

    def rest(self) -> str:
        """All that it shows until it ends."""
        while self._read():
            pass
        return self.said

    def client(self, data: bytes) -> None:
        """A client that sends that, and waits for the end."""
        port = self.wait_for(r"listens on 127\.0\.0\.1:(\d+)[\n\"]")[1]
        with socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            client.makefile("rb").read()

    def _read(self) -> bool:
        if not select.select([self._master], [], [], PATIENCE)[0]:
            raise AssertionError(f"nothing more came: {self.said}")
        try:
            more = os.read(self._master, 4096)
        except OSError:
            # Nobody has the other side any more.
            return False
        self.said += more.decode().replace("\r\n", "\n")
        return more != b""


class TerminalTests(SynchronousTestCase):
    def lines(self, *options: str, **env: str) -> list[str]:
        terminal = Terminal(self, *TWISTD, "--pidfile=", "sockserve", *LOCAL, *options, TERM="xterm", **env)
        terminal.client(b"x")
        terminal.wait_for("closed because of")
        terminal.process.terminate()
        return terminal.rest().splitlines()

    def test_lines_are_short_and_in_colour(self) -> None:
        lines = self.lines("--framing", "windev")
        self.assertRegex(lines[0], r"^\033\[2m\d\d:\d\d:\d\d\033\[0m twistd ")
        (warning,) = [line for line in lines if "malformed header" in line]
        self.assertRegex(
            warning,
            r"^\033\[2m[\d:]{8}\033\[0m \033\[33mwarn: echo 127\.0\.0\.1:\d+: malformed .*; closing; bytes 78\033\[0m$",
        )

    def test_no_color_means_none(self) -> None:
        lines = self.lines("--framing", "windev", NO_COLOR="1")
        self.assertNotIn("\033", "".join(lines))
        self.assertTrue(all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines), lines)

    def test_json_is_json_there_too(self) -> None:
        records("\n".join(self.lines("--framing", "windev", *JSON)))

    def test_what_the_readme_shows_is_what_it_shows(self) -> None:
        # It names the default reactor.
        terminal = Terminal(
            self,
            *PROGRAM,
            "-n",
            "--pidfile=",
            "sockserve",
            *LOCAL,
            "--framing",
            "windev",
            "--log-traffic",
            NO_COLOR="1",
        )
        terminal.client(b"11\r\nHello World")
        terminal.wait_for("closed by the peer")
        terminal.process.terminate()
        shown = bare(terminal.rest())
        for page in ("README.md", "docs/guide.md"):
            text = (ROOT / page).read_text()
            example = text[text.index("--framing windev --log-traffic\n") :].partition("\n")[2].partition("```")[0]
            self.assertEqual(bare(example), shown, page)


def bare(log: str) -> str:
    """Without what is different each time."""
    log = re.sub(r"twistd \S+ \(\S+ \S+\)", "twistd", re.sub(r"framings \w+", "framings", log))
    log = re.sub(r"127\.0\.0\.1:\d+|(?<=starting on )\d+|(?<=TCP Port )\d+", "", log)
    return re.sub(r"(?m)^[\d:]{8}|after [\d.]+ s", "", log)


class FileTests(SynchronousTestCase):
    def test_a_pipe_has_twisteds_form(self) -> None:
        with running(*LOCAL) as server:
            talk(server, b"x")
            server.wait_for("closed by the peer")
        self.assertTrue(
            all(re.match(r"[\d-]{10}T[\d:]{8}[+-]\d{4} \[.+?\] ", line) for line in server.lines if line), server.lines
        )

    def test_a_bad_frame_of_hostile_bytes_is_one_line(self) -> None:
        for options in ((), JSON):
            with running(*LOCAL, "--framing", "windev", *options) as server:
                _, port = talk(server, b"\x1b[2J\n2026-11-26 [-] lie\r\n")
                line = server.wait_for("malformed header")
                server.stop()
            self.assertTrue(line.isascii() and line[:-1].isprintable())
            self.assertIn(f"127.0.0.1:{port}", line)
            if options:
                (record,) = named("".join(server.lines), "frame.bad")
                self.assertEqual((record["severity_text"], record["attributes"]["network.peer.port"]), ("WARN", port))
                self.assertEqual(
                    [each["attributes"]["sockserve.connection.reason"] for each in self.closed(server)],
                    ["on_bad_frame"],
                )

    def test_a_handlers_traceback_is_in_its_record(self) -> None:
        said = "\x1b[2J\n\u2028\u202eend"
        with running(*LOCAL, "--framing", "windev", "--handler", "tests.support.faulty:raising", *JSON) as server:
            talk(server, b"%d\r\n%s" % (len(said.encode()), said.encode()))
            server.wait_for("sockserve.connection.closed")
        (record,) = named("".join(server.lines), "handler.failed")
        attributes = record["attributes"]
        self.assertEqual(record["severity_number"], 21)
        self.assertEqual(attributes["exception.type"], "builtins.RuntimeError")
        self.assertTrue(attributes["exception.message"].startswith("told to by "))
        self.assertIn("in raising", attributes["exception.stacktrace"])
        self.assertNotIn("exception.type", record["body"])

    def test_a_record_of_the_end_has_what_the_page_shows(self) -> None:
        with running(*LOCAL, "--framing", "windev", *JSON) as server:
            talk(server, b"11\r\nHello World")
            server.wait_for("sockserve.connection.closed")
        (record,) = self.closed(server)
        example = json.loads(next(line for line in PAGE.read_text().splitlines() if line.startswith('{"timestamp"')))
        self.assertEqual((list(record), list(record["attributes"])), (list(example), list(example["attributes"])))
        changing = {"network.peer.port", "sockserve.connection.duration"}
        for key, value in record["attributes"].items():
            if key not in changing:
                self.assertEqual(value, example["attributes"][key], key)
        self.assertRegex(record["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_no_message_is_in_the_log(self) -> None:
        secret = b"correct horse battery staple"
        for framing, data in (
            ("windev", b"%d\r\n%s99\r\n%s" % (len(secret), secret, secret)),
            ("buffered:\\n", secret + b"\n" + secret),
            ("envelope:\\x02:\\x03", b"\x02" + secret + b"\x03\x02" + secret),
            ("netstring", b"%d:%s,%d:%s!" % (len(secret), secret, len(secret), secret)),
        ):
            for options in ((), JSON):
                with running(*LOCAL, "--framing", framing, "--log-traffic", *options) as server:
                    answer, _ = talk(server, data)
                    server.wait_for("messages: 1 received")
                self.assertIn(secret, answer)
                self.assertNotIn("horse", "".join(server.lines))

    def test_each_socket_that_listens_has_its_address(self) -> None:
        # Not mktemp(): the path of a unix socket may have about 100 bytes.
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = f"{folder}/x"
        with running(*LOCAL, "--listen", f"unix:{path}", *JSON, listen=2) as server:
            talk(server, b"x")
        first, second = [each["attributes"] for each in named("".join(server.lines), "socket.listening")]
        self.assertEqual(
            (
                first["sockserve.socket"],
                first["network.local.address"],
                first["network.type"],
                first["network.transport"],
            ),
            ("echo", "127.0.0.1", "ipv4", "tcp"),
        )
        self.assertEqual((second["network.local.address"], second["network.transport"]), (path, "unix"))

    def test_what_a_handler_prints_is_a_record(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.mkdir()
        (path / "saying.py").write_text(
            "from twisted.logger import Logger\n"
            "log = Logger()\n"
            "def answer(message, channel):\n"
            "    print(message)\n"
            "    log.info('order {number}', number=7)\n"
            "    return message\n"
        )
        command = [*TWISTD, "--pidfile=", "sockserve", *LOCAL, "--handler", "saying:answer", *JSON]
        process = processes.Process(
            command, cwd=path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=processes.PIPE, text=True
        )
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []

        def read_to(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            for line in process.stdout or []:
                lines.append(json.loads(line))
                if wanted(lines[-1]):
                    return lines[-1]
            raise AssertionError(lines)

        listening = read_to(lambda record: record.get("event_name") == "sockserve.socket.listening")
        with socket.create_connection(("127.0.0.1", listening["attributes"]["network.local.port"]), PATIENCE) as client:
            client.sendall(b"hello")
            printed = read_to(lambda record: record["body"] == "b'hello'")
            self.assertEqual(printed["attributes"], {"otel.scope.name": "stdout"})
            logged = read_to(lambda record: record["body"] == "order 7")
            self.assertEqual(logged["attributes"], {"number": 7, "otel.scope.name": "saying"})

    def closed(self, server: Server) -> list[dict[str, Any]]:
        return named("".join(server.lines), "connection.closed")


class TakenPortTests(SynchronousTestCase):
    """One line for whoever has started it, wherever its log goes; status 1."""

    def setUp(self) -> None:
        self.holder = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.holder.close)
        self.place = f"127.0.0.1:{self.holder.getsockname()[1]}"
        self.listen = ("--listen", f"tcp:{self.place.rpartition(':')[2]}:interface=127.0.0.1")
        self.line = f"twistd sockserve: --listen: Couldn't listen on {self.place}: [Errno 98] Address already in use."

    def test_on_a_terminal(self) -> None:
        for options in ((), JSON):
            terminal = Terminal(self, *TWISTD, "--pidfile=", "sockserve", *self.listen, *options, NO_COLOR="1")
            said = terminal.rest()
            self.assertEqual((terminal.process.wait(PATIENCE), said.count("Couldn't listen")), (1, 1), said)
            self.assertIn(self.line, said.splitlines()[-1])
            self.assertNotIn("Traceback", said)

    def test_where_both_streams_are_one_pipe(self) -> None:
        for options in ((), JSON):
            command = [*TWISTD, "--pidfile=", "sockserve", *self.listen, *options]
            with processes.Process(
                command, cwd=ROOT, stdout=processes.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                said, _ = process.communicate(PATIENCE)
            self.assertEqual((process.wait(), said.count("Couldn't listen")), (1, 1), said)

    def test_where_the_streams_are_two_each_has_it_once(self) -> None:
        ended = failing(*self.listen, *JSON)
        self.assertEqual((ended.returncode, ended.stderr), (1, f"{self.line}\n"))
        (record,) = named(ended.stdout, "program.failed")
        self.assertEqual((record["body"], record["severity_text"]), (self.line, "FATAL"))

    def test_of_a_daemon(self) -> None:
        for options in ((), JSON):
            directory = Path(self.mktemp()).absolute()
            directory.mkdir()
            ended = daemon(directory, *self.listen, *options)
            self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (1, "", f"{self.line}\n"))
            log = (directory / "log").read_text()
            self.assertEqual(log.count("Couldn't listen"), 1)
            self.assertFalse((directory / "pid").exists())
            if options:
                records(log)


class DaemonTests(SynchronousTestCase):
    def test_one_that_starts_says_nothing_and_writes_its_log(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        ended = daemon(directory, *LOCAL, *JSON)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "", ""))
        (listening,) = named((directory / "log").read_text(), "socket.listening")
        port = listening["attributes"]["network.local.port"]
        # Once it answers, it takes signals.
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
        process = int((directory / "pid").read_text())
        handle = os.pidfd_open(process)
        self.addCleanup(os.close, handle)
        os.kill(process, signal.SIGUSR1)
        os.kill(process, signal.SIGTERM)
        self.assertTrue(select.select([handle], [], [], PATIENCE)[0])
        self.assertFalse((directory / "pid").exists())
        # SIGUSR1 has rotated it.
        whole = "".join((directory / name).read_text() for name in ("log.1", "log"))
        self.assertEqual(len(named(whole, "program.started")), 1)
        self.assertEqual(len(named(whole, "socket.listening")), 1)

    def test_json_goes_with_no_observer_of_twistds(self) -> None:
        for option in ("--syslog", "--logger=twisted.logger.globalLogPublisher"):
            command = [*TWISTD, "--pidfile=", option, "sockserve", *LOCAL, *JSON]
            ended = processes.run(command, cwd=ROOT, text=True, timeout=PATIENCE)
            name = option.partition("=")[0]
            line = f"twistd sockserve: --log-format: json cannot be combined with {name} of twistd\n"
            self.assertEqual((ended.returncode, ended.stderr), (1, line))

    def test_another_format_is_refused(self) -> None:
        ended = failing("--log-format", "xml")
        self.assertEqual(
            (ended.returncode, ended.stderr),
            (1, "twistd sockserve: --log-format: 'xml' is unknown; accepted: text, json\n"),
        )

    def test_a_file_says_it_at_its_top(self) -> None:
        path = Path(self.mktemp()).with_suffix(".toml").absolute()
        path.write_text('log_format = "json"\n[socket.orders]\nlisten = "tcp:0:interface=127.0.0.1"\n')
        with running("--config", str(path)) as server:
            pass
        (listening,) = named("".join(server.lines), "socket.listening")
        self.assertEqual(listening["attributes"]["sockserve.socket"], "orders")

    def test_run_has_an_argument(self) -> None:
        path = Path(self.mktemp()).with_suffix(".py").absolute()
        path.write_text(
            "import sys\n"
            "from sockserve import SocketServer, run\n"
            "from twisted.internet import reactor\n"
            "reactor.callLater(0, reactor.stop)\n"
            "run(SocketServer('a', 'tcp:0:interface=127.0.0.1'), log_format=sys.argv[1])\n"
        )
        ended = processes.run([sys.executable, path, "json"], text=True, timeout=PATIENCE)
        self.assertEqual((ended.returncode, len(named(ended.stderr, "socket.listening"))), (0, 1), ended.stderr)
        with self.assertRaises(ValueError) as raised:
            sockserve.run(sockserve.SocketServer("a", "tcp:0"), log_format="xml")  # type: ignore[arg-type]
        self.assertEqual(str(raised.exception), "log_format: 'xml' is unknown; accepted: text, json")

    def test_a_reset_does_not_break_a_record(self) -> None:
        with running(*LOCAL, *JSON) as server:
            with socket.create_connection(server.address, PATIENCE) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.wait_for("sockserve.connection.closed")
        (record,) = named("".join(server.lines), "connection.closed")
        self.assertEqual(record["attributes"]["sockserve.connection.reason"], "lost")


def daemon(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A twistd that goes on as a daemon, with the files `pid` and `log` there: its first process."""
    command = [*TWISTD[:-1], f"--pidfile={directory / 'pid'}", f"--logfile={directory / 'log'}", "sockserve", *options]
    return processes.run(command, cwd=ROOT, text=True, timeout=PATIENCE)


class PageTests(SynchronousTestCase):
    """docs/operating.md names all events and attributes of the code, and no others."""

    NAME = re.compile(r"(sockserve|network|process|exception|otel)(\.[a-z_]+)+")

    def documented(self) -> tuple[set[str], set[str]]:
        """The names of events and of attributes in its tables."""
        part = PAGE.read_text().partition("### Lines and events\n")[2].partition("\n## ")[0]
        lines, attributes = part.split("| attribute |")
        rows = [row for row in lines.splitlines() if row.startswith("| `")]
        return {row.split("|")[-2].strip(" `") for row in rows}, {
            name
            for row in attributes.splitlines()
            for name in re.findall(r"`([^`]+)`", row.split("|")[1] if row else "")
        }

    def test_the_tables_are_those_of_the_code(self) -> None:
        events, attributes = self.documented()
        package = Path(sockserve.__file__).parent
        used, named = set(), set()
        for path in package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and self.NAME.fullmatch(node.value):
                    place = package.parent / node.value.replace(".", "/")
                    if not place.is_dir() and not place.with_suffix(".py").is_file():
                        used.add(node.value)
                if isinstance(node, ast.keyword) and node.arg == "event_name" and isinstance(node.value, ast.Constant):
                    named.add(str(node.value.value))
        # Written with the end that it is about.
        used |= {f"network.{end}.{part}" for end in ("peer", "local") for part in ("address", "port")}
        self.assertEqual(used | named, events | attributes)
        self.assertEqual(named - events, set())
        self.assertEqual(events & attributes, set())

    def test_each_line_of_ours_has_the_name_of_its_event(self) -> None:
        for path in Path(sockserve.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                of = ast.unparse(node.func.value)
                if of in ("log", "self._log", "self._lines") and node.func.attr in (
                    *("debug", "info", "warn", "error", "critical", "failure", "emit"),
                ):
                    names = [each.arg for each in node.keywords]
                    self.assertTrue({"event_name", None} & {*names}, f"{path}:{node.lineno}")
