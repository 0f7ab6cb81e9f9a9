"""`sockserve.run`: a program of ten lines is a whole server, with a log, signals and an exit status."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.internet import default
from twisted.trial.unittest import SynchronousTestCase

import sockserve
from tests.support.processes import PIPE, Process
from tests.support.twistd import PATIENCE

# Twisted's, by the module of its `install`, such as twisted.internet.epollreactor.
DEFAULT = default.install.__module__.rpartition(".")[2].removesuffix("reactor")

# On uvloop, the process that this one is forked from has imported ours.
WITHOUT_UVLOOP = """
for name in [name for name in sys.modules if name.startswith("sockserve.reactor")]:
    del sys.modules[name]
sys.modules["uvloop"] = None
"""

PROGRAM = """
import sys

from sockserve import SocketServer, run
from twisted.application.service import Service


def answer(message, channel):
    return message * int(sys.argv[2])


class Beside(Service):
    def startService(self):
        print("beside it: started", file=sys.stderr)

    def stopService(self):
        print("beside it: stopped", file=sys.stderr)


orders = SocketServer("orders", sys.argv[1], "int32", answer, max_length="64M", drain_timeout=sys.argv[3])
{first}
run(orders, Beside(), log_file=open(sys.argv[4], "w") if sys.argv[4:] else None)
print("the program goes on")
"""


class Program:
    """The program above, on a free port unless `listen` says otherwise. first: what it does before it runs."""

    def __init__(
        self,
        case: SynchronousTestCase,
        *more: str,
        listen: str = "tcp:0:interface=127.0.0.1",
        times: int = 2,
        drain_timeout: str = f"{PATIENCE}s",
        first: str = "",
    ) -> None:
        path = Path(case.mktemp()).with_suffix(".py")
        path.write_text(PROGRAM.format(first=first))
        self.name = path.name
        self.process = Process(
            [sys.executable, path, listen, str(times), drain_timeout, *more],
            stdout=PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        case.addCleanup(self.process.__exit__, None, None, None)
        case.addCleanup(self.process.kill)
        self.lines: list[str] = []

    def read_to(self, text: str) -> str:
        """The next line of standard error with this text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return str(line)
        raise AssertionError(f"{text!r} did not come: {self.lines}")

    def connect(self, case: SynchronousTestCase) -> socket.socket:
        """A client, once the program listens."""
        port = int(self.read_to("listens on").rpartition(":")[2])
        client = socket.create_connection(("127.0.0.1", port), PATIENCE)
        case.addCleanup(client.close)
        return client

    def ends(self) -> tuple[int, str, str]:
        """Its exit status, what it printed, and its log."""
        output, rest = self.process.communicate(timeout=PATIENCE)
        return self.process.wait(), output, "".join(self.lines) + rest


class RunTests(SynchronousTestCase):
    def test_it_serves_until_sigterm_and_then_the_program_goes_on(self) -> None:
        program = Program(self)
        client = program.connect(self)
        client.sendall(b"\0\0\0\2ab")
        self.assertEqual(client.recv(8, socket.MSG_WAITALL), b"\0\0\0\4abab")
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.recv(1), b"")
        status, output, log = program.ends()
        self.assertEqual((status, output), (0, "the program goes on\n"))
        self.assertRegex(log, r"sockserve [\d.]+, framings \w+, reactor \w+\n")
        self.assertLess(log.index("beside it: started"), log.index("Received SIGTERM"))
        self.assertLess(log.index("Received SIGTERM"), log.index("beside it: stopped"))

    def test_it_runs_uvloop_where_that_is_installed_unless_a_reactor_is(self) -> None:
        for first, name in (
            ("", "uvloop"),
            (WITHOUT_UVLOOP, DEFAULT),
            ("from twisted.internet import selectreactor; selectreactor.install()", "select"),
            ("from twisted.internet import reactor", DEFAULT),
        ):
            with self.subTest(first):
                program = Program(self, first=first)
                self.assertRegex(program.read_to("sockserve "), f", reactor {name}\n$")
                client = program.connect(self)
                client.sendall(b"\0\0\0\2ab")
                self.assertEqual(client.recv(8, socket.MSG_WAITALL), b"\0\0\0\4abab")
                program.process.send_signal(signal.SIGTERM)
                self.assertEqual(program.ends()[:2], (0, "the program goes on\n"))

    def test_who_does_not_read_is_cut_off_and_the_status_tells(self) -> None:
        program = Program(self, times=16 << 20, drain_timeout="1ms")
        client = program.connect(self)
        client.sendall(b"\0\0\0\2ab")
        client.recv(8, socket.MSG_WAITALL)
        program.process.send_signal(signal.SIGTERM)
        status, output, log = program.ends()
        self.assertEqual((status, output), (-signal.SIGTERM, ""))
        self.assertIn("orders: 1 connections aborted, not finished within 0.001 seconds (drain_timeout)", log)

    def test_a_port_in_use_is_one_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            program = Program(self, listen=f"tcp:{port}:interface=127.0.0.1")
            status, output, log = program.ends()
        self.assertEqual((status, output), (1, ""))
        _, line = log.splitlines()
        problem = f"Couldn't listen on 127.0.0.1:{port}: [Errno 98] Address already in use."
        self.assertTrue(line.endswith(f"#critical] {program.name}: orders: listen: {problem}"), line)

    def test_with_a_log_in_a_file_it_is_a_line_on_standard_error_too(self) -> None:
        path = self.mktemp()
        with socket.create_server(("127.0.0.1", 0)) as holder:
            program = Program(self, path, listen=f"tcp:{holder.getsockname()[1]}:interface=127.0.0.1")
            status, _, errors = program.ends()
        self.assertEqual((status, errors.count("\n")), (1, 1), errors)
        self.assertTrue(errors.startswith(f"{program.name}: orders: listen: Couldn't listen on"), errors)
        self.assertIn(errors, Path(path).read_text())

    def test_anything_else_than_a_service_is_refused(self) -> None:
        for wrong in ((), ("tcp:7000",)):
            with self.assertRaises(TypeError) as raised:
                sockserve.run(*wrong)
            self.assertTrue(
                re.fullmatch(
                    r"run: found .*; accepted: a SocketServer, or another Twisted service", str(raised.exception)
                )
            )
