"""`sockserve bench`: load for an echo server, every answer checked byte for byte, and what it says of the server.

settings            what a run is, and what it has measured
stream, connection  the bytes that are sent and expected; what has come of them, without a socket
pace                when messages are due
wires, load         the sockets; one process of the load
processor           the server's processor time
crew                all processes
latency, report, progress, plot
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sockserve.client.endpoints import ACCEPTED
from sockserve.commands.bench.processor import used_by
from sockserve.commands.bench.settings import Settings
from sockserve.commands.program import INTERRUPTED, add_tls_options, checked, complain, counted, tls_of
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.framing.errors import FramingError
from sockserve.text import parse_duration, parse_size

if TYPE_CHECKING:
    from typing import Any

NAME = "sockserve bench"
CLOSED_WINDOW = 1
OPEN_WINDOW = 1000
DEFAULT_DURATION = 10.0

DESCRIPTION = """\
Send messages to an echo server, check every byte that comes back, and show messages a second, MB (10**6 bytes of
messages, one way) a second, and latencies.
"""

EPILOG = f"""\
framings: {", ".join(FRAMINGS)}

Without --rate the loop is closed: an answer makes room for the next message, and a slow server is asked less. With it
the loop is open: messages are due at fixed times, and latency counts from the time a message was due, however late the
server, or a full window, let it go out.

Sizes take k and M (1024, 1024 * 1024), times ms, s and min.

Exit status: 0 when every message was answered, byte for byte. 1 when a byte was wrong or missing, or a connection was
not made or lost, with one line that says which; the table shows what was measured until then. 2 for wrong arguments.
130 when interrupted, with the table.
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """`bench` and its arguments."""
    parser = subparsers.add_parser(
        "bench",
        help="load an echo server, check every answer, and measure",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    duration = checked(parse_duration)
    add("endpoint", metavar="ENDPOINT", help=ACCEPTED)
    add("--framing", "-f", metavar="NAME", default="raw", help="how messages are told apart (default: raw)")
    add("--size", "-s", metavar="BYTES", type=checked(parse_size), default=32, help="of a message (default: 32)")
    add("--connections", "-c", metavar="N", type=counted("connections"), default=1, help="(default: 1)")
    add(
        "--window",
        "-w",
        metavar="N",
        type=counted("messages"),
        help=f"messages in flight on each connection, at most; {CLOSED_WINDOW} waits for each answer "
        f"(default: {CLOSED_WINDOW}; with --rate {OPEN_WINDOW})",
    )
    add(
        "--rate",
        "-r",
        metavar="MESSAGES_PER_SECOND",
        type=checked(_rate),
        help="over all connections, whatever the server does (default: as fast as it answers)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--duration", "-d", metavar="S", type=duration, help="how long (default: 10s)")
    length.add_argument(
        "--messages",
        "-n",
        metavar="N",
        # Arguments named messages are those of a command that takes any number.
        dest="total",
        type=counted("messages"),
        help="how many, over all connections",
    )
    add("--warmup", metavar="S", type=duration, default=0.0, help="the same load before, not measured (default: none)")
    add(
        "--processes",
        "-p",
        metavar="N",
        type=counted("processes"),
        default=1,
        help="client processes that share the connections (default: 1)",
    )
    add(
        "--timeout",
        "-t",
        metavar="S",
        type=duration,
        default=10.0,
        help="the longest wait for a connection, and for the next byte of an answer (default: 10s)",
    )
    add(
        "--server-pid",
        metavar="PID",
        type=checked(_process),
        help="the server's process, on this machine: its CPU time is measured too (Linux)",
    )
    add("--json", action="store_true", help="print one JSON object instead of the table")
    add("--plot", metavar="FILE.png", type=Path, help="draw the latencies; needs the extra sockserve[bench]")
    add_tls_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    settings = _settings(arguments)
    from sockserve.commands.bench import plot
    from sockserve.commands.bench.crew import Crew
    from sockserve.commands.bench.progress import progress
    from sockserve.commands.bench.report import as_json, table

    with progress(settings) as show:
        crew = Crew(settings, show)
        result = crew.run()
    try:
        if arguments.json:
            print(json.dumps(as_json(settings, result)), flush=True)
        elif result.messages:
            sys.stdout.write(table(settings, result))
            sys.stdout.flush()
        if arguments.plot is not None and result.messages:
            plot.draw(arguments.plot, settings, result)
    except OSError as error:
        complain(NAME, f"{arguments.plot if error.filename else 'standard output'}: {error.strerror}")
        return 1
    if result.errors:
        first, *others = result.errors
        complain(NAME, f"{settings.endpoint}: {first}" + (f" (and {len(others)} more)" if others else ""))
        return 1
    return INTERRUPTED if crew.interrupted else 0


def _settings(arguments: argparse.Namespace) -> Settings:
    """Checked, as far as that goes without the server; ends the process otherwise."""
    error = cast("argparse.ArgumentParser", arguments.parser).error
    if arguments.processes > arguments.connections:
        error(f"argument --processes: {arguments.processes} cannot share --connections {arguments.connections}")
    duration = arguments.duration
    if duration is None and arguments.total is None:
        duration = DEFAULT_DURATION
    window = arguments.window or (CLOSED_WINDOW if arguments.rate is None else OPEN_WINDOW)
    settings = Settings(
        endpoint=arguments.endpoint,
        framing=arguments.framing,
        size=arguments.size,
        connections=arguments.connections,
        window=window,
        rate=arguments.rate,
        duration=duration,
        messages=arguments.total,
        warmup=arguments.warmup,
        processes=arguments.processes,
        timeout=arguments.timeout,
        server_pid=arguments.server_pid,
        tls=tls_of(arguments),
    )
    from sockserve.commands.bench import load, plot

    try:
        load.make_framing(settings)
    except ValueError as problem:
        error(f"argument --framing: {problem}")
    try:
        load.make_messages(settings)
    except (ValueError, FramingError) as problem:
        error(f"argument --size: {problem}")
    try:
        load.check_endpoint(settings)
    except ValueError as problem:
        error(f"argument ENDPOINT: {problem}")
    if arguments.plot is not None:
        try:
            plot.check(arguments.plot)
        except ValueError as problem:
            error(f"argument --plot: {problem}")
    return settings


def _process(text: str) -> int:
    pid = int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text, re.ASCII) else 0
    if not pid:
        raise ValueError(f"{text!r} is not the number of a process")
    used_by(pid)
    return pid


def _rate(text: str) -> float:
    rate = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text, re.ASCII) else 0.0
    if not rate > 0:
        raise ValueError(f"{text!r} is not a number of messages a second; accepted: more than 0, such as 5000 or 0.5")
    return rate
