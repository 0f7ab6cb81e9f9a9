"""`python -m tests.support.connections COUNT`: many short connections to an echo server, and what it holds after them.

Two hundred at a time connect, are answered, and leave in one of several ways. The server is a process of its own, on
the reactor that `--reactor` names. This passes when each client got its bytes back, and the server, after each fifth of
them, has the descriptors that it had at the start, and at the end hardly more memory than after the first fifth.
"""

from __future__ import annotations

import argparse
import gc
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.reactors import reset

ROOT = Path(__file__).parents[2]
AT_ONCE = 200
# Seconds for the server to do what it is about to.
PATIENCE = 30
# What the server may hold at the end and did not after the first fifth, bytes: an allocator does not give back all.
MEMORY = 2 << 20
WAYS = ("close", "end", "reset", "leave")
"""How a client goes: it closes; it ends its stream and reads to the end; with a RST; before it has read the answer."""


def serve(name: str, of: str, collect: bool) -> None:
    """Echo on a reactor until the process is killed; the port's number is the first line of output."""
    from twisted.application.reactors import installReactor

    installReactor(name)
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory
    from twisted.protocols.wire import Echo

    from sockserve import MessageFactory, MessageProtocol

    class Echoing(MessageProtocol):
        def messageReceived(self, message: bytes) -> None:
            self.sendMessage(message)

    factory: Any = Factory.forProtocol(Echo) if of == "twisted" else MessageFactory("raw", Echoing)
    chosen: Any = reactor
    port = chosen.listenTCP(0, factory, backlog=AT_ONCE, interface="127.0.0.1")
    if not collect:
        gc.disable()
    print(port.getHost().port, flush=True)
    chosen.run()


class Server:
    """The process, from outside. port: its number."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        self.path = Path(f"/proc/{process.pid}")

    def descriptors(self) -> int:
        return len(list((self.path / "fd").iterdir()))

    def resident(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", (self.path / "status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def rid_of_all(self, descriptors: int) -> bool:
        """Whether it comes to have no more descriptors than that."""
        until = time.monotonic() + PATIENCE
        while self.descriptors() > descriptors:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


@contextmanager
def running(*options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.support.connections", "0", "--serve", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield Server(process)
        finally:
            process.kill()


def crowd(port: int, count: int, number: int) -> None:
    """So many clients at once. number: of this crowd; each has another address, so that ports do not run out."""
    address = (f"127.0.{number // 200 % 250}.{number % 200 + 1}", 0)
    peers = [socket.create_connection(("127.0.0.1", port), PATIENCE, address) for _ in range(count)]
    for index, peer in enumerate(peers):
        peer.sendall(b"hello %d" % index)
    for index, peer in enumerate(peers):
        with peer:
            way, sent = WAYS[index % len(WAYS)], b"hello %d" % index
            if way == "end":
                peer.shutdown(socket.SHUT_WR)
            if way != "leave":
                answer = peer.recv(100)
                # Twisted's Echo drops what it has not sent when the peer ends its stream.
                assert answer == sent or (way == "end" and not answer), (way, answer)
            if way == "end":
                assert not peer.recv(100)
            elif way == "reset":
                reset(peer)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.support.connections", allow_abbrev=False)
    parser.add_argument("count", type=int, help="of connections")
    parser.add_argument("--reactor", default="uvloop", help="as for twistd [default: uvloop]")
    parser.add_argument("--of", default="twisted", choices=("twisted", "sockserve"), help="whose protocol echoes")
    parser.add_argument("--no-gc", action="store_true", help="the server does without Python's garbage collector")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.reactor, options.of, not options.no_gc)
        return 0
    chosen = ["--reactor", options.reactor, "--of", options.of, *(["--no-gc"] if options.no_gc else [])]
    problems = []
    with running(*chosen) as server:
        # All but that of the first client, when the server has begun.
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as first:
            first.sendall(b"hello")
            first.recv(5)
            alone = server.descriptors() - 1
        samples: list[int] = []
        print(f"{'connections':>12} {'RSS, KiB':>10} {'descriptors':>12}")
        for fifth in range(6):
            done = options.count * fifth // 5
            for number in range(options.count * max(fifth - 1, 0) // 5, done, AT_ONCE):
                crowd(server.port, min(AT_ONCE, done - number), number // AT_ONCE)
            if not server.rid_of_all(alone):
                problems.append(f"it has {server.descriptors()} descriptors, and had {alone}")
            samples.append(server.resident())
            print(f"{done:12,} {samples[-1] // 1024:10,} {server.descriptors():12}")
    grown = samples[-1] - samples[1]
    if grown > MEMORY:
        problems.append(f"it holds {grown} bytes more than after the first fifth, {MEMORY} may be")
    for problem in problems:
        print(f"FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
