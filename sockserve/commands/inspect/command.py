"""`sockserve inspect`: which framings can these bytes be, and where are the borders of their frames?

reading     bytes from files: raw, hexadecimal text
capture     the streams in captured packets
live        what a peer sends first
report      the table, the frames, and the same as JSON
dump        frames as lines of a terminal
picture     frames as an SVG
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sockserve.client.endpoints import ACCEPTED, as_endpoint
from sockserve.commands.inspect.capture import streams
from sockserve.commands.inspect.dump import Painter
from sockserve.commands.inspect.live import first_bytes
from sockserve.commands.inspect.picture import Row, draw, row_of
from sockserve.commands.inspect.reading import INPUTS, Stream, Unreadable, from_hex, packets, recognise
from sockserve.commands.inspect.report import as_object, frame_lines, shown, table
from sockserve.commands.program import add_tls_options, checked, complain, counted, named_framing, react, tls_of
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.framing.escapes import unescape
from sockserve.inspection.candidates import Candidate, candidates
from sockserve.inspection.fitting import Fit, rank
from sockserve.inspection.frames import frames
from sockserve.inspection.words import counted as number_of
from sockserve.text import parse_duration, reason_of

if TYPE_CHECKING:
    from typing import Any

    from twisted.internet.base import ReactorBase

NAME = "sockserve inspect"

FITTED = 16 * 1024
"""Bytes that the framings are tried with: the first ones."""

LARGEST = 64 * 1024 * 1024
"""Bytes of input."""

EPILOG = f"""\
framings: {", ".join(FRAMINGS)}

A fit of 100 means that complete frames account for all bytes, and that hardly any other order of the same bytes would
do as well; 0, that the framing fits any bytes, or that it was chance. Hexadecimal text is that of xxd, hexdump -C,
od -t x1, tcpdump -X, Wireshark, or a list of bytes, also in C. Captured packets need scapy: pip install
'sockserve[inspect]'.

Exit status: 0 when a framing fits; with --framing, when this one does. 1 when none does, or when the bytes cannot be
read. 2 for wrong arguments. 130 when interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """`inspect` and its arguments."""
    parser = subparsers.add_parser(
        "inspect",
        help="tell which framings bytes can be, and show the frames",
        description="Try all framings on the bytes of a file, of standard input, of captured packets, or of what a "
        "server sends first; print which fit, and why or why not; and show the frames of the best one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="FILE|-|ENDPOINT",
        nargs="?",
        default="-",
        help=f"a file; - is standard input, the default; or {ACCEPTED}",
    )
    add("--framing", "-f", metavar="NAME", help="show the frames of this framing")
    add("--input", "-i", choices=INPUTS, help="what a file holds (default: what it looks like)")
    add("--stream", metavar="N", type=counted("streams"), help="which one, where there are several")
    add("--frames", "-n", metavar="N", type=counted("frames"), default=20, help="how many are shown (default: 20)")
    add("--svg", metavar="FILE", help="draw these frames in a file, for documents")
    add("--json", action="store_true", help="print one JSON object instead of text")
    add(
        "--send",
        metavar="TEXT",
        type=checked(unescape),
        default=b"",
        help="send this first; \\r\\n and \\x02 are bytes",
    )
    add(
        "--timeout",
        "-t",
        metavar="S",
        type=checked(parse_duration),
        default=5.0,
        help="how long to wait for the connection, and for bytes (default: 5s)",
    )
    add_tls_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    error = cast("argparse.ArgumentParser", arguments.parser).error
    wanted = None
    if arguments.framing is not None:
        try:
            wanted = named_framing(arguments.framing)
        except ValueError as problem:
            error(f"argument --framing: {problem}")
    source = arguments.source
    if source != "-" and not Path(source).exists() and ":" in source:
        return react(lambda reactor: _live(reactor, arguments, wanted))
    try:
        stream = _chosen(_read(source, arguments.input), arguments)
        return 0 if stream is None else _tell(stream, arguments, wanted)
    except Unreadable as problem:
        complain(NAME, f"{source}: {problem}")
        return 1
    except BrokenPipeError:
        # Nobody reads on; nor does Python's last flush then fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


async def _live(reactor: ReactorBase, arguments: argparse.Namespace, wanted: Any) -> int:  # noqa: ANN401 - a Framing
    try:
        endpoint = as_endpoint(arguments.source, reactor, tls_of(arguments))
    except ValueError as problem:
        complain(NAME, f"argument FILE|-|ENDPOINT: no such file, and {problem}")
        return 2
    try:
        data = await first_bytes(reactor, endpoint, arguments.timeout, arguments.send, LARGEST)
    except Exception as problem:  # one line for all that Twisted's endpoints may raise
        complain(NAME, f"{arguments.source}: {reason_of(problem)}")
        return 1
    return _tell(Stream(arguments.source, data), arguments, wanted)


