"""The comparison with other servers: a run in its quickest form, and what is made of its results."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from bench.compare.charts import LETTER, WIDTH, draw
from bench.compare.machine import cores
from bench.compare.peers import FRAMINGS, all_peers
from bench.compare.plan import PARTS, sparse
from bench.compare.samples import Results, Row, ratio
from bench.compare.server import Server
from bench.compare.summary import factor, late, on_uvloop
from bench.compare.tables import sections, write_document
from bench.compare.targets import TARGETS, verdicts
from bench.compare.toolchain import build

ROOT = Path(__file__).parents[2]
# All of them with COMPARE=all: that takes a minute.
WHOLE = os.environ.get("COMPARE") == "all"
RUN = [part for part in PARTS if WHOLE or part.name == "handlers"]
PIPELINED, IDLE = "handlers/pipelined", "connections/idle"


def quick(*more: str, **environ: str) -> tuple[Results, str]:
    """The results of a quick run, and what it printed. environ: all of its environment; none: ours."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        ran = subprocess.run(
            [sys.executable, "-m", "bench.compare", "--quick", "--json", file, "--only", *more],
            cwd=ROOT,
            env=environ or None,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return Results.read(file), ran.stdout


class RunTests(SynchronousTestCase):
    def test_a_quick_run_has_figures_of_each_case_and_each_server(self) -> None:
        results, printed = quick(*(each.name for each in RUN))
        measured = {row.case for row in results.rows}
        for part in RUN:
            for case in part.cases:
                needs = {"tls": "openssl", "relay": "gcc"}.get(part.name)
                if needs is None or shutil.which(needs):
                    self.assertIn(part.case_name(case), measured)
        for row in results.rows:
            for sample in row.samples:
                for name, value in sample.items():
                    self.assertTrue(value >= 0, f"{row.case} {row.peer}: {name} is {value}")
        servers = {row.peer for row in results.rows}
        for name in ("subclass", "async", "conversation-asyncio", "threads", "asyncio-streams", "twisted"):
            self.assertIn(name, servers)
        if WHOLE:
            self.assertIn("echo", servers)
        if find_spec("uvloop"):
            for name in ("async-uvloop", "twisted-uvloop", "uvloop-protocol"):
                self.assertIn(name, servers)
            if WHOLE:
                self.assertIn("twisted-echo-uvloop", servers)
        loads = {sample["rate"] for row in results.rows for sample in row.samples if "rate" in sample}
        self.assertEqual(len(loads), 1 if WHOLE else 0, "all servers have the same load")
        self.assertIn("asyncio streams", printed)

    def test_without_gcc_the_load_is_in_python(self) -> None:
        """Only relays need the load in C."""
        with TemporaryDirectory() as tools:
            results, _ = quick("handlers", "--peers", "function", PATH=tools, PYTHONPATH=str(ROOT))
        self.assertIn("in Python", results.about["load"])
        self.assertTrue(all(row.median("cpu_us") for row in results.rows))

    def test_other_servers_have_the_framings_that_they_are_measured_with(self) -> None:
        # Those that start in no time: each answers a frame, or Server raises.
        with TemporaryDirectory() as folder:
            programs = build(Path(folder))
            core, _ = cores()
            peers = [
                peer for peer in all_peers(sys.executable, programs) if peer.name in {"go", "c", "asyncio-streams"}
            ]
            for peer in peers:
                for framing in peer.framings:
                    Server(peer, framing, core).stop()

    def test_each_case_and_each_server_is_in_a_quick_run(self) -> None:
        names = {name for part in PARTS for case in part.cases for name in case.peers}
        thinned = sparse(PARTS)
        self.assertEqual({name for part in thinned for case in part.cases for name in case.peers}, names)
        self.assertEqual([len(part.cases) for part in thinned], [len(part.cases) for part in PARTS])


def row(case: str, framing: str, peer: str, *cpu: float) -> Row:
    ours = peer in {"subclass", "echo", "async", "conversation"}
    return Row(case, framing, peer, peer, ours, [{"cpu_us": value} for value in cpu])


def everything() -> Results:
    """A whole run: each server in each column, some far slower than others."""
    results = Results({"machine": "this"})
    for part in PARTS:
        for case in part.cases:
            for framing in case.framings:
                for place, peer in enumerate(case.peers):
                    row = Row(part.case_name(case), framing, peer, f"the server {peer}", place < 2)
                    value = 0.013 * 1.9**place
                    keys = {"cpu_us", *(figure.key for figure in case.figures)}
                    row.samples += [dict.fromkeys(keys, value * factor) for factor in (1, 1.1, 1.3)]
                    results.rows.append(row)
    return results


