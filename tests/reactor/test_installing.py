"""Programs install the reactor, with a loop of its own or of theirs, and use asyncio beside it."""

from __future__ import annotations

import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support.processes import run

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


class InstallingTests(SynchronousTestCase):
    def test_what_asyncio_makes_before_it_runs_belongs_to_its_loop(self) -> None:
        self.assertEqual(printed(BEFORE_IT_RUNS), "True\n")

    def test_it_goes_on_a_loop_that_runs(self) -> None:
        self.assertEqual(printed(ON_A_LOOP_THAT_RUNS), "True\n")


def printed(program: str) -> str:
    """What a program prints, its errors too."""
    done = run([sys.executable, "-c", program], text=True, timeout=30)
    return f"{done.stdout}{done.stderr}"
