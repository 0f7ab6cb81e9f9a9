"""Reads that consist of bare CRLFs, in memory; bench/linear.py does the work."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.compare.peers import ROOT, is_compiled
from bench.compare.samples import Row

CRLFS = "64 KiB of bare CRLFs in a read"
READ = 64 * 1024

# What linear.py calls them, and what they are called here.
_SUBJECTS = {
    "echo buffered": ("echo-{form}", "sockserve echo, {form}"),
    "protocol buffered": ("protocol-{form}", "MessageProtocol, {form}"),
    "Twisted LineReceiver": ("twisted", "Twisted's receivers"),
}


def crlfs(python: str, rounds: int) -> list[Row]:
    """CPU time per message, in both forms if the environment of `python` has both."""
    forms: dict[str, Mapping[str, str]] = {"pure": {"PYTHONPATH": str(ROOT)}}
    if is_compiled(python):
        forms = {"compiled": {}} | forms
    rows: dict[str, Row] = {}
    for _ in range(rounds):
        for form, environment in forms.items():
            for subject, ms in _run(python, environment).items():
                peer, title = (text.format(form=form) for text in _SUBJECTS[subject])
                ours = peer != "twisted"
                row = rows.setdefault(peer, Row(CRLFS, "buffered", peer, title, ours))
                if ours or len(forms) == 1 or form == "pure":
                    row.samples.append({"cpu_us": ms * 1000 / (READ / 2)})
    return sorted(rows.values(), key=lambda row: not row.ours)


def _run(python: str, environment: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds for one read."""
    with tempfile.NamedTemporaryFile() as file:
        command = [
            python,
            "-P",
            str(ROOT / "bench" / "linear.py"),
            "--rounds",
            "1",
            "--case",
            "tiny",
            "--json",
            file.name,
        ]
        command += [word for subject in _SUBJECTS for word in ("--only", subject)]
        subprocess.run(command, cwd="/", env=os.environ | dict(environment), stdout=subprocess.DEVNULL, check=True)
        rows = json.loads(Path(file.name).read_text())["rows"]
    return {row["subject"]: row["ms"][row["sizes"].index(READ)] for row in rows}
