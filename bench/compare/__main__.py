"""sockserve and its peers, in turn and on one machine: the CPU time that each server needs for a message.

Every server has one core to itself, and the load has the others. The servers of a case run one after another, round
after round, so that whatever disturbs the machine disturbs all of them. CPU time is that of the server's process, user
and system, while `sockserve bench` counts its messages. Ratios are taken within a round, relative to sockserve's echo,
which is listed first; the median of the rounds is shown.

Without options, everything is measured that docs/performance.md needs, which takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare import plan
from bench.compare.bulk import crlfs
from bench.compare.peers import FRAMINGS, ROOT, Peer, all_peers, versions
from bench.compare.samples import Results, Row
from bench.compare.server import Server, ServerFailedError
from bench.compare.tables import as_text, write_document
from sockserve import __version__
from sockserve.text import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.compare.cases import Case, Messages

RESULTS = ROOT / "bench" / "results"
DOCUMENT = ROOT / "docs" / "performance.md"
# Descriptors in addition to those of the connections that are held.
SPARE = 200


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--python", default=sys.executable, metavar="PATH", help="an interpreter with sockserve installed, compiled")
    add(
        "--peers",
        nargs="+",
        metavar="NAME",
        help="only servers whose names start like this: echo protocol twisted go ...",
    )
    add("--framing", nargs="+", choices=FRAMINGS, metavar="NAME", help=f"only these framings: {' '.join(FRAMINGS)}")
    add("--size", nargs="+", type=parse_size, metavar="BYTES", help="messages of these sizes, such as 32 64k 16M")
    add("--connections", nargs="+", type=int, metavar="N", help="with this many connections")
    add("--mode", nargs="+", choices=("pipelined", "one"), help="many messages in flight, or one at a time")
    add("--all", action="store_true", help="every size in every mode with 1, 50 and 1,000 connections; takes hours")
    add("--quick", action="store_true", help="a few cases, one round each, too short to mean much")
    add("--rounds", type=int, metavar="N", help="rounds of each server (default 3)")
    add("--seconds", type=float, metavar="S", help="of load in a round (default 0.6)")
    add("--held", type=int, metavar="N", help="idle connections to hold (default 10,000)")
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all samples (default after a whole run: bench/results/compare.json)",
    )
    add("--charts", type=Path, metavar="FOLDER", help="draw pictures there (default after a whole run: bench/results)")
    add(
        "--from",
        type=Path,
        dest="source",
        metavar="FILE",
        help="measure nothing, but show this file, written with --json",
    )
    add("--document", action="store_true", help="write the tables of docs/performance.md, as a whole run does")
    return parser.parse_args(arguments)


def main() -> int:
    chosen = options()
    # The servers must end with this process, whatever ends it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    whole = is_whole(chosen)
    results = Results.read(chosen.source) if chosen.source else measure(chosen)
    print(as_text(results), end="")
    if whole or chosen.json:
        RESULTS.mkdir(exist_ok=True)
        results.write(chosen.json or RESULTS / "compare.json")
    if whole or chosen.charts:
        from bench.compare.charts import draw

        folder = chosen.charts or RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        draw(results, folder)
    if whole or chosen.document:
        write_document(DOCUMENT, results)
    return 0 if all(row.samples for row in results.rows) else 1


def is_whole(chosen: argparse.Namespace) -> bool:
    """Whether nothing was selected, so that everything is measured that docs/performance.md shows."""
    selections = ("peers", "framing", "size", "connections", "mode", "all", "quick", "source")
    return not any(getattr(chosen, name) for name in selections)


def pace(chosen: argparse.Namespace) -> plan.Pace:
    usual = plan.QUICK_PACE if chosen.quick else plan.USUAL_PACE
    return plan.Pace(
        rounds=chosen.rounds or usual.rounds,
        seconds=chosen.seconds or usual.seconds,
        warmup=usual.warmup,
        large_seconds=usual.large_seconds,
        held=chosen.held or usual.held,
        made=usual.made,
    )


def cases(chosen: argparse.Namespace, speed: plan.Pace) -> list[Case]:
    if chosen.size or chosen.connections or chosen.mode:
        return list(_selected(chosen, speed))
    if chosen.all:
        return plan.every(speed, chosen.framing or FRAMINGS)
    if chosen.quick:
        return plan.quick(speed, chosen.framing or ("int32",))
    return plan.usual(speed, chosen.framing or FRAMINGS)


def _selected(chosen: argparse.Namespace, speed: plan.Pace) -> list[Messages]:
    framings = chosen.framing or FRAMINGS
    return [
        plan.messages(speed, framings, size, mode, count)
        for size in chosen.size or (32,)
        for mode in chosen.mode or ("pipelined", "one")
        for count in chosen.connections or (plan.USUAL[mode],)
    ]


def measure(chosen: argparse.Namespace) -> Results:
    speed = pace(chosen)
    server_core, load_cores = cores()
    os.sched_setaffinity(0, load_cores)
    allow_descriptors(speed.held + SPARE)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        peers = [
            peer
            for peer in all_peers(chosen.python, Path(folder))
            if not chosen.peers or peer.name.startswith(tuple(chosen.peers))
        ]
        if not any(peer.name == "echo-compiled" for peer in peers):
            note("sockserve is not installed here in its compiled form; nox -s bench does that, or use --python")
        results = Results(about(chosen.python, speed, server_core, load_cores))
        everything = cases(chosen, speed)
        for number, case in enumerate(everything, 1):
            note(f"{number} of {len(everything)}: {case.name}, {' '.join(case.framings)}")
            results.rows += run(case, peers, speed.rounds, server_core)
        if is_whole(chosen):
            note("bare CRLFs, in memory")
            results.rows += crlfs(chosen.python, speed.rounds)
    return results


def run(case: Case, peers: Sequence[Peer], rounds: int, core: int) -> list[Row]:
    """All rounds of a case, with the servers in turn. A server that fails is reported, and left out from then on."""
    rows = [
        (peer, Row(case.name, framing, peer.name, peer.title, peer.ours))
        for peer in peers
        for framing in case.framings_of(peer)
    ]
    servers: dict[int, Server] = {}
    failed: set[int] = set()
    try:
        for _ in range(rounds):
            for place, (peer, row) in enumerate(rows):
                if place in failed:
                    continue
                try:
                    if place not in servers:
                        servers[place] = Server(peer, row.framing, core)
                    row.samples.append(case.run(servers[place]))
                except ServerFailedError as error:
                    note(f"{peer.name} {row.framing}: {error}")
                    failed.add(place)
                if case.fresh and place in servers:
                    servers.pop(place).stop()
    finally:
        for server in servers.values():
            server.stop()
    return [row for _, row in rows]


def cores() -> tuple[int, set[int]]:
    """The last core for the server, the others for the load; if there is only one, both share it."""
    there = sorted(os.sched_getaffinity(0))
    if len(there) == 1:
        note("there is only one core: server and load disturb each other")
    return there[-1], set(there[:-1]) or set(there)


def allow_descriptors(count: int) -> None:
    """Raise the limit for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise SystemExit(
                f"{count} descriptors are needed, and {hard} are allowed (ulimit -n): choose a smaller --held"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def about(python: str, speed: plan.Pace, server_core: int, load_cores: set[int]) -> dict[str, str]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    others = ", ".join(f"{name} {version}" for name, version in versions(python).items())
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "cores": f"server on {server_core}, load on {', '.join(map(str, sorted(load_cores)))}",
        "versions": f"sockserve {__version__}, {others}",
        "other load": f"load average {os.getloadavg()[0]:.1f} at the start",
        "rounds": f"{speed.rounds} of {speed.seconds:g} s after {speed.warmup:g} s of warm-up",
    }


def note(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
