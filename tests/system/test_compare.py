"""The comparison with other servers, in its quickest form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bench.compare.samples import Results, Row, ratio
from bench.compare.tables import sections, write_document
from bench.compare.targets import HELD, LARGE, PIPELINED, verdicts

ROOT = Path(__file__).parents[2]


class CompareTests(SynchronousTestCase):
    def test_a_quick_run_has_figures_for_each_peer(self) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "figures.json"
            peers = ["protocol-pure", "twisted", "asyncio"]
            ran = subprocess.run(
                [sys.executable, "-m", "bench.compare", "--quick", "--held", "20", "--json", file, "--peers", *peers],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(ran.returncode, 0, ran.stderr)
            results = Results.read(file)
        messages = {row.peer: row.median("cpu_us") for row in results.of(PIPELINED)}
        expected = {"protocol-pure", "twisted", "asyncio-streams", "asyncio-protocol"}
        self.assertEqual(set(messages), expected)
        for peer, cpu in messages.items():
            self.assertTrue(cpu and 0.01 < cpu < 1000, f"{peer}: {cpu} µs of CPU a message")
        held = {row.peer: row.median("accept_cpu_us") for row in results.of("connections, 20 held")}
        self.assertEqual(set(held), expected)
        for peer, cpu in held.items():
            self.assertTrue(cpu and 1 < cpu < 10_000, f"{peer}: {cpu} µs of CPU a connection")
        self.assertIn("asyncio streams", ran.stdout)


def row(case: str, framing: str, peer: str, *cpu: float) -> Row:
    return Row(case, framing, peer, peer, peer.startswith("echo"), [{"cpu_us": value} for value in cpu])


class ResultTests(SynchronousTestCase):
    def test_a_ratio_is_taken_within_each_round(self) -> None:
        # The machine was three times slower in the last two rounds.
        ours, theirs = row("case", "int32", "echo-pure", 1, 3, 3), row("case", "int32", "twisted", 2, 6, 6)
        self.assertEqual(ratio(theirs, ours, "cpu_us"), 2)

    def test_what_was_not_measured_has_no_ratio(self) -> None:
        ours, theirs = row("case", "int32", "echo-pure", 1), row("case", "int32", "twisted")
        self.assertIsNone(ratio(theirs, ours, "cpu_us"))
        self.assertIsNone(theirs.median("cpu_us"))

    def test_targets_say_whether_they_are_met(self) -> None:
        results = Results({})
        results.rows += [row(PIPELINED, "int32", "protocol-compiled", 1.0), row(PIPELINED, "int32", "twisted", 10.0)]
        results.rows += [row(LARGE, "int32", "echo-pure", 3.0), row(LARGE, "raw", "echo-pure", 1.0)]
        held = row(HELD, "int32", "echo-pure")
        held.samples.append({"idle_bytes": 2560.0})
        results.rows.append(held)
        found = [(verdict.target, verdict.measured, verdict.met) for verdict in verdicts(results)]
        self.assertEqual(found, [("1/8", "1/10", True), ("2", "3", False), ("3 KiB", "2.50 KiB", True)])

    def test_a_run_is_the_same_after_a_file(self) -> None:
        results = Results({"machine": "this"}, [row("case", "int32", "echo-pure", 1, 2)])
        with TemporaryDirectory() as folder:
            file = Path(folder) / "run.json"
            results.write(file)
            self.assertEqual(Results.read(file), results)
            self.assertEqual(json.loads(file.read_text())["rows"][0]["samples"], [{"cpu_us": 1}, {"cpu_us": 2}])


class DocumentTests(SynchronousTestCase):
    def test_only_what_stands_between_the_markers_is_replaced(self) -> None:
        results = Results({"machine": "this"}, [row(PIPELINED, "int32", "echo-pure", 0.5)])
        before = "".join(f"Before {name}.\n\n<!-- {name} -->\n<!-- end {name} -->\n" for name in sections(results))
        with TemporaryDirectory() as folder:
            file = Path(folder) / "page.md"
            file.write_text(before)
            write_document(file, results)
            once = file.read_text()
            write_document(file, results)
            self.assertEqual(file.read_text(), once)
        for name, section in sections(results).items():
            self.assertIn(f"Before {name}.\n\n<!-- {name} -->\n\n{section}\n\n<!-- end {name} -->\n", once)
        self.assertIn("| echo-pure | 0.5 |", once)

    def test_a_page_without_its_markers_is_refused(self) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "page.md"
            file.write_text("<!-- machine -->\n")
            self.assertRaisesRegex(ValueError, "markers for 'machine'", write_document, file, Results({}))
            self.assertEqual(file.read_text(), "<!-- machine -->\n")

    def test_the_page_has_all_markers(self) -> None:
        page = (ROOT / "docs" / "performance.md").read_text()
        for name in sections(Results({})):
            self.assertEqual(page.count(f"<!-- {name} -->\n"), 1, name)
            self.assertEqual(page.count(f"<!-- end {name} -->\n"), 1, name)
