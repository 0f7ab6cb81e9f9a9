"""The command `sockserve`: the client side, from a shell. Each subcommand is a module."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from sockserve import __version__
from sockserve.commands import check_config, send
from sockserve.commands.bench import command as bench
from sockserve.commands.check import command as check
from sockserve.commands.inspect import command as inspect
from sockserve.framing import compiled

COMMANDS = (send, bench, check, inspect, check_config)
"""Each has `add_parser(subparsers)`, which sets `run`: a function of the parsed arguments, for the exit status."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and ends with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sockserve` with these arguments; None: those of the process. Returns the exit status."""
    parser = Parser(prog="sockserve", description="Talk to message servers.", allow_abbrev=False)
    form = "compiled" if compiled else "pure"
    parser.add_argument("--version", action="version", version=f"sockserve {__version__}, framings {form}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        _take_rest(parser, arguments, rest)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _take_rest(parser: argparse.ArgumentParser, arguments: argparse.Namespace, rest: list[str]) -> None:
    """argparse takes the arguments up to the next option only; those after it are more of the same."""
    dashes = rest.index("--") if "--" in rest else len(rest)
    for word in rest[:dashes]:
        if word.startswith("-") and word != "-":
            parser.error(
                f"unknown option {word!r}, see sockserve {arguments.command} --help; everything after -- is an argument"
            )
    more = [*rest[:dashes], *rest[dashes + 1 :]]
    if "messages" not in arguments:
        parser.error(f"unexpected argument {more[0]!r}, see sockserve {arguments.command} --help")
    arguments.messages = [*arguments.messages, *more]
