"""Configuration files and the values in them: what is read, and what each mistake is answered with."""

from __future__ import annotations

import dataclasses
import sys
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import ANY

from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from sockserve.config.checking import Config, ConfigError
from sockserve.config.loading import load
from sockserve.connection.channel import Channel
from sockserve.framing import NAMES, parse
from sockserve.server.settings import SOCKET_SETTINGS, SocketSettings
from sockserve.server.values import Listen
from sockserve.text import parse_duration, parse_size

KEYS = ", ".join(SOCKET_SETTINGS)


def answer(message: bytes, _channel: Channel) -> bytes:
    return message


async def talk(channel: Channel) -> None:
    channel.close()


class SizeTests(SynchronousTestCase):
    def test_plain_k_and_M(self) -> None:
        self.assertEqual([parse_size(text) for text in ("1", "64k", "16M")], [1, 65536, 16 << 20])

    def test_anything_else_is_refused_in_one_line(self) -> None:
        for text in ("", "0", "-1", "1.5M", "1G", "k", "1 1", "0x10", "\u0661", "9" * 99):
            with self.subTest(text=text):
                self.assertIn("accepted", str(self.assertRaises(ValueError, parse_size, text)))


class DurationTests(SynchronousTestCase):
    def test_units_and_plain_seconds(self) -> None:
        for value, seconds in (
            ("10s", 10),
            ("500ms", 0.5),
            ("2min", 120),
            ("2 min", 120),
            ("1.5s", 1.5),
            ("3", 3),
            (7, 7),
            (0.25, 0.25),
        ):
            with self.subTest(value=value):
                parsed = parse_duration(value)
                self.assertEqual((parsed, type(parsed)), (seconds, float))

    def test_anything_else_is_refused_in_one_line(self) -> None:
        numbers = 0, -1, 0.0, float("inf"), float("-inf"), float("nan"), 10**400
        for value in ("", "0", "0s", "-1s", "1h", "s", "1e3", ".5s", "1 1s", "\u0661s", "9" * 99, "1s\n", *numbers):
            with self.subTest(value=value):
                line = str(self.assertRaises(ValueError, parse_duration, value))
                self.assertIn("accepted: a time, more than 0, such as 10s, 500ms, 2min or 1.5 (seconds)", line)
                self.assertEqual(len(line.splitlines()), 1)


