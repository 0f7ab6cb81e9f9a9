"""What a service manager is told, and the units in deploy/."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.application.service import MultiService
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.service.readiness import tell_manager
from tests.support.processes import PIPE, ROOT, Process
from tests.support.twistd import PATIENCE, TWISTD


class Manager:
    """A socket such as systemd's."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.folder = tempfile.mkdtemp()
        case.addCleanup(shutil.rmtree, self.folder)
        self.path = f"{self.folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(self.path)
        case.addCleanup(self.socket.close)

    def told(self) -> str:
        """The next that it is told."""
        return self.socket.recv(100).decode()

    def told_now(self) -> list[str]:
        """All that it was told and has not read."""
        self.socket.setblocking(False)
        told = []
        try:
            while True:
                told.append(self.told())
        except BlockingIOError:
            return told


class ReadinessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.manager = Manager(self)
        self.clock = Clock()

    def services(self, **environ: str) -> MultiService:
        services = MultiService()
        tell_manager(services, self.clock, {"NOTIFY_SOCKET": self.manager.path, **environ})
        return services

    def test_the_start_and_the_stop(self) -> None:
        services = self.services()
        self.assertEqual(self.manager.told_now(), [])
        services.startService()
        self.clock.advance(0)
        self.assertEqual(self.manager.told_now(), ["READY=1"])
        self.clock.pump([10] * 10)
        self.assertEqual(self.manager.told_now(), [])
        services.stopService()
        self.assertEqual(self.manager.told_now(), ["STOPPING=1"])

    def test_signs_of_life_twice_as_often_as_they_are_wanted_and_while_it_drains(self) -> None:
        services = self.services(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
        services.startService()
        self.clock.pump([0.5] * 6)
        services.stopService()
        self.clock.pump([0.5] * 3)
        self.assertEqual(self.manager.told_now(), ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1", "WATCHDOG=1"])

    def test_a_watchdog_of_another_process_is_none_of_ours(self) -> None:
        for environ in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}):
            self.services(**{"WATCHDOG_USEC": "3000000", **environ}).startService()
            self.clock.pump([1] * 6)
            self.assertEqual(self.manager.told_now(), ["READY=1"])

    def test_without_a_manager_there_is_nothing_to_tell(self) -> None:
        for path in ("", "vsock:2:1"):
            services = self.services(NOTIFY_SOCKET=path)
            self.assertEqual(list(services), [])

    def test_a_manager_that_is_gone_is_a_line_in_the_log(self) -> None:
        services = self.services(NOTIFY_SOCKET=f"{self.manager.folder}/gone")
        services.startService()
        self.assertTrue(services.running)


class ProcessTests(SynchronousTestCase):
    """A real twistd, and a program that calls `run`: they tell when they serve, and when they stop."""

    def check(self, *command: str) -> None:
        manager = Manager(self)
        process = Process(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": manager.path},
            stdout=PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(process.kill)
        self.assertEqual(manager.told(), "READY=1")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(manager.told(), "STOPPING=1")
        output, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, output)
        self.assertLess(output.index("listens on"), output.index("Received SIGTERM"))

    def test_twistd(self) -> None:
        self.check(*TWISTD[1:], "--pidfile=", "sockserve", "--listen", "tcp:0:interface=127.0.0.1")

    def test_run(self) -> None:
        self.check("examples/upper.py", "tcp:0:interface=127.0.0.1")


class UnitTests(SynchronousTestCase):
    def test_systemd_finds_nothing_wrong_with_the_units(self) -> None:
        if shutil.which("systemd-analyze") is None:
            if os.environ.get("CI"):
                raise AssertionError("systemd-analyze is not installed")
            raise SkipTest("systemd-analyze is not installed")
        folder = Path(self.mktemp())
        folder.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name in ("sockserve", "twistd"):
            (programs / name).write_text("#!/bin/sh\n")
            (programs / name).chmod(0o755)
        units = []
        for unit in sorted((ROOT / "deploy").glob("sockserve.s*")):
            text = unit.read_text().replace("/opt/sockserve/bin", str(programs.absolute()))
            units.append(folder / unit.name)
            units[-1].write_text(text)
        self.assertEqual(len(units), 2)
        done = subprocess.run(
            ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
