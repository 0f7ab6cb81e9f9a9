"""What a user gets, as the first table of docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.compare.cases import CPU, HANDSHAKE, LARGE, MEGABYTES, P99, Figure
from bench.compare.connections import IDLE, OPENED
from bench.compare.samples import ratio

if TYPE_CHECKING:
    from bench.compare.samples import Results


@dataclass(frozen=True)
class Line:
    """text: what is done. peer, to: sockserve's server, and the one that it is compared with. unit: of the figure."""

    text: str
    case: str
    framing: str
    peer: str
    to: str
    figure: Figure = CPU
    unit: str = "µs"


_PIPELINED, _ONE, _FIFTY = "handlers/pipelined", "handlers/one at a time", "single/50 connections"
_LATE = "latency/half load"

LINES = (
    Line("many messages in flight, a method", _PIPELINED, "int32", "subclass", "twisted"),
    Line("many messages in flight, `async def`", _PIPELINED, "int32", "async", "asyncio-streams"),
    Line("many messages in flight, a conversation", _PIPELINED, "int32", "conversation", "asyncio-streams"),
    Line("one at a time, a method", _ONE, "int32", "subclass", "twisted"),
    Line("one at a time, `async def`", _ONE, "int32", "async", "asyncio-streams"),
    Line("one at a time, a conversation", _ONE, "int32", "conversation", "asyncio-streams"),
    Line("one at a time, a method, `windev`", _FIFTY, "windev", "subclass", "go"),
    Line("one at a time, a method, on uvloop", _FIFTY, "windev", "subclass-uvloop", "go"),
    Line("one at a time, `async def`, on uvloop", _ONE, "int32", "async-uvloop", "uvloop-streams"),
    Line("one at a time, a conversation, on uvloop", _ONE, "int32", "conversation-uvloop", "uvloop-streams"),
    Line("one at a time, Twisted's own Echo on uvloop", _FIFTY, "raw", "twisted-echo-uvloop", "twisted-echo"),
    Line("99 of 100 answers at half load, on uvloop", _LATE, "int32", "subclass-uvloop", "twisted-echo", P99),
    Line("one at a time, over TLS", "tls/32 B, one at a time", "raw", "echo", "twisted-echo"),
    Line("64 KiB over TLS, a second of CPU", "tls/64 KiB", "raw", "echo", "twisted-echo", MEGABYTES, "MB"),
    Line("a connection over TLS", "tls/handshake, a message, the end", "raw", "echo", "twisted-echo", HANDSHAKE),
    Line("a message of 16 MiB", "sizes/16 MiB, one at a time", "int32", "subclass", "go", LARGE, "ms"),
    Line("a connection, accepted and closed", "connections/accept and close", "int32", "subclass", "twisted", OPENED),
    Line("an idle connection", "connections/idle", "int32", "subclass", "twisted", IDLE, "KiB"),
    Line("a copy of a relayed message", "relay/100 in flight", "int32", "relay", "relay-twisted"),
)


def cells(results: Results) -> list[list[str]]:
    """For each line that was measured: what, sockserve's figure, the other's with its name, and the two compared."""
    found: list[list[str]] = []
    for line in LINES:
        row, to = (results.row(line.case, line.framing, name) for name in (line.peer, line.to))
        mine = row.median(line.figure.key) if row else None
        other = to.median(line.figure.key) if to else None
        compared = ratio(row, to, line.figure.key) if row and to else None
        if mine is None or other is None or compared is None or not to:
            continue
        form = line.figure.form
        found.append(
            [line.text, f"{form(mine)} {line.unit}", f"{to.title}: {form(other)} {line.unit}", factor(compared)]
        )
    return found


def own_share(results: Results) -> str:
    """Which part of the CPU time is the program's own where each message is read and written alone; a sentence."""
    names = ("subclass", "subclass-uvloop", "twisted-echo", "twisted-echo-uvloop", "go", "c")
    rows = [results.row(_FIFTY, "windev", name) for name in names]
    shares = [(row.title, share) for row in rows if row and (share := row.median("user_share")) is not None]
    if not shares:
        return "Not measured."
    listed = ", ".join(f"{title} {share:.0%}" for title, share in shares)
    return (
        f"Of the CPU time with 50 connections, the program itself spends this much, and the system the rest: {listed}."
    )


def on_uvloop(results: Results) -> str:
    """What the uvloop reactor changes where each message is read and written alone; sentences."""

    def compared(framing: str, peer: str, to: str) -> str:
        row, other = results.row(_FIFTY, framing, peer), results.row(_FIFTY, framing, to)
        value = ratio(row, other, CPU.key) if row and other else None
        return "" if value is None else f"{value:.2f}"

    found: list[str] = []
    for title, framing, name in (
        ("Twisted's Echo", "raw", "twisted-echo"),
        ("`twistd sockserve`", "raw", "echo"),
        ("MessageProtocol", "int32", "subclass"),
    ):
        epoll, c, go = (compared(framing, f"{name}-uvloop", to) for to in (name, "c", "go"))
        if epoll and c and go:
            found.append(f"* {title} on uvloop, `{framing}`: {epoll} of what it costs on epoll; {c} of C, {go} of Go.")
    steps = {
        "c": "C, which is little more than the kernel's part",
        "uvloop-protocol": "an asyncio Protocol on uvloop, without Twisted",
        "twisted-echo-uvloop": "with Twisted's transport between them, Twisted's Echo",
        "subclass-uvloop": "and MessageProtocol",
    }
    costs = [
        f"{words}: {CPU.form(cost)} µs"
        for name, words in steps.items()
        if (row := results.row(_FIFTY, "raw", name)) and (cost := row.median(CPU.key)) is not None
    ]
    if len(costs) == len(steps):
        found.append(f"* What a message costs in `raw`, step by step. {'; '.join(costs)}.")
    return "\n".join(found) or "Not measured."


def late(results: Results) -> str:
    """At which load the latencies were measured; a sentence."""
    row = results.row(_LATE, "int32", "twisted-echo")
    rate = row.median("rate") if row else None
    return "Not measured." if rate is None else f"Half load is {rate:,.0f} messages a second here."


def factor(value: float) -> str:
    """A ratio in words: 3.1 times less, 1.2 times more, the same."""
    if 0.95 < value < 1.05:
        return "the same"
    times, word = (value, "more") if value > 1 else (1 / value, "less")
    return f"{times:.0f} times {word}" if times >= 10 else f"{times:.2g} times {word}"
