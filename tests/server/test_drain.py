"""How the program ends: real processes, real signals."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
import time
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, cast

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from tests.support.twistd import PATIENCE, Server, running

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase

LISTEN = ("--listen", "tcp:0:interface=127.0.0.1")
SIZE = 8 << 20


def large(_message: bytes, _channel: Channel) -> bytes:
    """A handler, in the server's process."""
    return bytes(SIZE)


def slow(message: bytes, _channel: Channel) -> bytes:
    """A handler that blocks for a while."""
    time.sleep(0.3)
    return message.upper()


def stuck(message: bytes, channel: Channel) -> bytes:
    """A handler that blocks for ever, once it has said so."""
    cast("ReactorBase", reactor).callFromThread(channel._protocol.sendMessage, b"stuck")
    Event().wait()
    return message


def busy(message: bytes, _channel: Channel) -> bytes:
    """Takes longer than a client needs to send more."""
    if next(_COUNT) % 100 == 0:
        time.sleep(0.001)
    return message


_COUNT = count()


def receive(client: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (data := client.recv(min(size - len(received), 1 << 20))):
        received += data
    return bytes(received)


class DrainTests(SynchronousTestCase):
    def connect(self, server: Server) -> socket.socket:
        client = socket.create_connection(server.address)
        client.settimeout(PATIENCE)
        self.addCleanup(client.close)
        return client

    def stopped(self, server: Server) -> int:
        """The exit status."""
        return server.process.wait(PATIENCE)

    def asked(self, server: Server) -> socket.socket:
        """A client that is owed 8 MB and has read the beginning of it."""
        client = self.connect(server)
        client.sendall(b"2\r\ngo")
        self.assertEqual(receive(client, 9), b"%d\r\n" % SIZE)
        return client

    def test_eight_megabytes_owed_to_a_slow_reader_arrive_and_the_status_is_0(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            options = *LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:large", "--max-length", "8M"
            with running(*options, "--drain-timeout", f"{PATIENCE}s") as server:
                idle, client = self.connect(server), self.asked(server)
                server.process.send_signal(number)
                # It is told that the program is stopping, and holds up nothing.
                self.assertEqual(idle.recv(1), b"")
                # The listener was closed first.
                with self.assertRaises(ConnectionRefusedError):
                    self.connect(server)
                self.assertIsNone(server.process.poll())
                self.assertEqual(receive(client, SIZE + 1), bytes(SIZE))
                self.assertEqual(self.stopped(server), 0)
                log = server.stop()
            self.assertNotIn("aborted", log)
            self.assertNotIn("Traceback", log)

    def test_under_load_every_answer_is_whole_and_the_connection_is_not_reset(self) -> None:
        message = b"5\r\nhello"
        # It must not have caught up with them: it would take them for idle, and need not wait for them.
        with running(*LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:busy") as server:
            answered = []

            def talk(client: socket.socket) -> None:
                def push() -> None:
                    try:
                        while True:
                            client.sendall(message * 100)
                    except OSError:
                        return

                pushing = Thread(target=push)
                pushing.start()
                answers = receive(client, 1 << 40)
                # The server has ended its stream; so does a good client.
                client.shutdown(socket.SHUT_RDWR)
                pushing.join(PATIENCE)
                answered.append(answers)

            clients = [self.connect(server) for _ in range(4)]
            talking = [Thread(target=talk, args=(client,)) for client in clients]
            for thread in talking:
                thread.start()
            for client in clients:
                client.recv(1, socket.MSG_PEEK)
            server.process.send_signal(signal.SIGTERM)
            for thread in talking:
                thread.join(PATIENCE)
            self.assertEqual(self.stopped(server), 0)
        self.assertEqual(len(answered), 4)
        for answers in answered:
            self.assertEqual(answers, message * (len(answers) // len(message)))

    def test_answers_under_way_in_threads_are_sent(self) -> None:
        options = *LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:slow", "--threads"
        with running(*options) as server:
            client = self.connect(server)
            client.sendall(b"1\r\na" * 5)
            self.assertEqual(receive(client, 4), b"1\r\nA")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(receive(client, 1 << 20), b"1\r\nA" * 4)
            self.assertEqual(self.stopped(server), 0)

    def test_what_is_left_at_the_deadline_is_counted_and_the_status_tells(self) -> None:
        options = *LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:large", "--max-length", "8M"
        with running(*options, "--drain-timeout", "200ms") as server:
            self.asked(server)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.stopped(server), -signal.SIGTERM)
            log = server.stop()
        self.assertIn("large: 1 connections aborted, not finished within 0.2 seconds (drain_timeout)", log)
        self.assertIn("large closed connections because of: drain_timeout 1", log)

    def test_a_signal_that_is_ignored_from_the_start_stays_ignored(self) -> None:
        """As a shell starts what goes on in the background: SIGINT is for the others."""
        ignoring = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            server = Server(*LISTEN, fresh=True)
        finally:
            signal.signal(signal.SIGINT, ignoring)
        server.process.send_signal(signal.SIGINT)
        with self.connect(server) as client:
            client.sendall(b"still there?")
            self.assertEqual(receive(client, 12), b"still there?")
        log = server.stop()
        self.assertNotIn("second signal", log)
        self.assertNotIn("Traceback", log)
        self.assertEqual(server.process.returncode, 0)

    def test_a_second_signal_ends_at_once(self) -> None:
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        pid_file = directory / "pid"
        options = *LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:large", "--max-length", "8M"
        with running(*options, "--drain-timeout", "10min", pid_file=str(pid_file)) as server:
            self.assertTrue(pid_file.exists())
            idle = self.connect(server)
            self.asked(server)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.recv(1), b"")
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(self.stopped(server), -signal.SIGINT)
            log = server.stop()
        self.assertIn("Received a second signal, SIGINT: ending at once", log)
        self.assertFalse(pid_file.exists())

    def test_a_pid_file_that_cannot_be_removed_does_not_hold_up_the_second_signal(self) -> None:
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        pid_file = directory / "pid"
        options = *LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:large", "--max-length", "8M"
        with running(*options, "--drain-timeout", "10min", pid_file=str(pid_file)) as server:
            pid_file.unlink()
            pid_file.mkdir()
            idle = self.connect(server)
            self.asked(server)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.recv(1), b"")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.stopped(server), -signal.SIGTERM)

    def test_a_handler_that_blocks_for_ever_does_not_hold_up_the_end(self) -> None:
        options = *LISTEN, "--framing", "windev", "--handler", "tests.server.test_drain:stuck", "--threads"
        with running(*options, "--drain-timeout", "200ms") as server:
            client = self.connect(server)
            client.sendall(b"1\r\na")
            self.assertEqual(receive(client, 8), b"5\r\nstuck")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.stopped(server), -signal.SIGTERM)
            log = server.stop()
        self.assertIn("stuck: 1 connections aborted, not finished within 0.2 seconds (drain_timeout)", log)
