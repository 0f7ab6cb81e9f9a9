"""What sockserve should reach, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.compare.cases import CPU, KIB, P99
from bench.compare.plan import ENVELOPE
from bench.compare.samples import ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.compare.samples import Results


@dataclass(frozen=True)
class Target:
    """The CPU time of `peer`, or the number that is named `what` in its samples, should be at most `most` times that of
    `to`; or its idle connections take so many KiB."""

    text: str
    case: str
    framing: str
    peer: str
    most: float
    to: str = ""
    what: str = CPU.key

    def measured(self, results: Results) -> float | None:
        row = results.row(self.case, self.framing, self.peer)
        if not self.to:
            idle = row.median("idle_bytes") if row else None
            return None if idle is None else idle / KIB
        to = results.row(self.case, self.framing, self.to)
        return ratio(row, to, self.what) if row and to else None

    def written(self, value: float) -> str:
        return _share(value) if self.to else f"{value:.2f} KiB"


_PIPELINED, _ONE, _FIFTY = "handlers/pipelined", "handlers/one at a time", "single/50 connections"
_STREAMS = "asyncio streams"


def _framings() -> Iterator[Target]:
    case = "framings/pipelined"
    for name in ("int8", "int16", "int32", "windev", "netstring", "varint", "fixed:32", "standard"):
        yield Target("twistd echo, compared with Go", case, name, "echo", 1, "go")
    for name in ("buffered", "buffered:\\n"):
        yield Target("twistd echo, compared with Go", case, name, "echo", 1.1, "go")
    yield Target("twistd echo, compared with Go", case, ENVELOPE, "echo", 2, "go")
    yield Target("MessageProtocol, compared with Go", case, ENVELOPE, "subclass", 8, "go")


def _on_uvloop() -> Iterator[Target]:
    """Of the uvloop reactor."""
    yield Target("twistd echo on uvloop, one at a time, compared with C", _FIFTY, "raw", "echo-uvloop", 1.25, "c")
    for framing in ("windev", "int32"):
        text = "MessageProtocol on uvloop, one at a time, compared with Go"
        yield Target(text, _FIFTY, framing, "subclass-uvloop", 1, "go")
    text = "Twisted's Echo on uvloop, one at a time, compared with epoll"
    yield Target(text, _FIFTY, "raw", "twisted-echo-uvloop", 0.5, "twisted-echo")
    for kind, title in (("async", "async def"), ("conversation", "conversation")):
        text = f"{title} on uvloop, one at a time, compared with MessageProtocol there"
        yield Target(text, _ONE, "int32", f"{kind}-uvloop", 1.3, "subclass-uvloop")
    titles = {"subclass": "MessageProtocol", "async": "async def", "conversation": "conversation"}
    for kind, title in (*titles.items(), ("twisted", "Twisted's receivers")):
        text = f"{title} on uvloop, pipelined, compared with epoll"
        yield Target(text, _PIPELINED, "int32", f"{kind}-uvloop", 1, kind)
    for kind, title in (("subclass", "MessageProtocol"), ("twisted-echo", "Twisted's Echo")):
        text = f"{title} on uvloop, p99 at half load, compared with Twisted's Echo on epoll"
        yield Target(text, "latency/half load", "int32", f"{kind}-uvloop", 1, "twisted-echo", P99.key)


TARGETS = (
    Target(f"async def, pipelined, compared with {_STREAMS}", _PIPELINED, "int32", "async", 1 / 4, "asyncio-streams"),
    Target(
        f"conversation, pipelined, compared with {_STREAMS}",
        _PIPELINED,
        "int32",
        "conversation",
        1 / 5,
        "asyncio-streams",
    ),
    Target("async def, one at a time, compared with MessageProtocol", _ONE, "int32", "async", 1.15, "subclass"),
    Target(
        "conversation, one at a time, compared with MessageProtocol", _ONE, "int32", "conversation", 1.25, "subclass"
    ),
    *(
        Target(
            f"{title}, asyncio reactor, one at a time, compared with {_STREAMS}",
            _ONE,
            "int32",
            f"{kind}-asyncio",
            2,
            "asyncio-streams",
        )
        for kind, title in (("async", "async def"), ("conversation", "conversation"))
    ),
    Target(
        "MessageProtocol, one at a time, 50 connections, compared with C",
        _FIFTY,
        "windev",
        "subclass",
        2.8,
        "c",
    ),
    Target(
        "MessageProtocol, one at a time, 1 connection, compared with C",
        "single/1 connection",
        "windev",
        "subclass",
        2.15,
        "c",
    ),
    *_on_uvloop(),
    Target(
        "twistd echo, TLS, 32 B one at a time, compared with Twisted",
        "tls/32 B, one at a time",
        "raw",
        "echo",
        1 / 2.2,
        "twisted-echo",
    ),
    Target("twistd echo, TLS, 64 KiB, compared with Twisted", "tls/64 KiB", "raw", "echo", 1 / 1.4, "twisted-echo"),
    Target("MessageProtocol, 16 MiB, compared with Go", "sizes/16 MiB, one at a time", "int32", "subclass", 2, "go"),
    *_framings(),
    Target(
        "MessageProtocol, accept and close, compared with Twisted",
        "connections/accept and close",
        "int32",
        "subclass",
        1.4,
        "twisted",
    ),
    Target("MessageProtocol, an idle connection", "connections/idle", "int32", "subclass", 2.1),
    Target("twistd echo, an idle connection", "connections/idle", "int32", "echo", 2.3),
    Target("relay, 1 in flight, compared with asyncio", "relay/1 in flight", "int32", "relay", 1.5, "relay-asyncio"),
)


@dataclass(frozen=True)
class Verdict:
    """target, measured: as text. missed: by which part of the target; 0: met."""

    text: str
    framing: str
    target: str
    measured: str
    missed: float

    @property
    def words(self) -> str:
        if self.missed >= 1:
            return f"{1 + self.missed:.1f} times too much"
        return f"missed by {self.missed:.0%}" if self.missed else "met"


def verdicts(results: Results) -> list[Verdict]:
    """The verdicts on all targets that the run has figures for."""
    found: list[Verdict] = []
    for target in TARGETS:
        measured = target.measured(results)
        if measured is not None:
            missed = max(0.0, measured / target.most - 1)
            # Less than what is written as 0 % is no more than what the clock and the machine add.
            missed = missed if missed >= 0.005 else 0.0
            texts = target.written(target.most), target.written(measured)
            found.append(Verdict(target.text, target.framing, *texts, missed))
    return found


def _share(value: float) -> str:
    """A ratio as people write it: 1/8, or 1.4."""
    if value >= 0.95:
        return f"{value:.3g}"
    inverse = 1 / value
    return f"1/{inverse:.0f}" if abs(inverse - round(inverse)) < 0.01 or inverse >= 20 else f"1/{inverse:.1f}"
