"""`sockserve check-config`: check a configuration file, and say what would run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sockserve.commands.program import complain
from sockserve.config.checking import ConfigError
from sockserve.config.description import describe
from sockserve.config.loading import load

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """\
Check a configuration file as a start would, with the certificates and modules that it names, and print what would run:
one line for each socket. Nothing is opened. The exit status is 0 if the file is in order, and 1 if it is not; then one
line says what is wrong. `twistd -n sockserve --config FILE --check` does the same.
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "check-config", help="check a configuration file", description=DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument("file", metavar="FILE", help="a TOML file, as for twistd's --config")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # As twistd does for this program: modules are looked for here first.
    sys.path.insert(0, str(Path.cwd()))
    try:
        config = load(arguments.file)
    except ConfigError as error:
        complain("sockserve check-config", str(error))
        return 1
    print(*describe(config), sep="\n")
    return 0
