"""deploy/alerts.yml, by Prometheus's own tool; tests/system/alerts.yml has what each alert fires on.

promtool must be installed (`apt-get install prometheus`): without it these tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sockserve.admin.metrics import PROCESS_FIGURES, SOCKET_FIGURES
from tests.support.programs import installed
from tests.support.twistd import PATIENCE, ROOT

RULES = ROOT / "deploy/alerts.yml"
CASES = Path(__file__).with_name("alerts.yml")


class AlertTests(SynchronousTestCase):
    def promtool(self, *arguments: str | Path) -> None:
        command = [installed("promtool", "prometheus"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_prometheus_accepts_the_rules(self) -> None:
        self.promtool("check", "rules", RULES)

    def test_they_are_about_metrics_that_there_are(self) -> None:
        there = {each.full_name for each in (*SOCKET_FIGURES, *PROCESS_FIGURES)}
        named = set(re.findall(r"\bsockserve_\w+", RULES.read_text()))
        self.assertGreater(len(named), 10)
        self.assertEqual(named - there, set())

    def test_each_fires_when_it_should_and_only_then(self) -> None:
        self.promtool("test", "rules", CASES)
        alerts = re.findall(r"alert: (\w+)", RULES.read_text())
        self.assertGreater(len(alerts), 10)
        for alert in alerts:
            self.assertRegex(CASES.read_text(), rf"{alert}\b")
