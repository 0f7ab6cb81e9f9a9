"""A run: each server of each case, in turn, round after round."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compare.cases import Pace
from bench.compare.machine import about, allow_descriptors, cores
from bench.compare.peers import Peer, all_peers, compiled_rooms
from bench.compare.plan import Case, Part
from bench.compare.samples import Results, Row
from bench.compare.server import Server, ServerFailedError, on_cores
from bench.compare.toolchain import Programs, build

# Descriptors in addition to those of the connections of a case.
_SPARE = 200
_MOST_CONNECTIONS = 1000


def measure(python: str, parts: Sequence[Part], pace: Pace, names: Sequence[str] = ()) -> Results:
    """Run the cases of these parts. names: only servers whose names start like one of these; (): all."""
    server_core, load_cores = cores()
    allow_descriptors(max(pace.held, _MOST_CONNECTIONS) + _SPARE)
    with tempfile.TemporaryDirectory(prefix="compare-") as folder, on_cores(load_cores):
        programs = build(Path(folder))
        if not compiled_rooms(python):
            note("sockserve is not installed here in its compiled form; nox -s bench does that, or use --python")
        there = {peer.name: peer for peer in all_peers(python, programs)}
        results = Results(about(python, pace, programs, server_core, load_cores))
        for part in parts:
            for case in part.cases:
                note(part.case_name(case))
                peers = [there[name] for name in case.peers if name in there]
                chosen = [peer for peer in peers if not names or peer.name.startswith(tuple(names))]
                results.rows += Running(part.case_name(case), case, chosen, programs, pace, server_core).rows()
    return results


@dataclass
class Running:
    """One case, with its servers."""

    name: str
    case: Case
    peers: Sequence[Peer]
    programs: Programs
    pace: Pace
    core: int

    def rows(self) -> list[Row]:
        """All rounds. A server that fails is reported, and left out from then on."""
        if self.case.tls and not self.programs.pem:
            note("no openssl to make a certificate with: left out")
            return []
        found: list[Row] = []
        for framing in self.case.framings:
            peers = [peer for peer in self.peers if framing in peer.framings and (peer.tls or not self.case.tls)]
            found += self._in(framing, peers)
        return found

    def _in(self, framing: str, peers: Sequence[Peer]) -> list[Row]:
        rows = [Row(self.name, framing, peer.name, peer.title, peer.ours) for peer in peers]
        servers: dict[str, Server] = {}
        left = list(zip(peers, rows, strict=True))
        try:
            for _ in range(self.pace.rounds):
                for peer, row in left[:]:
                    try:
                        if peer.name not in servers:
                            servers[peer.name] = self._started(peer, framing)
                        sample = self.case.run(servers[peer.name], self.programs, self.pace, rows[0].samples)
                        row.samples.append(sample)
                    except (ServerFailedError, OSError) as error:
                        note(f"{peer.name} {framing}: {error}")
                        left.remove((peer, row))
                    if self.case.fresh and peer.name in servers:
                        servers.pop(peer.name).stop()
        finally:
            for server in servers.values():
                server.stop()
        return rows

    def _started(self, peer: Peer, framing: str) -> Server:
        pem = self.programs.pem if self.case.tls else None
        try:
            return Server(peer, framing, self.core, pem)
        except (ServerFailedError, OSError):
            # Another program may have taken the port that was free a moment ago.
            return Server(peer, framing, self.core, pem)


def note(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
