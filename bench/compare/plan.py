"""The parts of a run: each is a section of docs/performance.md, and can be measured alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.compare.cases import CPU, KIB, LARGE, MEGABYTES, MIB, P50, P99, Figure, HalfLoad, Handshakes, Messages, Pace
from bench.compare.connections import IDLE, Held, Opened
from bench.compare.peers import FRAMINGS

USUAL = Pace(rounds=5, seconds=0.3, warmup=0.1, long_seconds=1.0, held=3000, made=1000)
QUICK = Pace(rounds=1, seconds=0.02, warmup=0.01, long_seconds=0.02, held=20, made=20)

ENVELOPE = FRAMINGS[-1]
COPY = Figure(CPU.key, "CPU time of the server, µs a copy")

_OURS = ("subclass", "echo")
_HANDLERS = ("subclass", "function", "async", "conversation", "threads")
_LOOPS = tuple(f"{kind}-{loop}" for loop in ("asyncio", "uvloop") for kind in ("subclass", "async", "conversation"))
_PURE = ("echo-pure", "subclass-pure")
_ASYNCIO = ("asyncio-streams", "asyncio-protocol", "uvloop-streams", "uvloop-protocol")


Case = Messages | HalfLoad | Handshakes | Opened | Held


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
        framed = any(len(case.framings) > 1 for case in self.cases)
        for case in self.cases:
            for framing in case.framings:
                for figure in case.figures:
                    several = [framing] if framed else []
                    if len(self.cases) > 1 or not several:
                        several.append(case.heading)
                    heading = figure.unit if len(case.figures) > 1 else ", ".join(several)
                    yield Column(self.case_name(case), framing, figure, heading)

    def pictured(self) -> list[Column]:
        return [column for column in self.columns() if not self.drawn or column.heading in self.drawn]


_FEW_ASYNCIO = ("asyncio-streams", "asyncio-protocol", "uvloop-protocol")
_ECHOS = ("twisted-echo", "twisted-echo-uvloop")
_RECEIVERS = ("twisted", "twisted-uvloop")
_HANDLING = (*_HANDLERS, *_LOOPS, *_RECEIVERS, *_ASYNCIO)
_OURS_UVLOOP = ("subclass-uvloop", "echo-uvloop")
_SINGLE = (*_OURS, *_OURS_UVLOOP, *_RECEIVERS, *_ECHOS, *_FEW_ASYNCIO, "go", "erlang", "c")
_SIZES = (*_OURS, "subclass-uvloop", *_PURE, "twisted", "twisted-echo", *_FEW_ASYNCIO, "go")
# Without Int32StringReceiver, which needs most of a minute for one of them.
_LARGE = tuple(name for name in _SIZES if name != "twisted")
_TLS = (*_OURS, "echo-uvloop", *_ECHOS, *_FEW_ASYNCIO, "go")
_CONNECTIONS = (*_OURS, "subclass-uvloop", "conversation", *_RECEIVERS, *_FEW_ASYNCIO, "go", "c")
_RELAYS = ("relay", "relay-twisted", "relay-asyncio")

PARTS = (
    Part(
        "handlers",
        "What a message of 32 bytes costs a server",
        [
            Messages("pipelined", ["int32"], _HANDLING, 32, 8, 500),
            Messages("one at a time", ["int32"], _HANDLING, 32, 50, 1),
        ],
        bars=(
            *("subclass", "async", "conversation", "subclass-uvloop", "async-uvloop", "conversation-uvloop"),
            *("twisted", "asyncio-streams", "uvloop-streams"),
        ),
    ),
    Part(
        "single",
        "One message of 32 bytes at a time on each connection",
        [
            Messages("1 connection", ["windev"], _SINGLE, 32, 1, 1),
            Messages("50 connections", ["raw", "windev", "int32"], _SINGLE, 32, 50, 1),
            Messages("1,000 connections", ["windev"], _SINGLE, 32, 1000, 1),
        ],
        drawn=("windev, 1 connection", "raw, 50 connections", "windev, 50 connections", "windev, 1,000 connections"),
    ),
    Part(
        "latency",
        "How late an answer is, at half the load that Twisted's Echo can take",
        [HalfLoad("half load", ["int32"], [*_ECHOS, "subclass", "subclass-uvloop", "go"], 32, 50)],
        drawn=(P50.unit, P99.unit),
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
