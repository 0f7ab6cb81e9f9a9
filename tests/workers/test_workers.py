"""Workers: real processes that serve the same ports, killed, stopped, and replaced."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from tests.support.authority import Authority
from tests.support.twistd import PATIENCE, ROOT, TWISTD, Server, failing, running

LISTEN = "tcp:0:interface=127.0.0.1"


def pid(_message: bytes, _channel: Channel) -> bytes:
    """A handler: who answers."""
    return b"%d\n" % os.getpid()


def ask(address: tuple[str, int], message: bytes = b"?") -> bytes:
    """A line of an answer, on a connection of its own."""
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(message)
        return line_of(client)


def line_of(client: socket.socket) -> bytes:
    client.settimeout(PATIENCE)
    line = b""
    while not line.endswith(b"\n"):
        data = client.recv(100)
        if not data:
            raise ConnectionError(f"the stream ended after {line!r}")
        line += data
    return line


def children(process: int) -> list[int]:
    """The processes of a server whose workers fork (Linux), without the one that they fork from, which is the first."""
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()][1:]


def await_end(process: int) -> None:
    """Wait until a process is over (Linux)."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        if not select.select([handle], [], [], PATIENCE)[0]:
            raise AssertionError(f"process {process} goes on")
    finally:
        os.close(handle)


def has_answer(client: socket.socket) -> bool:
    """Whether something has come that is not the end of the stream."""
    if not select.select([client], [], [], 0)[0]:
        return False
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except ConnectionError:
        return False


class WorkerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def start(
        self,
        *sockets: str,
        program: str = "workers = 2",
        listen: int = 1,
        folder: Path | None = None,
        fresh: bool = False,
    ) -> Server:
        """A server with these tables of sockets; all its workers serve.

        folder: where modules are searched for too. fresh: it and its workers are new interpreters, as for its users.
        """
        file = self.folder / "sockserve.toml"
        file.write_text("\n".join([program, *sockets]))
        stack = ExitStack()
        self.addCleanup(stack.close)
        server = stack.enter_context(
            running("--config", str(file), listen=listen, folder=folder, fresh=fresh, forks=not fresh)
        )
        server.wait_for("workers serve")
        return server

    def serving(self, server: Server) -> set[int]:
        """Those of its processes that answer."""
        return {int(ask(server.address)) for _ in range(40)}


PID = f'[socket.pid]\nlisten = "{LISTEN}"\nhandler = "tests.workers.test_workers:pid"'


