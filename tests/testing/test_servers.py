"""Servers of a test: in its reactor, in a process, and as fixtures of pytest."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sockserve import Channel, connect, disconnect
from sockserve.connection.channel import ChannelClosed
from sockserve.testing import LocalServer, ServerProcess
from sockserve.testing.configuration import configured, to_toml
from tests.support.processes import ROOT

CONFIG = """
drain_timeout = "2s"
[socket.orders]
listen = ["tcp:7000:backlog=9", "unix:{folder}/s"]
framing = "windev"
handler = "tests.testing.test_servers:shout"
[socket.late]
listen = {{ endpoint = "tcp6:7001", framing = "int8" }}
"""


def shout(message: bytes, _: Channel) -> bytes:
    return message.upper()


def fail(_message: bytes, _: Channel) -> bytes:
    raise RuntimeError("no more paper")


async def ask(endpoint: str, message: bytes) -> bytes:
    channel = await connect(endpoint, "windev")
    await channel.write(message)
    try:
        return await channel.read(timeout=10)
    finally:
        await disconnect(channel)


class LocalServerTests(TestCase):
    timeout = 20

    def test_a_server_in_the_reactor(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.serve())

    async def serve(self) -> None:
        server = LocalServer(framing="windev", handler=shout).start()
        self.addCleanup(server.stop)
        self.assertEqual(await ask(server.endpoint, b"hello"), b"HELLO")
        self.assertEqual((server.host, server.endpoint), ("127.0.0.1", f"tcp:127.0.0.1:{server.port}"))
        self.assertIn(f"test listens on {server.address}\n", server.log)
        await server.stop()
        await server.stop()

    def test_a_file_on_free_ports(self) -> Deferred[None]:
        # The path of a unix socket must be short.
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        file = folder / "sockserve.toml"
        file.write_text(CONFIG.format(folder=folder))
        return Deferred.fromCoroutine(self.serve_file(file))

    async def serve_file(self, file: Path) -> None:
        server = LocalServer(config=file).start()
        self.addCleanup(server.stop)
        self.assertEqual([*server.sockets], ["orders", "late"])
        self.assertTrue(server.endpoint_of("late").startswith(r"tcp:\:\:1:"))
        for number in (0, 1):
            self.assertEqual(await ask(server.endpoint_of("orders", number), b"hello"), b"HELLO")

    def test_what_fails_in_the_server_fails_the_test(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.serve_failing())

    async def serve_failing(self) -> None:
        server = LocalServer(framing="windev", handler=fail).start()
        await self.assertFailure(Deferred.fromCoroutine(ask(server.endpoint, b"hello")), ChannelClosed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        with self.assertRaisesRegex(AssertionError, "no more paper"):
            await server.stop()

    def test_settings_are_checked(self) -> None:
        self.assertRaises(ValueError, LocalServer, framing="windef")
        self.assertRaises(ValueError, LocalServer, config="", framing="windev")


class ConfigurationTests(SynchronousTestCase):
    def test_ports_become_free_ones_and_nothing_else_changes(self) -> None:
        text = (
            'listen = ["ssl:7000:interface=0.0.0.0:privateKey=a\\\\:b", "udp:port=7", "fd:3", 5]\n'
            'name = "\\u0000\\"\u00fc\U0001f600"\nnumbers = [1, 2.5, true]\nempty = {}'
        )
        found = tomllib.loads(configured(f"[socket.a]\n{text}", log_format="text"))
        expected = tomllib.loads(text)
        local = "interface=127.0.0.1"
        expected["listen"] = [f"ssl:0:{local}:privateKey=a\\:b", f"udp:0:{local}", "fd:3", 5]
        self.assertEqual(found, {"socket": {"a": expected}, "log_format": "text"})

    def test_what_another_process_cannot_import_is_refused(self) -> None:
        self.assertEqual(to_toml({"handler": shout}), f'"handler" = "{__name__}:shout"\n')
        for wrong in (lambda *_: None, object(), None):
            self.assertRaises(TypeError, to_toml, {"handler": wrong})


class ServerProcessTests(SynchronousTestCase):
    def ask(self, server: ServerProcess) -> bytes:
        with socket.create_connection((server.host, server.port), 20) as client:
            client.sendall(b"5\r\nhello")
            client.shutdown(socket.SHUT_WR)
            return client.makefile("rb").read()

    def test_a_server_in_a_process(self) -> None:
        with ServerProcess(framing="windev", handler=shout, name="shop") as server:
            self.assertEqual(self.ask(server), b"5\r\nHELLO")
            self.assertIn("messages: 1 received, 1 sent", server.wait_for("shop 127.0.0.1:"))
            self.assertRaises(LookupError, server.address_of, "other")
            server.stop()
        self.assertIn("Server Shut Down", server.log)

    def test_what_fails_in_it_fails_the_test(self) -> None:
        server = ServerProcess(config=f'[socket.a]\nlisten = "tcp:7"\nframing = "windev"\nhandler = "{__name__}:fail"')
        self.addCleanup(server._leave)
        self.assertEqual(self.ask(server), b"")
        self.assertIn("no more paper", str(self.assertRaises(AssertionError, server.stop)))
        self.assertEqual(len(server.failures), 1)

    def test_a_server_that_does_not_start_says_why(self) -> None:
        error = self.assertRaises(AssertionError, ServerProcess, framing="windef")
        self.assertIn("socket.test.framing: unknown framing 'windef' (did you mean 'windev'?)", str(error))
        self.assertRaises(ValueError, ServerProcess, config="", framing="windev")


FIXTURES = """
import socket
import sys

LOADED = {name.partition(".")[0] for name in sys.modules if name.startswith(("sockserve", "twisted", "zope"))}
OURS = sorted(name for name in sys.modules if name.startswith("sockserve"))


def fail(message, channel):
    raise RuntimeError("no more paper")


def test_nothing_is_loaded():
    assert (LOADED, OURS) == ({"sockserve"}, ["sockserve", "sockserve.pytest_plugin"])


def ask(server):
    with socket.create_connection((server.host, server.port), 20) as client:
        client.sendall(b"2\\r\\nhi")
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def test_served(sockserve_process):
    assert ask(sockserve_process(framing="windev")) == b"2\\r\\nhi"


def test_failing(sockserve_process):
    assert ask(sockserve_process(framing="windev", handler=fail)) == b"never"
"""


class FixtureTests(SynchronousTestCase):
    def pytest(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "sockserve.pytest_plugin", "-p", "no:cacheprovider"]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    def test_a_process_is_there_for_a_test_that_blocks_and_its_log_is_in_the_report(self) -> None:
        (self.folder / "test_fixtures.py").write_text(FIXTURES)
        # These load Twisted by themselves.
        others = ("twisted", "hypothesispytest", "xdist", "xdist.looponfail")
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        said = self.pytest(*(word for name in others for word in ("-p", f"no:{name}")), "-p", "no:pytest_twisted")
        self.assertIn("1 failed, 2 passed, 1 error", said, said)
        self.assertIn("log of the server", said)
        self.assertIn("no more paper", said)

    def test_the_tests_of_the_page_pass(self) -> None:
        self.folder = ROOT / "examples"
        self.assertIn("6 passed", self.pytest("-c", os.devnull, "--rootdir", ".", "test_fix.py"))
