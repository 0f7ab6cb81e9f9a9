"""A relay of two programs, with a real Redis: with outages, and where there is none at the start."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import twistd
from tests.support.processes import run
from tests.support.redis import RedisServer, free_port
from tests.support.twistd import PATIENCE, Server, failing, running

LOCAL = "tcp:0:interface=127.0.0.1"


class RelayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def program(self, redis: RedisServer) -> Server:
        options = ("--listen", LOCAL, "--framing", "int32", "--handler", "relay", "--relay", redis.url, "--log-traffic")
        return self.stack.enter_context(running(*options))

    def client(self, server: Server) -> socket.socket:
        """A client that the relay knows."""
        client = self.stack.enter_context(socket.create_connection(server.address, PATIENCE))
        client.sendall(b"\0\0\0\3new")
        server.wait_for(f":{client.getsockname()[1]}: Bytes received: 7")
        return client

    def receive(self, client: socket.socket, count: int) -> list[bytes]:
        """So many messages of three bytes."""
        wire = b""
        while len(wire) < 7 * count:
            more = client.recv(7 * count - len(wire))
            self.assertTrue(more, wire)
            wire += more
        return [wire[start + 4 : start + 7] for start in range(0, len(wire), 7)]

    def run_through(self) -> None:
        redis = RedisServer(self)
        servers = [self.program(redis) for _ in range(2)]
        one, two, heard_one, heard_two = clients = [self.client(server) for server in servers * 2]
        self.settle(clients)
        texts = [b"%03d" % number for number in range(300)]

        def say(start: int, end: int) -> None:
            for client, texts_of in ((one, texts[start:end:2]), (two, texts[start + 1 : end : 2])):
                client.sendall(b"".join(b"\0\0\0\3" + text for text in texts_of))

        say(0, 100)
        first = self.receive(heard_one, 100)
        redis.stop()
        for server in servers:
            server.wait_for(" is lost: ")
        say(100, 200)
        redis.start()
        for server in servers:
            server.wait_for(" is back after ")
        say(200, 300)
        all_one = first + self.receive(heard_one, 200)
        self.assertEqual(all_one, self.receive(heard_two, 300))
        self.assertEqual(sorted(all_one), texts)
        for start in (0, 1):
            own = [text for text in all_one if int(text) % 2 == start]
            self.assertEqual(own, sorted(own))
        for client, others in ((one, 1), (two, 0)):
            self.assertEqual(self.receive(client, 150), [text for text in all_one if int(text) % 2 == others])
        for server in servers:
            log = server.stop()
            self.assertEqual(server.process.returncode, 0, log)
            self.assertEqual((log.count(" is lost: "), log.count(" is back after ")), (1, 1), log)

    def settle(self, clients: list[socket.socket]) -> None:
        """All are there, and have heard all that there was to hear."""
        lasts = [b"e-%d" % number for number in range(len(clients))]
        for client, last in zip(clients, lasts, strict=True):
            client.sendall(b"\0\0\0\3" + last)
        for client, last in zip(clients, lasts, strict=True):
            awaited = {*lasts} - {last}
            while awaited:
                awaited -= {*self.receive(client, 1)}

    def test_on_the_reactor_of_the_tests(self) -> None:
        self.run_through()

    def test_on_select(self) -> None:
        self.patch(twistd, "TWISTD", (*twistd.PROGRAM, "--reactor=select", "-n"))
        self.run_through()


class StartTests(SynchronousTestCase):
    OPTIONS = ("--listen", LOCAL, "--handler", "relay", "--relay")

    def test_no_redis_at_the_start_is_one_line(self) -> None:
        url = f"redis://us:secret@127.0.0.1:{free_port()}"
        done = failing(*self.OPTIONS, url)
        shown = f"{url.replace('secret', '***')}/0: [Errno 111] Connection refused"
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.strip(), f"twistd sockserve: --relay: {shown}")
        self.assertNotIn("secret", done.stdout)
        self.assertNotIn("listens on", done.stdout)
        path = Path(self.mktemp()).with_suffix(".toml").absolute()
        path.write_text(f"[socket.room]\nlisten = '{LOCAL}'\nhandler = 'relay'\nrelay = '{url}'\n")
        done = failing("--config", str(path))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.strip(), f"twistd sockserve: {path}: socket.room.relay: {shown}")
        program = path.with_suffix(".py")
        program.write_text(
            "import sys\nfrom sockserve import SocketServer, run\n"
            f"run(SocketServer('room', '{LOCAL}', handler='relay', relay='{url}'))\n"
        )
        done = run([sys.executable, program], text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{program.name}: room: relay: {shown}", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertNotIn("secret", done.stderr)

    def test_a_wrong_password_is_one_line(self) -> None:
        redis = RedisServer(self, "--requirepass", "right")
        done = failing(*self.OPTIONS, f"unix://:secret@{redis.path}")
        self.assertEqual(done.returncode, 1)
        wrong = "WRONGPASS invalid username-password pair or user is disabled."
        self.assertEqual(done.stderr.strip(), f"twistd sockserve: --relay: unix://:***@{redis.path}: {wrong}")

    def test_a_check_shows_no_password_and_asks_nobody(self) -> None:
        done = failing(*self.OPTIONS, "redis://us:secret@192.0.2.7/3", "--check")
        self.assertEqual(done.returncode, 0)
        expected = f"relay: listens on {LOCAL}, framing raw, handler relay, relay redis://us:***@192.0.2.7:6379/3"
        self.assertEqual(done.stdout.strip(), expected)

    def test_the_package_runs_without_txredisapi(self) -> None:
        program = (
            "import sys\nsys.modules['txredisapi'] = None\n"
            "from sockserve.server.sockets import SocketServer\n"
            "SocketServer('room', 'tcp:1', handler='relay')\n"
            "try: SocketServer('room', 'tcp:1', handler='relay', relay='redis://h')\n"
            "except ValueError as error: print(error)\n"
        )
        done = run([sys.executable, "-c", program], text=True, timeout=PATIENCE)
        line = "relay: it needs txredisapi; accepted: with what the extra sockserve[redis] installs\n"
        self.assertEqual((done.stdout, done.stderr), (line, ""))
