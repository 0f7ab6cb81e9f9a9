"""What a run of the load is: the same for all its processes, or the share of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from sockserve.commands.bench.latency import Histogram
from sockserve.tls.client import ClientTLS


@dataclass(frozen=True, slots=True)
class Settings:
    """endpoint: of the server. framing: its name. size: bytes of a message.

    connections: how many. first: the number of the first of them, from 1.
    window: messages in flight on each connection, at most.
    rate: messages a second over all connections, sent whatever the server does; None: as fast as answers come.
    messages: how many over all connections; None: as many as `duration` seconds allow.
    warmup: seconds of the same load before what is measured.
    processes: that make the load.
    timeout: seconds to wait for connections, and for the next byte of an answer.
    server_pid: the server's process, if its processor time is to be measured.
    tls: what the client trusts, shows and expects.
    """

    endpoint: str
    framing: str
    size: int
    connections: int
    window: int
    rate: float | None
    duration: float | None
    messages: int | None
    warmup: float
    processes: int
    timeout: float
    server_pid: int | None = None
    first: int = 1
    tls: ClientTLS = field(default_factory=ClientTLS)

    def shares(self) -> list[Settings]:
        """The part of each process, together the whole."""
        shares = []
        borders = [self.connections * process // self.processes for process in range(self.processes + 1)]
        for start, stop in pairwise(borders):
            rate, messages = self.rate, self.messages
            if rate is not None:
                rate = rate * (stop - start) / self.connections
            if messages is not None:
                messages = messages * stop // self.connections - messages * start // self.connections
            shares.append(replace(self, connections=stop - start, first=start + 1, rate=rate, messages=messages))
        return shares


@dataclass(slots=True)
class Result:
    """What one process has measured, or all of them. start, end: of what was measured, by the clock `monotonic_ns`.

    cpu: seconds of processor time that the client took for it; server_cpu: and the server. errors: lines.
    """

    messages: int = 0
    start: int = 0
    end: int = 0
    cpu: float = 0.0
    server_cpu: float = 0.0
    latencies: Histogram = field(default_factory=Histogram)
    errors: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9

    def merge(self, other: Result) -> None:
        if other.messages:
            self.start = min(self.start or other.start, other.start)
            self.end = max(self.end, other.end)
        self.messages += other.messages
        self.cpu += other.cpu
        # Each process has seen all of it.
        self.server_cpu = max(self.server_cpu, other.server_cpu)
        self.latencies.merge(other.latencies)
        self.errors += other.errors
