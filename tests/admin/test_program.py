"""The admin endpoint of a real program: what its settings accept, and that it tells of the end."""

from __future__ import annotations

import signal
import socket
import ssl
import tempfile
from pathlib import Path
from unittest.mock import patch
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sockserve.config.description import describe
from sockserve.server.sockets import SocketServer
from sockserve.service.options import Options
from sockserve.service.running import run
from tests.server.test_drain import SIZE
from tests.support.authority import Authority
from tests.support.twistd import PATIENCE, failing, running

LISTEN = ("--listen", "tcp:0:interface=127.0.0.1")
ADMIN = ("--admin", "tcp:0:interface=127.0.0.1")


def status(address: str, path: str, context: ssl.SSLContext | None = None, **headers: str) -> int:
    try:
        with urlopen(Request(f"{address}{path}", headers=headers), timeout=PATIENCE, context=context) as response:
            code: int = response.status
            return code
    except HTTPError as error:
        with error:
            return error.code


class ProgramTests(SynchronousTestCase):
    def test_it_answers_while_the_program_drains_and_then_both_end(self) -> None:
        options = ("--framing", "int32", "--handler", "tests.server.test_drain:large", "--max-length", "9M")
        with running(*LISTEN, *ADMIN, *options, listen=2) as server:
            admin = f"http://{server.addresses[1]}"
            self.assertEqual(status(admin, "/healthz"), 200)
            with socket.create_connection(server.address, PATIENCE) as client:
                client.sendall(b"\0\0\0\1a")
                # It is owed more than the kernel takes.
                client.recv(1)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for("Port")
                self.assertEqual(status(admin, "/healthz"), 503)
                self.assertEqual(status(admin, "/metrics"), 200)
                left = SIZE + 3
                while left:
                    left -= len(client.recv(min(left, 1 << 20)))
            server.wait()
        self.assertEqual(server.process.returncode, 0)

    def test_a_unix_socket(self) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            running(*LISTEN, "--admin", f"unix:{folder}/admin.sock:mode=600", listen=2),
            socket.socket(socket.AF_UNIX) as client,
        ):
            client.connect(f"{folder}/admin.sock")
            client.sendall(b"GET /healthz HTTP/1.0\r\nHost: whoever\r\n\r\n")
            self.assertIn(b"200 OK", client.recv(100))

    def test_over_tls_with_the_token(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(f"{folder}/ca")
            token = Path(folder, "token")
            token.write_text("0123456789abcdef\n")
            token.chmod(0o600)
            # On all addresses.
            admin = f"ssl:0:privateKey={authority.server}"
            with running(*LISTEN, "--admin", admin, "--admin-token-file", str(token), listen=2) as server:
                port = server.addresses[1].rpartition(":")[2]
                context = ssl.create_default_context(cafile=str(authority.ca))
                for headers, expected in (({}, 401), ({"Authorization": "Bearer 0123456789abcdef"}, 200)):
                    address = f"https://localhost:{port}"
                    self.assertEqual(status(address, "/metrics", context, **headers), expected)
                    self.assertEqual(status(address, "/healthz", context), 200)

    def test_a_port_in_use_is_one_line_and_nothing_runs(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = failing(*LISTEN, "--admin", f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Atwistd sockserve: --admin: Couldn't listen on 127\.0\.0\.1:[0-9]+: .*\n\Z")


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.authority = Authority(str(self.folder / "ca"))
        self.authority.issue("localhost", self.authority.folder / "localhost.pem")
        self.secure = f"ssl:9464:privateKey={self.authority.server}"

    def token(self, content: str = "0123456789abcdef", mode: int = 0o600) -> str:
        file = self.folder / "token"
        file.write_text(content)
        file.chmod(mode)
        return str(file)

    def parsed(self, *options: str) -> Options:
        parsed = Options(MemoryReactorClock())
        parsed.parseOptions(options)
        return parsed

    def test_what_is_accepted(self) -> None:
        for endpoint, loopback in (
            ("tcp:9464:interface=127.0.0.1", True),
            ("tcp:9464:interface=127.3.2.1", True),
            ("tcp:9464:interface=localhost", True),
            ("tcp6:9464:interface=\\:\\:1", True),
            (f"unix:{self.folder}/admin", True),
            (f"{self.secure}:interface=127.0.0.1", True),
            (self.secure, False),
            (f"tls:{self.authority.folder}:port=9464", False),
        ):
            admin = self.parsed("--admin", endpoint, "--admin-token-file", self.token()).config.admin
            assert admin is not None
            self.assertEqual((admin.loopback, admin.token), (loopback, "0123456789abcdef"))
            if loopback:
                self.assertIsNone(self.parsed("--admin", endpoint).config.admin.token)  # type: ignore[union-attr]
        self.assertIsNone(self.parsed().config.admin)

    def test_a_check_says_where_and_whether_something_can_be_done(self) -> None:
        for options, does in (((), "read-only"), (("--admin-token-file", self.token()), "with a token")):
            lines = describe(self.parsed(*ADMIN, *options).config)
            self.assertEqual(lines[1:], [f"admin: listens on tcp:0:interface=127.0.0.1, {does}"])

    def test_what_is_refused_in_one_line(self) -> None:
        open_to_all = "accepted: interface=127.0.0.1, unix, or ssl or tls with admin_token_file"
        for options, place, accepted in (
            (("--admin", "tcp:9464"), "--admin: 'tcp:9464' is open to the network", open_to_all),
            (("--admin", "tcp:9464:interface=192.0.2.7"), "--admin: ", open_to_all),
            (("--admin", "tcp:9464", "--admin-token-file", self.token()), "--admin: ", open_to_all),
            (("--admin", "tcp6:9464:interface=\\:\\:"), "--admin: ", open_to_all),
            (("--admin", self.secure), "--admin: ", open_to_all),
            (("--admin", "udp:9464"), "--admin: 'udp:9464'", "accepted: tcp, tcp6, unix, ssl, tls"),
            (("--admin", ""), "--admin: ''", "accepted: tcp, tcp6, unix, ssl, tls"),
            (("--admin", "tcp:x"), "--admin: 'tcp:x'", "accepted: tcp:PORT"),
            (("--admin", "tcp:27015:interface=127.0.0.1"), "--admin: ", "socket 'echo' listens there"),
            (("--admin", "ssl:9464:privateKey=/nope"), "--admin: ", "/nope: cannot be read"),
            (("--admin-token-file", self.token()), "--admin-token-file: admin is not set", "accepted: both of them"),
        ):
            with self.subTest(options=options):
                error = self.assertRaises(UsageError, self.parsed, *options)
                self.assertTrue(str(error).startswith(place), str(error))
                self.assertIn(accepted, str(error))
                self.assertNotIn("\n", str(error))

    def test_a_token_file_that_cannot_be_used_is_one_line(self) -> None:
        for content, mode, reason in (
            ("0123456789abcdef", 0o644, "others may read or write it, its mode is 644; accepted: 600"),
            ("0123456789abcdef", 0o602, "others may read or write it, its mode is 602"),
            ("0123456789abcdef", 0o620, "others may read or write it, its mode is 620"),
            ("", 0o600, "is empty"),
            (" \n", 0o600, "is empty"),
            ("short", 0o600, "the token has 5 characters; accepted: 16 or more"),
            ("two lines of\na token", 0o600, "has more than a token"),
            ("t\u00f6ken t\u00f6ken t\u00f6ken", 0o600, "has more than a token"),
            ("x" * 2000, 0o600, "has more than a token"),
        ):
            options = ("--admin", "tcp:0:interface=127.0.0.1", "--admin-token-file", self.token(content, mode))
            error = self.assertRaises(UsageError, self.parsed, *options)
            self.assertTrue(str(error).startswith(f"--admin-token-file: {self.folder}/token: {reason}"), str(error))
        error = self.assertRaises(UsageError, self.parsed, *options[:3], f"{self.folder}/none")
        self.assertIn("none: cannot be read: No such file", str(error))

    def test_a_token_that_a_group_may_read_is_accepted(self) -> None:
        """As systemd passes credentials on to a user."""
        self.assertIsNotNone(self.parsed(*ADMIN, "--admin-token-file", self.token(mode=0o440)).config.admin)

    def test_without_prometheus_client_the_line_names_the_extra(self) -> None:
        with patch("sockserve.server.admin.find_spec", return_value=None):
            error = self.assertRaises(UsageError, self.parsed, *ADMIN)
        self.assertIn("sockserve[metrics]", str(error))

    def test_run_refuses_the_same(self) -> None:
        socket = SocketServer("echo", "tcp:0:interface=127.0.0.1")
        error = self.assertRaises(ValueError, run, socket, admin="tcp:9464")
        self.assertTrue(str(error).startswith("admin: 'tcp:9464' is open to the network"), str(error))
        error = self.assertRaises(ValueError, run, socket, admin_token_file=self.token())
        self.assertEqual(str(error), "admin_token_file: admin is not set; accepted: both of them")
        for name in ("admin", "admin_token_file"):
            error = self.assertRaises(ValueError, run, socket, **{"admin": "tcp:0:interface=127.0.0.1", name: 9464})
            self.assertTrue(str(error).startswith(f"{name}: found an integer, 9464; accepted: "), str(error))
