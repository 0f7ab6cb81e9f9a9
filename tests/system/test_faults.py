"""What goes wrong around a server, in real processes: handlers, descriptors, disks, peers, clocks. The rest goes on."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import struct
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import twistd
from tests.support.processes import PIPE, ROOT, Process
from tests.support.twistd import PATIENCE, Server, running

LOCAL = "tcp:0:interface=127.0.0.1"
GOOD = f"""
    [socket.good]
    listen = "{LOCAL}"
    framing = "windev"
    max_length = "64M"
    close_timeout = "500ms"
"""
MUCH = bytes(24_000_000)
"""More than the kernel takes for a peer that does not read."""


class FaultCase(SynchronousTestCase):
    """A server with one named socket that echoes, and others beside it."""

    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        # Not of trial: a path in there may be too long for a unix socket.
        self.directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))

    def serve(self, *sockets: str, whole: str = "drain_timeout = '10s'") -> Server:
        """`good` first, then one more for each table."""
        path = self.directory / "sockserve.toml"
        path.write_text("\n".join((whole, GOOD, *sockets)))
        self.server = self.stack.enter_context(running("--config", str(path), listen=1 + len(sockets)))
        return self.server

    def client(self, number: int = 0) -> socket.socket:
        """A connection to that named socket."""
        host, _, port = self.server.addresses[number].rpartition(":")
        client = socket.create_connection((host, int(port)), PATIENCE)
        self.addCleanup(client.close)
        return client

    def answer(self, client: socket.socket, message: bytes) -> bytes:
        """What comes back for it, as windev; b"" when the connection ends first."""
        client.sendall(b"%d\r\n%b" % (len(message), message))
        return self.receive(client, len(b"%d\r\n%b" % (len(message), message))).partition(b"\r\n")[2]

    def receive(self, client: socket.socket, count: int) -> bytes:
        received = bytearray()
        while len(received) < count and (data := client.recv(min(1 << 20, count - len(received)))):
            received += data
        return bytes(received)

    def deaf(self) -> socket.socket:
        """A client that is owed much, and does not read it."""
        client = self.client()
        client.sendall(b"%d\r\n%b" % (len(MUCH), MUCH))
        self.assertEqual(self.receive(client, 10), b"24000000\r\n")
        return client

    def assert_goes_on(self) -> None:
        """A client that comes now is served."""
        with self.client() as client:
            self.assertEqual(self.answer(client, b"still there?"), b"still there?")

    def settled(self) -> int:
        """Descriptors, counted while a client is served, so that the server has done with all before it."""
        with self.client() as client:
            self.assertEqual(self.answer(client, b"x"), b"x")
            return self.server.descriptors()


def reset(client: socket.socket) -> None:
    """Leave with a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class HandlerTests(FaultCase):
    def table(self, handler: str, more: str = "") -> str:
        return f"""
            [socket.{handler}]
            listen = "{LOCAL}"
            framing = "windev"
            handler = "tests.support.faulty:{handler}"
            {more}
        """

    def test_a_handler_that_raises_ends_its_connection_only(self) -> None:
        self.serve(self.table("raising"))
        beside = self.client()
        self.assertEqual(self.answer(beside, b"before"), b"before")
        for _ in range(20):
            self.assertEqual(self.answer(self.client(1), b"boo"), b"")
        self.assertEqual(self.answer(beside, b"after"), b"after")
        self.assertEqual(self.server.stop().count("RuntimeError: told to by b'boo'"), 20)

    def test_a_handler_that_never_answers_holds_up_neither_others_nor_the_end(self) -> None:
        self.serve(self.table("silent"), whole="drain_timeout = '200ms'")
        clients = [self.client(1) for _ in range(20)]
        for client in clients:
            client.sendall(b"1\r\nx" * 1000)
        self.assert_goes_on()
        log = self.server.stop()
        self.assertIn("silent: 20 connections aborted, not finished within 0.2 seconds (drain_timeout)", log)

    def test_handlers_that_block_in_threads_hold_up_neither_others_in_threads_nor_the_end(self) -> None:
        self.serve(
            self.table("blocking", "threads = true"),
            self.table("upper", "threads = true"),
            whole="drain_timeout = '200ms'",
        )
        stuck = [self.client(1) for _ in range(30)]
        for client in stuck:
            client.sendall(b"1\r\nx" * 5)
        self.assert_goes_on()
        self.assertEqual(self.answer(self.client(2), b"hello"), b"HELLO")
        log = self.server.stop()
        self.assertIn("blocking: 30 connections aborted", log)
        self.assertIn("Server Shut Down", log)