class ResultTests(SynchronousTestCase):
    def test_a_ratio_is_taken_within_each_round(self) -> None:
        # The machine was three times slower in the last two rounds.
        ours, theirs = row("case", "int32", "echo", 1, 3, 3), row("case", "int32", "twisted", 2, 6, 6)
        self.assertEqual(ratio(theirs, ours, "cpu_us"), 2)

    def test_what_was_not_measured_has_no_ratio(self) -> None:
        ours, theirs = row("case", "int32", "echo", 1), row("case", "int32", "twisted")
        self.assertIsNone(ratio(theirs, ours, "cpu_us"))
        self.assertIsNone(theirs.median("cpu_us"))

    def test_targets_say_by_how_much_they_are_missed(self) -> None:
        results = Results({})
        results.rows += [row(PIPELINED, "int32", "async", 1.0), row(PIPELINED, "int32", "conversation", 3.0)]
        results.rows += [row(PIPELINED, "int32", "asyncio-streams", 10.0), row(IDLE, "int32", "echo")]
        results.rows[-1].samples.append({"idle_bytes": 2048.0})
        found = [(verdict.target, verdict.measured, verdict.words) for verdict in verdicts(results)]
        expected = [("1/4", "1/10", "met"), ("1/5", "1/3.3", "missed by 50%"), ("2.30 KiB", "2.00 KiB", "met")]
        self.assertEqual(found, expected)

    def test_each_target_is_about_something_that_is_measured(self) -> None:
        self.assertEqual(len(verdicts(everything())), len(TARGETS))

    def test_what_uvloop_changes_is_said_in_words(self) -> None:
        case = "single/50 connections"
        results = Results({}, [row(case, "raw", "twisted-echo", 40), row(case, "raw", "twisted-echo-uvloop", 12)])
        self.assertEqual(on_uvloop(results), "Not measured.")
        results.rows += [row(case, "raw", "c", 5), row(case, "raw", "go", 8), row(case, "raw", "uvloop-protocol", 7.5)]
        self.assertEqual(len(on_uvloop(results).splitlines()), 1)
        results.rows.append(row(case, "raw", "subclass-uvloop", 14))
        first, last = on_uvloop(results).splitlines()
        self.assertEqual(
            first, "* Twisted's Echo on uvloop, `raw`: 0.30 of what it costs on epoll; 2.40 of C, 1.50 of Go."
        )
        self.assertIn("without Twisted: 7.5 µs;", last)
        self.assertTrue(last.endswith("Twisted's Echo: 12 µs; and MessageProtocol: 14 µs."), last)

    def test_the_load_of_latencies_is_said_in_words(self) -> None:
        self.assertEqual(late(Results({})), "Not measured.")
        results = Results({}, [row("latency/half load", "int32", "twisted-echo")])
        results.rows[0].samples.append({"rate": 12345.6})
        self.assertEqual(late(results), "Half load is 12,346 messages a second here.")

    def test_factors_are_words(self) -> None:
        self.assertEqual([factor(value) for value in (0.1, 0.4, 1.02, 1.5)], [
            "10 times less", "2.5 times less", "the same", "1.5 times more",
        ])  # fmt: skip

    def test_a_run_is_the_same_after_a_file(self) -> None:
        results = Results({"machine": "this, 2 µs"}, [row("case", "int32", "echo", 1, 2.5)])
        with TemporaryDirectory() as folder:
            file = Path(folder) / "run.json"
            results.write(file)
            self.assertEqual(Results.read(file), results)


class DocumentTests(SynchronousTestCase):
    def test_only_what_stands_between_the_markers_is_replaced(self) -> None:
        results = Results({"machine": "this"}, [row(PIPELINED, "int32", "subclass", 0.5)])
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
        self.assertIn("| subclass | 0.5 |", once)

    def test_a_page_without_its_markers_is_refused(self) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "page.md"
            file.write_text("<!-- machine -->\n")
            self.assertRaisesRegex(ValueError, "markers for 'summary'", write_document, file, Results({}))
            self.assertEqual(file.read_text(), "<!-- machine -->\n")

    def test_the_page_has_all_markers_and_shows_all_pictures(self) -> None:
        page = (ROOT / "docs" / "performance.md").read_text()
        for name in sections(Results({})):
            self.assertEqual(page.count(f"<!-- {name} -->\n"), 1, name)
            self.assertEqual(page.count(f"<!-- end {name} -->\n"), 1, name)
        drawn = [path.name for path in (ROOT / "bench" / "results").glob("*.svg")]
        self.assertEqual(sorted(re.findall(r"bench/results/(.*?)\)", page)), sorted(drawn))

    def test_names_of_framings_survive_in_a_table(self) -> None:
        text = "".join(sections(everything()).values())
        for framing in FRAMINGS:
            self.assertIn(f"`{framing}`", text)


SVG = "{http://www.w3.org/2000/svg}"


class PictureTests(SynchronousTestCase):
    def pictures(self) -> Iterator[tuple[str, ET.Element]]:
        with TemporaryDirectory() as folder:
            for path in draw(everything(), Path(folder)):
                yield path.name, ET.fromstring(path.read_text())

    def test_no_text_leaves_the_frame(self) -> None:
        found = 0
        for name, root in self.pictures():
            height = float(root.get("height", ""))
            for text in root.iter(f"{SVG}text"):
                kind, x, y = text.get("class"), float(text.get("x", "")), float(text.get("y", ""))
                width = len(text.text or "") * LETTER * (8 / 7 if kind == "title" else 1)
                left = x - {"end": width, "middle": width / 2}.get(kind or "", 0.0)
                self.assertTrue(left >= 0 and left + width <= WIDTH and 10 < y < height - 3, f"{name}: {text.text}")
                found += 1
        self.assertTrue(found > 100)

    def test_bars_start_at_the_zero_of_their_axis(self) -> None:
        for name, root in self.pictures():
            bars = [bar for bar in root.iter(f"{SVG}rect") if bar.get("height") == "12"]
            self.assertTrue(bars, name)
            zeros = [text for text in root.iter(f"{SVG}text") if text.get("class") == "middle" and text.text == "0"]
            starts = {zero.get("x") for zero in zeros}
            self.assertEqual({bar.get("x") for bar in bars}, starts, name)

    def test_an_axis_says_what_it_measures_and_which_way_is_better(self) -> None:
        for name, root in self.pictures():
            words = [text.text for text in root.iter(f"{SVG}text")]
            self.assertTrue("less is better" in words or "more is better" in words, name)
