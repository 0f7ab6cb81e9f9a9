"""Twisted's own tests of reactors, as far as they are quick; `.ci/run` runs all of them."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from tests.support import reactor_tests
from tests.support.reactor_tests import PASSED, REASONS, faults


class TwistedTests(SynchronousTestCase):
    def test_what_passes_on_the_asyncio_reactor_passes_here(self) -> None:
        output = io.StringIO()
        with redirect_stdout(output):
            status = reactor_tests.main(["test_time", "test_socket"])
        self.assertEqual(status, 0, output.getvalue())
        self.assertIn("| `test_socket` | 8 | 8 | 8 |", output.getvalue())

    def test_what_does_not_needs_a_reason_and_a_reason_must_be_needed(self) -> None:
        asyncio = {"a": PASSED, "b": PASSED, "c": PASSED, "d": "skipped: no", "e": PASSED}
        ours = {"a": PASSED, "b": "failed: oh", "c": "skipped: why", "d": "failed: oh"}
        self.assertEqual(
            faults(asyncio, ours, {"a": "", "b": "", "z": ""}),
            ["c skipped: why", "e not run", "a has a reason, and does not need it"],
        )

    def test_reasons_are_sentences_about_tests_of_the_modules(self) -> None:
        for name in REASONS:
            self.assertIn(name.partition(".")[0], reactor_tests.MODULES)
