"""deploy/haproxy.cfg: a real HAProxy in front of three servers, each of which is started anew while clients ask.

haproxy must be installed (`apt-get install haproxy`): without it these tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from unittest import SkipTest

from twisted.internet.address import IPv4Address
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.server import draining
from tests.support import processes
from tests.support.programs import installed
from tests.support.twistd import PATIENCE, ROOT, Server

CONFIGURATION = ROOT / "deploy/haproxy.cfg"
NAMES = ("one", "two", "three")
QUESTION = b"\0\0\0\x05hello"

log = Logger()


async def echo(channel: Channel) -> None:
    """Runs in the servers: says who is there, and echoes."""
    # A busy machine may hold up a client for longer than the second after which it counts as silent.
    draining.QUIET = 10.0
    peer, proxied = channel.info.peer, channel.info.proxy
    assert isinstance(peer, IPv4Address)
    assert proxied is not None
    if not proxied.header.local:
        # No health check.
        log.info("serves {host}:{port}", host=peer.host, port=peer.port)
    async for message in channel:
        await channel.write(message)


class Machine:
    """One of the machines: an address of its own, and a server there that can be started anew."""

    def __init__(self, number: int) -> None:
        # Of loopback, and of this process only. No connection takes such an address for its own side of it.
        process = os.getpid() & 0x3FFF
        self.address = f"127.{64 + (process >> 8)}.{process & 255}.{number + 1}"
        self.logs: list[str] = []
        self.statuses: list[int | None] = []
        self.start()

    def start(self) -> None:
        self.server = Server(
            "--listen",
            f"tcp:7000:interface={self.address}:backlog=1024",
            "--framing",
            "int32",
            "--conversation",
            "tests.system.test_haproxy:echo",
            "--proxy-protocol",
            # Half of it is for those who ask without a pause, however slow this machine is.
            "--drain-timeout",
            "2min",
        )

    def stop(self) -> None:
        self.logs.append(self.server.stop())
        self.statuses.append(self.server.process.returncode)

    @property
    def served(self) -> list[str]:
        """The clients, by address."""
        return re.findall(r"serves (\S+)", "".join(self.logs))


@contextmanager
def balanced(machines: list[Machine], folder: Path) -> Iterator[tuple[str, int]]:
    """The address of a haproxy with our configuration, in front of them."""
    program = installed("haproxy")
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        text = CONFIGURATION.read_text()
        changes = [
            (r"^ *(user|group|chroot) .*\n", ""),
            (r"stats socket \S+", f"stats socket {folder}/admin.sock"),
            # A busy machine may answer a check late: that is not what is tried here.
            (r"timeout check 1s", "timeout check 30s"),
            (r"fall 2", "fall 30"),
            # More descriptors than a test may have.
            (r"maxconn 20000", "maxconn 200"),
            (r"bind :7000", f"bind fd@{listening.fileno()}"),
            # A second is long for a test; which machine is next is not what it is about.
            (r"slowstart \S+", ""),
            *(
                (rf"server {name} \S+", f"server {name} {each.address}:7000")
                for name, each in zip(NAMES, machines, strict=True)
            ),
        ]
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert count, pattern
        file = folder / "haproxy.cfg"
        file.write_text(text)
        process = subprocess.Popen(
            [program, "-db", "-f", str(file)],
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            host, port = listening.getsockname()
            yield host, port
        finally:
            process.kill()
            process.wait()


class Rounds:
    """Clients that come and go until they are stopped: some of `sockserve bench`, some that ask once.

    errors: what was wrong, so far.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.errors: list[str] = []
        self._address = address
        self._stopping = Event()
        self._threads = [Thread(target=self._run, args=(each,)) for each in (self._bench, *[self._ask] * 4)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, once: Callable[[], None]) -> None:
        while not self._stopping.is_set() and not self.errors:
            try:
                once()
            except Exception as error:
                self.errors.append(repr(error))

    def _bench(self) -> None:
        endpoint = "tcp:{}:{}".format(*self._address)
        options = ("-f", "int32", "-c", "9", "-w", "2", "-n", "3000")
        command = [sys.executable, "-m", "sockserve", "bench", endpoint, *options]
        bench = processes.run(command, cwd=ROOT, text=True, timeout=PATIENCE)
        assert bench.returncode == 0, bench.stdout + bench.stderr

    def _ask(self) -> None:
        ask(self._address)


def ask(address: tuple[str, int]) -> str:
    """A client with one question. Returns its address."""
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(QUESTION)
        answer = client.recv(len(QUESTION), socket.MSG_WAITALL)
        host, port = client.getsockname()
        assert answer == QUESTION, f"{host}:{port} has {answer!r}"
        return f"{host}:{port}"


class HAProxyTests(SynchronousTestCase):
    def test_haproxy_accepts_the_configuration(self) -> None:
        text = re.sub(r"^ *(user|group) .*\n", "", CONFIGURATION.read_text(), flags=re.MULTILINE)
        with TemporaryDirectory() as folder:
            file = Path(folder, "haproxy.cfg")
            # Not everywhere is there a user with that name.
            file.write_text(text)
            command = [installed("haproxy"), "-c", "-f", str(file)]
            checked = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked.stdout)

    def test_servers_that_are_started_anew_one_after_the_other_lose_no_answer(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("only Linux has all of 127.0.0.0/8")
        installed("haproxy")
        machines = [Machine(number) for number in range(len(NAMES))]
        try:
            with TemporaryDirectory() as folder, balanced(machines, Path(folder)) as address:
                known = {ask(address) for _ in range(6)}
                rounds = Rounds(address)
                try:
                    for machine in machines:
                        self.restart(machine, rounds)
                finally:
                    rounds.stop()
            self.assertEqual(rounds.errors, [])
        finally:
            for machine in machines:
                machine.stop()
        self.assertEqual([machine.statuses for machine in machines], [[0, 0]] * 3)
        served = [address for machine in machines for address in machine.served]
        self.assertTrue(known <= set(served), (known, served))
        for machine in machines:
            self.assertGreater(len(machine.served), 2)
            self.assertNotIn("aborted", "".join(machine.logs))

    def restart(self, machine: Machine, rounds: Rounds) -> None:
        """As an upgrade does it, once a round has begun there; and wait until it serves again."""
        self.await_client(machine, rounds, len(machine.server.lines))
        machine.server.process.send_signal(signal.SIGTERM)
        machine.stop()
        machine.start()
        self.await_client(machine, rounds, 0)

    def await_client(self, machine: Machine, rounds: Rounds, start: int) -> None:
        """Wait until it serves one, after so many lines of its log."""
        while not any("serves" in line for line in machine.server.lines[start:]):
            # After an error no more clients come.
            self.assertEqual(rounds.errors, [])
            machine.server.wait_for_news()
