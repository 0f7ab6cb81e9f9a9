"""memory_budget as what it is for: the resident memory of a real server.

`python -m tests.support.memory` tries more.
"""

from __future__ import annotations

import sys
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests.support.memory import KINDS, MIB, measure, raise_limit


@skipUnless(sys.platform == "linux", "reads /proc")
class ResidentTests(SynchronousTestCase):
    def grown(self, kind: str) -> None:
        raise_limit()
        outcome = measure(KINDS[kind], 16 * MIB, 400, 2.0)
        self.assertLessEqual(outcome.grown, outcome.allowed)
        self.assertFalse(outcome.lost)
        self.assertGreater(len(outcome.times), 5)

    def test_frames_received_in_part(self) -> None:
        self.grown("partial")

    def test_answers_under_way(self) -> None:
        self.grown("slow")

    def test_answers_that_nobody_reads(self) -> None:
        self.grown("unread")

    def test_awaited_writes(self) -> None:
        self.grown("written")