class DescriptorTests(FaultCase):
    LIMIT = 40

    def limit(self, descriptors: int) -> None:
        process = self.server.process.pid
        _, most = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors, most))

    def leave(self, more: int) -> None:
        """Let the server have so many more than it has with a client that stays. The limit is of their numbers."""
        beside = self.client()
        self.assertEqual(self.answer(beside, b"x"), b"x")
        numbers = self.server.descriptor_numbers()
        free = (number for number in count() if number not in numbers)
        self.limit(next(islice(free, more, None)))

    def test_at_the_limit_clients_wait_their_turn_at_no_cost_and_with_one_line(self) -> None:
        self.serve()
        beside = self.client()
        self.assertEqual(self.answer(beside, b"before"), b"before")
        self.limit(self.LIMIT)
        # More than it can serve, and no more than wait with the kernel beside those: 50 for an endpoint.
        clients = [self.client() for _ in range(self.LIMIT + 20)]
        for client in clients:
            client.sendall(b"2\r\nok")
        self.server.wait_for("good: connections have to wait: Too many open files")
        self.assertEqual(self.server.descriptors(), self.LIMIT)
        self.assertEqual(self.answer(beside, b"while full"), b"while full")
        used = self.server.cpu()
        clients[-1].settimeout(1.2)
        with self.assertRaises(TimeoutError):
            clients[-1].recv(1)
        self.assertLess(self.server.cpu() - used, 0.2)
        # In the order of their arrival, each when one before it has left.
        for client in clients:
            client.settimeout(PATIENCE)
            self.assertEqual(self.receive(client, 5), b"2\r\nok")
            client.close()
        self.assert_goes_on()
        log = self.server.stop()
        self.assertEqual(log.count("connections have to wait"), 1)
        self.assertNotIn("EMFILE", log)
        self.assertNotIn("Traceback", log)

    def test_a_descriptor_that_frees_elsewhere_is_found(self) -> None:
        self.serve()
        self.leave(0)
        client = self.client()
        client.sendall(b"2\r\nok")
        self.server.wait_for("connections have to wait")
        self.limit(self.LIMIT)
        self.assertEqual(self.receive(client, 5), b"2\r\nok")

    def test_a_forward_that_leads_back_to_itself_unseen_ends_at_the_last_descriptor(self) -> None:
        path, other = self.directory / "circle", self.directory / "other"
        other.symlink_to(path)
        self.serve(f"[socket.circle]\nlisten = 'unix:{path}'\nhandler = 'forward:unix:{other}'")
        # An odd number more: the first that cannot be had is for a connection to the target; one from there would wait.
        self.leave(25)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            self.assertEqual(client.recv(1), b"")
        self.assert_goes_on()
        log = self.server.stop()
        self.assertIn("circle unix:: no connection to ", log)
        self.assertNotIn("Traceback", log)


