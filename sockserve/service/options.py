"""The twistd plugin: the options of `twistd -n sockserve`, and the service they describe."""

from __future__ import annotations

import difflib
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.python import usage

from sockserve import __version__
from sockserve.config.checking import (
    PROGRAM_SETTINGS,
    Config,
    ConfigError,
    check_program,
    check_socket,
    check_sockets,
    path_of,
)
from sockserve.config.description import describe
from sockserve.config.loading import load, read
from sockserve.fields import Setting
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.handlers.names import NAMES as HANDLERS
from sockserve.server.endpoints import DEFAULT_LISTEN
from sockserve.server.figures import answer
from sockserve.server.settings import SOCKET_SETTINGS
from sockserve.service.clock import make_steady
from sockserve.service.failing import FirstProcess, say
from sockserve.service.logs import is_daemon, observer, stream_of
from sockserve.service.program import FORM, NAME, Program, admin_service
from sockserve.service.readiness import tell_manager
from sockserve.service.reloading import Reloader
from sockserve.service.signals import SignalHandler
from sockserve.service.workers import supervisor
from sockserve.text import one_line

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase
    from twisted.internet.interfaces import IReactorCore

SETTINGS = {name: each for name, each in {**SOCKET_SETTINGS, **PROGRAM_SETTINGS}.items() if name != "tls"}
"""The settings that are options: all but those that are a table of their own."""

_ELSE = "Program"
_OTHERS = {
    "config": "A TOML file with all settings; no other option is accepted with it.",
    "check": "Check everything, say what would run, one line for each socket, and exit; nothing is opened.",
    "help": "Display this help and exit.",
    "version": "Print the versions of sockserve and Twisted, and exit.",
}
"""The options that are not settings, and their help."""

# The column of the help's sentences.
_INDENT = 32


@dataclass(frozen=True, slots=True)
class Source:
    """What a program was started with, for another process or another time.

    arguments: the options. folder: where; relative paths begin there. path: where modules are searched for.
    text: of the file that the options name; None: it is not read yet.
    """

    arguments: tuple[str, ...]
    folder: str
    path: tuple[str, ...]
    text: str | None = None


