"""How the program ends: real processes, real signals."""

from __future__ import annotations

import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, cast
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.transports import silence
from sockserve.server import draining
from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, SocketCase, turn
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

    def test_what_a_client_has_not_read_survives_what_it_sends_after_the_end(self) -> None:
        """A process that is gone would answer with a reset, which destroys it."""
        with running(*LISTEN, "--framing", "windev", "--drain-timeout", f"{PATIENCE}s") as server:
            client = self.connect(server)
            client.sendall(b"5\r\nhello")
            client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
            server.process.send_signal(signal.SIGTERM)
            waiting = select.poll()
            waiting.register(client, select.POLLRDHUP)
            self.assertEqual(len(waiting.poll(PATIENCE * 1000)), 1)
            client.sendall(b"4\r\nlate")
            self.assertEqual(receive(client, 100), b"5\r\nhello")
            client.close()
            self.assertEqual(self.stopped(server), 0)

    def test_clients_that_do_not_react_hold_up_the_end_for_a_moment_only(self) -> None:
        with running(*LISTEN, "--framing", "windev", "--drain-timeout", "10s") as server:
            clients = [self.connect(server) for _ in range(3)]
            clients[1].sendall(b"1\r\na")
            receive(clients[1], 4)
            clients[2].sendall(b"5\r\nunfin")
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.stopped(server), 0)
            # Two and a half seconds are the most; the machine may be busy.
            self.assertLess(time.monotonic() - began, 5)
            self.assertNotIn("aborted", server.stop())

    def test_a_loss_inside_a_frame_is_no_bad_frame_while_it_stops(self) -> None:
        with running(*LISTEN, "--framing", "windev") as server:
            client = self.connect(server)
            # What is answered was read together with what follows it.
            client.sendall(b"2\r\nok5\r\nhe")
            self.assertEqual(receive(client, 5), b"2\r\nok")
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("Closed")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            log = server.wait()
        self.assertNotIn("inside a frame", log)
        self.assertIn("lost after", log)

    def test_who_has_connected_before_it_stops_is_served(self) -> None:
        """A connection that waits with the kernel would be reset, with what its client has sent."""
        with running("--listen", f"{LISTEN[1]}:backlog=200", "--framing", "windev") as server:
            first = self.connect(server)
            first.sendall(b"1\r\na")
            # It runs, and handles signals.
            self.assertEqual(receive(first, 4), b"1\r\na")
            first.close()
            server.process.send_signal(signal.SIGSTOP)
            clients = [self.connect(server) for _ in range(100)]
            for client in clients:
                client.sendall(b"5\r\nhello")
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGCONT)
            for client in clients:
                self.assertEqual(receive(client, 100), b"5\r\nhello")
                client.close()
            self.assertEqual(self.stopped(server), 0)

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


class BusyTests(SocketCase):
    """Clients that go on asking while the server stops."""

    def serve(self, server: SocketServer) -> SocketServer:
        # However long the machine holds them up.
        self.patch(draining, "QUIET", 15.0)
        return super().serve(server)

    async def test_they_are_answered_until_they_leave(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", drain_timeout=200.0))
        clients = [await self.client(server) for _ in range(5)]
        late = await self.client(server)
        for client in (*clients, late):
            client.send(b"5\r\nfirst")
            await client.until(8)
        stopped = server.stopService()
        self.assertEqual(server.ports, [])
        for number in range(1, 100):
            for client in clients:
                client.send(b"5\r\n%05d" % number)
            for client in clients:
                await client.until(8 * (number + 1))
        for client in (*clients, late):
            self.assertFalse(client.ended.called)
            client.end()
        await stopped
        self.assertTrue(server.clean)

    async def test_who_is_never_silent_has_whole_answers_in_half_of_the_time(self) -> None:
        server = self.serve(SocketServer("orders", LOCAL, "windev", drain_timeout=1.0))
        client = await self.client(server)
        stopped = server.stopService()
        sent = 0
        while not client.ended.called:
            client.send(b"5\r\nhello")
            sent += 1
            await turn()
        await stopped
        self.assertTrue(server.clean)
        self.assertGreater(len(client.received), 8)
        self.assertEqual(bytes(client.received), b"5\r\nhello" * (len(client.received) // 8))

    async def test_an_answer_under_way_is_not_silence(self) -> None:
        asked: list[Deferred[bytes]] = []

        def answer(_message: bytes, _channel: Channel) -> Deferred[bytes]:
            asked.append(Deferred())
            return asked[-1]

        server = self.serve(SocketServer("orders", LOCAL, "windev", answer, drain_timeout=0.1))
        client = await self.client(server)
        client.send(b"1\r\na")
        while not asked:
            await turn()
        self.assertEqual([server._admission.drain_quiet(0) for _ in range(3)], [1, 1, 1])
        asked[0].callback(b"A")
        self.assertEqual(await client.until(4), b"1\r\nA")
        self.assertEqual(server._admission.drain_quiet(0), 0)
        await client.lost

    async def test_who_has_been_silent_for_a_while_is_not_waited_for(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("only Linux tells how long a peer has been silent")
        server = self.serve(SocketServer("orders", LOCAL, "windev", drain_timeout=0.1))
        client = await self.client(server)
        client.send(b"1\r\na")
        await client.until(4)
        (channel,) = server.channels.values()
        transport = server._admission.running[channel.id].transport
        self.assertLess(silence(transport), 10)
        while silence(transport) < 0.05:
            await turn()
        self.assertEqual(server._admission.drain_quiet(3600), 1)
        server._admission._received.clear()
        self.assertEqual(server._admission.drain_quiet(0.05), 0)
        await client.lost
