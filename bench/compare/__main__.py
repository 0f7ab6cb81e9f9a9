"""sockserve and its peers, in turn and on one machine: the CPU time that each server needs for a message.

Every server has one core to itself, and the load has the others. The servers of a case run one after another, round
after round, so that whatever disturbs the machine disturbs all of them. Ratios are taken within a round; the median of
the rounds is shown.

    python -m bench.compare                        measure everything, and print it; a quarter of an hour
    python -m bench.compare --write                the same, and make docs/performance.md and bench/results/ anew
    python -m bench.compare --only tls relay       a part or two
    python -m bench.compare --from bench/results/compare.json --write    the page and the pictures, without measuring
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare.charts import draw
from bench.compare.plan import PARTS, QUICK, USUAL, sparse
from bench.compare.runs import measure
from bench.compare.samples import Results
from bench.compare.tables import as_text, write_document
from bench.compare.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = ROOT / "bench" / "results"
DOCUMENT = ROOT / "docs" / "performance.md"


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [part.name for part in PARTS]
    add("--only", nargs="+", choices=names, metavar="PART", help=f"only these parts: {' '.join(names)}")
    add("--peers", nargs="+", metavar="NAME", help="only servers whose names start like this: subclass twisted go ...")
    add("--quick", action="store_true", help="does it work? each server and each case once, too short to mean anything")
    add("--rounds", type=int, metavar="N", help=f"rounds of each server (default {USUAL.rounds})")
    add("--seconds", type=float, metavar="S", help=f"of load in a round (default {USUAL.seconds})")
    add("--python", default=sys.executable, metavar="PATH", help="an interpreter with sockserve installed, compiled")
    add("--json", type=Path, metavar="FILE", help="write all samples there")
    add("--from", type=Path, dest="source", metavar="FILE", help="measure nothing, but show such a file")
    add("--write", action="store_true", help="write docs/performance.md and bench/results; after a whole run only")
    chosen = parser.parse_args(arguments)
    if chosen.write and (chosen.only or chosen.peers or chosen.quick):
        parser.error("--write needs a whole run: without --only, --peers and --quick")
    return chosen


def main() -> int:
    chosen = options()
    # The servers must end with this process, whatever ends it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    results = Results.read(chosen.source) if chosen.source else measured(chosen)
    print(as_text(results), end="")
    if chosen.json:
        results.write(chosen.json)
    if chosen.write:
        results.write(RESULTS / "compare.json")
        draw(results, RESULTS)
        write_document(DOCUMENT, results)
    return 0 if all(row.samples for row in results.rows) else 1


def measured(chosen: argparse.Namespace) -> Results:
    pace = QUICK if chosen.quick else USUAL
    given = {name: value for name in ("rounds", "seconds") if (value := getattr(chosen, name)) is not None}
    parts = [part for part in PARTS if not chosen.only or part.name in chosen.only]
    if chosen.quick and not chosen.peers:
        parts = sparse(parts)
    return measure(chosen.python, parts, replace(pace, **given), chosen.peers or ())


if __name__ == "__main__":
    sys.exit(main())
