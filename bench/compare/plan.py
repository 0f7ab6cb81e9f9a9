"""The parts of a run: each is a section of docs/performance.md, and can be measured alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.compare.cases import CPU, KIB, LARGE, MEGABYTES, MIB, Figure, Handshakes, Messages, Pace
from bench.compare.connections import IDLE, Held, Opened
from bench.compare.peers import FRAMINGS

USUAL = Pace(rounds=5, seconds=0.3, warmup=0.1, large_seconds=1.0, held=3000, made=1000)
QUICK = Pace(rounds=1, seconds=0.02, warmup=0.01, large_seconds=0.02, held=20, made=20)

ENVELOPE = FRAMINGS[-1]
COPY = Figure(CPU.key, "CPU time of the server, µs a copy")

_OURS = ("subclass", "echo")
_HANDLERS = ("subclass", "function", "async", "conversation", "threads")
_HANDLERS_ASYNCIO = ("subclass-asyncio", "async-asyncio", "conversation-asyncio")
_PURE = ("echo-pure", "subclass-pure")
_ASYNCIO = ("asyncio-streams", "asyncio-protocol", "uvloop-streams", "uvloop-protocol")


Case = Messages | Handshakes | Opened | Held


@dataclass(frozen=True)
class Column:
    """One figure of one case in one framing. name: of the case, in rows. heading: for people."""

    name: str
    framing: str
    figure: Figure
    heading: str


@dataclass(frozen=True)
class Part:
    """name: for --only and rows. title: of its picture.

    drawn: the headings of the columns in its picture. bars: the servers in it. (): all.
    """

    name: str
    title: str
    cases: Sequence[Case]
    drawn: Sequence[str] = ()
    bars: Sequence[str] = ()

    def case_name(self, case: Case) -> str:
        """Unique in a run."""
        return f"{self.name}/{case.heading}"

    def columns(self) -> Iterator[Column]:
        for case in self.cases:
            for framing in case.framings:
                for figure in case.figures:
                    several = [framing] if len(case.framings) > 1 else []
                    if len(self.cases) > 1 or not several:
                        several.append(case.heading)
                    heading = figure.unit if len(case.figures) > 1 else ", ".join(several)
                    yield Column(self.case_name(case), framing, figure, heading)

    def pictured(self) -> list[Column]:
        return [column for column in self.columns() if not self.drawn or column.heading in self.drawn]


_FEW_ASYNCIO = ("asyncio-streams", "asyncio-protocol", "uvloop-protocol")
_SINGLE = (*_OURS, "twisted", "twisted-echo", *_FEW_ASYNCIO, "go", "erlang", "c")
_SIZES = (*_OURS, *_PURE, "twisted", "twisted-echo", *_FEW_ASYNCIO, "go")
# Without Int32StringReceiver, which needs most of a minute for one of them.
_LARGE = tuple(name for name in _SIZES if name != "twisted")
_TLS = (*_OURS, "twisted-echo", *_FEW_ASYNCIO, "go")
_CONNECTIONS = (*_OURS, "conversation", "twisted", *_FEW_ASYNCIO, "go", "c")
_RELAYS = ("relay", "relay-twisted", "relay-asyncio")

PARTS = (
    Part(
        "handlers",
        "What a message of 32 bytes costs a server",
        [
            Messages("pipelined", ["int32"], [*_HANDLERS, *_HANDLERS_ASYNCIO, "twisted", *_ASYNCIO], 32, 8, 500),
            Messages("one at a time", ["int32"], [*_HANDLERS, *_HANDLERS_ASYNCIO, "twisted", *_ASYNCIO], 32, 50, 1),
        ],
        bars=("subclass", "async", "conversation", "twisted", "asyncio-streams", "uvloop-streams"),
    ),
    Part(
        "single",
        "One message of 32 bytes at a time on each connection",
        [
            Messages("1 connection", ["windev", "int32"], _SINGLE, 32, 1, 1),
            Messages("50 connections", ["windev", "int32"], _SINGLE, 32, 50, 1),
            Messages("1,000 connections", ["windev", "int32"], _SINGLE, 32, 1000, 1),
        ],
        drawn=("windev, 1 connection", "windev, 50 connections", "windev, 1,000 connections"),
    ),
    Part(
        "framings",
        "Messages of 32 bytes, many in flight",
        [Messages("pipelined", FRAMINGS, [*_OURS, *_PURE, "twisted", *_FEW_ASYNCIO, "go", "erlang"], 32, 8, 2000)],
        drawn=("int32", "windev", "standard", "buffered"),
    ),
    Part(
        "sizes",
        "Larger messages",
        [
            Messages("1 KiB, pipelined", ["int32"], _SIZES, KIB, 8, 250),
            Messages("64 KiB, pipelined", ["int32"], _SIZES, 64 * KIB, 8, 16),
            Messages("16 MiB, one at a time", ["int32"], _LARGE, 16 * MIB, 1, 1, figures=(LARGE,)),
        ],
    ),
    Part(
        "tls",
        "Over TLS",
        [
            Messages("32 B, one at a time", ["raw"], _TLS, 32, 50, 1, tls=True),
            Messages("64 KiB", ["raw"], _TLS, 64 * KIB, 8, 4, tls=True, figures=(MEGABYTES,)),
            Handshakes("handshake, a message, the end", ["raw"], _TLS),
        ],
    ),
    Part(
        "relay",
        "A relay to 99 clients",
        [
            Messages("1 in flight", ["int32"], _RELAYS, 32, 100, 1, figures=(COPY,)),
            Messages("100 in flight", ["int32"], _RELAYS, 32, 100, 100, figures=(COPY,)),
        ],
    ),
    Part(
        "connections",
        "Connections",
        [Opened("accept and close", ["int32"], _CONNECTIONS), Held("idle", ["int32"], _CONNECTIONS)],
        drawn=("accept and close", IDLE.unit),
    ),
)


def sparse(parts: Sequence[Part]) -> list[Part]:
    """To see whether all of it works: each case with one server, each server in one case, and the same with TLS."""
    seen: set[tuple[str, bool]] = set()

    def thinned(case: Case) -> Case:
        first, *others = case.peers
        peers = [first, *(name for name in others if (name, case.tls) not in seen)]
        seen.update((name, case.tls) for name in peers)
        return replace(case, peers=peers, framings=case.framings[:1])

    return [replace(part, cases=[thinned(case) for case in part.cases]) for part in parts]
