"""The twistd plugin's options, service and exit: what a user types and what comes back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import patch

from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sockserve import __version__
from sockserve.connection.channel import Channel
from sockserve.connection.factory import MessageFactory
from sockserve.framing import NAMES, parse
from sockserve.server.endpoints import DEFAULT_LISTEN
from sockserve.server.server import Server
from sockserve.server.settings import SocketSettings
from sockserve.service.options import Options, makeService
from tests.support import twistd
from tests.support.processes import run
from tests.support.twistd import failing, running


def answer(message: bytes, _channel: Channel) -> bytes:
    return message


async def talk(channel: Channel) -> None:
    channel.close()


class Shop:
    order = staticmethod(answer)


def options(*arguments: str) -> Options:
    parsed = Options(MemoryReactorClock())
    parsed.parseOptions(arguments)
    return parsed


class OptionsTests(SynchronousTestCase):
    def test_without_any_it_is_raw_echo_on_the_port_of_the_winsock_sample(self) -> None:
        reactor = MemoryReactorClock()
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
        assert isinstance(server, Server)
        self.assertEqual(len(server.sockets["echo"]._listen), 3)

    def test_framing_max_length_and_policy_make_one_framing(self) -> None:
        parsed = options("--framing", "standard:\\x00", "--max-length", "64k", "--on-bad-frame", "skip")
        self.assertEqual(
            parsed.config.sockets[0].framing, parse("standard:\\x00", max_length=65536, on_bad_frame="skip")
        )

    def test_the_options_of_a_socket_become_its_settings(self) -> None:
        arguments = (
            "--max-connections 5 --when-full refuse --max-pending 7 --threads --log-traffic --drain-timeout 2min"
            " --max-connections-per-peer 3 --allow 10.0.0.0/8,::1 --deny 10.0.0.7 --idle-timeout 5min"
            " --frame-timeout 30s --close-timeout 4s --memory-budget 1M --handshake-timeout 3s"
            " --proxy-protocol --proxy-from 10.0.0.0/8,::1 --proxy-from 192.0.2.7"
        )
        config = options("--handler", "tests.service.test_options:answer", *arguments.split()).config
        (socket_config,) = config.sockets
        self.assertEqual((socket_config.drain_timeout, config.memory_budget), (120, 1 << 20))
        expected = SocketSettings(
            name="answer",
            listen=DEFAULT_LISTEN,
            handler="tests.service.test_options:answer",
            threads=True,
            max_pending=7,
            max_connections=5,
            when_full="refuse",
            max_connections_per_peer=3,
            allow=(ip_network("10.0.0.0/8"), ip_network("::1")),
            deny=(ip_network("10.0.0.7"),),
            close_timeout=4,
            idle_timeout=300,
            frame_timeout=30,
            proxy_protocol=True,
            proxy_from=(ip_network("10.0.0.0/8"), ip_network("::1"), ip_network("192.0.2.7")),
            handshake_timeout=3,
            drain_timeout=120,
            log_traffic=True,
        )
        self.assertEqual(socket_config, expected)

    def test_the_socket_is_named_by_what_answers(self) -> None:
        for option, value, name in (
            ("--handler", "echo", "echo"),
            ("--handler", "discard", "discard"),
            ("--handler", "relay", "relay"),
            ("--handler", "forward:tcp:localhost:1,int32", "forward"),
            ("--handler", "tests.service.test_options:answer", "answer"),
            ("--handler", "tests.service.test_options:Shop.order", "order"),
            ("--conversation", "tests.service.test_options:talk", "talk"),
        ):
            with self.subTest(value=value):
                self.assertEqual(options(option, value).config.sockets[0].name, name)

    def test_a_share_is_called_that(self) -> None:
        (share,) = options("--handler", "share:tcp:localhost:1,int32", "--framing", "windev").config.sockets
        self.assertEqual(share.name, "share")

    def test_outside_twistd_the_module_path_stays_as_it_is(self) -> None:
        before = list(sys.path)
        options()
        self.assertEqual(sys.path, before)

    def test_wrong_values_name_the_option_and_what_it_accepts(self) -> None:
        for arguments, *words in (
            (["--framing", "windef"], "--framing", "did you mean 'windev'", *NAMES),
            (["--framing", "standard:\\q"], "--framing", "bad escape", "\\xNN", "standard:DELIM"),
            (["--framing", "fixed:2M"], "--framing", "fixed:N"),
            (["--max-length", "-1"], "--max-length", "'-1'", "64k"),
            (["--max-length", "0"], "--max-length", "'0'"),
            (["--on-bad-frame", "ignore"], "--on-bad-frame", "close, skip"),
            (["--listen", "carrier-pigeon:1"], "--listen", "carrier-pigeon", "tcp:27015"),
            (["--listen", "tcp:http"], "--listen", "'tcp:http'", "accepted: tcp:PORT"),
            (["--listen", ""], "--listen", "tcp:27015"),
            (["--listen", "udp:x"], "--listen", "'udp:x'"),
            (["--listen", "tcp:7000", "--listen", "tcp:port=7000"], "--listen", "'tcp:port=7000'", "already"),
            (["--handler", "eco"], "--handler", "did you mean 'echo'", "discard", "MODULE:CALLABLE"),
            (["--handler", "no_such_module:answer"], "--handler", "cannot import no_such_module"),
            (["--handler", "math:nothing"], "--handler", "math has no nothing"),
            (["--handler", "forward:carrier-pigeon"], "--handler", "forward:ENDPOINT[,FRAMING]"),
            (["--conversation", "talk"], "--conversation", "MODULE:CALLABLE"),
            (["--conversation", "math:sin", "--handler", "echo"], "--conversation", "handler is set too", "one of"),
            (["--when-full", "waiting"], "--when-full", "wait, refuse", "did you mean 'wait'"),
            (["--max-connections", "0"], "--max-connections", "0 is out of range", "from 1 to"),
            (["--max-connections", "many"], "--max-connections", "'many'", "from 1 to"),
            (["--max-pending", "1.5"], "--max-pending", "'1.5'", "from 1 to"),
            (["--drain-timeout", "10 h"], "--drain-timeout", "'10 h'", "10s, 500ms, 2min"),
            (["--allow", "10.0.0.0/33"], "--allow", "'10.0.0.0/33'", "10.0.0.0/8 or ::1"),
            (["--deny", "::1,example.org"], "--deny", "'example.org'", "an address or a network"),
            (["--proxy-from", "::1"], "--proxy-from: proxy_protocol is not set", "both"),
            (["--proxy-protocol", "--proxy-from", "::1,"], "--proxy-from: ''", "an address or a network"),
            (["--listen", "haproxy:tcp:1"], "--listen: 'haproxy:tcp:1' loses the end", "'tcp:1', with proxy_protocol"),
            (
                ["--listen", "udp:1", "--proxy-protocol", "--handler", "tests.service.test_options:answer"],
                "--listen: 'udp:1': udp has no PROXY headers",
            ),
            (["--handshake-timeout", "0"], "--handshake-timeout", "more than 0"),
            (
                ["--memory-budget", "1000"],
                "--memory-budget: 1000 bytes are fewer than the longest message of 'echo'",
                "1048576",
            ),
            (["--memory-budget", "0"], "--memory-budget", "'0' is not a size"),
            (["--drain-timeout", "0"], "--drain-timeout", "'0'", "more than 0"),
            (["echo"], "'echo'", "--help"),
            (["--framin", "raw", "--bogus"], "option --bogus not recognized"),
            (["--fraiming", "raw"], "option --fraiming not recognized", "did you mean --framing?"),
            (["--max-conections=1"], "option --max-conections not recognized", "did you mean --max-connections?"),
            (["--listne\n", "x"], "did you mean --listen?"),
            (["--threads=yes"], "--threads"),
            (["--config", "x.toml", "--threads"], "--config", "all settings are in the file", "--threads"),
            (["--config", "x.toml", "--listen", "tcp:1", "--framing", ""], "--config", "--framing, --listen"),
            (["--config", "no-such.toml"], "no-such.toml: cannot be read: No such file"),
        ):
            with self.subTest(arguments=arguments):
                line = str(self.assertRaises(UsageError, options, *arguments))
                self.assertEqual(len(line.splitlines()), 1)
                for word in words:
                    self.assertIn(word, line)

    def test_help_tells_every_option_with_its_default(self) -> None:
        text = " ".join(str(Options(MemoryReactorClock())).split())
        for word in ("--listen=", "tcp:27015:interface=127.0.0.1", "--framing=", "[default: raw]", "--max-length="):
            self.assertIn(word, text)
        for word in ("--handler=", "[default: echo]", "--config=", "--threads", "[default: 10s]", "--when-full="):
            self.assertIn(word, text)
        for word in ("[default: 1M]", "--on-bad-frame=", "[default: close]", "--log-traffic", "envelope:START:END"):
            self.assertIn(word, text)


class TwistdTests(SynchronousTestCase):
    def test_a_wrong_option_is_one_line_on_standard_error(self) -> None:
        ended = failing("--framing", "windef")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        (line,) = ended.stderr.splitlines()
        self.assertTrue(line.startswith("twistd sockserve: --framing: unknown framing 'windef'"), line)

    def test_an_unknown_option_is_one_line_with_the_nearest_one(self) -> None:
        ended = failing("--framng", "windev")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertEqual(ended.stderr, "twistd sockserve: option --framng not recognized (did you mean --framing?)\n")

    def test_a_port_in_use_is_one_line_on_standard_error(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            ended = failing("--listen", "tcp:0", "--listen", f"tcp:{port}:interface=127.0.0.1")
        self.assertEqual(ended.returncode, 1)
        (line,) = ended.stderr.splitlines()
        self.assertTrue(line.startswith(f"twistd sockserve: --listen: Couldn't listen on 127.0.0.1:{port}"), line)
        self.assertNotIn("Traceback", ended.stdout)

    def test_a_unix_socket_in_no_directory_is_one_line_with_its_path(self) -> None:
        ended = failing("--listen", "unix:/no-such-place/x.sock")
        line = "twistd sockserve: --listen: Couldn't listen on unix:/no-such-place/x.sock: No such file or directory.\n"
        self.assertEqual((ended.returncode, ended.stderr), (1, line))

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
            f"{host}:{port}: message of 11 bytes is longer than the limit of 10 bytes (max_length); closing; "
            "bytes 32 0d 0a 6f 6b | 31 31 0d 0a 48 65 6c 6c 6f 20 57 6f 72 6c 64\n",
            log,
        )
        self.assertNotIn("Traceback", log)


class DirectoryTests(SynchronousTestCase):
    """twistd in a directory with the user's modules and files, which Python does not look at by itself."""

    def setUp(self) -> None:
        # Not of trial: a path in there may be too long for a unix socket.
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        changed = patch.dict(os.environ, PYTHONPATH=str(twistd.ROOT))
        changed.start()
        self.addCleanup(changed.stop)
        self.patch(twistd, "ROOT", self.directory)
        executable, *rest = twistd.TWISTD
        self.patch(twistd, "TWISTD", (executable, "-P", *rest))

    def write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return name

    def connect(self, address: str) -> socket.socket:
        """A client of an address as twistd logged it."""
        if address.startswith("unix:"):
            client = socket.socket(socket.AF_UNIX)
            client.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            client = socket.create_connection((host, int(port)))
        client.settimeout(twistd.PATIENCE)
        self.addCleanup(client.close)
        return client

    def receive(self, client: socket.socket, count: int) -> bytes:
        received = bytearray()
        while len(received) < count and (data := client.recv(count - len(received))):
            received += data
        return bytes(received)

    def test_a_file_with_two_sockets_whose_handler_runs_in_threads(self) -> None:
        # Two calls have to be under way at once for either to end.
        self.write(
            "shop/orders.py",
            "from threading import Barrier\n"
            "both = Barrier(2)\n"
            "def answer(message, channel):\n"
            "    both.wait(20)\n"
            "    return message.upper()\n",
        )
        config = f"""
            drain_timeout = "10s"

            [socket.orders]
            listen = ["tcp:0:interface=127.0.0.1", "unix:{self.directory}/orders.sock"]
            framing = "windev"
            handler = "shop.orders:answer"
            threads = true
            max_connections = 500

            [socket.scale]
            listen = "tcp:0:interface=127.0.0.1"
            framing = "envelope:\\\\x02:\\\\x03"
            handler = "forward:unix:{self.directory}/orders.sock,windev"
            max_connections = 1
            when_full = "wait"
            """
        with running("--config", self.write("sockserve.toml", config), listen=3, fresh=True) as server:
            orders, unix, scale = server.addresses
            self.assertEqual(unix, f"unix:{self.directory}/orders.sock")
            near, far = self.connect(orders), self.connect(scale)
            near.sendall(b"4\r\nnear")
            far.sendall(b"\x02far\x03")
            self.assertEqual(self.receive(near, 7), b"4\r\nNEAR")
            self.assertEqual(self.receive(far, 5), b"\x02FAR\x03")
            log = server.stop()
        self.assertIn("scale listens on 127.0.0.1:", log)
        self.assertNotIn("Traceback", log)

    def test_max_length_holds_on_both_sides_of_a_bridge(self) -> None:
        config = f"""
            [socket.bridge]
            listen = "tcp:0:interface=127.0.0.1"
            framing = "windev"
            handler = "forward:unix:{self.directory}/target,int32"
            max_length = "2M"
            [socket.target]
            listen = "unix:{self.directory}/target"
            framing = "int32"
            max_length = "2M"
            """
        message = bytes(2 << 20)
        frame = b"%d\r\n%b" % (len(message), message)
        with running("--config", self.write("sockserve.toml", config), listen=2) as server:
            client = self.connect(server.addresses[0])
            client.sendall(frame)
            self.assertEqual(self.receive(client, len(frame)), frame)

    def test_a_handler_in_a_file_of_the_current_directory(self) -> None:
        self.write("reverse.py", "def answer(message, channel):\n    return message[::-1]\n")
        options = "--listen", "tcp:0:interface=127.0.0.1", "--framing", "netstring", "--handler", "reverse:answer"
        with running(*options) as server:
            client = self.connect(server.addresses[0])
            client.sendall(b"3:abc,")
            self.assertEqual(self.receive(client, 6), b"3:cba,")
            log = server.stop()
        self.assertIn("answer listens on 127.0.0.1:", log)

    def test_a_protocol_class_and_a_framing_in_a_file_of_the_current_directory(self) -> None:
        self.write(
            "shop.py",
            "from sockserve import MessageProtocol\n"
            "from sockserve.framing.delimited import Standard\n"
            "class Upper(MessageProtocol):\n"
            "    def messageReceived(self, message):\n"
            "        self.sendMessage(message.upper())\n"
            "def semicolons():\n"
            "    return Standard(b';', max_length=9)\n",
        )
        options = "--listen", "tcp:0:interface=127.0.0.1", "--framing", "shop:semicolons", "--handler", "shop:Upper"
        with running(*options) as server:
            client = self.connect(server.addresses[0])
            client.sendall(b"abc;de;")
            self.assertEqual(self.receive(client, 7), b"ABC;DE;")
            client.sendall(b"0123456789;")
            self.assertEqual(client.recv(100), b"")
            command = [sys.executable, "-m", "sockserve", "send", "-f", "shop:semicolons"]
            command += [f"tcp:{server.addresses[0]}", "one", "two"]
            done = run(command, cwd=self.directory, text=True, timeout=twistd.PATIENCE)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ONE\nTWO\n", ""))

    def test_a_conversation_in_a_file_of_the_current_directory(self) -> None:
        self.write("hello.py", "async def talk(channel):\n    await channel.write(b'hello ' + await channel.read())\n")
        options = "--listen", "tcp:0:interface=127.0.0.1", "--framing", "netstring", "--conversation", "hello:talk"
        with running(*options) as server:
            client = self.connect(server.addresses[0])
            client.sendall(b"3:you,")
            self.assertEqual(self.receive(client, 100), b"9:hello you,")

    def test_what_a_slow_reader_is_owed_arrives_before_the_program_ends(self) -> None:
        size = 32 << 20
        self.write("large.py", f"def answer(message, channel):\n    return bytes({size})\n")
        options = "--listen", "tcp:0:interface=127.0.0.1", "--framing", "int32", "--handler", "large:answer"
        with running(*options, "--max-length", "32M", "--drain-timeout", f"{twistd.PATIENCE}s") as server:
            slow, idle = self.connect(server.addresses[0]), self.connect(server.addresses[0])
            slow.sendall(b"\0\0\0\x02go")
            self.assertEqual(self.receive(slow, 4), size.to_bytes(4))
            server.process.send_signal(signal.SIGTERM)
            # The idle client is owed nothing: its end of stream says that the program is stopping.
            self.assertEqual(idle.recv(1), b"")
            self.assertIsNone(server.process.poll())
            self.assertEqual(self.receive(slow, size + 1), bytes(size))
            self.assertEqual(server.process.wait(twistd.PATIENCE), 0)
            log = server.stop()
        self.assertNotIn("aborted", log)
        self.assertNotIn("Traceback", log)

    def test_who_does_not_read_is_cut_off_after_drain_timeout(self) -> None:
        self.write("large.py", f"def answer(message, channel):\n    return bytes({32 << 20})\n")
        options = "--listen", "tcp:0:interface=127.0.0.1", "--framing", "int32", "--handler", "large:answer"
        with running(*options, "--max-length", "32M", "--drain-timeout", "1ms") as server:
            client = self.connect(server.addresses[0])
            client.sendall(b"\0\0\0\x02go")
            self.receive(client, 4)
            log = server.stop()
        self.assertIn("answer: 1 connections aborted, not finished within 0.001 seconds (drain_timeout)", log)

    def test_a_mistake_in_the_file_is_one_line_on_standard_error(self) -> None:
        name = self.write("sockserve.toml", "[socket.orders]\nlisten = 'tcp:0'\nwhen_full = 'waiting'\n")
        ended = failing("--config", name)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertEqual(
            ended.stderr,
            "twistd sockserve: sockserve.toml: socket.orders.when_full: "
            "'waiting' is unknown; accepted: wait, refuse (did you mean 'wait'?)\n",
        )

    def test_a_mistake_in_the_last_socket_opens_none(self) -> None:
        path = self.directory / "orders.sock"
        name = self.write("x.toml", f"[socket.a]\nlisten = 'unix:{path}'\n[socket.b]\nlisten = 'tcp:x'\n")
        ended = failing("--config", name)
        self.assertIn("x.toml: socket.b.listen: 'tcp:x'", ended.stderr)
        self.assertEqual((ended.returncode, path.exists()), (1, False))

    def test_a_port_in_use_is_told_with_the_socket_that_wants_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            wanted = f"127.0.0.1:{holder.getsockname()[1]}"
            port = wanted.rpartition(":")[2]
            text = f"[socket.a]\nlisten = 'tcp:0'\n[socket.b]\nlisten = 'tcp:{port}:interface=127.0.0.1'\n"
            ended = failing("--config", self.write("x.toml", text))
        self.assertEqual(ended.returncode, 1)
        (line,) = ended.stderr.splitlines()
        self.assertTrue(
            line.startswith(f"twistd sockserve: x.toml: socket.b.listen: Couldn't listen on {wanted}"), line
        )
