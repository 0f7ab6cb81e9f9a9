"""`python -m tests.support.reactor_tests`: Twisted's own tests of reactors, on ours and on Twisted's asyncio reactor.

Each reactor gets a process. This ends with status 1 if a test that passes on the asyncio reactor does not pass on ours,
unless REASONS says why; and if a reason is not needed any more. Arguments: test modules, such as `test_tcp`; without
any, all of MODULES. `--write` makes docs/reactor-tests.md, which the docs include.

Only what Twisted's ReactorBuilder makes is run: a class of tests for each reactor. The rest needs no reactor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase, TestSuite

from twisted.internet.test import reactormixins
from twisted.python.failure import Failure
from twisted.trial.reporter import TestResult
from twisted.trial.runner import TestLoader, TrialSuite
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reactor-tests.md"
PACKAGE = "twisted.internet.test"
MODULES = (
    "test_core",
    "test_fdset",
    "test_newtls",
    "test_process",
    "test_socket",
    "test_stdio",
    "test_tcp",
    "test_threads",
    "test_time",
    "test_tls",
    "test_udp",
    "test_unix",
)
# That of the tests makes a new loop for each reactor.
ASYNCIO = f"{PACKAGE}.reactormixins.AsyncioSelectorReactor"
OURS = "sockserve.reactor.UvloopReactor"
REASONS = {
    "test_unix.UNIXTestsBuilder.test_avoidLeakingFileDescriptors": (
        "descriptors that come to a protocol without `IFileDescriptorReceiver` are closed, as on other reactors, but "
        "by the kernel. A stream reads only bytes, and does not learn of them; so nothing is logged."
    ),
}
"""Tests that pass on the asyncio reactor and not on ours: why."""

Outcomes = dict[str, str]
"""What became of each test, by its name: PASSED, or what was said in the first line."""
PASSED = "passed"


class Result(TestResult):
    """What becomes of each test. suffix: what their classes have to their names for the reactor."""

    def __init__(self, suffix: str) -> None:
        super().__init__()
        self.suffix = suffix
        self.outcomes: Outcomes = {}

    def startTest(self, test: TestCase) -> None:
        super().startTest(test)
        self._say(test, PASSED)

    def addError(self, test: TestCase, error: Any) -> None:  # noqa: ANN401
        super().addError(test, error)
        self._say(test, f"failed: {error.getErrorMessage() if isinstance(error, Failure) else error}")

    addFailure = addError

    def addSkip(self, test: TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._say(test, f"skipped: {reason}")

    def _say(self, test: TestCase, outcome: str) -> None:
        name = test.id().removeprefix(f"{PACKAGE}.").replace(self.suffix, "")
        self.outcomes[name] = outcome.partition("\n")[0][:200]


def run(reactor: str, modules: list[str]) -> Outcomes:
    """Run the tests of a reactor in this process, which must have imported none of them yet."""
    reactormixins.ReactorBuilder._reactors = [reactor]
    suffix = f"_{reactor.rpartition('.')[2]}Tests"
    suite = TestLoader().loadByNames([f"{PACKAGE}.{module}" for module in modules])
    result = Result(suffix)
    TrialSuite([test for test in tests(suite) if type(test).__name__.endswith(suffix)]).run(result)
    return result.outcomes


def tests(suite: TestSuite) -> Iterator[SynchronousTestCase]:
    for each in suite:
        if isinstance(each, SynchronousTestCase):
            yield each
        elif isinstance(each, TestSuite):
            yield from tests(each)


def run_apart(reactor: str, modules: list[str]) -> Outcomes:
    """Run them in a process and a folder of their own. What they write is shown only if the process fails."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "tests.support.reactor_tests", "--reactor", reactor, "--into", str(path)]
        ended = subprocess.run(
            [*command, *modules],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(ended.stdout)
        outcomes: Outcomes = json.loads(path.read_text())
        return outcomes


def outcomes(reactor: str, modules: list[str]) -> Outcomes:
    """Run them apart; once more where another process had just taken the port that a test meant to listen on."""
    found = run_apart(reactor, modules)
    again = sorted({name.partition(".")[0] for name, outcome in found.items() if "Address already in use" in outcome})
    return {**found, **run_apart(reactor, again)} if again else found


def faults(asyncio: Outcomes, ours: Outcomes, reasons: dict[str, str]) -> list[str]:
    """A line for each test that must pass on ours and does not, and for each reason that is not needed."""
    missed = {name: ours.get(name, "not run") for name, outcome in asyncio.items() if outcome == PASSED}
    missed = {name: outcome for name, outcome in missed.items() if outcome != PASSED}
    return [
        *(f"{name} {outcome}" for name, outcome in missed.items() if name not in reasons),
        *(f"{name} has a reason, and does not need it" for name in reasons if name in asyncio and name not in missed),
    ]


def table(asyncio: Outcomes, ours: Outcomes) -> str:
    """Markdown: how many tests of each module pass on both, and why others do not on ours."""
    lines = ["| module | tests | asyncio reactor | this one |", "|---|--:|--:|--:|"]
    modules = dict.fromkeys(name.partition(".")[0] for name in asyncio)
    for start, title in [*((f"{module}.", f"`{module}`") for module in modules), ("", "all")]:
        passed = [
            sum(name.startswith(start) and outcome == PASSED for name, outcome in each.items())
            for each in (asyncio, ours)
        ]
        count = sum(name.startswith(start) for name in asyncio)
        lines.append(f"| {title} | {count} | {passed[0]} | {passed[1]} |")
    lines += [""]
    for name, outcome in ours.items():
        if outcome == PASSED:
            continue
        if asyncio.get(name) == PASSED:
            lines.append(f"* `{name}` passes only there: {REASONS.get(name, outcome)}")
        else:
            lines.append(f"* `{name}` passes on neither ({outcome}).")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.support.reactor_tests", description="Run Twisted's tests of reactors.", allow_abbrev=False
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="of twisted.internet.test [default: those with tests of reactors]"
    )
    parser.add_argument("--write", action="store_true", help="write the table to docs/reactor-tests.md")
    # For the processes that it starts.
    parser.add_argument("--reactor", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    modules = options.modules or list(MODULES)
    if options.reactor:
        options.into.write_text(json.dumps(run(options.reactor, modules)))
        return 0
    asyncio, ours = outcomes(ASYNCIO, modules), outcomes(OURS, modules)
    text = table(asyncio, ours)
    print(text)
    if options.write:
        PAGE.write_text(f"{text}\n")
    wrong = faults(asyncio, ours, REASONS)
    print(*(f"FAILED: {line}" for line in wrong), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