class ServingTests(WorkerCase):
    def test_clients_are_shared_out_evenly(self) -> None:
        server = self.start(PID, program="workers = 4")
        counts = Counter(ask(server.address) for _ in range(1600))
        self.assertEqual(len(counts), 4)
        for count in counts.values():
            self.assertTrue(300 <= count <= 500, counts)

    def test_one_that_is_killed_is_replaced_and_who_waited_for_it_is_served(self) -> None:
        server = self.start(PID, fresh=True)
        first, _ = serving = sorted(self.serving(server))
        os.kill(first, signal.SIGSTOP)
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(server.address, PATIENCE)) for _ in range(200)]
            for client in clients:
                client.sendall(b"?")
            os.kill(first, signal.SIGKILL)
            answers = Counter(int(line_of(client)) for client in clients)
        self.assertEqual(sum(answers.values()), 200)
        self.assertNotIn(first, answers)
        (new,) = set(answers) - set(serving)
        self.assertEqual(
            server.wait_for("SIGKILL").rstrip().rpartition("] ")[2], f"worker {first}, serving, was ended by SIGKILL"
        )
        self.assertEqual(self.serving(server), {serving[1], new})
        self.assertEqual(server.stop().count("aborted"), 0)
        self.assertEqual(server.process.returncode, 0)

    def test_all_kinds_of_endpoints(self) -> None:
        authority = Authority(str(self.folder / "tls"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            os.set_inheritable(listening.fileno(), True)
            pids = 'handler = "tests.workers.test_workers:pid"'
            server = self.start(
                f'[socket.unix]\nlisten = "unix:{self.folder}/x"\n{pids}',
                f'[socket.tls]\nlisten = "{LISTEN}"\ntls = {{ certificate = "{authority.server}" }}\n{pids}',
                f'[socket.proxy]\nlisten = "{LISTEN}"\nproxy_protocol = true\n{pids}',
                f'[socket.udp]\nlisten = "udp:0"\n{pids}',
                listen=4,
            )
        known = {*map(int, map(str, children(server.process.pid)))}
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{self.folder}/x")
            client.sendall(b"?")
            self.assertIn(int(line_of(client)), known)
        addresses = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in server.addresses[1:])]
        context = ssl.create_default_context(cafile=str(authority.ca))
        with context.wrap_socket(socket.create_connection(addresses[0]), server_hostname="localhost") as client:
            client.sendall(b"?")
            self.assertIn(int(line_of(client)), known)
        self.assertIn(int(ask(addresses[1], b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n?")), known)
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.settimeout(PATIENCE)
            sender.sendto(b"?", addresses[2])
            self.assertIn(int(sender.recv(100)), known)
        server.stop()
        self.assertFalse((self.folder / "x").exists())


class LimitTests(WorkerCase):
    def connect(self, server: Server) -> socket.socket:
        client = socket.create_connection(server.address, PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"?")
        return client

    def test_one_client_at_a_time_whoever_serves_it(self) -> None:
        server = self.start(f"{PID}\nmax_connections = 1", program="workers = 3")
        first = self.connect(server)
        serving = int(line_of(first))
        others = [self.connect(server) for _ in range(8)]
        for _ in range(20):
            first.sendall(b"?")
            line_of(first)
            self.assertEqual(select.select(others, [], [], 0)[0], [])
        # The place of a worker that has died is free.
        os.kill(serving, signal.SIGKILL)
        served = 0
        while others:
            for answered in select.select(others, [], [], PATIENCE)[0]:
                others.remove(answered)
                try:
                    line_of(answered)
                except ConnectionError:
                    # It was with the one that was killed.
                    continue
                served += 1
                self.assertEqual([each for each in others if has_answer(each)], [])
                answered.close()
        self.assertGreater(served, 0)

    def test_what_one_peer_may_have_and_what_is_refused(self) -> None:
        other = PID.replace("socket.pid", "socket.full")
        server = self.start(
            f"{PID}\nmax_connections_per_peer = 2", f'{other}\nmax_connections = 2\nwhen_full = "refuse"', listen=2
        )
        addresses = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in server.addresses)]
        clients = []
        for address, words in zip(
            addresses,
            ("127.0.0.1 already has 2 connections (max_connections_per_peer)", "2 already connected (max_connections)"),
            strict=True,
        ):
            for _ in range(2):
                client = socket.create_connection(address, PATIENCE)
                self.addCleanup(client.close)
                clients.append(client)
                client.sendall(b"?")
                line_of(client)
            self.assert_refused(address)
            server.wait_for(words)
        # Who has a place keeps it in a reload.
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("have ended")
        for address in addresses:
            self.assert_refused(address)
        for client in clients:
            client.sendall(b"?")
            line_of(client)

    def assert_refused(self, address: tuple[str, int]) -> None:
        for _ in range(4):
            with socket.create_connection(address, PATIENCE) as late:
                self.assertEqual(late.recv(10), b"")


class EndTests(WorkerCase):
    def test_a_signal_drains_all_of_them(self) -> None:
        server = self.start(PID)
        with socket.create_connection(server.address) as client:
            client.sendall(b"?")
            line_of(client)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(client.recv(10), b"")
        server.wait()
        self.assertEqual(server.process.returncode, 0)

    def test_a_second_signal_ends_all_of_them_at_once(self) -> None:
        server = self.start(
            f'[socket.stuck]\nlisten = "{LISTEN}"\nhandler = "tests.server.test_drain:stuck"\nthreads = true'
        )
        workers = children(server.process.pid)
        with socket.create_connection(server.address) as client:
            client.sendall(b"?")
            self.assertEqual(client.recv(10), b"stuck")
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("SIGTERM")
            server.process.send_signal(signal.SIGTERM)
            server.wait()
            self.assertEqual(client.recv(10), b"")
        self.assertEqual(server.process.returncode, -signal.SIGTERM)
        for worker in workers:
            await_end(worker)

    def test_they_end_when_their_supervisor_is_killed(self) -> None:
        server = self.start(PID)
        workers = children(server.process.pid)
        with socket.create_connection(server.address) as client:
            client.sendall(b"?")
            line_of(client)
            server.process.send_signal(signal.SIGKILL)
            self.assertEqual(client.recv(10), b"")
        server.wait()
        for worker in workers:
            await_end(worker)


class StartTests(WorkerCase):
    def test_a_port_that_is_taken_is_one_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            ended = failing("--workers", "2", "--listen", endpoint)
        self.assertEqual(ended.returncode, 1)
        lines = ended.stderr.splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("--listen: Couldn't listen on 127.0.0.1:", lines[0])

    def test_nor_are_ports_shared_with_another_program_that_has_workers(self) -> None:
        server = self.start(PID)
        ended = failing("--workers", "2", "--listen", f"tcp:{server.address[1]}:interface=127.0.0.1")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("Address already in use", ended.stderr)

    def test_workers_that_die_when_they_start_are_not_started_without_end(self) -> None:
        flag = self.folder / "die"
        (self.folder / "dying.py").write_text(
            f"import os\nif os.path.exists({str(flag)!r}):\n    os._exit(3)\n"
            "def answer(message, channel):\n    return b'%d\\n' % os.getpid()\n"
        )
        (self.folder / "sockserve.toml").write_text(
            f'workers = 1\n[socket.x]\nlisten = "{LISTEN}"\nhandler = "dying:answer"\n'
        )
        with running("--config", str(self.folder / "sockserve.toml"), folder=self.folder, forks=True) as server:
            server.wait_for("workers serve")
            first = int(ask(server.address))
            flag.touch()
            os.kill(first, signal.SIGKILL)
            with socket.create_connection(server.address) as client:
                client.sendall(b"?")
                server.wait_for("starting, ended with status 3")
                flag.unlink()
                # By the one that was ready, or by the next one that can start.
                self.assertNotEqual(int(line_of(client)), first)
            self.assertLess("".join(server.lines).count("ended with status 3"), 4)

    def test_a_daemon_whose_workers_cannot_start_is_one_line_too(self) -> None:
        # It can be imported where it is checked, and in no worker.
        (self.folder / "shop.py").write_text(
            "import sys\nassert 'worker' not in sys.argv[0]\ndef answer(message, channel):\n    return message\n"
        )
        command = [*TWISTD[:-1], f"--pidfile={self.folder / 'pid'}", f"--logfile={self.folder / 'log'}", "sockserve"]
        ended = subprocess.run(
            [*command, "--workers", "2", "--listen", LISTEN, "--handler", "shop:answer"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(ended.returncode, 1)
        (line,) = ended.stderr.splitlines()
        self.assertIn("--handler: 'shop:answer': cannot import shop: AssertionError", line)
        self.assertFalse((self.folder / "pid").exists())


class DialOutTests(WorkerCase):
    """A socket with `connect`, of which one process makes the connection."""

    def scale(self, device: socket.socket) -> str:
        host, port = device.getsockname()
        handler = "tests.workers.test_workers:pid"
        return f'[socket.scale]\nconnect = "tcp:{host}:{port}"\nframing = "int8"\nhandler = "{handler}"'

    def talk(self, connection: socket.socket) -> int:
        """The process that has the connection."""
        connection.settimeout(PATIENCE)
        connection.sendall(b"\x01?")
        return int(connection.recv(100)[1:])

    def test_one_worker_connects_and_the_one_in_its_place_when_it_dies(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as device, ExitStack() as stack:
            device.settimeout(PATIENCE)
            server = self.start(self.scale(device), program='workers = 2\ndrain_timeout = "1s"', listen=0)
            connection = stack.enter_context(device.accept()[0])
            first = self.talk(connection)
            os.kill(first, signal.SIGKILL)
            connection = stack.enter_context(device.accept()[0])
            second = self.talk(connection)
            self.assertNotEqual(first, second)
            # A reload: it goes on, in a new process.
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("from before the reload have ended")
            self.assertNotEqual(self.talk(connection), second)
            device.setblocking(False)
            with self.assertRaises(BlockingIOError):
                device.accept()
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(connection.recv(100), b"")
            connection.close()
            server.wait()

    def test_one_that_cannot_move_is_over_before_the_new_worker_connects(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as device, ExitStack() as stack:
            device.settimeout(PATIENCE)
            program = 'workers = 2\ndrain_timeout = "1s"'
            server = self.start(self.scale(device), program=program, listen=0)
            connection = stack.enter_context(device.accept()[0])
            changed = "\n".join([program, self.scale(device), 'greeting = "NEW"'])
            (self.folder / "sockserve.toml").write_text(changed)
            server.process.send_signal(signal.SIGHUP)
            # Never silent, so it goes on for a part of drain_timeout.
            connection.settimeout(PATIENCE)
            answer = b"?"
            while answer:
                connection.sendall(b"\x01?")
                answer = connection.recv(100)
            device.setblocking(False)
            with self.assertRaises(BlockingIOError):
                device.accept()
            connection.close()
            device.settimeout(PATIENCE)
            connection = stack.enter_context(device.accept()[0])
            connection.settimeout(PATIENCE)
            self.assertEqual(connection.recv(4), b"\x03NEW")
