"""A framing of one's own, by its name, wherever a framing is named: the example, as its users have it."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from shutil import rmtree

from fix_framing import Fix
from twisted.trial.unittest import SynchronousTestCase

from sockserve import MessageFactory, SocketServer
from sockserve.handlers.echo import Echo
from sockserve.server.settings import SocketSettings
from sockserve.testing import Pair, Recorder, ServerProcess
from tests.support.processes import ROOT, run

NAME = "fix_framing:Fix"
HEARTBEAT = b"35=0".hex()
WRONG = (
    ("fix_framing:Fox", "fix_framing has no Fox"),
    ("fix_framin:Fix", "cannot import fix_framin: ModuleNotFoundError"),
    ("fix_framing:SOH", "is of type bytes, not a framing"),
)
SHORT = """
import sys
from fix_framing import Fix
def named():
    return Fix(version={version!r})
"""


class OwnFramingTests(SynchronousTestCase):
    def command(self, *arguments: str) -> tuple[int, str]:
        done = run([sys.executable, "-m", "sockserve", *arguments], cwd=ROOT / "examples", text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_option_and_file_and_all_commands(self) -> None:
        with ServerProcess(framing=NAME) as server:
            self.assertEqual(
                self.command("send", "-f", NAME, "--hex", server.endpoint, HEARTBEAT), (0, f"{HEARTBEAT}\n")
            )
            trials = ("whole", "bytes", "truncated", "garbage")
            status, said = self.command(
                "check", "-f", NAME, server.endpoint, *(word for each in trials for word in ("--only", each))
            )
            self.assertEqual(status, 0, said)
            size = ("--duration", "0.1s", "--connections", "2", "--size", "20")
            status, said = self.command("bench", "-f", NAME, server.endpoint, *size)
            self.assertEqual(status, 0, said)
            forward = (
                f'listen = {{ endpoint = "tcp:0", framing = "int32" }}\nhandler = "forward:{server.endpoint},{NAME}"'
            )
            with ServerProcess(config=f"[socket.bridge]\n{forward}") as bridge:
                sent = self.command("send", "-f", "int32", "--hex", bridge.endpoint, HEARTBEAT)
                self.assertEqual(sent, (0, f"{HEARTBEAT}\n"))

    def test_a_mistake_in_the_name_is_one_line_everywhere(self) -> None:
        for name, reason in WRONG:
            for settings in (
                {"framing": name},
                {"handler": f"forward:tcp:h:1,{name}"},
                {"listen": {"endpoint": "tcp:0", "framing": name}},
            ):
                error = self.assertRaises(ValueError, SocketSettings, **{"name": "a", "listen": "tcp:0", **settings})
                self.assertIn(reason, str(error))
                self.assertEqual(len(str(error).splitlines()), 1)
        for command in ("send", "check", "bench"):
            status, said = self.command(command, "-f", WRONG[0][0], "tcp:h:1")
            self.assertEqual((status, said.rstrip().count("\n")), (2, 0), said)
            self.assertIn(WRONG[0][1], said)

    def test_a_live_connection_changes_to_it(self) -> None:
        pair = Pair(MessageFactory("windev", Recorder), MessageFactory("windev", Echo))
        pair.client.sendMessage(b"one")
        pair.flush()
        for side in (pair.client, pair.server):
            side.setFraming(Fix())
        pair.client.sendMessage(b"35=0")
        pair.client.endMessages()
        pair.flush()
        self.assertEqual(pair.client.messages, [b"one", b"35=0"])
        self.assertRaises(ValueError, pair.client.setFraming, NAME)

    def test_the_api_of_servers_takes_the_name(self) -> None:
        self.assertEqual(SocketServer("a", "tcp:0", NAME).settings.framing, Fix())

    def test_a_reload_reads_its_module_again(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, folder)
        module = folder / "shop_framing.py"
        module.write_text(SHORT.format(version=b"FIX.4.2"))
        sys.path.insert(0, str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        frame = Fix(version=b"FIX.4.4").encode(b"35=0")
        import socket

        with ServerProcess(framing="shop_framing:named") as server:
            with socket.create_connection((server.host, server.port), 20) as client:
                client.sendall(frame)
                self.assertEqual(client.recv(100), b"")
            module.write_text(SHORT.format(version=b"FIX.4.4") + "# of another size\n")
            server.process.send_signal(signal.SIGHUP)
            self.assertIn("1 new or changed", server.wait_for("Reloaded:"))
            with socket.create_connection((server.host, server.port), 20) as client:
                client.sendall(frame)
                self.assertEqual(client.recv(100), frame)