class LogTests(FaultCase):
    def start(self, log: str) -> Callable[[], socket.socket]:
        """twistd with that log file, and a way to connect to it."""
        path = self.directory / "s"
        options = ("--pidfile=", f"--logfile={log}", "sockserve", "--listen", f"unix:{path}", "--framing", "windev")
        self.process = Process([*twistd.TWISTD, *options], cwd=ROOT, stdout=PIPE, stderr=PIPE)
        self.addCleanup(self.stop)

        def connect() -> socket.socket:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            self.addCleanup(client.close)
            client.connect(str(path))
            return client

        # There is no log to read the address from, and the file is there before the socket listens.
        while True:
            self.assertIsNone(self.process.poll())
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                connect().close()
                return connect

    def stop(self) -> tuple[bytes, bytes]:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=PATIENCE)

    def resident(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def bad_frames(self, connect: Callable[[], socket.socket], count: int) -> None:
        """Each is a line for the log, behind a message that is answered."""
        for _ in range(count):
            with connect() as client:
                self.assertEqual(self.answer(client, b"ok"), b"ok")
                client.sendall(b"x")
                self.assertEqual(client.recv(10), b"")

    def test_a_log_on_a_full_disk_stops_no_one(self) -> None:
        connect = self.start("/dev/full")
        self.bad_frames(connect, 200)
        before = self.resident()
        self.bad_frames(connect, 1000)
        self.assertLess(self.resident() - before, 2 << 20)
        self.assertEqual(self.stop(), (b"", b""))

    def test_a_log_that_may_not_grow_goes_on_when_it_may(self) -> None:
        path = self.directory / "log"
        connect = self.start(str(path))
        # With an answer, all lines of the start are written.
        with connect() as client:
            self.assertEqual(self.answer(client, b"ok"), b"ok")
        size = path.stat().st_size
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        self.bad_frames(connect, 100)
        self.assertEqual(path.stat().st_size, size)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.bad_frames(connect, 1)
        self.stop()
        # The line of that frame, or one that counts it with those before it.
        self.assertRegex(path.read_text(), r"malformed header b'x'|more lines of this kind \(on_bad_frame\)")


class PeerTests(FaultCase):
    def test_resets_at_every_stage_leave_nothing_behind(self) -> None:
        self.serve()
        before = self.settled()
        beside = self.client()
        for _ in range(20):
            at_once = self.client()
            reset(at_once)
            in_a_frame = self.client()
            in_a_frame.sendall(b"2\r\nok10\r\nabc")
            self.assertEqual(self.receive(in_a_frame, 5), b"2\r\nok")
            reset(in_a_frame)
            half_closed = self.client()
            half_closed.sendall(b"2\r\nok")
            half_closed.shutdown(socket.SHUT_WR)
            reset(half_closed)
            self.assertEqual(self.answer(beside, b"beside"), b"beside")
        owed = self.deaf()
        reset(owed)
        beside.close()
        self.assertEqual(self.settled(), before)
        self.assertNotIn("Traceback", self.server.stop())

    def test_a_reset_during_the_drain_ends_it(self) -> None:
        self.serve(whole="drain_timeout = '5min'")
        owed = self.deaf()
        self.server.process.send_signal(signal.SIGTERM)
        self.server.wait_for("Closed)")
        reset(owed)
        log = self.server.wait()
        self.assertNotIn("aborted", log)
        self.assertNotIn("Traceback", log)

    def test_a_peer_that_half_closes_and_never_reads_is_aborted(self) -> None:
        self.serve()
        before = self.settled()
        deaf = self.client()
        deaf.sendall(b"%d\r\n%b" % (len(MUCH), MUCH))
        deaf.shutdown(socket.SHUT_WR)
        self.server.wait_for("read nothing of what it was owed (close_timeout)")
        self.assert_goes_on()
        self.assertEqual(self.settled(), before)


JUMPING = """
import os, signal, time
clock, offset = time.time, 0
def jump(number, frame):
    global offset
    offset += 3600 if number == signal.SIGUSR1 else -3600
    os.write(1, b"jumped\\n")
time.time = lambda: clock() + offset
signal.signal(signal.SIGUSR1, jump)
signal.signal(signal.SIGUSR2, jump)
from twisted.scripts.twistd import run
run()
"""
"""twistd with a time of day that goes on by an hour at SIGUSR1 and back by one at SIGUSR2."""


class ClockTests(FaultCase):
    def setUp(self) -> None:
        super().setUp()
        executable, _c, _program, *rest = twistd.TWISTD
        self.patch(twistd, "TWISTD", (executable, "-c", JUMPING, *rest))

    def jump(self, by: signal.Signals) -> None:
        self.server.process.send_signal(by)
        self.server.wait_for("jumped")

    def test_set_forward_it_cuts_no_one_off(self) -> None:
        self.serve(whole="drain_timeout = '5min'")
        idle, slow = self.client(), self.deaf()
        self.server.process.send_signal(signal.SIGTERM)
        # The drain has begun.
        self.assertEqual(idle.recv(1), b"")
        self.jump(signal.SIGUSR1)
        self.assertTrue(self.receive(slow, len(MUCH)) == MUCH)
        idle.close()
        slow.close()
        self.assertNotIn("aborted", self.server.wait())

    def test_set_back_it_ends_what_is_to_end(self) -> None:
        self.serve()
        deaf = self.deaf()
        self.jump(signal.SIGUSR2)
        deaf.shutdown(socket.SHUT_WR)
        self.server.wait_for("read nothing of what it was owed (close_timeout)")
        self.assert_goes_on()
