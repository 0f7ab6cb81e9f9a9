"""The twistd plugin: `twistd -n sockserve`, its options and the service they describe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from twisted.application.service import MultiService
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python import usage

from sockserve import __version__
from sockserve.config import parse_size
from sockserve.framing import NAMES, parse
from sockserve.server import SocketServer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorCore, IStreamServerEndpoint

    from sockserve.framing import Framing
    from sockserve.framing.bounds import OnBadFrame

log = Logger()

NAME = "twistd sockserve"
DEFAULT_LISTEN = "tcp:27015:interface=127.0.0.1"


class Options(usage.Options):
    """What follows `twistd sockserve` on the command line."""

    synopsis = "[options]"
    longdesc = (
        "Echo messages: each client gets back what it sends, framed as it sent it, to the last byte, also when it "
        f"shuts down its sending side first. Framings: {', '.join(NAMES)}. N is a number of bytes; DELIM, START and "
        r"END are bytes, written with Python's escapes, such as standard:\x00 or envelope:\x02:\x03. Sizes take k "
        "and M (1024, 1024 * 1024)."
    )
    optParameters = [
        ["framing", "f", "raw", "How messages are told apart in the stream."],
        ["max-length", None, "1M", "The longest message accepted or sent, in bytes, framing bytes not counted."],
        ["on-bad-frame", None, "close", "close: the first bad frame ends the connection. skip: go on behind it."],
    ]
    optFlags = [["log-traffic", None, "Log the number of bytes of every read and write, with the peer's address."]]

    framing: Framing
    endpoints: list[IStreamServerEndpoint]

    def __init__(self, reactor: IReactorCore | None = None) -> None:
        super().__init__()
        self["listen"] = []
        self._reactor = reactor

    def opt_listen(self, endpoint: str) -> None:
        """Where to listen: a Twisted endpoint, such as tcp6:7000 or unix:/run/x.sock; repeatable. [default: %s]"""
        self["listen"].append(endpoint)

    opt_listen.__doc__ = str(opt_listen.__doc__) % DEFAULT_LISTEN
    opt_l = opt_listen

    def opt_version(self) -> None:
        """Print the versions of sockserve and Twisted, and exit."""
        print(f"sockserve version: {__version__}")
        super().opt_version()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Check everything, open nothing. Raises twisted.python.usage.UsageError, one line.

        Under twistd, which would print its whole help first and all of it to standard output, the line goes to
        standard error and the program ends with status 1.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            if self.parent is None:
                raise
            sys.exit(f"{NAME}: {error}")

    def parseArgs(self, *args: str) -> None:
        if args:
            raise usage.UsageError(f"unexpected argument {args[0]!r}: all settings are options, see --help")

    def postOptions(self) -> None:
        try:
            max_length = parse_size(self["max-length"])
        except ValueError as error:
            raise usage.UsageError(f"--max-length: {error}") from None
        on_bad_frame: OnBadFrame = self["on-bad-frame"]
        if on_bad_frame not in ("close", "skip"):
            raise usage.UsageError(f"--on-bad-frame: {on_bad_frame!r} is unknown; accepted: close, skip")
        try:
            self.framing = parse(self["framing"], max_length=max_length, on_bad_frame=on_bad_frame)
        except ValueError as error:
            raise usage.UsageError(f"--framing: {error}") from None
        self.endpoints = [self._endpoint(text) for text in self["listen"] or [DEFAULT_LISTEN]]

    def _endpoint(self, text: str) -> IStreamServerEndpoint:
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = cast("IReactorCore", reactor)
        try:
            endpoint: IStreamServerEndpoint = serverFromString(self._reactor, text)
        except Exception as error:  # Twisted's endpoint parsers raise what they like
            reason = " ".join(str(error).split())
            accepted = f"a Twisted endpoint, such as {DEFAULT_LISTEN}, tcp6:7000 or unix:/run/x.sock"
            raise usage.UsageError(f"--listen: {text!r}: {reason}; accepted: {accepted}") from None
        return endpoint


class StartError(SystemExit, Exception):
    """Ends the program with status 1; its line has been written already.

    It is an Exception too, so that twistd removes its pid file, and passes the line on when it runs as a daemon.
    """

    code = 1


class Program(MultiService):
    """All services of one twistd process."""

    def privilegedStartService(self) -> None:
        try:
            super().privilegedStartService()
        except (CannotListenError, OSError, OverflowError) as error:
            line = f"{NAME}: --listen: {error}"
            log.critical("{line}", line=line)
            # twistd has put its log in the place of sys.stderr.
            if sys.__stderr__ is not None:
                print(line, file=sys.__stderr__)
            raise StartError(line) from error


def makeService(options: Options) -> MultiService:
    """The service that checked options describe. Starting it raises StartError for a port that cannot be opened."""
    program = Program()
    socket = SocketServer("echo", options.endpoints, options.framing, log_traffic=bool(options["log-traffic"]))
    socket.setServiceParent(program)
    return program
