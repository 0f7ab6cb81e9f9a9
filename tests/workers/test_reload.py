"""SIGHUP: new workers take the place of old ones, and nobody notices. Real processes, real clients."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.authority import Authority
from tests.support.twistd import PATIENCE
from tests.workers.test_workers import LISTEN, PID, WorkerCase, ask, children, line_of

if TYPE_CHECKING:
    from tests.support.twistd import Server

# How often; more in CI.
RELOADS = int(os.environ.get("RELOADS", "3"))

HANDLER = '[socket.x]\nlisten = "{listen}"\nframing = "{framing}"\nhandler = "shop:answer"\n'
SHOP = "def answer(message, channel):\n    return {answer!r}\n"


ENDED = "from before the reload have ended"


def await_count(server: Server, text: str, count: int) -> None:
    """Wait until the log has so many lines with the text."""
    while sum(text in line for line in server.lines) < count:
        server.wait_for_news()


class Asking:
    """Clients that ask all the time, each as soon as it has its answer. answers: how many have come."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self.answers = 0
        self.problems: list[str] = []
        for number in range(count):
            client = socket.create_connection(address, PATIENCE)
            client.setblocking(False)
            self._selector.register(client, selectors.EVENT_READ, [number, 0, b""])
            self._ask(client, number, 0)

    def step(self) -> None:
        """Take the answers that are there, and ask again."""
        for key, _ in self._selector.select(PATIENCE):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            number, asked, received = key.data
            try:
                data = client.recv(100)
            except OSError as error:
                data, problem = b"", repr(error)
            else:
                problem = "the stream ended"
            if not data:
                self.problems.append(f"client {number}, question {asked}: {problem}")
                self._selector.unregister(client)
                continue
            received += data
            if received == frame(number, asked):
                self.answers += 1
                asked, received = asked + 1, b""
                self._ask(client, number, asked)
            key.data[:] = [number, asked, received]

    def close(self) -> None:
        for key in list((self._selector.get_map() or {}).values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    @staticmethod
    def _ask(client: socket.socket, number: int, asked: int) -> None:
        client.send(frame(number, asked))


def frame(number: int, asked: int) -> bytes:
    return b"\x08%04d%04d" % (number, asked % 10000)


class ReloadCase(WorkerCase):
    def reload(self, server: Server, times: int) -> None:
        """Reload, the first time or again; returns when nothing is left of the workers before."""
        server.process.send_signal(signal.SIGHUP)
        await_count(server, ENDED, times)

    def write_shop(self, answer: bytes) -> None:
        (self.folder / "shop.py").write_text(SHOP.format(answer=answer))


class MovingTests(ReloadCase):
    def test_a_hundred_clients_that_ask_all_the_time(self) -> None:
        server = self.start(f'[socket.echo]\nlisten = "{LISTEN}"\nframing = "int8"')
        asking = Asking(server.address, 100)
        self.addCleanup(asking.close)
        refused = []
        for times in range(1, RELOADS + 1):
            server.process.send_signal(signal.SIGHUP)
            while sum("workers serve" in line for line in server.lines) < times + 1:
                asking.step()
                # Leave the processors to the new workers, now and then.
                server.wait_for_news(0.01)
                try:
                    with socket.create_connection(server.address, PATIENCE) as client:
                        client.sendall(b"\x01a")
                        self.assertEqual(client.recv(10), b"\x01a")
                except OSError as error:
                    refused.append(repr(error))
            before = asking.answers
            while asking.answers < before + 500 or sum(ENDED in line for line in server.lines) < times:
                asking.step()
        self.assertEqual((asking.problems, refused), ([], []))
        moved = sum(
            int(line.partition("Connections that have moved: ")[2]) for line in server.lines if "have moved" in line
        )
        self.assertGreaterEqual(moved, 100 * RELOADS)
        asking.close()
        log = server.stop()
        self.assertEqual((server.process.returncode, log.count("Traceback")), (0, 0))

    def test_what_each_client_gets(self) -> None:
        """In the middle of a frame, not reading, over TLS, in a conversation, on a unix socket, behind a proxy."""
        authority = Authority(str(self.folder / "tls"))
        server = self.start(
            f'[socket.echo]\nlisten = ["{LISTEN}", "unix:{self.folder}/x"]\nframing = "int8"',
            f'[socket.large]\nlisten = "{LISTEN}"\nframing = "int32"\nmax_length = "16M"\n'
            'handler = "tests.server.test_drain:large"',
            f'[socket.tls]\nlisten = "{LISTEN}"\nframing = "int8"\ntls = {{ certificate = "{authority.server}" }}',
            f'[socket.talk]\nlisten = "{LISTEN}"\nframing = "int8"\nconversation = "tests.server.test_handover:talk"',
            f'[socket.proxy]\nlisten = "{LISTEN}"\nframing = "int8"\nproxy_protocol = true\n'
            'handler = "tests.workers.test_reload:peer"',
            listen=6,
            fresh=True,
        )
        echo, _, large, tls, talk, proxy = server.addresses

        def connect(address: str) -> socket.socket:
            host, _, port = address.rpartition(":")
            client = socket.create_connection((host, int(port)), PATIENCE)
            self.addCleanup(client.close)
            return client

        half = connect(echo)
        half.sendall(b"\x01a\x05hel")
        self.assertEqual(half.recv(10), b"\x01a")
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.connect(f"{self.folder}/x")
        slow = connect(large)
        slow.sendall(b"\0\0\0\x01a")
        context = ssl.create_default_context(cafile=str(authority.ca))
        secret = context.wrap_socket(connect(tls), server_hostname="localhost")
        secret.sendall(b"\x01b")
        self.assertEqual(secret.recv(10), b"\x01b")
        talking = connect(talk)
        talking.sendall(b"\x01c")
        self.assertEqual(talking.recv(10), b"\x01c")
        proxied = connect(proxy)
        proxied.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n\x01d")
        self.assertEqual(proxied.recv(99), b"\x0e192.0.2.7:4711")
        server.process.send_signal(signal.SIGHUP)
        await_count(server, "workers serve", 2)
        left = 4 + (8 << 20)
        while left:
            left -= len(slow.recv(min(left, 1 << 20)))
        for staying in (secret, talking):
            # It has had its answers, and is silent: it has the end of the stream.
            self.assertEqual(staying.recv(10), b"")
            staying.close()
        await_count(server, "from before the reload have ended", 1)
        slow.sendall(b"\0\0\0\x01a")
        self.assertEqual(len(slow.recv(100, socket.MSG_WAITALL)), 100)
        half.sendall(b"lo")
        self.assertEqual(half.recv(10), b"\x05hello")
        unix.sendall(b"\x01e")
        self.assertEqual(unix.recv(10), b"\x01e")
        proxied.sendall(b"\x01f")
        self.assertEqual(proxied.recv(99), b"\x0e192.0.2.7:4711")


def peer(message: bytes, channel: object) -> bytes:  # noqa: ARG001
    """A handler: who asks."""
    from sockserve.addresses import format_address

    return format_address(channel.info.peer).encode()  # type: ignore[attr-defined]


def is_there(name: bytes) -> bool:
    return Path(os.fsdecode(name)).exists()


async def awaited(message: bytes, channel: object) -> bytes:  # noqa: ARG001
    """A handler: the answer comes when there is the file that the message names."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    while not is_there(message):
        await deferLater(reactor, 0.01)
    return b"done"


class TwiceTests(ReloadCase):
    def test_who_waits_for_its_answer_goes_on_in_the_last_ones_of_several(self) -> None:
        server = self.start(
            f'[socket.x]\nlisten = "{LISTEN}"\nframing = "int8"\nhandler = "tests.workers.test_reload:awaited"',
            program='workers = 2\ndrain_timeout = "30s"',
        )
        file = self.folder / "now"
        with socket.create_connection(server.address, PATIENCE) as client:
            question = bytes([len(str(file))]) + str(file).encode()
            client.sendall(question)
            for times in range(2, 4):
                server.process.send_signal(signal.SIGHUP)
                await_count(server, "workers serve", times)
            file.touch()
            self.assertEqual(client.recv(100), b"\x04done")
            await_count(server, "from before the reload have ended", 1)
            client.sendall(question)
            self.assertEqual(client.recv(100), b"\x04done")


class ChangeTests(ReloadCase):
    def test_new_code_answers_on_old_connections(self) -> None:
        self.write_shop(b"old\n")
        server = self.start(HANDLER.format(listen=LISTEN, framing="raw"), folder=self.folder)
        with socket.create_connection(server.address) as client:
            client.sendall(b"?")
            self.assertEqual(line_of(client), b"old\n")
            self.write_shop(b"new!\n")
            self.reload(server, 1)
            client.sendall(b"?")
            self.assertEqual(line_of(client), b"new!\n")
            # A mistake changes nothing.
            (self.folder / "shop.py").write_text("def answer(")
            server.process.send_signal(signal.SIGHUP)
            line = server.wait_for("Nothing has changed")
            self.assertIn("socket.x.handler: 'shop:answer': cannot import shop: SyntaxError", line)
            client.sendall(b"?")
            self.assertEqual(line_of(client), b"new!\n")
            file = self.folder / "sockserve.toml"
            right = file.read_text()
            file.write_text(right.replace("handler", "handlr"))
            server.process.send_signal(signal.SIGHUP)
            line = server.wait_for("socket.x.handlr")
            self.assertIn(f"Nothing has changed: {file}: socket.x.handlr", line)
            self.assertEqual(ask(server.address), b"new!\n")

    def test_sockets_come_and_go_and_so_do_workers(self) -> None:
        server = self.start(PID)
        file = self.folder / "sockserve.toml"
        other = PID.replace("socket.pid", "socket.other")
        file.write_text(f"workers = 3\n{PID}\n{other}\n")
        self.reload(server, 1)
        address = server.address
        host, _, port = server.wait_for("other listens on").rstrip().rpartition(" ")[2].rpartition(":")
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(3)]
            self.assertEqual(len({ask(address) for _ in range(60)}), 3)
            file.write_text(f"workers = 1\n{PID}\n")
            self.reload(server, 2)
            for client in clients:
                self.assertEqual(client.recv(10), b"")
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection((host, int(port)))
        # All three queues of the port are served by the one that is left.
        self.assertEqual(len({ask(address) for _ in range(60)}), 1)

    def test_a_new_port_that_is_taken_changes_nothing(self) -> None:
        server = self.start(PID)
        file = self.folder / "sockserve.toml"
        before = {ask(server.address) for _ in range(40)}
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            file.write_text(
                f"workers = 2\n{PID}\n{PID.replace('socket.pid', 'socket.other').replace(LISTEN, endpoint)}"
            )
            server.process.send_signal(signal.SIGHUP)
            line = server.wait_for("Nothing has changed")
        self.assertIn("Nothing has changed: other: Couldn't listen on 127.0.0.1:", line)
        self.assertEqual({ask(server.address) for _ in range(40)}, before)
        while len(children(server.process.pid)) > 3:
            server.wait_for_news()

    def test_workers_that_cannot_load_leave_no_port_that_nobody_serves(self) -> None:
        server = self.start(PID, folder=self.folder)
        before = self.serving(server)
        # Only the first worker can load it.
        (self.folder / "shop.py").write_text(f"open({str(self.folder / 'one')!r}, 'x')\n{SHOP.format(answer=b'0')}")
        handler = 'handler = "shop:answer"'
        (self.folder / "sockserve.toml").write_text(f'workers = 4\n[socket.pid]\nlisten = "{LISTEN}"\n{handler}\n')
        server.process.send_signal(signal.SIGHUP)
        self.assertIn("FileExistsError", server.wait_for("Nothing has changed"))
        self.assertEqual(self.serving(server), before)

    def test_several_processes_stay_several(self) -> None:
        server = self.start(PID)
        before = self.serving(server)
        file = self.folder / "sockserve.toml"
        file.write_text(PID)
        server.process.send_signal(signal.SIGHUP)
        line = server.wait_for("Nothing has changed")
        self.assertIn("workers: a reload cannot change several processes to one", line)
        self.assertEqual(self.serving(server), before)
        self.assertNotIn("Traceback", server.stop())
