"""`python -m fuzz`: run the harnesses, one process each, and print how many executions each had.

python -m fuzz                        10,000 executions of each with a fixed seed; this is what .ci/run does
python -m fuzz --seconds 600          for this long, all harnesses together, with a new seed each time
python -m fuzz decoder crash-3f2a     the harness on one file that libFuzzer has left

It tries the form of the framings that is installed. The fuzzer cannot see into compiled code, but `forms` runs the pure
form beside it.

Inputs that reached something new stay in fuzz/corpus/TARGET, and the next run starts from them; an input that broke an
invariant is written to fuzz/corpus/TARGET/crash-... (fuzz/corpus is not in git: the seeds come from
tests/support/cases.py).
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz import TARGETS

CORPUS = Path(__file__).parent / "corpus"
EXECUTIONS = 10_000
# The most bytes of an input, and the most seconds it may take: a check is at most quadratic in this many bytes.
MAX_LENGTH = 1024
PATIENCE = 10

NOISE = re.compile(r"#\d+|INFO: |WARNING: Failed to find function|stat::")
"""Lines in which libFuzzer reports its progress."""


@dataclass
class Run:
    """What one harness did.

    coverage: places in the program that its inputs reached. report: what libFuzzer and the harness said about a fault.
    """

    target: str
    executions: int
    seconds: float
    coverage: int
    failed: bool
    report: str


def child(target: str, arguments: list[str]) -> None:
    """Run one harness. This needs a process of its own, because libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["sockserve", "pure_framing"]):
        harness = importlib.import_module(f"fuzz.{target}")
    atheris.Setup([sys.argv[0], *arguments], harness.check)
    atheris.Fuzz()


def run(target: str, corpus: Path, limits: list[str]) -> Run:
    """Run a harness until one of libFuzzer's limits is reached, or until its first fault."""
    corpus.mkdir(parents=True, exist_ok=True)
    harness = importlib.import_module(f"fuzz.{target}")
    for number, seed in enumerate(harness.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        f"-max_len={MAX_LENGTH}",
        f"-timeout={PATIENCE}",
        f"-artifact_prefix={corpus}/",
        "-print_final_stats=1",
        *limits,
        str(corpus),
    ]
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "fuzz", "--child", target, *arguments], capture_output=True, text=True, check=False
    )
    output = ended.stdout + ended.stderr
    executions = re.search(r"number_of_executed_units: (\d+)", output)
    coverage = re.findall(r" cov: (\d+)", output)
    return Run(
        target,
        int(executions[1]) if executions else 0,
        time.monotonic() - began,
        int(coverage[-1]) if coverage else 0,
        ended.returncode != 0 or executions is None,
        "\n".join(line for line in output.splitlines() if not NOISE.match(line)),
    )


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        child(arguments[1], arguments[2:])
    parser = argparse.ArgumentParser("python -m fuzz", description="Fuzz sockserve.", allow_abbrev=False)
    parser.add_argument("target", nargs="?", choices=TARGETS, help="one harness (default: all)")
    parser.add_argument("file", nargs="?", type=Path, help="run the harness on this input only")
    parser.add_argument("--seconds", type=int, help="how long, for all harnesses together; keeps what it finds")
    parser.add_argument(
        "--executions", type=int, default=EXECUTIONS, help=f"how many, of each harness [default: {EXECUTIONS}]"
    )
    parser.add_argument("--seed", type=int, help="[default: 1; with --seconds, any]")
    options = parser.parse_args(arguments)
    targets = [options.target] if options.target else TARGETS
    if options.file is not None:
        importlib.import_module(f"fuzz.{options.target}").check(options.file.read_bytes())
        return 0
    seed = options.seed or (random.randrange(1, 2**31) if options.seconds else 1)
    print(f"{'target':10} {'executions':>12} {'seconds':>8} {'coverage':>9}  (seed {seed})", flush=True)
    failed = 0
    with TemporaryDirectory() as scratch:
        for target in targets:
            if options.seconds:
                corpus = CORPUS / target
                limits = [f"-seed={seed}", f"-max_total_time={max(1, options.seconds // len(targets))}"]
            else:
                corpus = Path(scratch) / target
                limits = [f"-seed={seed}", f"-runs={options.executions}"]
            done = run(target, corpus, limits)
            print(f"{done.target:10} {done.executions:12,} {done.seconds:8.1f} {done.coverage:9,}", flush=True)
            if done.failed:
                failed += 1
                print(done.report, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
