"""The twistd plugin's options, service and exit: what a user types and what comes back."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet.testing import MemoryReactor
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sockserve import __version__
from sockserve.config import parse_size
from sockserve.framing import NAMES, parse
from sockserve.protocol import MessageFactory
from sockserve.server import SocketServer
from sockserve.service import Options, makeService
from tests.twistd import failing, running


def options(*arguments: str) -> Options:
    parsed = Options(MemoryReactor())
    parsed.parseOptions(arguments)
    return parsed


class OptionsTests(SynchronousTestCase):
    def test_without_any_it_is_raw_echo_on_the_port_of_the_winsock_sample(self) -> None:
        reactor = MemoryReactor()
        parsed = Options(reactor)
        parsed.parseOptions([])
        service = makeService(parsed)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        ((port, factory, _backlog, interface),) = reactor.tcpServers
        self.assertEqual((port, interface), (27015, "127.0.0.1"))
        assert isinstance(factory, MessageFactory)
        self.assertEqual(factory.framing, parse("raw"))

    def test_listen_may_be_given_several_times(self) -> None:
        service = makeService(options("--listen", "tcp:1", "-l", "tcp6:2", "-l", "unix:/run/x"))
        (server,) = service.services
        assert isinstance(server, SocketServer)
        self.assertEqual(len(server._listen), 3)

    def test_framing_max_length_and_policy_make_one_framing(self) -> None:
        parsed = options("--framing", "standard:\\x00", "--max-length", "64k", "--on-bad-frame", "skip")
        self.assertEqual(parsed.framing, parse("standard:\\x00", max_length=65536, on_bad_frame="skip"))

    def test_wrong_values_name_the_option_and_what_it_accepts(self) -> None:
        for arguments, *words in (
            (["--framing", "windef"], "--framing", "did you mean 'windev'", *NAMES),
            (["--framing", "standard:\\q"], "--framing", "bad escape", "\\xNN", "standard:DELIM"),
            (["--framing", "fixed:2M"], "--framing", "fixed:N"),
            (["--max-length", "-1"], "--max-length", "'-1'", "64k"),
            (["--max-length", "0"], "--max-length", "'0'"),
            (["--on-bad-frame", "ignore"], "--on-bad-frame", "close, skip"),
            (["--listen", "carrier-pigeon:1"], "--listen", "carrier-pigeon", "tcp:27015"),
            (["--listen", "tcp:http"], "--listen", "'tcp:http'", "tcp:27015"),
            (["--listen", ""], "--listen", "tcp:27015"),
            (["echo"], "'echo'", "--help"),
            (["--framin", "raw", "--bogus"], "bogus"),
        ):
            with self.subTest(arguments=arguments):
                line = str(self.assertRaises(UsageError, options, *arguments))
                self.assertEqual(len(line.splitlines()), 1)
                for word in words:
                    self.assertIn(word, line)

    def test_help_tells_every_option_with_its_default(self) -> None:
        text = " ".join(str(Options(MemoryReactor())).split())
        for word in ("--listen=", "tcp:27015:interface=127.0.0.1", "--framing=", "[default: raw]", "--max-length="):
            self.assertIn(word, text)
        for word in ("[default: 1M]", "--on-bad-frame=", "[default: close]", "--log-traffic", "envelope:START:END"):
            self.assertIn(word, text)


class SizeTests(SynchronousTestCase):
    def test_plain_k_and_M(self) -> None:
        self.assertEqual([parse_size(text) for text in ("1", "64k", "16M")], [1, 65536, 16 << 20])

    def test_anything_else_is_refused_in_one_line(self) -> None:
        for text in ("", "0", "-1", "1.5M", "1G", "k", "1 1", "0x10", "\u0661", "9" * 99):
            with self.subTest(text=text):
                self.assertIn("accepted", str(self.assertRaises(ValueError, parse_size, text)))


class TwistdTests(SynchronousTestCase):
    def test_a_wrong_option_is_one_line_on_standard_error(self) -> None:
        ended = failing("--framing", "windef")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        (line,) = ended.stderr.splitlines()
        self.assertTrue(line.startswith("twistd sockserve: --framing: unknown framing 'windef'"), line)

    def test_a_port_in_use_is_one_line_on_standard_error(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            ended = failing("--listen", "tcp:0", "--listen", f"tcp:{port}:interface=127.0.0.1")
        self.assertEqual(ended.returncode, 1)
        (line,) = ended.stderr.splitlines()
        self.assertTrue(line.startswith(f"twistd sockserve: --listen: Couldn't listen on 127.0.0.1:{port}"), line)
        self.assertNotIn("Traceback", ended.stdout)

    def test_a_failed_start_leaves_no_pid_file(self) -> None:
        pid_file = Path(self.mktemp()).absolute()
        ended = failing("--listen", "tcp:70000", pid_file=str(pid_file))
        self.assertEqual(ended.returncode, 1)
        self.assertFalse(pid_file.exists())

    def test_version_names_sockserve_and_twisted(self) -> None:
        ended = failing("--version")
        self.assertEqual(ended.returncode, 0)
        self.assertIn(f"sockserve version: {__version__}", ended.stdout)
        self.assertIn("Twisted version: ", ended.stdout)

    def test_a_bad_frame_is_one_line_in_the_log_with_the_peer(self) -> None:
        with running("--listen", "tcp:0:interface=127.0.0.1", "--framing", "windev", "--max-length", "10") as server:
            with socket.create_connection(server.address) as client:
                host, port = client.getsockname()
                client.sendall(b"2\r\nok11\r\nHello World")
                self.assertEqual(client.recv(100), b"2\r\nok")
                self.assertEqual(client.recv(100), b"")
            log = server.stop()
        self.assertIn(
            f"{host}:{port}: message of 11 bytes is longer than the limit of 10 bytes (max_length); closing\n", log
        )
        self.assertNotIn("Traceback", log)
