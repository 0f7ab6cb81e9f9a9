"""What sockserve should reach, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.compare.bulk import CRLFS
from bench.compare.samples import ratio

if TYPE_CHECKING:
    from bench.compare.samples import Results

PIPELINED = "32 B, pipelined, 8 connections"
LARGE = "16 MiB, one at a time, 1 connection"
HELD = "connections, 10,000 held"

KIB = 1024


@dataclass(frozen=True)
class Target:
    """The CPU time of `peer` per message should be at most `most` times that of `to`."""

    case: str
    framing: str
    peer: str
    to_framing: str
    to: str
    most: float
    text: str

    def measured(self, results: Results) -> float | None:
        row = results.row(self.case, self.framing, self.peer)
        to = results.row(self.case, self.to_framing, self.to)
        return ratio(row, to, "cpu_us") if row and to else None


def _against(peer: str, framing: str, to: str, most: float, text: str) -> Target:
    return Target(PIPELINED, framing, peer, framing, to, most, text)


TARGETS = (
    _against(
        "protocol-compiled", "int32", "twisted", 1 / 8, "MessageProtocol, compiled, compared with Int32StringReceiver"
    ),
    _against(
        "protocol-compiled", "standard", "twisted", 1 / 8, "MessageProtocol, compiled, compared with LineReceiver"
    ),
    _against(
        "protocol-compiled",
        "windev",
        "asyncio-streams",
        1 / 30,
        "MessageProtocol, compiled, compared with asyncio streams",
    ),
    *(
        _against("echo-compiled", framing, "go", 1, "echo, compiled, compared with Go's bufio")
        for framing in ("int32", "windev", "standard", "buffered")
    ),
    _against("protocol-pure", "int32", "twisted", 1 / 3, "MessageProtocol, pure, compared with Int32StringReceiver"),
    _against("protocol-pure", "standard", "twisted", 1 / 3, "MessageProtocol, pure, compared with LineReceiver"),
    *(
        Target(
            LARGE,
            "int32",
            f"{what}-{form}",
            "raw",
            f"echo-{form}",
            2,
            f"{title}, {form}, 16 MiB, compared with raw bytes",
        )
        for form in ("compiled", "pure")
        for what, title in (("echo", "echo"), ("protocol", "MessageProtocol"))
    ),
    *(
        Target(
            CRLFS,
            "buffered",
            f"{what}-{form}",
            "buffered",
            "twisted",
            1 / 50,
            f"{title}, {form}, compared with LineReceiver",
        )
        for form in ("compiled", "pure")
        for what, title in (("echo", "bare CRLFs, echo"), ("protocol", "bare CRLFs, MessageProtocol"))
    ),
)


@dataclass(frozen=True)
class Verdict:
    """target, measured: as text. met: whether the target was reached."""

    text: str
    framing: str
    target: str
    measured: str
    met: bool


def verdicts(results: Results) -> list[Verdict]:
    """The verdicts on all targets that the run has figures for."""
    found: list[Verdict] = []
    for target in TARGETS:
        measured = target.measured(results)
        if measured is not None:
            met = measured <= target.most
            found.append(Verdict(target.text, target.framing, _share(target.most), _share(measured), met))
    for row in results.of(HELD):
        idle = row.median("idle_bytes")
        if row.ours and idle is not None:
            text = f"{row.title}: memory of an idle connection"
            found.append(Verdict(text, row.framing, "3 KiB", f"{idle / KIB:.2f} KiB", idle <= 3 * KIB))
    return found


def _share(value: float) -> str:
    """A ratio as people write it: 1/8, or 1.4."""
    if value >= 1:
        return f"{value:.3g}"
    inverse = 1 / value
    return f"1/{inverse:.0f}" if abs(inverse - round(inverse)) < 0.01 or inverse >= 20 else f"1/{inverse:.1f}"
