"""What was measured, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict

from sockserve.commands.bench.latency import PERCENTILES, summary
from sockserve.commands.bench.settings import Result, Settings

# Of a process's time: above it the client may be what was measured.
BUSY = 0.9
HEADS = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}


def as_json(settings: Settings, result: Result) -> dict[str, object]:
    """One object: what was measured, and the settings. Times in seconds; bytes are those of messages, one way."""
    rate = per_second(result)
    shown = asdict(settings)
    del shown["first"], shown["tls"]
    return {
        "settings": shown,
        "messages": result.messages,
        "seconds": result.seconds,
        "messages_per_second": rate,
        "bytes_per_second": rate * settings.size,
        "latency": summary(result.latencies),
        "client_cpu_seconds": result.cpu,
        "server_cpu_seconds": result.server_cpu if settings.server_pid is not None else None,
        "errors": result.errors,
    }


def per_second(result: Result) -> float:
    """Messages a second; 0 when none was answered."""
    return result.messages / result.seconds if result.seconds else 0.0


def table(settings: Settings, result: Result) -> str:
    """Several lines, each ended."""
    rate = per_second(result)
    values = summary(result.latencies)
    cells = [f"{rate:,.0f}", f"{rate * settings.size / 1e6:,.1f}", *(duration(values[name]) for name in PERCENTILES)]
    heads = ["messages/s", "MB/s", *HEADS.values()]
    widths = [max(len(head), len(cell)) for head, cell in zip(heads, cells, strict=True)]
    lines = [describe(settings)]
    lines += ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in (heads, cells)]
    lines.append(f"{result.messages:,} messages answered in {result.seconds:.2f} s; {client(settings, result)}")
    if settings.server_pid is not None and result.messages:
        lines.append(f"server: {result.server_cpu / result.messages * 1e6:.2f} µs of CPU a message")
    return "".join(f"{line}\n" for line in lines)


def describe(settings: Settings) -> str:
    """The load, in one line."""
    loop = f"window {settings.window:,}" if settings.rate is None else f"{settings.rate:,.0f} messages/s wanted"
    return (
        f"{settings.endpoint}  {settings.framing}, {settings.size:,} bytes, "
        f"{settings.connections:,} {'connection' if settings.connections == 1 else 'connections'}, {loop}"
    )


def client(settings: Settings, result: Result) -> str:
    """What the load itself has cost, and whether it may have been what was measured."""
    if not result.messages or not result.seconds:
        return f"client: {result.cpu:.2f} s of CPU"
    share = result.cpu / result.seconds / settings.processes
    line = f"client: {result.cpu / result.messages * 1e6:.2f} µs of CPU a message, {share:.0%} of a core a process"
    return f"{line}, which may be the limit (--processes)" if share > BUSY and settings.rate is None else line


def duration(seconds: float | None) -> str:
    """Three digits and a unit."""
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        value = seconds * factor
        if value >= 1 or unit == "µs":
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:,.{digits}f} {unit}"
    raise AssertionError