class FileCase(SynchronousTestCase):
    def file(self, text: str | bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def load(self, text: str | bytes) -> Config:
        return load(self.file(text))


class LoadTests(FileCase):
    def test_the_example_of_the_specification(self) -> None:
        modules = Path(self.mktemp())
        (modules / "shop").mkdir(parents=True)
        (modules / "shop/orders.py").write_text("def answer(message, channel):\n    return message\n")
        self.patch(sys, "path", [str(modules), *sys.path])
        self.addCleanup(lambda: [sys.modules.pop(name, None) for name in ("shop", "shop.orders")])
        config = self.load(
            """
            drain_timeout = "10s"

            [socket.orders]
            listen = ["tcp:7000", "unix:/run/orders.sock"]
            framing = "windev"
            handler = "shop.orders:answer"
            threads = true
            max_connections = 500

            [socket.scale]
            listen = "tcp:7001:interface=127.0.0.1"
            framing = "envelope:\\\\x02:\\\\x03"
            handler = "forward:tcp:backend:9000,int32"
            max_connections = 1
            when_full = "wait"
            """
        )
        orders = SocketSettings(
            name="orders",
            listen=("tcp:7000", "unix:/run/orders.sock"),
            framing=parse("windev"),
            handler="shop.orders:answer",
            threads=True,
            max_connections=500,
        )
        scale = SocketSettings(
            name="scale",
            listen=("tcp:7001:interface=127.0.0.1",),
            framing=parse("envelope:\\x02:\\x03"),
            handler="forward:tcp:backend:9000,int32",
            max_connections=1,
            when_full="wait",
        )
        self.assertEqual(config, Config((orders, scale), 256 << 20))
        self.assertEqual([socket.drain_timeout for socket in config.sockets], [10, 10])
        self.assertEqual(list(config.server(MemoryReactor()).sockets), ["orders", "scale"])

    def test_every_key(self) -> None:
        config = self.load(
            """
            drain_timeout = 0.5
            memory_budget = "4M"
            [socket.a]
            listen = ["tcp:1", { endpoint = "tcp:2", framing = "windev" }]
            framing = "int16"
            handler = "tests.config.test_loading:answer"
            max_length = "1k"
            on_bad_frame = "skip"
            threads = true
            max_pending = 3
            max_connections = 4
            when_full = "refuse"
            max_connections_per_peer = 5
            allow = ["192.0.2.0/24", "::1"]
            deny = "192.0.2.7"
            close_timeout = "1500ms"
            idle_timeout = "1min"
            frame_timeout = 20
            proxy_protocol = true
            proxy_from = ["10.0.0.0/8", "::1"]
            handshake_timeout = "3s"
            log_traffic = true
            """
        )
        self.assertEqual((config.sockets[0].drain_timeout, config.memory_budget), (0.5, 4 << 20))
        expected = SocketSettings(
            name="a",
            listen=["tcp:1", Listen("tcp:2", "windev")],
            framing="int16",
            handler="tests.config.test_loading:answer",
            max_length=1024,
            on_bad_frame="skip",
            threads=True,
            max_pending=3,
            max_connections=4,
            when_full="refuse",
            max_connections_per_peer=5,
            allow=(ip_network("192.0.2.0/24"), ip_network("::1")),
            deny=(ip_network("192.0.2.7"),),
            close_timeout=1.5,
            idle_timeout=60,
            frame_timeout=20,
            proxy_protocol=True,
            proxy_from=(ip_network("10.0.0.0/8"), ip_network("::1")),
            handshake_timeout=3,
            drain_timeout=0.5,
            log_traffic=True,
        )
        self.assertEqual(config.sockets, (expected,))

    def test_numbers_are_bytes_and_seconds(self) -> None:
        (socket,) = self.load('[socket.a]\nlisten = "tcp:1"\nmax_length = 5\nclose_timeout = 7').sockets
        self.assertEqual((socket.max_length, socket.longest, socket.close_timeout), (5, 5, 7))

    def test_datagrams_beside_a_stream(self) -> None:
        listen = '["tcp:1", { endpoint = "udp:1", framing = "raw" }]'
        config = self.load(
            f'[socket.a]\nlisten = {listen}\nframing = "windev"\nhandler = "tests.config.test_loading:answer"'
        )
        self.assertEqual(config.sockets[0].listen, (Listen("tcp:1", parse("windev")), Listen("udp:1", parse("raw"))))

    def test_one_table_to_listen_on(self) -> None:
        config = self.load('[socket.a.listen]\nendpoint = "tcp:1"\nframing = "windev"')
        self.assertEqual(config.sockets[0].listen, (Listen("tcp:1", parse("windev")),))

    def test_a_byte_order_mark_and_line_ends_of_windows(self) -> None:
        config = self.load(b'\xef\xbb\xbf[socket.a]\r\nlisten = "tcp:1"\r\n')
        self.assertEqual(config.sockets[0].name, "a")

    def test_different_addresses(self) -> None:
        for one, other in (
            ("tcp:0", "tcp:0"),
            ("tcp:7000:interface=127.0.0.1", "tcp:7000:interface=127.0.0.2"),
            ("tcp:7000", "tcp6:7000"),
            ("unix:/run/a", "unix:/run/b"),
            ("unix:/run/a\\=b", "unix:/run/a"),
        ):
            with self.subTest(one=one, other=other):
                config = self.load(f"[socket.a]\nlisten = '{one}'\n[socket.b]\nlisten = '{other}'")
                self.assertEqual(len(config.sockets), 2)

    def test_values_do_not_change(self) -> None:
        config = self.load('[socket.a]\nlisten = "tcp:1"')
        for value in (config, config.sockets[0]):
            for field in dataclasses.fields(value):
                self.assertRaises(AttributeError, setattr, value, field.name, ANY)


class MistakeTests(FileCase):
    def check(self, text: str | bytes, *words: str) -> None:
        """One line, which begins with the file and holds the words."""
        file = self.file(text)
        line = str(self.assertRaises(ConfigError, load, file))
        self.assertEqual(len(line.splitlines()), 1, line)
        path, *others = words
        self.assertTrue(line.startswith(f"{file}: {path}"), line)
        for word in others:
            self.assertIn(word, line)

    def test_in_a_socket(self) -> None:
        endpoints = "tcp:27015:interface=127.0.0.1, tcp6:7000 or unix:/run/x.sock"
        for line, *words in (
            ("max_conections = 1", ".max_conections: unknown key", KEYS, "did you mean 'max_connections'?"),
            ("zzz = 1", ".zzz: unknown key", KEYS),
            ('"a\\nb" = 1', ".'a\\nb': unknown key"),
            ("allow = 5", ".allow: found an integer, 5", "an address or a network"),
            ("deny = ['::1', 5]", ".deny: found an integer, 5 in a list", "an address or a network"),
            ("deny = '::1/200'", ".deny: '::1/200' does not appear to be", "10.0.0.0/8 or ::1"),
            ("allow = []", ".allow: an empty list names nobody", "accepted: an address or a network"),
            ("idle_timeout = 0", ".idle_timeout: 0 is not a time", "10s, 500ms"),
            ("framing = 1", ".framing: found an integer, 1", "accepted: one of raw, raw:N, windev"),
            ("framing = 'windef'", ".framing: unknown framing 'windef'", "did you mean 'windev'?", *NAMES),
            ("framing = 'fixed:2M'", ".framing: framing 'fixed:2M'", "accepted: fixed:N"),
            ("handler = ['echo']", ".handler: found a list", "discard", "MODULE:CALLABLE"),
            ("handler = 'eco'", ".handler: 'eco' is unknown", "did you mean 'echo'?", "discard", "MODULE:CALLABLE"),
            ("handler = 'no_such:f'", ".handler: 'no_such:f': cannot import no_such: ModuleNotFoundError"),
            ("handler = 'math:nothing'", ".handler: 'math:nothing': math has no nothing"),
            ("handler = 'math:pi'", ".handler: 'math:pi' is a float, 3.14", "not a callable"),
            ("handler = 'forward:pigeon'", ".handler: 'forward:pigeon'", "forward:ENDPOINT[,FRAMING]"),
            ("handler = 'forward:tcp:a:1,int23'", ".handler: unknown framing 'int23'", "did you mean 'int32'?"),
            ("conversation = true", ".conversation: found a boolean, true", "MODULE:CALLABLE"),
            ("conversation = 'no_such:f'", ".conversation: 'no_such:f': cannot import no_such"),
            ("conversation = 'math:sin'\nhandler = 'echo'", ".conversation: handler is set too", "one of the two"),
            ("max_length = 0", ".max_length: 0 is not a size", "4096, 64k or 16M"),
            ("max_length = '1G'", ".max_length: '1G' is not a size", "4096, 64k or 16M"),
            ("max_length = 1.5", ".max_length: found a float, 1.5", "accepted: a size in bytes"),
            ("max_length = true", ".max_length: found a boolean, true", "accepted: a size in bytes"),
            ("on_bad_frame = 'skipp'", ".on_bad_frame: 'skipp' is unknown", "close, skip", "did you mean 'skip'?"),
            ("threads = 'yes'", ".threads: found a string, 'yes'", "accepted: true, false"),
            ("threads = 1", ".threads: found an integer, 1", "accepted: true, false"),
            ("proxy_protocol = 'v2'", ".proxy_protocol: found a string, 'v2'", "accepted: true, false"),
            (
                "proxy_protocol = true\nproxy_from = '10.0.0.1/8'",
                ".proxy_from: 10.0.0.1/8 has host bits set; accepted: an address or a network",
            ),
            ("proxy_from = '::1'", ".proxy_from: proxy_protocol is not set; accepted: both of them"),
            ("proxy_from = '::1'\nproxy_protocol = false", ".proxy_from: proxy_protocol is not set"),
            ("handshake_timeout = 0", ".handshake_timeout: 0 is not a time"),
            ("log_traffic = {}", ".log_traffic: found a table", "accepted: true, false"),
            ("max_pending = 0", ".max_pending: 0 is out of range", "accepted: a whole number from 1 to 999999999"),
            ("max_connections = 1000000000", ".max_connections: 1000000000 is out of range", "1 to 999999999"),
            ("max_connections = '5'", ".max_connections: found a string, '5'", "accepted: a whole number from 1"),
            ("max_connections = 1979-05-27", ".max_connections: found a date or time, 1979-05-27"),
            (
                "when_full = 'waiting'",
                ".when_full: 'waiting' is unknown; accepted: wait, refuse",
                "did you mean 'wait'?",
            ),
            ("close_timeout = '1h'", ".close_timeout: '1h' is not a time", "10s, 500ms, 2min"),
            ("close_timeout = inf", ".close_timeout: inf is not a time", "10s, 500ms, 2min"),
            ("close_timeout = false", ".close_timeout: found a boolean, false", "accepted: a time"),
        ):
            with self.subTest(line=line):
                self.check(f"[socket.orders]\nlisten = 'tcp:1'\n{line}", f"socket.orders{words[0]}", *words[1:])
        for line, *words in (
            ("", ".listen: found nothing", endpoints, "{ endpoint = ..., framing = ... }"),
            ("listen = []", ".listen: found an empty value", endpoints),
            ("listen = 7000", ".listen: found an integer, 7000", endpoints, "{ endpoint = ..., framing = ... }"),
            ("listen = ['tcp:1', 7]", ".listen[1]: found an integer, 7", endpoints),
            ("listen = 'pigeon:1'", ".listen: 'pigeon:1'", endpoints),
            ("listen = ['tcp:1', 'tcp:http']", ".listen[1]: 'tcp:http'", "from 0 to 65535", "accepted: tcp:PORT"),
            (
                "listen = ['tcp:1', 'tcp:65536']",
                ".listen[1]: 'tcp:65536': the port is a number from 0 to 65535, not '65536'",
            ),
            ("listen = ['tcp:1', '']", ".listen[1]: ''", endpoints),
            ("listen = 'ssl:1:privateKey=no-such.pem'", ".listen: 'ssl:1", "No such file", "accepted: ssl:PORT"),
            ("listen = 'udp:x'", ".listen: 'udp:x'"),
            ("listen = 'udp:1'\nframing = 'windev'", ".listen: udp is always raw"),
            ("listen = ['tcp:1', { framing = 'raw' }]", ".listen[1]: has no endpoint", endpoints),
            ("listen = { endpoint = 1 }", ".listen.endpoint: found an integer, 1", endpoints),
            (
                "listen = [{ endpoint = 'tcp:1', framin = 'raw' }]",
                ".listen[0].framin: unknown key",
                "accepted: endpoint, framing (did you mean 'framing'?)",
            ),
            (
                "listen = [{ endpoint = 'tcp:1', framing = 'windef' }]",
                ".listen[0].framing: unknown framing 'windef' (did you mean 'windev'?)",
                *NAMES,
            ),
        ):
            with self.subTest(line=line):
                self.check(f"[socket.orders]\n{line}", f"socket.orders{words[0]}", *words[1:])

    def test_the_line_of_the_documentation_in_full(self) -> None:
        file = self.file("[socket.orders]\nlisten = 'tcp:1'\nwhen_full = 'waiting'")
        line = str(self.assertRaises(ConfigError, load, file))
        expected = "'waiting' is unknown; accepted: wait, refuse (did you mean 'wait'?)"
        self.assertEqual(line, f"{file}: socket.orders.when_full: {expected}")

    def test_around_the_sockets(self) -> None:
        for text, *words in (
            ("", "has no socket", "[socket.NAME]"),
            ("drain_timeout = '1s'", "has no socket", "[socket.NAME]"),
            ("[socket]", "has no socket", "[socket.NAME]"),
            ("drain_timeout = 'soon'", "drain_timeout: 'soon' is not a time", "10s, 500ms, 2min"),
            ("drain_timeout = []", "drain_timeout: found a list", "accepted: a time"),
            (
                "drain_timout = 1",
                "drain_timout: unknown key; accepted: drain_timeout, memory_budget, ",
                "'drain_timeout'?",
            ),
            (
                "[sockets.x]\nlisten = 'tcp:1'",
                "sockets: unknown key",
                "accepted: drain_timeout, memory_budget, ",
                "'socket'?",
            ),
            ("socket = 5", "socket: found an integer, 5", "[socket.NAME]"),
            ("[[socket]]\nlisten = 'tcp:1'", "socket: found a list", "[socket.NAME]"),
            ("[socket]\nlisten = 'tcp:1'", "socket.listen: found a string, 'tcp:1'", "[socket.NAME]"),
            ("[socket.'a b']\nx = 1", 'socket."a b".x: unknown key', KEYS),
            ("[socket.'']\nlisten = 'tcp:1'", "socket.\"\": '' is not a name", "printable"),
            ('[socket."a\\nb"]\nlisten = "tcp:1"', "socket.\"a\\nb\": 'a\\nb' is not a name", "printable"),
            ("[socket.a]\nlisten = \n", "is not TOML: Invalid value (at line 2, column 10)"),
            ("[socket.a]\n[socket.a]\n", "is not TOML: Cannot declare ('socket', 'a') twice (at line 2"),
            ("[socket.a]\nlisten = 'a'\nlisten = 'b'\n", "is not TOML: Cannot overwrite a value (at line 3"),
            (b"\xff", "is not UTF-8: invalid start byte at byte 0"),
            ("a = " + "[" * 100_000, "is not TOML"),
        ):
            with self.subTest(text=text[:50]):
                self.check(text, *words)

    def test_an_address_that_is_taken(self) -> None:
        here = Path.cwd()
        for one, other in (
            ("tcp:7000", "tcp:7000"),
            ("tcp:7000", "tcp:07000:interface=0.0.0.0"),
            ("tcp:7000:interface=127.0.0.1", "tcp:interface=127.0.0.1:port=7000:backlog=9"),
            ("tcp:7000:127.0.0.1", "tcp:7000:interface=127.0.0.1"),
            ("tcp6:7000", "tcp6:7000:interface=\\:\\:"),
            ("udp:7000", "udp:7000:interface=127.0.0.1"),
            ("unix:x/run", f"unix:address={here}/x/run:mode=600"),
        ):
            handler = "handler = 'tests.config.test_loading:answer'"
            with self.subTest(one=one, other=other):
                between = f"[socket.a]\nlisten = '{one}'\n{handler}\n[socket.'b c']\nlisten = '{other}'\n{handler}"
                self.check(between, 'socket."b c".listen: ', "socket 'a' already listens there", other.split("\\")[0])
                within = f"[socket.a]\nlisten = ['{one}', '{other}']\n{handler}"
                self.check(within, "socket.a.listen: ", "socket 'a' already listens there")

    def test_a_file_that_cannot_be_read(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        for path, reason in ((directory, "Is a directory"), (directory / "x.toml", "No such file or directory")):
            line = str(self.assertRaises(ConfigError, load, path))
            self.assertEqual(line, f"{path}: cannot be read: {reason}")

    def test_the_message_of_a_broken_module_stays_one_line(self) -> None:
        modules = Path(self.mktemp())
        modules.mkdir()
        (modules / "broken_orders.py").write_text("raise RuntimeError('one\\ntwo')")
        self.patch(sys, "path", [str(modules), *sys.path])
        self.check(
            "[socket.a]\nlisten = 'tcp:1'\nhandler = 'broken_orders:answer'",
            "socket.a.handler: 'broken_orders:answer': cannot import broken_orders: RuntimeError: one two",
        )
