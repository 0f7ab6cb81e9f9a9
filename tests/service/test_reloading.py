"""SIGHUP without workers: the process reads everything again, and touches nothing that did not change."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, parse
from sockserve.server.settings import SocketSettings
from sockserve.server.values import Listen
from sockserve.service.reloading import Modules
from tests.support.twistd import PATIENCE, Server, running

LISTEN = "tcp:0:interface=127.0.0.1"
SHOP = "def answer(message, channel):\n    return {answer!r}\n"


class ReloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder / "sockserve.toml"

    def start(self, *sockets: str, listen: int = 1) -> Server:
        self.file.write_text("\n".join(sockets))
        stack = ExitStack()
        self.addCleanup(stack.close)
        return stack.enter_context(running("--config", str(self.file), listen=listen, folder=self.folder))

    def reload(self, server: Server, text: str = "Reloaded:", times: int = 1) -> str:
        """The line that comes for it, the first time or again."""
        server.process.send_signal(signal.SIGHUP)
        end = monotonic() + PATIENCE
        while len(found := [line for line in server.lines if text in line]) < times:
            server.wait_for_news()
            self.assertLess(monotonic(), end, server.lines)
        return found[-1].rstrip().partition("] ")[2]

    def connect(self, address: str) -> socket.socket:
        host, _, port = address.rpartition(":")
        client = socket.create_connection((host, int(port)), PATIENCE)
        self.addCleanup(client.close)
        return client

    def shop(self, answer: bytes) -> None:
        (self.folder / "shop.py").write_text(SHOP.format(answer=answer))

    def ask(self, client: socket.socket) -> bytes:
        client.sendall(b"\x01?")
        return client.recv(100)

    def test_new_code_and_new_settings_on_live_connections(self) -> None:
        self.shop(b"old")
        shop = f'[socket.shop]\nlisten = "{LISTEN}"\nframing = "int8"\nhandler = "shop:answer"\n'
        echo = f'[socket.echo]\nlisten = "{LISTEN}"\nframing = "int8"\n'
        talk = (
            f'[socket.talk]\nlisten = "{LISTEN}"\nframing = "int8"\nconversation = "tests.server.test_handover:talk"\n'
        )
        server = self.start(shop, echo, talk, listen=3)
        customer, echoed, talking = map(self.connect, server.addresses)
        self.assertEqual([self.ask(customer), self.ask(echoed), self.ask(talking)], [b"\x03old", b"\x01?", b"\x01?"])
        # Nothing has changed: not even the conversation is touched.
        self.assertEqual(self.reload(server), "Reloaded: 0 new or changed, 3 as before")
        self.assertEqual([self.ask(customer), self.ask(echoed), self.ask(talking)], [b"\x03old", b"\x01?", b"\x01?"])
        self.shop(b"newer")
        self.assertEqual(self.reload(server, times=2), "Reloaded: 2 new or changed, 1 as before")
        self.assertEqual([self.ask(customer), self.ask(echoed)], [b"\x05newer", b"\x01?"])
        # Its code may have changed, and it keeps state: it was drained.
        self.assertEqual(talking.recv(10), b"")
        self.assertEqual(self.ask(self.connect(server.addresses[0])), b"\x05newer")
        # A limit of its own for one, another one comes, and another one goes.
        self.file.write_text(f'{shop}idle_timeout = "1min"\n{echo.replace("socket.echo", "socket.late")}')
        self.assertEqual(self.reload(server, times=3), "Reloaded: 2 new or changed, 0 as before")
        late = self.connect(server.wait_for("late listens on").rstrip().rpartition(" ")[2])
        self.assertEqual([self.ask(customer), self.ask(late)], [b"\x05newer", b"\x01?"])
        self.assertEqual(echoed.recv(10), b"")
        with self.assertRaises(ConnectionRefusedError):
            self.connect(server.addresses[1])

    def test_a_mistake_changes_nothing(self) -> None:
        self.shop(b"old")
        server = self.start(f'[socket.shop]\nlisten = "{LISTEN}"\nframing = "int8"\nhandler = "shop:answer"\n')
        customer = self.connect(server.addresses[0])
        right = self.file.read_text()
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            redis = f"redis://127.0.0.1:{deaf.getsockname()[1]}"
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            for number, (wrong, words) in enumerate(
                (
                    (right.replace("handler", "handlr"), "socket.shop.handlr: unknown"),
                    (f"workers = 2\n{right}", "workers: a reload cannot change one process to several"),
                    (
                        f'{right.replace("shop]", "other]")}[socket.shop]\nlisten = "{endpoint}"',
                        "Couldn't listen on 127.0.0.1:",
                    ),
                    (right.replace('"shop:answer"', f'"relay"\nrelay = "{redis}"'), f"relay: {redis}"),
                ),
                1,
            ):
                self.file.write_text(wrong)
                line = self.reload(server, "Nothing has changed", number)
                self.assertIn(words, line)
                self.assertEqual(self.ask(customer), b"\x03old")
        self.file.write_text(right)
        (self.folder / "shop.py").write_text("def answer(")
        self.assertIn("cannot import shop: SyntaxError", self.reload(server, "Nothing has changed", 5))
        self.assertEqual(self.ask(customer), b"\x03old")
        self.assertEqual(self.ask(self.connect(server.addresses[0])), b"\x03old")
        self.shop(b"newer")
        self.reload(server)
        self.assertEqual(self.ask(customer), b"\x05newer")

    def test_a_program_that_stops_reads_nothing_again(self) -> None:
        awaited = 'handler = "tests.workers.test_reload:awaited"'
        server = self.start(f'[socket.x]\nlisten = "{LISTEN}"\nframing = "int8"\n{awaited}\n')
        client = self.connect(server.addresses[0])
        # Once it has answered, it takes signals.
        for file in (self.file, self.folder / "now"):
            client.sendall(b"%c%s" % (len(str(file)), str(file).encode()))
            if file.exists():
                self.assertEqual(client.recv(100), b"\x04done")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Closed")
        server.process.send_signal(signal.SIGHUP)
        file.touch()
        self.assertEqual((client.recv(100), client.recv(100)), (b"\x04done", b""))
        self.assertNotIn("Reloading", server.wait())

    def test_unix_sockets_and_datagrams(self) -> None:
        path = self.folder / "x"
        both = f'listen = ["unix:{path}", "udp:0"]\n'
        server = self.start(f"[socket.x]\n{both}", listen=2)
        with socket.socket(socket.AF_UNIX) as client, socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.settimeout(PATIENCE)
            client.settimeout(PATIENCE)
            client.connect(str(path))
            host, _, port = server.addresses[1].rpartition(":")
            for times in range(1, 3):
                client.sendall(b"hi")
                self.assertEqual(client.recv(10), b"hi")
                sender.sendto(b"datagram", (host, int(port)))
                self.assertEqual(sender.recv(100), b"datagram")
                self.file.write_text(f"[socket.x]\n{both}max_length = {1000 + times}\n")
                self.reload(server, times=times)
            self.assertTrue(path.exists())
            client.sendall(b"hi")
            self.assertEqual(client.recv(10), b"hi")
        server.stop()
        self.assertEqual((path.exists(), server.process.returncode), (False, 0))

    def test_a_program_without_a_file_reads_its_modules_again(self) -> None:
        self.shop(b"old")
        options = ("--listen", LISTEN, "--framing", "int8", "--handler", "shop:answer")
        with running(*options, folder=self.folder) as server:
            customer = self.connect(server.addresses[0])
            self.assertEqual(self.ask(customer), b"\x03old")
            self.shop(b"newer")
            self.reload(server)
            self.assertEqual(self.ask(customer), b"\x05newer")

    def test_a_framing_that_is_installed_is_read_again(self) -> None:
        installed = Path(sysconfig.get_path("purelib", "posix_user", {"userbase": str(self.folder)}))
        module = installed / "shop" / "framing.py"
        module.parent.mkdir(parents=True)
        framing = "from sockserve.framing import parse\n\ndef fix():\n    return parse('buffered:{}')\n"
        module.write_text(framing.format("|"))
        own = 'framing = "shop.framing:fix"'
        self.file.write_text(
            f'[socket.a]\nlisten = "{LISTEN}"\n{own}\n'
            f'[socket.b]\nlisten = [{{ endpoint = "{LISTEN}", {own} }}]\nframing = "int8"\n'
            f'[socket.c]\nlisten = "{LISTEN}"\nframing = "int8"\n'
        )
        with (
            patch.dict(os.environ, PYTHONUSERBASE=str(self.folder)),
            running("--config", str(self.file), listen=3, folder=installed) as server,
        ):
            for address in server.addresses[:2]:
                self.assertEqual(self.answer(address, b"a;|b|;"), b"a;|b|")
            self.assertEqual(self.reload(server), "Reloaded: 0 new or changed, 3 as before")
            module.write_text(framing.format("; "))
            self.assertEqual(self.reload(server, times=2), "Reloaded: 2 new or changed, 1 as before")
            for address in server.addresses[:2]:
                self.assertEqual(self.answer(address, b"a| ; b"), b"a| ; ")

    def answer(self, address: str, data: bytes) -> bytes:
        """All that comes back for it on a new connection."""
        client = self.connect(address)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(100), b""))


def own_framing() -> Framing:
    return parse("buffered:|")


class CodeTests(SynchronousTestCase):
    def test_the_settings_tell_what_was_loaded_for_them(self) -> None:
        own, function, talk = (
            "tests.service.test_reloading:own_framing",
            "tests.workers.test_reload:awaited",
            "tests.server.test_handover:talk",
        )
        for code, settings in (
            ((), SocketSettings("x", LISTEN, "int8", "echo")),
            ((), SocketSettings("x", LISTEN, "int8", "forward:tcp:127.0.0.1:1,netstring")),
            ((own,), SocketSettings("x", LISTEN, own)),
            ((own,), SocketSettings("x", Listen(LISTEN, own), "int8")),
            ((own,), SocketSettings("x", LISTEN, "int8", f"forward:tcp:127.0.0.1:1,{own}")),
            ((own,), SocketSettings("x", LISTEN, "int8", f"share:tcp:127.0.0.1:1,{own}")),
            ((function, own), SocketSettings("x", LISTEN, own, function)),
            ((function,), SocketSettings("x", LISTEN, "mllp", f"hl7:{function}")),
            ((talk,), SocketSettings("x", LISTEN, "int8", conversation=talk)),
        ):
            self.assertEqual(settings.code, code)


class ModulesTests(SynchronousTestCase):
    def test_what_is_installed_stays(self) -> None:
        modules = Modules(["twisted.internet.defer:Deferred", "json:loads", "tests.workers.test_reload:peer"])
        names = {name for name, _ in modules._users()}
        self.assertNotIn("twisted.internet.defer", names)
        self.assertNotIn("sockserve.text", names)
        self.assertIn(__name__, names)
        self.assertNotIn("json", names)
        self.assertNotIn("socket", names)

    def test_what_changes_after_it_was_looked_at_is_read_again(self) -> None:
        before = Modules([]).stamps()
        self.assertFalse(Modules([], before).changed)
        self.assertTrue(Modules([], {**before, __name__: (0, 0)}).changed)

    def test_what_was_forgotten_can_be_put_back(self) -> None:
        modules = Modules([])
        before = sys.modules[__name__]
        forgotten = modules.forget()
        self.assertNotIn(__name__, sys.modules)
        modules.put_back(forgotten)
        self.assertIs(sys.modules[__name__], before)
        self.assertFalse(modules.changed)
