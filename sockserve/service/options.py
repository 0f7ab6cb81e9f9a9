"""The twistd plugin: `twistd -n sockserve`, its options and the service they describe."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import MultiService
from twisted.logger import Logger
from twisted.python import usage

from sockserve import __version__
from sockserve.config.checking import (
    DEFAULT_MEMORY_BUDGET,
    Config,
    ConfigError,
    check_addresses,
    check_budget,
    check_socket,
    checked,
    path_of,
)
from sockserve.config.loading import load
from sockserve.framing import NAMES
from sockserve.handlers.names import NAMES as HANDLERS
from sockserve.server.settings import DEFAULT_LISTEN, FILE_KEYS, SOCKET_KEYS
from sockserve.service.clock import make_steady
from sockserve.service.program import FORM, NAME, Program
from sockserve.service.signals import Stopping

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase
    from twisted.internet.interfaces import IReactorCore

log = Logger()


class Options(usage.Options):
    """What follows `twistd sockserve` on the command line.

    config: what it describes, once it is parsed. reactor: what endpoints are made with; None: the global one.
    """

    synopsis = "[options]"
    longdesc = (
        "Serve messages over stream sockets. Without options: echo, each client gets back what it sends, to the last "
        "byte, also when it shuts down its sending side first. The options describe one named socket; a file that "
        f"--config names, any number. Framings: {', '.join(NAMES)}. N is a number of bytes; DELIM, START and END are "
        r"bytes, written with Python's escapes, such as standard:\x00 or envelope:\x02:\x03. "
        f"Handlers: {', '.join(HANDLERS)}; modules are looked for in the current directory first. Sizes take k and M "
        "(1024, 1024 * 1024), times ms, s and min."
    )
    # The defaults stand in the texts: an option that was not given has to be told from one that was.
    optParameters = [
        ["framing", "f", None, "How messages are told apart in the stream. [default: raw]"],
        ["handler", None, None, "What answers a message. [default: echo]"],
        ["conversation", None, None, "Instead of a handler: the coroutine function MODULE:CALLABLE, run per client."],
        [
            "max-length",
            None,
            None,
            "The longest message accepted or sent, in bytes, framing bytes not counted. [default: 1M]",
        ],
        [
            "on-bad-frame",
            None,
            None,
            "close: the first bad frame ends the connection. skip: go on behind it. [default: close]",
        ],
        ["max-connections", None, None, "Clients served at once. [default: any number]"],
        [
            "when-full",
            None,
            None,
            "wait: further clients are connected and served in turn. refuse: they are closed. [default: wait]",
        ],
        [
            "max-connections-per-peer",
            None,
            None,
            "Clients of one address, or one /64 network of IPv6; further ones are closed. [default: any number]",
        ],
        ["allow", None, None, "Networks whose clients may connect, separated by commas. [default: all]"],
        ["deny", None, None, "Networks whose clients may not connect. [default: none]"],
        [
            "close-timeout",
            None,
            None,
            "Abort a client that takes nothing for so long of what it is owed at its end. [default: 10s]",
        ],
        [
            "idle-timeout",
            None,
            None,
            "Close a client from which nothing came for so long, and which took nothing. [default: never]",
        ],
        [
            "frame-timeout",
            None,
            None,
            "Close a client that needs longer from a frame's first byte to its last. [default: never]",
        ],
        [
            "handshake-timeout",
            None,
            None,
            "Close a client that needs longer for its PROXY header or its TLS handshake. [default: 10s]",
        ],
        [
            "max-pending",
            None,
            None,
            "Answers of MODULE:CALLABLE under way for one client; then its reading pauses. [default: 100]",
        ],
        [
            "drain-timeout",
            None,
            None,
            "The time that all clients have to take what they are owed at the end. [default: 10s]",
        ],
        [
            "memory-budget",
            None,
            None,
            "Bytes held for all clients together; above that the largest are not read from. [default: 256M]",
        ],
        ["config", None, None, "A TOML file with all settings, and no other option beside it."],
    ]
    optFlags = [
        ["threads", None, "Call the handler MODULE:CALLABLE in threads, because it blocks."],
        [
            "proxy-protocol",
            None,
            "The clients' addresses come from a proxy, which sends a PROXY header for each of them.",
        ],
        ["log-traffic", None, "Log the number of bytes of every read and write, with the peer's address."],
    ]

    config: Config

    def __init__(self, reactor: IReactorCore | None = None) -> None:
        super().__init__()
        self["listen"] = []
        self["proxy-from"] = []
        self.reactor = reactor

    def opt_listen(self, endpoint: str) -> None:
        """Where to listen: a Twisted endpoint, such as tcp6:7000 or unix:/run/x.sock; repeatable. [default: %s]"""
        self["listen"].append(endpoint)

    opt_listen.__doc__ = str(opt_listen.__doc__) % DEFAULT_LISTEN
    opt_l = opt_listen

    def opt_proxy_from(self, networks: str) -> None:
        """The networks of the proxies, separated by commas; repeatable. [default: 127.0.0.0/8,::1]"""
        self["proxy-from"] += [network.strip() for network in networks.split(",")]

    def opt_version(self) -> None:
        """Print the versions of sockserve and Twisted, and exit."""
        print(f"sockserve version: {__version__}, framings {FORM}")
        super().opt_version()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Check everything, open nothing. Raises twisted.python.usage.UsageError, one line.

        Under twistd, which would print its whole help first and all of it to standard output, the line goes to
        standard error and the program ends with status 1.
        """
        if self.parent is not None:
            # twistd looks for modules beside its own script; users mean those beside them.
            sys.path.insert(0, str(Path.cwd()))
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            line = " ".join(str(error).splitlines()) + self._hint(str(error))
            if self.parent is None:
                raise usage.UsageError(line) from None
            sys.exit(f"{NAME}: {line}")

    def parseArgs(self, *args: str) -> None:
        if args:
            raise usage.UsageError(f"unexpected argument {args[0]!r}: all settings are options, see --help")

    def postOptions(self) -> None:
        given = {name: value for name, value in self.items() if value not in (None, 0, [])}
        try:
            self.config = self._from_file(given) if "config" in given else self._from_options(given)
        except ConfigError as error:
            raise usage.UsageError(str(error)) from error

    def listenOf(self, socket: str) -> str:
        """Where the endpoints of the socket with that name were written, for messages."""
        return "--listen" if self["config"] is None else f"{self['config']}: {path_of(socket)}.listen"

    def _from_file(self, given: dict[str, Any]) -> Config:
        others = [_option(name) for name in given if name != "config"]
        if others:
            raise ConfigError("--config", f"all settings are in the file; not accepted beside it: {', '.join(others)}")
        return load(given["config"], self.reactor)

    def _from_options(self, given: dict[str, Any]) -> Config:
        """One named socket, with the name of what answers."""
        settings: dict[str, object] = {"listen": [DEFAULT_LISTEN]}
        whole: dict[str, object] = {}
        for name, value in given.items():
            key = name.replace("-", "_")
            table, keys = (settings, SOCKET_KEYS) if key in SOCKET_KEYS else (whole, FILE_KEYS)
            try:
                match value:
                    case str():
                        table[key] = keys[key].from_text(value)
                    case int():
                        table[key] = True
                    case _:
                        table[key] = value
            except ValueError as error:
                raise ConfigError(_option(key), error) from None
        name = _last_name(given["conversation"]) if "conversation" in given else _name(given.get("handler", "echo"))
        socket = check_socket(name, settings, _option, self.reactor)
        check_addresses([socket], lambda _: "--listen")
        values = checked(whole, FILE_KEYS, _option)
        check_budget([socket], values.get("memory_budget", DEFAULT_MEMORY_BUDGET), "--memory-budget")
        return Config((socket,), **values)

    def _hint(self, problem: str) -> str:
        """The nearest option, behind a message about one that does not exist."""
        match = re.fullmatch(r"option --(.+) not recognized", problem, re.DOTALL)
        names = [name.removesuffix("=") for name in self.longOpt]
        near = difflib.get_close_matches(match[1], names, 1) if match else []
        return f" (did you mean --{near[0]}?)" if near else ""


def _option(key: str) -> str:
    """The option for a key such as max_length or listen[1]."""
    return "--" + key.partition("[")[0].replace("_", "-")


def _name(handler: str) -> str:
    """The short name of a handler."""
    return "forward" if handler.startswith("forward:") else _last_name(handler)


def _last_name(text: str) -> str:
    """`answer` for shop.orders:answer and shop.orders:Shop.answer."""
    return re.split(r"[.:]", text)[-1]


def makeService(options: Options) -> MultiService:
    """The service that checked options describe. Starting it raises StartError for a port that cannot be opened."""
    stopping = None
    if options.parent is not None:
        from twisted.internet import reactor

        # The process is ours.
        make_steady(reactor)
        stopping = Stopping(cast("ReactorBase", reactor), options.parent.get("pidfile") or "")
        reactor.callWhenRunning(stopping.catch)
    return Program(options.config.server(options.reactor), options.listenOf, stopping)