class Options(usage.Options):
    """The options after `twistd sockserve` on the command line.

    config: what they describe; source: from what that was read; set once they are parsed.
    reactor: None: the global one.
    """

    synopsis = "[options]"
    longdesc = (
        "Serve messages over stream sockets. Without options it echoes: each client gets back everything it sends, "
        "even if it shuts down its sending side first. The options describe one named socket; a file given with "
        f"--config describes any number. Framings: {', '.join(FRAMINGS)}. N is a number of bytes, or of "
        "digits; W is 1, 2, 3, 4 or 8, and what is in brackets may be left out; DELIM, START and END "
        r"are bytes, written with Python's escapes, such as standard:\x00 or envelope:\x02:\x03. "
        f"Handlers: {', '.join(HANDLERS)}; modules are searched for in the current directory first. A SIZE may end in "
        "k or M (1024, 1024 * 1024), a TIME in ms, s or min."
    )
    optParameters = [["config", None, None, _OTHERS["config"]]]
    optFlags = [["check", None, _OTHERS["check"]]]

    config: Config
    source: Source

    def __init__(self, reactor: IReactorCore | None = None) -> None:
        super().__init__()
        self.reactor = reactor
        self._text: str | None = None

    @classmethod
    def load(cls, source: Source) -> Config:
        """What a program describes that was started with these options, read and checked anew. Raises ConfigError."""
        options = cls()
        options._text = source.text
        here = Path.cwd()
        os.chdir(source.folder)
        try:
            options.parseOptions(source.arguments)
        except usage.UsageError as error:
            raise ConfigError("", error) from error
        finally:
            os.chdir(here)
        return options.config

    def read(self) -> Source:
        """The same source, with the file as it is now. Raises ConfigError."""
        file = self["config"]
        if file is None:
            return self.source
        text = read(Path(self.source.folder, file), file)
        return replace(self.source, text=text)

    def opt_version(self) -> None:
        """Print the versions of sockserve and Twisted, and exit."""
        print(f"sockserve version: {__version__}, framings {FORM}")
        super().opt_version()

    def getUsage(self, width: int | None = None) -> str:
        """The help: the options under the headings of their settings."""
        groups: dict[str, list[str]] = {}
        for name, each in SETTINGS.items():
            value = each.value.metavar and f"={each.value.metavar}"
            short = f"-{each.short}, " if each.short else ""
            groups.setdefault(each.group, []).append(_entry(f"{short}{_option(name)}{value}", _sentence(name, each)))
        for name, text in _OTHERS.items():
            value = "=FILE" if name == "config" else ""
            groups.setdefault(_ELSE, []).append(_entry(f"--{name}{value}", text))
        chunks = [f"{group}:\n{''.join(entries)}" for group, entries in groups.items()]
        return "\n".join([*chunks, textwrap.fill(self.longdesc, 80)]) + "\n"

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Check everything; open nothing. Raises twisted.python.usage.UsageError, in one line.

        Under twistd, which would print its own help first, and all to standard output, the line goes to standard error
        and the program exits with status 1.
        """
        if self.parent is not None:
            # twistd searches for modules next to its own script; users expect the current directory.
            sys.path.insert(0, str(Path.cwd()))
        arguments = sys.argv[1:] if options is None else options
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            line = one_line(error) + self._hint(str(error))
            if self.parent is None:
                raise usage.UsageError(line) from None
            sys.exit(f"{NAME}: {line}")
        self.source = Source(tuple(arguments), str(Path.cwd()), tuple(sys.path), self._text)
        if self["check"]:
            print(*describe(self.config), sep="\n")
            sys.exit()

    def parseArgs(self, *args: str) -> None:
        if args:
            raise usage.UsageError(f"unexpected argument {args[0]!r}: all settings are options, see --help")

    def postOptions(self) -> None:
        given = {name: self[_word(name)] for name in SETTINGS if _word(name) in self}
        try:
            self.config = self._from_options(given) if self["config"] is None else self._from_file(given)
        except ConfigError as error:
            raise usage.UsageError(str(error)) from error
        if self.config.log_format == "json" and self.parent is not None:
            for other in ("logger", "syslog"):
                if self.parent.get(other):
                    place = "--log-format" if self["config"] is None else f"{self['config']}: log_format"
                    raise usage.UsageError(f"{place}: json cannot be combined with --{other} of twistd")

    def placeOf(self, socket: str, setting: str) -> str:
        """Where a setting of the socket with that name was written, for messages; "": of the program."""
        if self["config"] is None:
            return _option(setting)
        return f"{self['config']}: {f'{path_of(socket)}.{setting}' if socket else setting}"

    def _from_file(self, given: dict[str, Any]) -> Config:
        others = sorted(_option(name) for name in given)
        if others:
            raise ConfigError("--config", f"all settings are in the file; not accepted with it: {', '.join(others)}")
        if self._text is None:
            self._text = read(self["config"])
        return load(self["config"], self._text)

    def _from_options(self, given: dict[str, Any]) -> Config:
        """One named socket, named after its handler or conversation."""
        program, shared = check_program({name: given[name] for name in given if name in PROGRAM_SETTINGS}, _option)
        table = {name: given[name] for name in given if name in SOCKET_SETTINGS}
        if "connect" not in table:
            table.setdefault("listen", DEFAULT_LISTEN)
        name = _last_name(given["conversation"]) if "conversation" in given else _name(given.get("handler", "echo"))
        socket = check_socket(name, table, _option, **shared)
        return check_sockets([socket], program, lambda _, key: _option(key), _option)

    def _hint(self, problem: str) -> str:
        """A suggestion, to follow a message about an option that does not exist."""
        match = re.fullmatch(r"option --(.+) not recognized", problem, re.DOTALL)
        names = [name.removesuffix("=") for name in self.longOpt]
        near = difflib.get_close_matches(match[1], names, 1) if match else []
        return f" (did you mean --{near[0]}?)" if near else ""


def _opt(name: str, about: Setting) -> Callable[..., None]:
    """The method that usage.Options calls for an option."""
    value = about.value

    def flag(self: Options) -> None:
        self[_word(name)] = True

    def take(self: Options, text: str) -> None:
        read = value.from_text(text)
        if value.repeatable:
            read = [*self.get(_word(name), []), *cast("list[object]", read)]
        self[_word(name)] = read

    method = take if value.metavar else flag
    method.__doc__ = _sentence(name, about)
    return method


def _sentence(name: str, about: Setting) -> str:
    shown = DEFAULT_LISTEN if name == "listen" else about.default_text
    default = f" [default: {shown}]" if about.value.metavar else ""
    return about.help + (" Repeatable." if about.value.repeatable else "") + default


def _entry(option: str, text: str) -> str:
    """One option and its sentence, as help shows them."""
    lines = textwrap.wrap(text, 80 - _INDENT)
    head = f"  {option}" if option.startswith("-") and not option.startswith("--") else f"      {option}"
    first = f"{head:{_INDENT}}{lines.pop(0)}" if len(head) < _INDENT else head
    return "".join(f"{line}\n" for line in [first, *(f"{'':{_INDENT}}{line}" for line in lines)])


def _word(name: str) -> str:
    return name.replace("_", "-")


def _option(key: str) -> str:
    """The option for a key such as max_length or listen[1]."""
    return "--" + _word(re.split(r"[\[.]", key)[0])


for _key, _about in SETTINGS.items():
    setattr(Options, f"opt_{_key}", _opt(_key, _about))
    if _about.short:
        setattr(Options, f"opt_{_about.short}", getattr(Options, f"opt_{_key}"))


def _name(handler: str) -> str:
    """The short name of a handler."""
    kind = handler.partition(":")[0]
    return kind if kind in ("forward", "share") else _last_name(handler)


def _last_name(text: str) -> str:
    """`answer` for shop.orders:answer and shop.orders:Shop.answer."""
    name = re.split(r"[.:]", text)[-1]
    # If the text is wrong, its own check will say so.
    return name[:100] if name.strip() and name.isprintable() else "socket"


def makeService(options: Options) -> MultiService:
    """The service that checked options describe. Starting it raises StartError if a port cannot be opened."""
    from twisted.internet import reactor as installed

    reactor = cast("ReactorBase", options.reactor or installed)
    twistd = options.parent
    if twistd is None:
        program = Program(options.placeOf)
        _serve(program, options, reactor)
        return program
    # Under twistd the process is ours.
    make_steady(reactor)
    signals = SignalHandler(reactor, twistd.get("pidfile") or "")
    reactor.callWhenRunning(signals.catch)
    log = stream_of(twistd)
    first = FirstProcess() if is_daemon(twistd) else None
    program = Program(
        options.placeOf,
        signals,
        say=partial(say, log=log) if first is None else first.say,
        observer=None if log is None else observer(log, options.config.log_format),
    )
    ready = _serve(program, options, reactor)
    tell_manager(program, reactor, ready=ready)
    if first is not None:
        first.ready = ready
        first.setServiceParent(program)
    return program


def _serve(program: Program, options: Options, reactor: ReactorBase) -> Deferred[None] | None:
    """With this process, or with workers. Returns what fires when they serve; None: at the start."""
    if options.config.workers:
        workers = supervisor(options, reactor, program.fail)
        admin = admin_service(options.config.admin, workers.answer, options.reactor)
        program.serve(workers, workers.reload, workers.kill, admin=admin)
        return workers.started
    server = options.config.server(options.reactor)
    admin = admin_service(options.config.admin, partial(answer, server), options.reactor)
    program.serve(server, Reloader(options, server).reload, admin=admin)
    return None
