"""The soak for a few seconds: it passes, and it sees what it is for."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from tests.support import soak


class SoakTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.output = io.StringIO()

    def soak(self, seconds: float) -> int:
        with redirect_stdout(self.output):
            return soak.main([str(seconds / 60)])

    def test_a_second_of_good_slow_and_hostile_clients(self) -> None:
        # Those who stall and those who do not read are waited for, twice.
        self.patch(soak, "LIMITS", soak.LIMITS.replace('"3s"', '"1s"'))
        status = self.soak(1)
        text = self.output.getvalue()
        self.assertEqual(status, 0, text)
        for each in soak.SOCKETS:
            found = re.search(rf"good {each.name} +[\d,]+ +([\d,]+) +([\d,]+) +0\n", text)
            assert found is not None, text
            self.assertEqual(found[1], found[2])
        for kind in ("garbage", "reset", "stall", "deaf", "idle", "half_close", "too_long", "leave"):
            self.assertIn(f"hostile {kind} ", text)
        self.assertRegex(text, r"at the end [\d.]+ MiB")

    def test_answers_that_are_not_the_messages_and_memory_that_grows_fail_it(self) -> None:
        right = soak.configuration
        self.patch(
            soak,
            "configuration",
            lambda directory: right(directory).replace("windev]", "windev]\nhandler = 'discard'", 1),
        )
        self.patch(soak, "MEMORY", -1 << 30)
        # For one who sends what is discarded, and never reads: only that ends it.
        self.patch(soak, "PATIENCE", 2.0)
        self.patch(soak, "LIMITS", soak.LIMITS.replace('"3s"', '"300ms"'))
        self.assertEqual(self.soak(0.5), 1)
        text = self.output.getvalue()
        self.assertRegex(text, "FAILED .* good windev: AssertionError nothing came back")
        self.assertRegex(text, "FAILED .* memory: ")