def _read(source: str, kind: str | None) -> list[Stream]:
    """The streams of a file. Raises Unreadable."""
    try:
        if source == "-":
            data = b"" if sys.__stdin__ is None else bytes(sys.__stdin__.buffer.read(LARGEST + 1))
        else:
            with Path(source).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as problem:
        raise Unreadable(problem.strerror or str(problem)) from None
    if not data:
        raise Unreadable("it is empty")
    if len(data) > LARGEST:
        raise Unreadable(f"it has more than {LARGEST // 1024 // 1024} MiB; cut it first")
    kind = kind or recognise(data)
    if kind == "raw":
        return [Stream(source, data)]
    sent = packets(data) if kind == "hex" else []
    if kind == "pcap" or sent:
        found = streams(sent or data)
        if not found:
            raise Unreadable("no TCP stream with bytes is in this capture")
        return found
    directions = from_hex(data)
    if not any(directions):
        raise Unreadable("it has no bytes")
    return [Stream(source, each) for each in directions]


def _chosen(found: list[Stream], arguments: argparse.Namespace) -> Stream | None:
    """The stream to look at; None: there are several, and they were listed. Raises Unreadable."""
    number = arguments.stream
    if number is None and len(found) > 1:
        if arguments.json:
            print(json.dumps({"streams": [{"name": each.name, "bytes": len(each.data)} for each in found]}))
            return None
        print("Several streams; --stream N shows one:\n")
        for at, each in enumerate(found, 1):
            note = f"; {each.note}" if each.note else ""
            print(f"{at:3}  {each.name}  {number_of(len(each.data), 'byte')}{note}")
        return None
    if number is not None and number > len(found):
        raise Unreadable(f"there is no stream {number}; accepted: 1 to {len(found)} (--stream)")
    return found[(number or 1) - 1]


def _tell(stream: Stream, arguments: argparse.Namespace, wanted: Any) -> int:  # noqa: ANN401 - a Framing
    """Print what is found, and draw it. Returns the exit status."""
    data = stream.data
    fits = [] if wanted is not None else shown(rank(candidates(data[:FITTED]), data[:FITTED]))
    best = fits[0] if fits and fits[0].score else None
    looked = data[:FITTED]
    if wanted is not None:
        looked = data
        (best,) = fits = rank([Candidate(str(wanted), wanted)], data[:FITTED])
    if arguments.svg and best is not None:
        try:
            Path(arguments.svg).write_text(_drawn(best, looked, arguments.frames), encoding="utf-8")
        except OSError as problem:
            raise Unreadable(f"{arguments.svg}: {problem.strerror or problem}") from None
    if arguments.json:
        answer = as_object(fits, best, looked, arguments.frames)
        print(json.dumps({"source": stream.name, "note": stream.note, **answer}, indent=2))
    else:
        _print(stream, fits, best, looked, arguments, alone=wanted is not None)
    if wanted is not None:
        assert best is not None
        return 0 if best.messages and best.error is None else 1
    return 0 if best is not None else 1


def _print(
    stream: Stream, fits: list[Fit], best: Fit | None, data: bytes, arguments: argparse.Namespace, *, alone: bool
) -> None:
    width = max(shutil.get_terminal_size((100, 24)).columns, 40)
    paint = Painter(_colours())
    cut = f", of which the first {FITTED} are looked at" if len(stream.data) > FITTED and not alone else ""
    note = f"; {stream.note}" if stream.note else ""
    print(f"{stream.name}: {number_of(len(stream.data), 'byte')}{cut}{note}\n")
    if not alone:
        print(table(fits, data, width) + "\n")
    if best is not None:
        print(frame_lines(best, data, arguments.frames, width, paint))
    else:
        print("No framing fits these bytes.")


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _drawn(fit: Fit, data: bytes, most: int) -> str:
    found = list(islice(frames(fit.candidate.framing, data), most))
    rows = [row_of(str(frame.start), frame) for frame in found]
    if len(found) == fit.messages and fit.rest:
        rows.append(Row(str(fit.complete), [("bad" if fit.error is not None else "unfinished", data[fit.complete :])]))
    return draw(rows, f"{fit.name}: {number_of(fit.messages, 'message')} in {number_of(len(data), 'byte')}")
