"""What workers share beside their ports: a relay, and the figures of all of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.redis import RedisServer
from tests.support.twistd import PATIENCE, Server, failing, running
from tests.workers.test_workers import LISTEN, PID, WorkerCase, ask, children, line_of


class RelayTests(WorkerCase):
    def test_clients_of_two_programs_of_several_workers(self) -> None:
        redis = RedisServer(self)
        # Who has been greeted is in the room, and hears all that is said from then on.
        room = f"""
            [socket.room]
            listen = "{LISTEN}"
            framing = 'buffered:\\n'
            handler = "relay"
            relay = "{redis.url}"
            greeting = "welcome"
        """
        one = self.start(room)
        with ExitStack() as stack:
            other = stack.enter_context(running("--config", str(self.folder / "sockserve.toml"), forks=True))
            other.wait_for("workers serve")
            clients = []
            for number in range(12):
                client = stack.enter_context(socket.create_connection((one, other)[number % 2].address, PATIENCE))
                clients.append(client)
            for client in clients:
                self.assertEqual(self.hear(client, 1), [b"welcome\n"])
            said = {f"{number}\n".encode() for number in range(12)}
            for number, client in enumerate(clients):
                client.sendall(f"{number}\n".encode())
            heard = [self.hear(client, 11) for client in clients]
            for number, lines in enumerate(heard):
                self.assertEqual({*lines}, said - {f"{number}\n".encode()})
            # One order for all: without its own word, each has the same as the others.
            for lines in heard:
                together = [line for line in heard[0] if line in lines]
                self.assertEqual([line for line in lines if line in heard[0]], together)

    def hear(self, client: socket.socket, count: int) -> list[bytes]:
        client.settimeout(PATIENCE)
        received = b""
        while received.count(b"\n") < count:
            data = client.recv(1000)
            if not data:
                raise AssertionError(f"the stream ended after {received!r}")
            received += data
        return received.splitlines(keepends=True)

    def test_without_redis_it_is_refused(self) -> None:
        ended = failing("--workers", "2", "--listen", LISTEN, "--handler", "relay")
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(
            ended.stderr.strip(),
            "twistd sockserve: --handler: its clients would not reach those of other workers; "
            "accepted: with relay, or without workers",
        )

    def test_a_redis_that_is_down_at_the_start_is_one_line(self) -> None:
        ended = failing(
            *("--workers", "2", "--listen", LISTEN, "--handler", "relay"),
            *("--relay", f"unix://{self.folder}/nothing"),
        )
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertTrue(
            ended.stderr.startswith(f"twistd sockserve: --relay: unix://{self.folder}/nothing"), ended.stderr
        )
        self.assertNotIn("listens on", ended.stdout)


class AdminTests(WorkerCase):
    def start_with_admin(self) -> tuple[Server, str]:
        token = self.folder / "token"
        token.write_text("secret-of-the-tests")
        token.chmod(0o600)
        server = self.start(PID, program=f'workers = 2\nadmin = "{LISTEN}"\nadmin_token_file = "{token}"', listen=2)
        lines = [line for line in server.lines if "listens on" in line]
        (admin,) = [re.split(" listens on ", line)[1].strip() for line in lines if "admin" in line]
        server.addresses.remove(admin)
        return server, f"http://{admin}"

    def metrics(self, url: str) -> dict[str, float]:
        with urlopen(f"{url}/metrics", timeout=PATIENCE) as reply:
            lines = reply.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def ask_admin(self, url: str, **question: Any) -> Any:  # noqa: ANN401 - JSON
        headers = {"Authorization": "Bearer secret-of-the-tests", "Content-Type": "application/json"}
        request = Request(f"{url}/act", json.dumps(question).encode(), headers)
        with urlopen(request, timeout=PATIENCE) as reply:
            return json.loads(reply.read())

    def test_the_figures_of_all_and_of_those_that_are_gone(self) -> None:
        server, url = self.start_with_admin()
        pids = [int(ask(server.address)) for _ in range(20)]
        found = self.metrics(url)
        self.assertEqual(found['sockserve_messages_received_total{socket="pid"}'], 20)
        self.assertEqual(found["sockserve_workers"], 2)
        self.assertEqual(found["sockserve_memory_budget_bytes"], 256 << 20)
        os.kill(pids[0], signal.SIGKILL)
        server.wait_for("SIGKILL")
        ask(server.address)
        found = self.metrics(url)
        self.assertEqual(found['sockserve_messages_received_total{socket="pid"}'], 21)
        self.assertEqual(found["sockserve_worker_restarts_total"], 1)
        with socket.create_connection(server.address) as client:
            client.sendall(b"?")
            line_of(client)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("have ended")
            client.sendall(b"?")
            line_of(client)
            found = self.metrics(url)
            self.assertEqual(found['sockserve_messages_received_total{socket="pid"}'], 23)
            self.assertEqual(found['sockserve_connections{socket="pid"}'], 1)
            self.assertEqual(found["sockserve_workers"], 2)

    def test_healthz_and_what_an_operator_does_is_done_by_all(self) -> None:
        server, url = self.start_with_admin()
        with urlopen(f"{url}/healthz", timeout=PATIENCE) as reply:
            self.assertEqual(reply.status, 200)
        self.assertIn("is suspended", self.ask_admin(url, ask="suspend", socket="pid")["done"])
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(server.address)) for _ in range(8)]
            for client in clients:
                client.sendall(b"?")
            with self.assertRaises(HTTPError) as raised:
                urlopen(f"{url}/healthz", timeout=PATIENCE)
            self.assertEqual(raised.exception.code, 503)
            raised.exception.close()
            # Nor do workers that come later, in the place of a dead one or by a reload.
            os.kill(children(server.process.pid)[0], signal.SIGKILL)
            server.wait_for("SIGKILL")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("have ended")
            self.assertEqual(self.metrics(url)['sockserve_connections{socket="pid"}'], 0)
            self.ask_admin(url, ask="resume", socket="pid")
            for client in clients:
                line_of(client)
