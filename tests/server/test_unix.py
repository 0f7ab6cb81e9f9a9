"""Unix sockets: what a server that is gone has left, servers that live, and two that start at once."""

from __future__ import annotations

import fcntl
import gc
import multiprocessing
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThread

from sockserve.server.endpoints import KINDS, opening
from sockserve.server.sockets import SocketServer
from tests.support.sockets import SocketCase


def exchange(path: str, count: int = 1) -> list[bytes]:
    """What an echo at that path answers to so many clients that end their stream."""
    answers = []
    for _ in range(count):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(path)
            client.sendall(b"hi")
            client.shutdown(socket.SHUT_WR)
            answers.append(client.recv(10))
    return answers


def contend(path: str, ready: Any) -> None:  # noqa: ANN401 - a Barrier
    """In a process of its own: start a server when all are ready. Ends with 0 when it has started, 1 when refused."""
    server = SocketServer("echo", f"unix:{path}")
    ready.wait(60)
    refused = 0
    try:
        server.startService()
    except CannotListenError:
        refused = 1
    # It lives until the others have tried.
    ready.wait(60)
    os._exit(refused)


class UnixCase(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        # Not mktemp(): the path of a unix socket may have about 100 bytes.
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = str(self.folder / "echo.sock")

    def start(self, options: str = "") -> SocketServer:
        return self.serve(SocketServer("echo", f"unix:{self.path}{options}"))

    async def assert_serves(self) -> None:
        self.assertEqual(await deferToThread(exchange, self.path), [b"hi"])

    def leave_socket(self) -> None:
        """What a server leaves that was killed."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.path)
            dead.listen()

    def leave_lock(self, process: int) -> None:
        """What Twisted leaves beside it."""
        Path(f"{self.path}.lock").symlink_to(str(process))

    def remove(self) -> None:
        """What an administrator does."""
        Path(self.path).unlink()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


class StaleTests(UnixCase):
    async def test_a_free_path_and_nothing_is_left_at_the_end(self) -> None:
        server = self.start()
        await self.assert_serves()
        self.assertEqual(self.files(), ["echo.sock"])
        await server.stopService()
        self.assertEqual(self.files(), [])

    async def test_the_socket_of_a_server_that_was_killed(self) -> None:
        self.leave_socket()
        self.start()
        await self.assert_serves()

    async def test_the_lock_of_twisted_whatever_process_it_names(self) -> None:
        for process in (os.getpid(), os.getppid(), 1, 2**22 + 1):
            with self.subTest(process=process):
                self.leave_socket()
                self.leave_lock(process)
                server = self.start()
                await self.assert_serves()
                self.assertEqual(self.files(), ["echo.sock"])
                await server.stopService()

    async def test_a_lock_without_a_socket(self) -> None:
        self.leave_lock(os.getpid())
        self.start()
        await self.assert_serves()

    async def test_a_link_that_names_no_process_is_left_alone(self) -> None:
        for name, left in (("0", ["echo.sock"]), ("elsewhere", ["echo.sock", "echo.sock.lock"])):
            self.relink(name)
            server = self.start()
            self.assertEqual(self.files(), left)
            await server.stopService()

    def relink(self, name: str) -> None:
        lock = Path(f"{self.path}.lock")
        lock.unlink(missing_ok=True)
        lock.symlink_to(name)

    async def test_a_folder_that_somebody_else_has_locked_only_takes_a_moment(self) -> None:
        self.leave_socket()
        opened = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, opened)
        fcntl.flock(opened, fcntl.LOCK_EX)
        self.start()
        await self.assert_serves()


class LivingTests(UnixCase):
    def assert_refused(self, reason: str) -> None:
        error = self.assertRaises(CannotListenError, SocketServer("second", f"unix:{self.path}").startService)
        self.assertEqual(str(error), f"Couldn't listen on unix:{self.path}: {reason}.")

    async def test_the_socket_of_a_server_that_answers_is_never_taken(self) -> None:
        self.start()
        for _ in range(3):
            self.assert_refused("a server answers there")
        await self.assert_serves()

    async def test_nor_with_a_stale_lock_beside_it(self) -> None:
        self.start()
        self.leave_lock(2**22 + 1)
        self.assert_refused("a server answers there")
        await self.assert_serves()

    def test_nor_of_one_that_accepts_nobody_and_whose_backlog_is_full(self) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.path)
            listening.listen(0)
            waiting = []
            for _ in range(5):
                client = socket.socket(socket.AF_UNIX)
                client.setblocking(False)
                self.addCleanup(client.close)
                waiting.append(client.connect_ex(self.path))
            self.assertTrue(any(waiting))
            self.assert_refused("a server answers there")

    def test_nor_one_of_another_kind(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(self.path)
            self.assert_refused("Protocol wrong type for socket")
            self.assertEqual(self.files(), ["echo.sock"])

    def test_a_file_that_is_no_socket_stays(self) -> None:
        Path(self.path).write_text("precious")
        self.assert_refused("what is there is not a socket")
        self.assertEqual(Path(self.path).read_text(), "precious")

    async def test_a_server_whose_file_was_removed_leaves_that_of_the_next_one_alone(self) -> None:
        first = self.start()
        self.remove()
        self.start()
        await first.stopService()
        await self.assert_serves()

    async def test_a_server_whose_file_was_removed_stops_all_the_same(self) -> None:
        server = self.start()
        self.remove()
        await server.stopService()
        self.assertEqual(self.logged("Traceback"), [])

    def test_of_several_that_start_at_once_one_gets_a_stale_socket(self) -> None:
        context = multiprocessing.get_context("spawn")
        count = 4
        self.leave_socket()
        ready = context.Barrier(count)
        processes = [context.Process(target=contend, args=(self.path, ready)) for _ in range(count)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        self.assertEqual(sorted(process.exitcode or 0 for process in processes), [0] + [1] * (count - 1))


class EndpointTests(UnixCase):
    def mode(self) -> int:
        return stat.S_IMODE(Path(self.path).stat().st_mode)

    async def test_the_mode_of_the_file(self) -> None:
        for options, mode in (("", 0o666), (":mode=660", 0o660), (":600", 0o600), (":mode=0700:lockfile=0", 0o700)):
            server = self.start(options)
            self.assertEqual(self.mode(), mode)
            await server.stopService()

    async def test_an_inherited_socket_and_its_file_stay_when_the_server_stops(self) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.path)
            listening.listen()
            server = self.serve(SocketServer("echo", f"fd:{listening.fileno()}"))
            await self.assert_serves()
            await server.stopService()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.path)
                listening.accept()[0].close()

    async def test_an_abstract_name_has_no_file(self) -> None:
        self.path = f"\0{self.path}"
        server = self.start()
        await self.assert_serves()
        self.assertRaises(CannotListenError, SocketServer("second", f"unix:{self.path}").startService)
        # Twisted leaves the socket that it could not bind to the garbage collector.
        gc.collect()
        self.flushWarnings()
        await server.stopService()
        self.assertEqual(self.files(), [])

    def test_a_folder_that_is_not_there_is_one_line(self) -> None:
        self.path = f"{self.folder}/none/echo.sock"
        error = self.assertRaises(CannotListenError, SocketServer("echo", f"unix:{self.path}").startService)
        self.assertEqual(str(error), f"Couldn't listen on unix:{self.path}: No such file or directory.")
        del error
        gc.collect()
        self.flushWarnings()

    def test_what_is_not_accepted_is_refused_in_one_line(self) -> None:
        for text, words in (
            ("unix:", "address is missing"),
            ("unix:mode=600", "address is missing"),
            ("unix:/x:mode=680", "the mode is an octal number such as 660, not '680'"),
            ("unix:/x:mode=rw", "the mode is an octal number such as 660, not 'rw'"),
            ("unix:/x:backlog=0", "'0' is not a whole number of 1 or more"),
            ("unix:/x:backlog=many", "'many' is not a whole number of 1 or more"),
            ("unix:/x:lockfile=yes", "'yes' is neither 0 nor 1"),
            ("unix:/x:mod=600", "there is no argument 'mod'"),
            ("unix:/x:600:5:1:7", "'7' is one argument too many"),
        ):
            error = self.assertRaises(ValueError, opening, text, "orders")
            self.assertEqual(str(error), f"{text!r}: {words}; accepted: {KINDS['unix'].form.accepted}")
