"""The Winsock sample's client against `twistd -n sockserve`: send, shut down the sending side, read to the end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.support.twistd import PATIENCE, Server, running

LOCAL = ("--listen", "tcp:0:interface=127.0.0.1")
MESSAGE = b"this is a test"


def sample_client(address: tuple[str, int], message: bytes = MESSAGE) -> bytes:
    """What the client of the sample does, from connect to close."""
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)
        return b"".join(reads(client))


def reads(client: socket.socket) -> Iterator[bytes]:
    """Everything up to the peer's end of stream."""
    while data := client.recv(65536):
        yield data


class SampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        stack = ExitStack()
        self.server = stack.enter_context(running(*LOCAL))
        self.addCleanup(stack.close)

    def test_a_thousand_clients_get_their_14_bytes_and_leave_nothing_behind(self) -> None:
        before = self.descriptors_with_one_client()
        answers = [sample_client(self.server.address) for _ in range(1000)]
        self.assertEqual(answers, [MESSAGE] * 1000)
        self.assertEqual(self.descriptors_with_one_client(), before)

    def descriptors_with_one_client(self) -> int:
        """Counted while a client is served, so that the server has done with all before it."""
        with socket.create_connection(self.server.address, PATIENCE) as client:
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
            return self.server.descriptors()

    def test_24_megabytes_come_back_to_a_client_that_reads_late(self) -> None:
        data = os.urandom(1_000_000) * 24
        with socket.create_connection(self.server.address) as client:
            # Send until the server has stopped reading: what it owes is all on its way or in its memory by then.
            client.settimeout(0.5)
            sent = 0
            try:
                while sent < len(data):
                    sent += client.send(data[sent : sent + 65536])
            except TimeoutError:
                pass
            self.assertLess(sent, len(data))
            client.settimeout(PATIENCE)

            def send_the_rest() -> None:
                client.sendall(data[sent:])
                client.shutdown(socket.SHUT_WR)

            sender = Thread(target=send_the_rest)
            sender.start()
            answer = b"".join(reads(client))
            sender.join()
        self.assertEqual(len(answer), len(data))
        self.assertTrue(answer == data)

    def test_without_a_half_close_the_connection_stays_open(self) -> None:
        with socket.create_connection(self.server.address, PATIENCE) as client:
            for number in range(100):
                line = b"%d" % number
                client.sendall(line)
                self.assertEqual(client.recv(65536), line)

    def test_many_clients_at_once(self) -> None:
        # With the usual queue of those who are not accepted yet, some would have to ask again a second later.
        many = ("--listen", "tcp:0:interface=127.0.0.1:backlog=200")
        with running(*many) as server, ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(server.address, PATIENCE)) for _ in range(200)]
            for number, client in enumerate(clients):
                client.sendall(b"client %d" % number)
                client.shutdown(socket.SHUT_WR)
            answers = [b"".join(reads(client)) for client in reversed(clients)]
        self.assertEqual(answers, [b"client %d" % number for number in reversed(range(200))])

    def test_a_client_that_closes_without_reading_harms_nobody(self) -> None:
        for _ in range(50):
            with socket.create_connection(self.server.address, PATIENCE) as rude:
                rude.sendall(bytes(100_000))
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertEqual(sample_client(self.server.address), MESSAGE)

    def test_a_peer_that_never_reads_is_not_read_from_either(self) -> None:
        idle = self.server.resident()
        chunk = bytes(1 << 20)
        pushed = 0
        with socket.create_connection(self.server.address) as client:
            client.settimeout(0.5)
            try:
                while pushed < 1 << 30:
                    pushed += client.send(chunk)
            except TimeoutError:
                pass
            self.assertLess(pushed, 1 << 30)
            self.assertLess(self.server.resident() - idle, 64 << 20)


class OtherAddressTests(SynchronousTestCase):
    def test_ipv6_and_unix_sockets_beside_each_other(self) -> None:
        # The path of a unix socket may have some 100 bytes only.
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/s"
        with running("-l", "tcp6:0:interface=\\:\\:1", "-l", f"unix:{path}", listen=2) as server:
            self.assertEqual(sample_client(server.address), MESSAGE)
            self.assertEqual(server.addresses[1], f"unix:{path}")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(MESSAGE)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(b"".join(reads(client)), MESSAGE)

    def serving_the_port_of_the_sample(self) -> Server:
        """There is one on a machine, and another run of these tests may have it for a moment."""
        deadline = monotonic() + PATIENCE
        while True:
            try:
                return Server()
            except RuntimeError as error:
                if "Couldn't listen on 127.0.0.1:27015" not in str(error):
                    raise
                if monotonic() > deadline:
                    if "CI" in os.environ:
                        raise
                    raise SkipTest("another program holds port 27015, which this test is about") from None

    def test_without_options_it_serves_the_port_of_the_sample(self) -> None:
        server = self.serving_the_port_of_the_sample()
        with ExitStack() as stack:
            stack.callback(server.stop)
            self.assertEqual(server.addresses, ["127.0.0.1:27015"])
            self.assertEqual(sample_client(server.address), MESSAGE)


class TrafficLogTests(SynchronousTestCase):
    def test_it_prints_what_the_sample_prints_with_the_peer(self) -> None:
        with running(*LOCAL, "--log-traffic", fresh=True) as server:
            with socket.create_connection(server.address, PATIENCE) as client:
                host, port = client.getsockname()
                client.sendall(MESSAGE)
                client.shutdown(socket.SHUT_WR)
                list(reads(client))
            log = server.stop()
        *lines, end = [line.partition("] ")[2] for line in log.splitlines() if f"{host}:{port}" in line]
        self.assertEqual(
            lines,
            [
                f"echo {host}:{port}: Bytes received: 14",
                f"echo {host}:{port}: Bytes sent: 14",
                f"echo {host}:{port}: Connection closing...",
            ],
        )
        self.assertIn(f"echo {host}:{port}: closed by the peer after ", end)
