"""Medians, spread and ratios, and the file that holds all samples."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles

Sample = dict[str, float]


@dataclass
class Row:
    """All rounds of one server in one case. title: the name of the peer, for people. ours: whether it is sockserve."""

    case: str
    framing: str
    peer: str
    title: str
    ours: bool
    samples: list[Sample] = field(default_factory=list)

    def values(self, what: str) -> list[float]:
        return [sample[what] for sample in self.samples if what in sample]

    def median(self, what: str) -> float | None:
        values = self.values(what)
        return median(values) if values else None

    def quartiles(self, what: str) -> tuple[float, float] | None:
        values = self.values(what)
        if not values:
            return None
        if len(values) == 1:
            return values[0], values[0]
        low, _, high = quantiles(values, n=4, method="inclusive")
        return low, high


def ratio(row: Row, to: Row, what: str) -> float | None:
    """The median of the ratios in each round, because within a round the two ran close to each other."""
    ratios = [
        mine[what] / theirs[what] for mine, theirs in zip(row.samples, to.samples, strict=False) if theirs.get(what)
    ]
    return median(ratios) if ratios else None


@dataclass
class Results:
    """One run. about: machine, versions and settings, as text."""

    about: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def row(self, case: str, framing: str, peer: str) -> Row | None:
        """The row, if it was measured."""
        for row in self.rows:
            if (row.case, row.framing, row.peer) == (case, framing, peer) and row.samples:
                return row
        return None

    def cases(self) -> list[str]:
        return list(dict.fromkeys(row.case for row in self.rows))

    def of(self, case: str) -> list[Row]:
        return [row for row in self.rows if row.case == case]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        document = json.loads(path.read_text())
        return cls(document["about"], [Row(**row) for row in document["rows"]])


def reference(rows: Iterable[Row]) -> Row | None:
    """What the others are compared with: sockserve's echo, which comes first."""
    return next((row for row in rows if row.ours and row.samples), None)
