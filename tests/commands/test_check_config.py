"""`--check` and `sockserve check-config`: what a configuration would run, or what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.authority import Authority
from tests.support.processes import run
from tests.support.twistd import TWISTD, failing

FILE = """
drain_timeout = "5s"

[socket.orders]
listen = ["tcp:7000:interface=127.0.0.1", {{ endpoint = "unix:orders.sock", framing = "int32" }}]
framing = "windev"
handler = "shop:answer"
threads = true
max_length = "64k"
max_connections = 500
idle_timeout = "5min"
allow = ["10.0.0.0/8", "::1"]

[socket.orders.tls]
certificate = "{certificate}"

[socket.talk]
listen = "tcp:0"
conversation = "shop:talk"
"""
SHOP = """
def answer(message, channel):
    return message


async def talk(channel):
    channel.close()
"""


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.authority = Authority(self.mktemp())
        (self.folder / "shop.py").write_text(SHOP)

    def write(self, old: str = "", new: str = "") -> str:
        """A file in the folder; `old` in it is replaced by `new`."""
        text = FILE.format(certificate=Path(self.authority.server).absolute())
        self.assertIn(old, text)
        (self.folder / "sockserve.toml").write_text(text.replace(old, new) if old else text)
        return "sockserve.toml"

    def both(self, name: str) -> list[tuple[int, str, str]]:
        """The exit status and output of either form of the check."""
        commands = (
            [sys.executable, "-m", "sockserve", "check-config", name],
            [*TWISTD, "--pidfile=", "sockserve", "--config", name, "--check"],
        )
        done = [run(command, cwd=self.folder, text=True, timeout=30) for command in commands]
        return [(each.returncode, each.stdout, each.stderr) for each in done]

    def test_it_says_what_would_run_and_opens_nothing(self) -> None:
        expected = (
            "orders: listens on tcp:7000:interface=127.0.0.1 and unix:orders.sock (framing int32), "
            "framing windev, handler shop:answer, max_length 64k, threads, max_connections 500, "
            f"allow 10.0.0.0/8 ::1/128, idle_timeout 300s, tls {Path(self.authority.server).absolute()}\n"
            "talk: listens on tcp:0, framing raw, conversation shop:talk\n"
        )
        for outcome in self.both(self.write()):
            self.assertEqual(outcome, (0, expected, ""))
        self.assertFalse((self.folder / "orders.sock").exists())

    def test_a_mistake_is_one_line(self) -> None:
        wrong = {
            ("idle_timeout = ", "idle_timeuot = "): "socket.orders.idle_timeuot: unknown key; accepted: ",
            ('"shop:talk"', '"shop:tlak"'): "socket.talk.conversation: 'shop:tlak': ",
            (Path(self.authority.server).name, "nothing.pem"): "socket.orders.tls.certificate: ",
            ("[socket.talk]", "[socket.talk"): "is not TOML: ",
        }
        for (old, new), reason in wrong.items():
            for status, output, errors in self.both(self.write(old, new)):
                self.assertEqual((status, output, errors.count("\n")), (1, "", 1), errors)
                self.assertRegex(errors, rf"^(sockserve check-config|twistd sockserve): sockserve\.toml: {reason}")

    def test_options_are_checked_as_a_file_is(self) -> None:
        listen = "--listen", "tcp:7000:interface=127.0.0.1"
        done = failing(*listen, "--framing", "int8", "--idle-timeout", "3", "--check")
        expected = "echo: listens on tcp:7000:interface=127.0.0.1, framing int8, handler echo, idle_timeout 3s\n"
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, expected, ""))
        self.assertEqual(failing(*listen, "--framing", "int7", "--check").returncode, 1)
