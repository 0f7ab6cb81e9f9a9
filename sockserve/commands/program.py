"""What every command needs of a program: arguments that are checked, and a run of the reactor that gives a status."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from twisted.internet import task
from twisted.internet.defer import Deferred

from sockserve.commands.messages import Shape
from sockserve.framing import KINDS, ends_stream, parse
from sockserve.tls.client import ClientTLS

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase

    from sockserve.framing import Framing

INTERRUPTED = 130

T = TypeVar("T")


def add_tls_options(parser: argparse.ArgumentParser) -> None:
    """The options of a client's TLS; `tls_of` reads them."""
    add = parser.add_argument_group("TLS, for tls: and ssl: endpoints").add_argument
    add("--cafile", metavar="FILE", help="PEM file, or folder of *.pem files, of the authorities that are trusted")
    add("--certificate", metavar="FILE", help="PEM file of our own certificate, for a server that asks for one")
    add("--key", metavar="FILE", help="PEM file of its private key (default: in the file of the certificate)")
    add("--server-name", metavar="NAME", help="whom the server's certificate must be for (default: the host)")


def tls_of(arguments: argparse.Namespace) -> ClientTLS:
    """What these options say."""
    return ClientTLS(
        roots=arguments.cafile,
        certificate=arguments.certificate,
        key=arguments.key,
        server_name=arguments.server_name,
    )


def checked(parser: Callable[[str], T]) -> Callable[[str], T]:
    """The same for argparse, which shows the text of its own error only."""

    def check(text: str) -> T:
        try:
            return parser(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


def counted(what: str) -> Callable[[str], int]:
    """A type for argparse: a number of `what`, from 1 to 999,999,999."""

    def count(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) < 1:
            raise ValueError(f"{text!r} is not a number of {what}; accepted: 1 or more")
        return int(text)

    return checked(count)


def named_framing(name: str, max_length: int | None = None) -> Framing:
    """As sockserve.framing.parse; the module of MODULE:NAME is looked for in the current directory first."""
    here = str(Path.cwd())
    if name.partition(":")[0] not in KINDS and here not in sys.path:
        sys.path.insert(0, here)
    return parse(name, max_length=max_length)


def many_messages(name: str, max_length: int | None, what: str) -> Framing:
    """The same as named_framing. Raises ValueError for one with a single message a connection. what: needs many."""
    framing = named_framing(name, max_length)
    if ends_stream(framing):
        raise ValueError(f"{name} carries one message in each direction, and {what} needs many; accepted: any other")
    least = Shape.of(framing).around + 1
    if framing.max_length < least:
        raise ValueError(f"max_length of {framing.max_length} is too short for {name} here; accepted: {least} or more")
    return framing


def react(main: Callable[[ReactorBase], Awaitable[int]]) -> int:
    """Run the reactor until `main` is done. Returns its result, or what a signal leaves."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        # At once, whatever is waited for.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    status = [128 + signal.SIGTERM]

    async def run(reactor: ReactorBase) -> None:
        status[0] = await main(reactor)

    try:
        task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    except SystemExit as end:
        return int(end.code) if end.code else status[0]


def complain(program: str, line: str) -> None:
    """One line on standard error."""
    if sys.__stderr__ is not None:
        print(f"{program}: {line}", file=sys.__stderr__)
