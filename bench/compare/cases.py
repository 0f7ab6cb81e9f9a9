"""What is measured of messages: echoed, relayed, over TLS; how late their answers are; and the handshakes of TLS.

Each case has a `heading`, what it is in its part of the run; the names of the `framings` and `peers` that are compared;
`tls`, whether they speak it; `figures`, what is shown of its samples; `fresh`, whether each round has a new server; and
`run`, which is one round on one server, and raises ServerFailedError. `run` is given what the first server of the case
has so far, for what is measured in proportion to that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.compare.load import load, paced
from bench.compare.server import Server, received

if TYPE_CHECKING:
    from bench.compare.samples import Sample
    from bench.compare.toolchain import Programs

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Pace:
    """rounds: for each server in a case. seconds, warmup: of load in a round.

    long_seconds: with the largest messages, and for latencies. held: idle connections. made: connections made and
    closed in a round.
    """

    rounds: int
    seconds: float
    warmup: float
    long_seconds: float
    held: int
    made: int


def number(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Figure:
    """One of the numbers in a sample.

    unit: what it is and what it is counted in, as an axis says it. scale: how many of the sample's are one of these.
    more: whether more is better. digits: after the point; None: three in all.
    """

    key: str
    unit: str
    scale: float = 1
    more: bool = False
    digits: int | None = None

    def form(self, value: float) -> str:
        """A value of the sample as it is written."""
        scaled = value / self.scale
        return number(scaled) if self.digits is None else f"{scaled:,.{self.digits}f}"


CPU = Figure("cpu_us", "CPU time of the server, µs a message")
MEGABYTES = Figure("mb_per_cpu_second", "MB echoed in a second of the server's CPU time", more=True)
LARGE = Figure("cpu_us", "CPU time of the server, ms a message", 1000)
P50 = Figure("p50_us", "median latency, µs")
P99 = Figure("p99_us", "99th percentile of the latency, µs")
HANDSHAKE = Figure("cpu_us", "CPU time of the server, µs a connection")


@dataclass(frozen=True)
class Messages:
    """Messages of `size` bytes, `window` of them on their way on each of the connections.

    Sample: cpu_us, the server's CPU time per message; mb_per_cpu_second; per_second, the messages; user_share, see
    Measured.
    """

    heading: str
    framings: Sequence[str]
    peers: Sequence[str]
    size: int
    connections: int
    window: int
    tls: bool = False
    figures: Sequence[Figure] = (CPU,)

    fresh: ClassVar[bool] = False

    def run(self, server: Server, programs: Programs, pace: Pace, first: Sequence[Sample]) -> Sample:
        frame = server.frame((b"0123456789abcdef" * (self.size // 16 + 1))[: self.size])
        seconds = pace.long_seconds if self.size >= MIB else pace.seconds
        found = load(server, programs.load, frame, self.connections, self.window, pace.warmup, seconds)
        sample = {
            "cpu_us": found.cpu / found.frames * 1e6,
            "mb_per_cpu_second": found.frames * self.size / found.cpu / 1e6,
            "per_second": found.frames / found.seconds,
        }
        return sample if found.user_share is None else sample | {"user_share": found.user_share}


@dataclass(frozen=True)
class HalfLoad:
    """Messages of `size` bytes that are due at fixed times: half as many as keep the first server's core busy.

    Sample: p50_us, p99_us, from when a message was due to its answer; cpu_us, the server's CPU time per message; rate,
    the messages a second.
    """

    heading: str
    framings: Sequence[str]
    peers: Sequence[str]
    size: int
    connections: int
    tls: bool = False
    figures: Sequence[Figure] = (P50, P99, CPU)

    fresh: ClassVar[bool] = False

    def run(self, server: Server, programs: Programs, pace: Pace, first: Sequence[Sample]) -> Sample:
        rate = first[0]["rate"] if first else self._taken(server, programs, pace) / 2
        late = paced(server, self.size, self.connections, rate, pace.warmup, pace.long_seconds)
        return {"p50_us": late.p50 * 1e6, "p99_us": late.p99 * 1e6, "cpu_us": late.cpu * 1e6, "rate": rate}

    def _taken(self, server: Server, programs: Programs, pace: Pace) -> float:
        """The messages that it answers with a second of CPU time."""
        frame = server.frame(b"0" * self.size)
        found = load(server, programs.load, frame, self.connections, 1, pace.warmup, pace.seconds)
        return found.frames / found.cpu


@dataclass(frozen=True)
class Handshakes:
    """Connections over TLS, one after another: the handshake, one message there and back, and the end.

    Sample: cpu_us, the server's CPU time per connection.
    """

    heading: str
    framings: Sequence[str]
    peers: Sequence[str]
    tls: bool = True
    figures: Sequence[Figure] = (HANDSHAKE,)

    fresh: ClassVar[bool] = False

    def run(self, server: Server, programs: Programs, pace: Pace, first: Sequence[Sample]) -> Sample:
        frame = server.frame(b"0123456789abcdef" * 2)

        def shake(end: float) -> int:
            count = 0
            while not count or time.perf_counter() < end:
                with server.connect() as connection:
                    connection.sendall(frame)
                    received(connection, len(frame))
                count += 1
            return count

        shake(time.perf_counter() + pace.warmup)
        before = server.cpu()
        count = shake(time.perf_counter() + pace.seconds)
        server.idle()
        return {"cpu_us": (server.cpu() - before) / count * 1e6}
