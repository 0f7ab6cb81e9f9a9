"""The load of bench/compare, in C: it counts what comes back, and believes no server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bench.compare.toolchain import LOAD

FRAME = b"\x00\x00\x00\x0bHello World"


def echo(data: bytes, asker: socket.socket, _: list[socket.socket]) -> None:
    asker.sendall(data)


def relay(data: bytes, asker: socket.socket, clients: list[socket.socket]) -> None:
    for client in clients:
        if client is not asker:
            client.sendall(data)


def lie(data: bytes, asker: socket.socket, _: list[socket.socket]) -> None:
    asker.sendall(data[:-1] + b"?")


def repeat(data: bytes, asker: socket.socket, _: list[socket.socket]) -> None:
    asker.sendall(data * 2)


def leave(_: bytes, asker: socket.socket, __: list[socket.socket]) -> None:
    asker.shutdown(socket.SHUT_WR)


class LoadTests(SynchronousTestCase):
    if not shutil.which("gcc"):
        skip = "gcc is not installed"

    def loaded(
        self,
        answer: Callable[[bytes, socket.socket, list[socket.socket]], None],
        connections: int = 1,
        window: int = 1,
        mode: str = "echo",
        frame: bytes = FRAME,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it for a moment against a server that answers like this."""
        with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
            program = Path(folder) / "load"
            subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-o", program, LOAD], check=True)
            clients: list[socket.socket] = []

            def serve(client: socket.socket) -> None:
                try:
                    while data := client.recv(65536):
                        answer(data, client, clients)
                except OSError:
                    pass  # it has seen enough, and left

            numbers = (listener.getsockname()[1], connections, window, 0.01, 0.05, os.getpid())
            with subprocess.Popen(
                [str(program), *map(str, numbers), mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process:
                clients += [listener.accept()[0] for _ in range(connections)]
                threads = [threading.Thread(target=serve, args=(client,)) for client in clients]
                for thread in threads:
                    thread.start()
                out, error = process.communicate(frame, timeout=60)
            for thread in threads:
                thread.join()
            for client in clients:
                client.close()
            return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def assert_counts(self, ran: subprocess.CompletedProcess[bytes]) -> None:
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        first, report = ran.stdout.decode().splitlines()
        self.assertEqual(first, "connected")
        found = json.loads(report)
        self.assertTrue(found["frames"] > 0 and found["cpu"] > 0 and found["seconds"] >= 0.05, found)

    def assert_refuses(self, ran: subprocess.CompletedProcess[bytes], words: bytes) -> None:
        self.assertEqual((ran.returncode, ran.stderr), (1, words + b"\n"))
        self.assertEqual(ran.stdout, b"connected\n")

    def test_one_frame_at_a_time(self) -> None:
        self.assert_counts(self.loaded(echo, connections=3))

    def test_many_frames_in_flight(self) -> None:
        self.assert_counts(self.loaded(echo, connections=2, window=500))

    def test_a_frame_that_is_longer_than_a_read(self) -> None:
        self.assert_counts(self.loaded(echo, frame=os.urandom(700_001)))

    def test_a_relay(self) -> None:
        self.assert_counts(self.loaded(relay, connections=4, window=3, mode="relay"))

    def test_a_wrong_byte(self) -> None:
        self.assert_refuses(self.loaded(lie, window=5), b"a wrong byte came back")

    def test_more_than_was_sent(self) -> None:
        self.assert_refuses(self.loaded(repeat), b"more came back than was sent")

    def test_the_end_of_the_stream(self) -> None:
        self.assert_refuses(self.loaded(leave), b"the server ended the stream")
