# ruff: noqa: ARG001 - handlers that are never called
"""Every setting with every kind of wrong value, in each of its forms: a file, an option, an argument in Python."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sockserve.config.checking import FILE_SETTINGS, ConfigError
from sockserve.config.loading import load
from sockserve.connection.channel import Channel
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.fields import SettingError, settings_of
from sockserve.framing import parse
from sockserve.framing.decimal import Windev
from sockserve.framing.delimited import Standard
from sockserve.limits.memory import MemoryBudget
from sockserve.server.server import Server
from sockserve.server.settings import SOCKET_SETTINGS, SocketSettings
from sockserve.server.sockets import SocketServer
from sockserve.server.values import Listen
from sockserve.service.options import SETTINGS, Options
from sockserve.tls.certificates import TLSConfig
from tests.support.authority import Authority

HERE = "tests.server.test_settings"


def answer(message: bytes, channel: Channel) -> bytes:
    return message


async def slowly(message: bytes, channel: Channel) -> bytes:
    return message


async def talk(channel: Channel) -> None:
    channel.close()


def one(message: bytes) -> bytes:
    return message


def three(message: bytes, channel: Channel, more: object) -> bytes:
    return message


def generated(message: bytes, channel: Channel) -> Iterator[bytes]:
    yield message


class Upper(MessageProtocol):
    framing = "netstring"

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message.upper())


class Needy(MessageProtocol):
    def __init__(self, shop: object) -> None:
        self.shop = shop


OWN = Standard(b";", max_length=20)

COUNTS = ("max_pending", "max_connections", "max_connections_per_peer")
TIMES = ("close_timeout", "handshake_timeout", "answer_timeout", "drain_timeout")
TIMES_OR_NEVER = ("idle_timeout", "frame_timeout")
FLAGS = ("threads", "proxy_protocol", "log_traffic")
NETWORKS = ("allow", "deny", "proxy_from")
CHOICES = ("on_bad_frame", "when_full")

NEEDED: dict[str, dict[str, object]] = {
    "max_pending": {"handler": f"{HERE}:answer"},
    "when_full": {"max_connections": 5},
    "proxy_from": {"proxy_protocol": True},
    "handshake_timeout": {"proxy_protocol": True},
    "threads": {"handler": f"{HERE}:answer"},
    "relay": {"handler": "relay"},
}
"""What has to stand beside a setting for it to mean anything."""


def written(value: object) -> str:
    """A value as TOML has it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            # A literal string, in which a backslash is one.
            return f"'{value}'"
        case dict():
            return "{" + ", ".join(f"{key} = {written(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
    return str(value)


class FormCase(SynchronousTestCase):
    """Gives wrong settings to each form, and has the line that refuses them."""

    def python(self, **settings: object) -> str:
        """The line that SocketServer refuses these settings with."""
        error = self.assertRaises(
            ValueError, SocketServer, "x", settings.pop("listen", "tcp:1"), **settings, reactor=MemoryReactorClock()
        )
        return str(error)

    def toml(self, **settings: object) -> str:
        """The same from a file, without the path to the setting."""
        path = Path(self.mktemp())
        shared = {name: settings.pop(name) for name in ("drain_timeout",) if name in settings}
        table = {"listen": "tcp:1", **settings}
        path.write_text(
            "".join(f"{name} = {written(value)}\n" for name, value in shared.items())
            + "[socket.x]\n"
            + "".join(f"{name} = {written(value)}\n" for name, value in table.items())
        )
        line = str(self.assertRaises(ConfigError, load, path)).removeprefix(f"{path}: ")
        return line.removeprefix("socket.x.")

    def options(self, **settings: object) -> str:
        """The same from a command line."""
        arguments = [
            f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
            for name, value in {"listen": "tcp:1", **settings}.items()
        ]
        line = str(self.assertRaises(UsageError, Options(MemoryReactorClock()).parseOptions, arguments))
        option, colon, reason = line.removeprefix("--").partition(": ")
        return f"{option.replace('-', '_')}{colon}{reason}"

    def check(self, name: str, value: object, words: str, *forms: Callable[..., str]) -> None:
        """Each form refuses it in the same line, which begins with the setting, and says what is accepted."""
        for form in forms:
            with self.subTest(name=name, value=value, form=form.__name__):
                line = form(**{**NEEDED.get(name, {}), name: value})
                self.assertEqual(len(line.splitlines()), 1, line)
                self.assertTrue(line.startswith(f"{name}: "), line)
                self.assertIn(words, line)
                self.assertIn("; accepted: ", line)
                self.assertLess(len(line), 600)


class WrongValueTests(FormCase):
    def test_counts(self) -> None:
        value: Any
        accepted = "accepted: a whole number from 1 to 999999999"
        for name in COUNTS:
            for value in (0, -1, 10**9, 10**15 - 1):
                self.check(name, value, f"{value} is out of range; {accepted}", self.python, self.toml, self.options)
            for value in ("many", "1.5", "5s", "0x10", ""):
                self.check(name, value, f"found a string, '{value}'; {accepted}", self.python, self.toml, self.options)
            for value, words in (
                (True, "a boolean, true"),
                (1.5, "a float, 1.5"),
                ([1], "a list"),
                ({"a": 1}, "a table"),
            ):
                self.check(name, value, f"found {words}; {accepted}", self.python, self.toml)
            for value, words in (
                (b"5", "found bytes, b'5'"),
                (float("nan"), "found a float, nan"),
                (10**5000, "is out of range"),
                (object(), "found an object"),
            ):
                self.check(name, value, words, self.python)

    def test_times(self) -> None:
        value: Any
        for name in (*TIMES, *TIMES_OR_NEVER):
            never = ", or never" if name in TIMES_OR_NEVER else ""
            accepted = f"accepted: a time, more than 0, such as 10s, 500ms, 2min or 1.5 (seconds){never}"
            for value in ("soon", "", "0", "0s", "-1s", "1h", "1e3", "9" * 20):
                self.check(name, value, f"'{value}' is not a time; {accepted}", self.python, self.toml, self.options)
            for value in (0, -1, -0.5, 0.0, 10**9):
                self.check(name, value, f"{value} is not a time; {accepted}", self.python, self.toml)
            for text in ("inf", "-inf", "nan"):
                line = f"{text} is not a time; {accepted}"
                self.check(name, float(text), line, self.python, self.toml)
            for value, words in ((True, "a boolean, true"), ([1], "a list"), ({"a": 1}, "a table")):
                self.check(name, value, f"found {words}; {accepted}", self.python, self.toml)
            for value, words in (
                (b"5s", "found bytes, b'5s'"),
                (10**5000, "is not a time"),
                (object(), "found an object"),
            ):
                self.check(name, value, words, self.python)
        for name in TIMES:
            self.check(name, None, "found None; accepted: a time", self.python)
            self.check(name, "never", "'never' is not a time", self.python, self.toml, self.options)

    def test_sizes(self) -> None:
        value: Any
        accepted = "accepted: a size in bytes, 1 or more, such as 4096, 64k or 16M"
        for value in ("0", "-1", "", "1G", "1.5M", "k", "9" * 20):
            line = f"'{value}' is not a size; {accepted}"
            self.check("max_length", value, line, self.python, self.toml, self.options)
        for value in (0, -1):
            self.check("max_length", value, f"{value} is not a size; {accepted}", self.python, self.toml)
        for value, words in ((True, "a boolean, true"), (1.5, "a float, 1.5"), ([1], "a list")):
            self.check("max_length", value, f"found {words}; {accepted}", self.python, self.toml)
        for value, words in ((None, "found None"), (b"5", "found bytes"), (10**5000, "is not a size")):
            self.check("max_length", value, words, self.python)

    def test_flags(self) -> None:
        value: Any
        for name in FLAGS:
            for value, words in (
                ("yes", "a string, 'yes'"),
                (1, "an integer, 1"),
                (0, "an integer, 0"),
                ([], "a list"),
            ):
                self.check(name, value, f"found {words}", self.python, self.toml)
            self.check(name, None, "found None; accepted: true, false", self.python)

    def test_choices(self) -> None:
        value: Any
        for name, words in (("on_bad_frame", ("close", "skip")), ("when_full", ("wait", "refuse"))):
            accepted = f"accepted: {', '.join(words)}"
            self.check(name, "drop", f"'drop' is unknown; {accepted}", self.python, self.toml, self.options)
            self.check(name, "", f"'' is unknown; {accepted}", self.python, self.toml, self.options)
            typo = f"{words[1]}{words[1][-1]}"
            line = f"'{typo}' is unknown; {accepted} (did you mean '{words[1]}'?)"
            self.check(name, typo, line, self.python, self.toml, self.options)
            for value, kind in ((True, "a boolean, true"), (5, "an integer, 5"), ([words[0]], "a list")):
                self.check(name, value, f"found {kind}; {accepted}", self.python, self.toml)
            self.check(name, None, f"found None; {accepted}", self.python)

    def test_networks(self) -> None:
        value: Any
        accepted = "accepted: an address or a network, such as "
        for name in NETWORKS:
            for value in ("example.org", "10.0.0.0/33", "10.0.0.1/8", "::1/200"):
                self.check(name, value, accepted, self.python, self.toml, self.options)
            self.check(name, "", f"; {accepted}", self.python, self.toml, self.options)
            self.check(name, [], f"an empty list names nobody; {accepted}", self.python, self.toml)
            self.check(name, ["::1", 5], f"found an integer, 5 in a list; {accepted}", self.python, self.toml)
            for value, words in ((5, "an integer, 5"), (True, "a boolean, true"), ({"a": 1}, "a table")):
                self.check(name, value, f"found {words}; {accepted}", self.python, self.toml)
            for value, words in ((b"::1", "found bytes"), ((), "an empty list"), ({"::1": 1}, "found a table")):
                self.check(name, value, f"{words}", self.python)

    def test_framings(self) -> None:
        value: Any
        accepted = "raw, raw:N, windev"
        for value, words in (
            ("windef", "unknown framing 'windef' (did you mean 'windev'?)"),
            ("", "unknown framing ''"),
            ("fixed:2M", "framing 'fixed:2M': N is a number of bytes, not '2M'"),
            ("fixed:2000000", "the size of fixed must be 1 to 1048576 bytes (max_length)"),
            ("no_such:Fix", "framing 'no_such:Fix': cannot import no_such: ModuleNotFoundError"),
            (f"{HERE}:Fix", f"{HERE} has no Fix"),
            ("os:getcwd", "framing 'os:getcwd' is of type str, not a framing"),
            (f"{HERE}:answer", "calling it without arguments fails: TypeError"),
        ):
            self.check("framing", value, words, self.python, self.toml, self.options)
        for value, words in ((5, "an integer, 5"), (True, "a boolean, true"), (["raw"], "a list")):
            self.check("framing", value, f"found {words}; accepted: one of {accepted}", self.python, self.toml)
        for value, words in ((None, "None"), (b"raw", "bytes, b'raw'"), (Windev, "the class Windev")):
            self.check("framing", value, f"found {words}; accepted: one of {accepted}", self.python)

    def test_handlers(self) -> None:
        value: Any
        function = "accepted: a function of (message, channel), or a MessageProtocol subclass"
        for value, words in (
            ("eco", "'eco' is unknown (did you mean 'echo'?); accepted: echo, discard, relay, forward:ENDPOINT"),
            ("", "'' is unknown; accepted: echo"),
            ("no_such:f", "'no_such:f': cannot import no_such: ModuleNotFoundError"),
            ("relay:x", "'relay:x': unexpected 'x'; accepted: echo, discard, relay"),
            (f"{HERE}:nothing", f"{HERE} has no nothing"),
            ("math:pi", "is a float, 3.14"),
            ("os:getcwd", f"'os:getcwd' has the signature (); {function}"),
            ("math:sin", f"'math:sin' has the signature (x, /); {function}"),
            (f"{HERE}:one", f"has the signature (message); {function}"),
            (f"{HERE}:three", f"has the signature (message, channel, more); {function}"),
            (f"{HERE}:talk", f"has the signature (channel); {function}"),
            (f"{HERE}:generated", f"is a generator function; {function}"),
            (f"{HERE}:Channel", f"is a class, but not a MessageProtocol; {function}"),
            (f"{HERE}:Needy", "has the signature (shop); accepted: a MessageProtocol subclass that is made without"),
            ("forward:", "'forward:': '': unknown kind of endpoint ''"),
            ("forward:pigeon:1", "unknown kind of endpoint 'pigeon'"),
            ("forward:tcp:h:0", "the port is a number from 1 to 65535, not '0'"),
            ("forward:tcp:h:1,int23", "unknown framing 'int23' (did you mean 'int32'?)"),
        ):
            self.check("handler", value, words, self.python, self.toml, self.options)
        for value, words in ((5, "an integer, 5"), (True, "a boolean, true"), (["echo"], "a list")):
            self.check("handler", value, f"found {words}; accepted: echo, discard", self.python, self.toml)
        for wrong, words in (
            (None, "found None; accepted: echo"),
            (b"echo", "found bytes, b'echo'; accepted: echo"),
            (one, "one has the signature"),
            (three, "three has the signature"),
            (talk, "talk has the signature"),
            (os.getcwd, "getcwd has the signature ()"),
            (generated, "generated is a generator function"),
            (Needy, "Needy has the signature"),
            (Upper(), "found an Upper; accepted: echo"),
            (SocketServer, "SocketServer is a class, but not a MessageProtocol"),
            (object, "object is a class, but not a MessageProtocol"),
        ):
            self.check("handler", wrong, words, self.python)

    def test_conversations(self) -> None:
        value: Any
        accepted = "accepted: a coroutine function of (channel), or its name as MODULE:CALLABLE"
        for value, words in (
            ("talk", "'talk' is unknown; accepted: MODULE:CALLABLE"),
            ("no_such:f", "cannot import no_such"),
            (f"{HERE}:answer", f"is not a coroutine function; {accepted}"),
            (f"{HERE}:slowly", f"has the signature (message, channel); {accepted}"),
            ("os:getcwd", f"is not a coroutine function; {accepted}"),
            (f"{HERE}:Upper", f"is not a coroutine function; {accepted}"),
        ):
            self.check("conversation", value, words, self.python, self.toml, self.options)
        for value, words in ((5, "an integer, 5"), (True, "a boolean, true"), ([talk], "a list")):
            forms = [self.python] if isinstance(value, list) else [self.python, self.toml]
            self.check("conversation", value, f"found {words}; {accepted}", *forms)
        for wrong in (answer, one, lambda channel: talk(channel)):  # noqa: PLW0108
            self.check("conversation", wrong, f"is not a coroutine function; {accepted}", self.python)
        self.check("conversation", slowly, "slowly has the signature", self.python)

    def test_endpoints(self) -> None:
        value: Any
        for value, words in (
            ("", "accepted: a Twisted endpoint"),
            ("pigeon:1", "'pigeon:1': unknown kind of endpoint 'pigeon'; accepted: a Twisted endpoint"),
            ("7000", "'7000': unknown kind of endpoint '7000'"),
            ("tcp", "port is missing; accepted: tcp:PORT[:interface=ADDRESS][:backlog=N]"),
            ("tcp:http", "the port is a number from 0 to 65535, not 'http'"),
            ("tcp:65536", "the port is a number from 0 to 65535, not '65536'"),
            ("tcp:-1", "the port is a number from 0 to 65535, not '-1'"),
            ("tcp:7000:prot=3", "there is no argument 'prot'"),
            ("tcp:7000:backlog=many", "'many' is not a whole number of 1 or more"),
            ("tcp:7000:backlog=0", "'0' is not a whole number of 1 or more"),
            ("tcp:7000:port=7001", "port is given twice"),
            ("tcp:1:2:3:4", "'4' is one argument too many"),
            ("tcp:7000\\", "a backslash must stand before another character"),
            ("tcp6", "port is missing; accepted: tcp6:PORT"),
            ("unix", "address is missing; accepted: unix:PATH"),
            ("unix:/run/x:mode=rw", "the mode is an octal number such as 660, not 'rw'"),
            ("unix:/run/x:lockfile=no", "'no' is neither 0 nor 1"),
            (f"unix:/{'x' * 200}", "the path of a unix socket has at most 107 bytes"),
            ("ssl:1:privateKey=no-such.pem", "no-such.pem: cannot be read: No such file"),
            ("ssl:1:sslmethod=SSLv3_METHOD", "there is no argument 'sslmethod'; accepted: ssl:PORT"),
            ("tls:no-such-folder", "no-such-folder: has no .pem file; accepted: tls:FOLDER"),
            ("udp:x", "the port is a number from 0 to 65535, not 'x'; accepted: udp:PORT"),
            ("udp:1:backlog=5", "there is no argument 'backlog'"),
            ("systemd:domain=INET", "the index or the name of the descriptor is missing"),
            ("systemd:domain=INET:index=0", "systemd has passed 0 descriptors, there is no index 0"),
            ("systemd:domain=INET:name=x", "systemd has passed no descriptor named 'x'"),
            ("systemd:domain=IP:index=0", "the domain is one of INET, INET6, UNIX, not 'IP'"),
            ("fd:99999", "descriptor 99999 is not a socket of this process"),
            ("fd:x", "'x' is not the number of a descriptor"),
            ("haproxy:tcp:1", "'haproxy:tcp:1' loses the end of a stream; accepted: 'tcp:1', with proxy_protocol"),
            ("stdio:", "'stdio:' has one client and no address; accepted: a Twisted endpoint"),
        ):
            self.check("listen", value, words, self.python, self.toml, self.options)
        for value, words in ((7000, "an integer, 7000"), (True, "a boolean, true"), (1.5, "a float, 1.5")):
            self.check("listen", value, f"found {words}; accepted: a Twisted endpoint", self.python, self.toml)
        self.check("listen", [], "found an empty value; accepted: a Twisted endpoint", self.python, self.toml)
        self.check("listen", {}, "accepted: a Twisted endpoint", self.python, self.toml)
        for value, words in (
            (None, "None"),
            (b"tcp:1", "bytes, b'tcp:1'"),
            (object(), "an object"),
            (answer, "a function"),
        ):
            self.check("listen", value, f"found {words}", self.python)
        for form in (self.python, self.toml):
            self.assertIn("listen[1]: found an integer, 7; accepted: ", form(listen=["tcp:1", 7]))
            self.assertIn("listen[1]: 'tcp:x': the port is", form(listen=["tcp:1", "tcp:x"]))
            self.assertIn("listen.framing: unknown framing 'x'", form(listen={"endpoint": "tcp:1", "framing": "x"}))
            self.assertIn("listen.framing: found an integer, 5", form(listen={"endpoint": "tcp:1", "framing": 5}))
            self.assertIn("listen: has no endpoint; accepted: a Tw", form(listen={"framing": "raw"}))
            self.assertIn("listen.endpoint: found an integer, 1", form(listen={"endpoint": 1}))
            self.assertIn("(did you mean 'framing'?)", form(listen={"endpoint": "tcp:1", "framin": "raw"}))
        self.assertIn("listen: found an integer, 5", self.python(listen=Listen(5)))  # type: ignore[arg-type]
        self.assertIn("listen.framing: found bytes", self.python(listen=Listen("tcp:1", b"raw")))  # type: ignore[arg-type]

    def test_an_address_twice(self) -> None:
        for one, other in (
            ("tcp:7000", "tcp:port=7000"),
            ("tcp:7000", "tcp:7000:interface=0.0.0.0"),
            ("tcp6:7000:interface=\\:\\:1", "tcp6:7000:interface=0\\:0\\:0\\:0\\:0\\:0\\:0\\:1"),
            ("unix:/run/x", "unix:/run/x:mode=600"),
        ):
            for form in (self.python, self.toml):
                line = form(listen=[one, other])
                self.assertEqual(
                    line, f"listen: {other!r}: socket 'x' already listens there; accepted: each address once"
                )
        server = Server([SocketServer("a", "tcp:7000")])
        error = self.assertRaises(ValueError, server.add, SocketServer("b", "tcp:7000"))
        self.assertEqual(
            str(error), "listen: 'tcp:7000': socket 'a' already listens there; accepted: each address once"
        )
        self.assertEqual([*server.sockets], ["a"])

    def test_tls(self) -> None:
        for table, words in (
            ({}, "tls: has no certificate; accepted: the name of a PEM file"),
            ({"certificate": 5}, "tls.certificate: found an integer, 5; accepted: the name of a PEM file"),
            ({"certificat": "x"}, "tls.certificat: unknown key; accepted: certificate, key"),
            ({"certificate": "none.pem"}, "tls.certificate: none.pem: cannot be read: No such file"),
            (
                {"certificate": "x", "minimum_version": "1.1"},
                "tls.minimum_version: '1.1' is unknown; accepted: \"1.2\"",
            ),
            ({"certificate": "x", "key": False}, "tls.key: found a boolean, false"),
        ):
            for form in (self.python, self.toml):
                self.assertIn(words, form(tls=table))
        for value, words in ((5, "an integer, 5"), ("x.pem", "a string, 'x.pem'"), (True, "a boolean, true")):
            self.check("tls", value, f"found {words}; accepted: a table [socket.NAME.tls]", self.python, self.toml)
        for name in ("certificate", "key", "chain", "client_ca", "minimum_version"):
            with self.assertRaisesRegex(SettingError, f"{name}: found bytes, b'x'; accepted: "):
                TLSConfig(**{"certificate": "x", name: b"x"})  # type: ignore[arg-type]
        self.assertIn("tls.certificate: none: cannot be read", self.python(tls=TLSConfig(certificate="none")))

    def test_relays(self) -> None:
        value: Any
        accepted = "accepted: redis://[USER:PASSWORD@]HOST"
        for value, words in (
            ("", "it does not begin with redis://"),
            ("redis://us:secret@h:0", "the port is a number from 1 to 65535"),
        ):
            self.check("relay", value, f"{words}", self.python, self.toml, self.options)
        for value, words in ((5, "an integer, 5"), (True, "a boolean, true"), (["redis://h"], "a list")):
            self.check("relay", value, f"found {words}; {accepted}", self.python, self.toml)
        self.check("relay", b"redis://h", f"found bytes, b'redis://h'; {accepted}", self.python)

    def test_names(self) -> None:
        for name in ("", " ", "a\nb", "x" * 101, None, 5, b"x", True):
            line = str(self.assertRaises(ValueError, SocketServer, name, "tcp:1"))
            self.assertTrue(line.startswith("name: "), line)
            self.assertIn("; accepted: text of at most 100 printable characters", line)

    def test_what_it_shares_with_others(self) -> None:
        self.assertIn("memory: found an integer, 5; accepted: a MemoryBudget", self.python(memory=5))
        error = self.assertRaises(ValueError, SocketServer, "x", "tcp:1", reactor=5)
        self.assertIn("reactor: found an integer, 5; accepted: a reactor of Twisted", str(error))

    def test_an_argument_that_there_is_not(self) -> None:
        error = self.assertRaises(TypeError, SocketServer, "x", "tcp:1", max_conections=5)
        self.assertIn("SocketServer has no argument 'max_conections' (did you mean 'max_connections'?)", str(error))


class UselessValueTests(FormCase):
    """A setting that would change nothing, or contradicts another one, is refused with a line."""

    def test_in_every_form(self) -> None:
        for settings, words in (
            ({"when_full": "refuse"}, "when_full: max_connections is not set; accepted: both of them"),
            ({"when_full": "wait"}, "when_full: max_connections is not set; accepted: both of them"),
            ({"proxy_from": "::1"}, "proxy_from: proxy_protocol is not set; accepted: both of them"),
            ({"threads": True}, "threads: no function is called; accepted: with a handler that is a function"),
            ({"threads": True, "handler": "relay"}, "threads: no function is called"),
            ({"threads": True, "conversation": f"{HERE}:talk"}, "threads: no function is called"),
            ({"threads": True, "handler": f"{HERE}:Upper"}, "threads: no function is called"),
            ({"threads": True, "handler": f"{HERE}:slowly"}, "threads: only for a handler that blocks"),
            ({"max_pending": 5}, "max_pending: no function is called"),
            ({"max_pending": 5, "handler": "forward:tcp:h:1"}, "max_pending: no function is called"),
            ({"max_pending": 5, "conversation": f"{HERE}:talk"}, "max_pending: no function is called"),
            ({"handler": "echo", "conversation": f"{HERE}:talk"}, "conversation: handler is set too; accepted: one of"),
            ({"handshake_timeout": "5s"}, "handshake_timeout: there is no handshake; accepted: with tls or proxy"),
            (
                {"max_length": 5, "framing": f"{HERE}:OWN"},
                ":OWN' has its own max_length, 20",
            ),
            ({"on_bad_frame": "skip", "framing": f"{HERE}:OWN"}, "has its own on_bad_frame, close"),
            ({"relay": "redis://h"}, "relay: this handler shares nothing; accepted: with the handler relay"),
            ({"relay": "redis://h", "conversation": f"{HERE}:talk"}, "relay: this handler shares nothing"),
            (
                {"relay": "redis://h", "handler": "relay", "max_length": "513M"},
                "relay: Redis holds messages of at most 536870912 bytes; accepted: a max_length of no more",
            ),
            ({"listen": "udp:1", "max_connections": 5}, "max_connections: udp has no connections; accepted: with an"),
            ({"listen": "udp:1", "idle_timeout": 5}, "idle_timeout: udp has no connections"),
            ({"listen": "udp:1", "framing": "windev"}, "listen: udp is always raw"),
            ({"listen": "udp:1", "handler": "relay"}, "handler: 'relay' needs connections, udp has none"),
            ({"listen": "udp:1", "framing": "raw", "handler": f"{HERE}:Upper"}, "needs connections, udp has none"),
            ({"listen": "udp:1", "conversation": f"{HERE}:talk"}, "conversation: it needs a connection, udp has none"),
            ({"listen": "udp:1", "proxy_protocol": True}, "listen: 'udp:1': udp has no PROXY headers"),
            (
                {"listen": "unix:/run/x", "tcp_keepalive": 9},
                "tcp_keepalive: a unix socket has no network to fail; accepted",
            ),
            ({"tcp_keepalive": "500ms"}, "tcp_keepalive: '500ms' is out of range; accepted: a time from 1s to 500min"),
            ({"listen": "unix:/run/x", "deny": "::1"}, "deny: the clients of a unix socket have no address"),
            (
                {"listen": "unix:/run/x", "proxy_protocol": True, "proxy_from": "::1"},
                "proxy_from: the clients of a unix socket are trusted",
            ),
        ):
            for form in (self.python, self.toml, self.options):
                with self.subTest(settings=settings, form=form.__name__):
                    self.assertIn(words, form(**settings))

    def test_a_framing_that_is_a_value_has_its_limits(self) -> None:
        self.assertIn("framing 'windev' has its own max_length, 1048576", self.python(framing=Windev(), max_length=16))
        self.assertIn(
            "listen.framing: framing 'windev' has its own on_bad_frame, close",
            self.python(listen=Listen("tcp:1", Windev()), on_bad_frame="skip"),
        )


class MeaningTests(SynchronousTestCase):
    """What is accepted means the same in every form."""

    def settings(self, **settings: Any) -> SocketSettings:  # noqa: ANN401 - those of SocketSettings
        return SocketSettings("x", settings.pop("listen", "tcp:1"), **settings)

    def test_text_with_units_is_seconds_and_bytes(self) -> None:
        made = self.settings(
            idle_timeout="5min", frame_timeout="never", close_timeout="500ms", drain_timeout=3, max_length="64k"
        )
        self.assertEqual((made.idle_timeout, made.frame_timeout, made.close_timeout), (300, None, 0.5))
        self.assertEqual((made.drain_timeout, made.max_length), (3, 65536))

    def test_limits_are_those_of_every_framing_that_is_given_by_name(self) -> None:
        made = self.settings(
            listen=["tcp:1", Listen("tcp:2", "netstring")], framing="windev", max_length=16, on_bad_frame="skip"
        )
        limits = [(each.framing.max_length, each.framing.on_bad_frame) for each in made.listens]
        self.assertEqual((limits, made.longest), ([(16, "skip")] * 2, 16))

    def test_a_framing_that_is_a_value_stays_what_it_is(self) -> None:
        own = Windev(max_length=5, on_bad_frame="skip")
        for framing in (own, f"{HERE}:OWN"):
            (listening,) = self.settings(framing=framing).listens
            self.assertEqual(listening.framing, own if framing is own else OWN)

    def test_a_protocol_class_brings_its_framing_unless_another_is_named(self) -> None:
        for handler in (Upper, f"{HERE}:Upper"):
            self.assertEqual(self.settings(handler=handler).framing, parse("netstring"))
            self.assertEqual(self.settings(handler=handler, max_length=9).framing, parse("netstring", max_length=9))
            self.assertEqual(self.settings(handler=handler, framing="raw").framing, parse("raw"))
            self.assertEqual(self.settings(handler=handler, framing="windev").framing, parse("windev"))

    def test_callables_of_every_kind_answer(self) -> None:
        class Shop:
            def __call__(self, message: bytes, channel: Channel) -> bytes:
                return message

            def order(self, message: bytes, channel: Channel) -> bytes:
                return message

        class Talk:
            async def __call__(self, channel: Channel) -> None:
                channel.close()

        for handler in (answer, slowly, Shop(), Shop().order, lambda *_: b"", print, f"{HERE}:answer"):
            self.assertIsNotNone(self.settings(handler=handler).answers.function)
        for conversation in (talk, Talk(), f"{HERE}:talk"):
            self.assertIsNone(self.settings(conversation=conversation).answers.function)

    def test_checking_makes_nothing(self) -> None:
        reactor = MemoryReactorClock()
        settings = self.settings(listen=["tcp:1", "udp:2", "unix:/run/x", TCP4ServerEndpoint(reactor, 3)])
        self.assertEqual((reactor.tcpServers, reactor.unixServers), ([], []))
        server = SocketServer.of(settings, reactor=reactor, memory=MemoryBudget(1 << 20, reactor))
        self.assertIs(server.settings, settings)

    def test_each_pem_file_is_read_once(self) -> None:
        authority = Authority(self.mktemp())
        key, mark, certificate = authority.server.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
        (authority.folder / "key.pem").write_bytes(key)
        (authority.folder / "certificate.pem").write_bytes(mark + certificate)
        file = authority.folder / "sockserve.toml"
        file.write_text(
            "[socket.orders]\nlisten = 'tcp:1'\n[socket.orders.tls]\n"
            f"certificate = '{authority.folder}/certificate.pem'\nkey = '{authority.folder}/key.pem'\n"
        )
        read: list[str] = []
        read_bytes = Path.read_bytes

        def counted(path: Path) -> bytes:
            read.append(path.name)
            return read_bytes(path)

        self.patch(Path, "read_bytes", counted)
        load(file).server(MemoryReactorClock())
        self.assertEqual(sorted(read), ["certificate.pem", "key.pem"])

    def test_defaults_are_those_of_the_protocol(self) -> None:
        made = self.settings()
        self.assertEqual(made.connection_options(), {})
        for name in settings_of(ConnectionOptions):
            self.assertEqual(getattr(made, name), getattr(MessageProtocol.options, name))

    def test_each_setting_is_a_key_an_option_and_an_argument(self) -> None:
        arguments = set(inspect.signature(SocketServer).parameters)
        keys = {*SOCKET_SETTINGS, *FILE_SETTINGS, "name"}
        whole = {"socket", "memory_budget", "log_format", "workers", "admin", "admin_token_file"}
        self.assertEqual(arguments, keys - whole | {"memory", "reactor"})
        self.assertEqual({*SETTINGS}, keys - {"socket", "tls", "name"})
        text = str(Options(MemoryReactorClock()))
        for name, about in settings_of(SocketSettings).items():
            self.assertTrue(about.help.endswith("."), name)
            if name in SETTINGS:
                self.assertIn(f"--{name.replace('_', '-')}", text)
