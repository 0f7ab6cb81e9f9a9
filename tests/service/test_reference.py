"""The documents say of the settings what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.service.options import Options

DOCS = Path(__file__).parents[2] / "docs"


class ReferenceTests(SynchronousTestCase):
    def test_the_table_of_settings_is_current(self) -> None:
        page: str = runpy.run_path(str(DOCS / "reference.py"))["page"]()
        self.assertEqual((DOCS / "settings.md").read_text(), page, "run: python docs/reference.py")

    def test_the_help_in_the_documents_is_current(self) -> None:
        text = "".join(line.rstrip() + "\n" for line in str(Options(MemoryReactorClock())).rstrip().splitlines()[1:])
        self.assertIn(text, (DOCS / "operating.md").read_text())
