"""Medians, spread and ratios, and the file that holds all samples."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles

Sample = dict[str, float]


@dataclass
class Row:
    """All rounds of one server in one case. title: the name of the peer, for people. ours: whether it is sockserve.

    A round that failed is not in it; then there are none after it.
    """

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

    def of(self, case: str, framing: str) -> list[Row]:
        """The rows of the servers that were measured in it."""
        return [row for row in self.rows if (row.case, row.framing) == (case, framing) and row.samples]

    def write(self, path: Path) -> None:
        """One line a row, and six digits a number: more would only be noise."""
        rows = (asdict(row) | {"samples": [_rounded(sample) for sample in row.samples]} for row in self.rows)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text(
            f'{{"about": {json.dumps(self.about, ensure_ascii=False, indent=1)},\n"rows": [\n{lines}\n]}}\n'
        )

    @classmethod
    def read(cls, path: Path) -> Results:
        document = json.loads(path.read_text())
        return cls(document["about"], [Row(**row) for row in document["rows"]])


def _rounded(sample: Sample) -> Sample:
    return {name: float(f"{value:.6g}") for name, value in sample.items()}
