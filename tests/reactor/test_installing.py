"""Programs install the reactor, with a loop of its own or of theirs, and use asyncio beside it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.reactor import install
from tests.support.processes import ROOT, run

BEFORE_IT_RUNS = """
from sockserve.reactor import install

install()

import asyncio

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react


async def of_asyncio(reactor):
    await asyncio.sleep(0.001)
    await deferLater(reactor, 0.001).asFuture(reactor.loop)
    return asyncio.get_running_loop() is reactor.loop


async def main(reactor):
    print(await Deferred.fromFuture(asyncio.ensure_future(of_asyncio(reactor))))


react(main, [])
"""

ON_A_LOOP_THAT_RUNS = """
import asyncio

import uvloop

from sockserve.reactor import install


async def main():
    install(asyncio.get_running_loop())
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    reactor.startRunning(installSignalHandlers=False)
    await deferLater(reactor, 0.001).asFuture(reactor.loop)
    print(reactor.loop is asyncio.get_running_loop())


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


TEST = """
from pytest_twisted import ensureDeferred
from twisted.internet.task import deferLater


@ensureDeferred
async def test_it_runs_there():
    from twisted.internet import reactor

    await deferLater(reactor, 0.001)
    assert type(reactor).__name__ == "UvloopReactor"
"""
PAGE = ROOT / "docs/reactor.md"


class InstallingTests(SynchronousTestCase):
    def test_what_asyncio_makes_before_it_runs_belongs_to_its_loop(self) -> None:
        self.assertEqual(printed(BEFORE_IT_RUNS), "True\n")

    def test_it_goes_on_a_loop_that_runs(self) -> None:
        self.assertEqual(printed(ON_A_LOOP_THAT_RUNS), "True\n")

    def test_another_loop_is_refused(self) -> None:
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        with self.assertRaisesRegex(TypeError, r"SelectorEventLoop .* is not a loop of uvloop"):
            install(cast("Any", loop))

    def test_the_lines_for_pytest_twisted_are_those_that_it_needs(self) -> None:
        [lines] = re.findall(r"```python\n(import pytest\n.*?)```", PAGE.read_text(), re.DOTALL)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "conftest.py").write_text(lines)
        (folder / "test_it.py").write_text(TEST)
        # In an interpreter of its own: pytest rewrites what it imports.
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={folder}", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertIn("1 passed", done.stdout, done.stderr)


def printed(program: str) -> str:
    """What a program prints, its errors too."""
    done = run([sys.executable, "-c", program], text=True, timeout=30)
    return f"{done.stdout}{done.stderr}"
