"""What memory_budget bounds, measured as resident memory of a real server: `python -m tests.support.memory`.

For each kind of what a process holds for its peers, many peers make a server hold as much of it as they can, for a few
seconds. Memory may grow by half as much again as the budget, and by a fixed cost for each connection. Beside them a
good client asks, and is to have its answer within 100 ms. A table tells what came of it; the exit status is 1 when
something was exceeded. Linux only.

    python -m tests.support.memory [KIND...] [--peers N] [--budgets 16,64] [--seconds S]
"""

from __future__ import annotations

import argparse
import resource
import socket
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import TYPE_CHECKING

from sockserve.connection.protocol import MessageProtocol

if TYPE_CHECKING:
    from sockserve.connection.channel import Channel
    from tests.support.twistd import Server

MIB = 1 << 20
FIXED = 16 * 1024
"""Bytes that a connection may cost beside the budget, as docs/operating.md has it."""
LATENCY = 0.1
# Seconds to go on when there is nothing to send any more.
REST = 0.7
GOOD = b"good"
LISTEN = "tcp:0:interface=127.0.0.1:backlog=4096"


# What the servers run.


async def one_message(channel: Channel) -> None:
    """Reads one message, and nothing more: from a good client, one after the other."""
    from twisted.internet.defer import Deferred

    if await channel.read() == GOOD:
        await _echo(channel)
    await Deferred()


async def push(channel: Channel) -> None:
    """Sends without end what nobody reads."""
    if (first := await channel.read()) == GOOD:
        await _echo(channel)
    await _push(channel, first)


async def push_and_wait(channel: Channel) -> None:
    """The same, waiting each time."""
    if (first := await channel.read()) == GOOD:
        await _echo(channel)
    _take_little(channel)
    while True:
        await channel.write(first * 5000)


async def slow(message: bytes, _: Channel) -> bytes:
    """Answers in a thousand seconds."""
    from twisted.internet import reactor, task
    from twisted.internet.interfaces import IReactorTime

    if message != GOOD:
        await task.deferLater(IReactorTime(reactor), 1000)
    return message


async def first_is_slow(message: bytes, _: Channel) -> bytes:
    """The first answer never comes; those after it are large."""
    from twisted.internet.defer import Deferred

    if message == b"ab":
        await Deferred()
    return message if message == GOOD else message * 5000


def same(message: bytes, channel: Channel) -> bytes:
    """Echo, where the kernel takes little for those who do not read."""
    if message != GOOD:
        _take_little(channel)
    return message


async def _echo(channel: Channel) -> None:
    await channel.write(GOOD)
    async for message in channel:
        await channel.write(message)


async def _push(channel: Channel, message: bytes) -> None:
    from twisted.internet import reactor, task
    from twisted.internet.interfaces import IReactorTime

    from sockserve import QueueFull

    _take_little(channel)
    while not channel.closed:
        with suppress(QueueFull):
            for _ in range(400):
                channel.send(message)
        await task.deferLater(IReactorTime(reactor), 0.5)


def _take_little(channel: Channel) -> None:
    """Let the kernel take no megabytes for a peer that does not read."""
    if isinstance(channel._protocol, MessageProtocol):
        channel._protocol.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


# What the peers do.


@dataclass(frozen=True)
class Kind:
    """A server, and what each of its peers sends it.

    settings: of the socket, as TOML. data: what each peer sends, at the most. good: what the good client sends, and has
    an answer to; the bytes before its last frame are sent once. reset: who has sent all is reset, and another comes.
    pace: seconds between two pieces, where a piece makes work: it is memory that is to run short here.
    """

    text: str
    settings: str
    data: bytes
    good: bytes = b"\x04" + GOOD
    reset: bool = False
    pace: float = 0
    listen: str = LISTEN


def _app(kind: str, name: str, framing: str = "int8") -> str:
    return f'framing = "{framing}"\n{kind} = "tests.support.memory:{name}"'


TINY = b"\x02ab" * 7000
# Nobody's frame: 1 MiB are announced.
PARTIAL = b"\0\x10\0\0" + bytes(200_000)
HEADER = b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
ADDRESSES = bytes([127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 80])
INT32 = b"\0\0\0\x04" + GOOD
LARGE = b"\0\0\x40\0" + bytes(16384)

KINDS = {
    "idle": Kind("connections that send nothing", 'framing = "int8"', b""),
    "partial": Kind("frames received in part", 'framing = "int32"', PARTIAL, INT32),
    "decoded": Kind("messages decoded, not delivered", _app("conversation", "one_message"), TINY),
    "lost": Kind("the same, their connections lost", _app("conversation", "one_message"), TINY, reset=True, pace=0.002),
    "slow": Kind("answers under way", _app("handler", "slow"), b"\x02ab" * 300, pace=0.01),
    "ready": Kind(
        "answers that wait for others", _app("handler", "first_is_slow"), b"\x02ab" + b"\x02cd" * 300, pace=0.01
    ),
    "unread": Kind("answers that nobody reads", _app("handler", "same", "int32"), LARGE * 40, INT32),
    "push": Kind("pushes", _app("conversation", "push"), b"\xc8" + bytes(200)),
    "tiny": Kind("pushes of two bytes", _app("conversation", "push"), b"\x02ab"),
    "written": Kind(
        "awaited writes of 1 MB", _app("conversation", "push_and_wait", "int32"), b"\0\0\0\xc8" + bytes(200), INT32
    ),
    "relay": Kind("queues of a relay", 'framing = "int32"\nhandler = "relay"', LARGE * 2, b""),
    "place": Kind("connections that wait for a place", 'framing = "int8"\nmax_connections = 10', PARTIAL),
    "proxy": Kind(
        "PROXY headers",
        'framing = "int8"\nproxy_protocol = true',
        # The longest there is, but for its end.
        HEADER + b"\x0f\xf0" + ADDRESSES + b"\xea\x0f\xe1" + bytes(4000),
        HEADER + b"\0\x0c" + ADDRESSES + b"\x04" + GOOD,
    ),
    "udp": Kind(
        "datagrams",
        'max_pending = 1000000\nhandler = "tests.support.memory:slow"',
        bytes(60000) * 4,
        b"",
        listen="udp:0",
    ),
}


class Peers:
    """Many connections to one server, whose sockets take what the server reads and the kernel holds.

    They are fed in turn, a piece at a time, and read nothing.
    """

    def __init__(self, kind: Kind, address: tuple[str, int], count: int) -> None:
        self._kind = kind
        self._address = address
        self.sockets: list[socket.socket | None] = []
        self._sent: list[int] = []
        self._count = count
        self._next = 0

    @property
    def complete(self) -> bool:
        """All are connected."""
        return len(self.sockets) == self._count

    def step(self) -> bool:
        """Make one connection more, or feed one; whether there was anything to do."""
        if not self.complete:
            self.sockets.append(self._connect())
            self._sent.append(0)
            return True
        number = self._next = (self._next + 1) % self._count
        data = self._kind.data
        peer = self.sockets[number]
        if peer is None or self._sent[number] >= len(data):
            if peer is not None and self._kind.reset:
                reset(peer)
                self.sockets[number], self._sent[number] = self._connect(), 0
                return True
            return False
        start = self._sent[number]
        try:
            self._sent[number] += peer.send(memoryview(data)[start : start + 60000])
        except BlockingIOError:
            return False
        except OSError:
            # The server has ended it.
            peer.close()
            self.sockets[number] = None
        return True

    def _connect(self) -> socket.socket:
        kind = socket.SOCK_DGRAM if self._kind.listen.startswith("udp") else socket.SOCK_STREAM
        return connect(self._address, 4096, kind)

    def close(self) -> None:
        for peer in self.sockets:
            if peer is not None:
                peer.close()


class GoodClient:
    """Asks, waits for the answer, and asks again a moment later. times: seconds that its answers took."""

    def __init__(self, kind: Kind, address: tuple[str, int]) -> None:
        self._socket = connect(address) if kind.good else None
        self._question = kind.good
        self._frame = kind.good[-8:] if kind.good == INT32 else kind.good[-5:]
        self._asked: float | None = None
        self._due = 0.0
        self._got = 0
        self.times: list[float] = []
        self.lost = False

    def give_up(self) -> None:
        """An answer that has not come yet counts with the time so far."""
        if self._asked is not None:
            self.times.append(monotonic() - self._asked)

    def step(self) -> None:
        now = monotonic()
        if self._socket is None or self.lost:
            return
        try:
            if self._asked is None:
                if now >= self._due:
                    self._socket.send(self._question)
                    self._asked = now
                return
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.lost = not data
        self._got += len(data)
        if self._asked is not None and self._got >= len(self._frame):
            self._question = self._frame
            self._got = 0
            self.times.append(now - self._asked)
            self._asked, self._due = None, now + 0.01

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def connect(
    address: tuple[str, int], receive_buffer: int = 0, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    peer = socket.socket(type=kind)
    if receive_buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    peer.settimeout(10)
    peer.connect(address)
    peer.setblocking(False)
    return peer


def reset(peer: socket.socket) -> None:
    """Close it with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


@dataclass(frozen=True)
class Outcome:
    """grown, allowed: bytes. times: of the good client's answers, seconds. aborted: lines of the log about it."""

    grown: int
    allowed: int
    times: list[float]
    aborted: int
    lost: bool

    @property
    def held(self) -> bool:
        slow = bool(self.times) and statistics.median(self.times) > LATENCY
        return self.grown <= self.allowed and not slow and not self.lost

    def row(self) -> str:
        good = f"{statistics.median(self.times) * 1000:.0f} / {max(self.times) * 1000:.0f} ms" if self.times else "-"
        good = "lost" if self.lost else good
        return (
            f"{self.grown / MIB:6.0f} of {self.allowed / MIB:4.0f} MiB  {good:>14}  {self.aborted:5} aborted"
            f"  {'holds' if self.held else 'EXCEEDED'}"
        )


def measure(kind: Kind, budget: int, peers: int, seconds: float) -> Outcome:
    """Let so many peers of this kind at a server with this budget."""
    with served(kind, budget) as server:
        good = GoodClient(kind, server.address)
        end = monotonic() + 5
        while kind.good and not good.times and monotonic() < end:
            good.step()
            sleep(0.001)
        before = server.resident()
        crowd = Peers(kind, server.address, peers)
        idle = 0
        again = 0.0
        start = busy = monotonic()
        while monotonic() < start + seconds and monotonic() < busy + REST:
            now = monotonic()
            if now >= again and crowd.step():
                idle, busy, again = 0, now, now + (kind.pace if crowd.complete else 0)
            idle += 1
            good.step()
            if idle > peers:
                sleep(0.001)
        grown = server.peak() - before
        good.give_up()
        crowd.close()
        good.close()
        aborted = sum("(memory_budget)" in line and "aborted" in line for line in server.lines)
        return Outcome(grown, budget * 3 // 2 + peers * FIXED, good.times, aborted, good.lost)


@contextmanager
def served(kind: Kind, budget: int) -> Iterator[Server]:
    from tests.support.twistd import running

    with TemporaryDirectory() as folder:
        file = Path(folder, "sockserve.toml")
        file.write_text(
            f'memory_budget = {budget}\ndrain_timeout = "1ms"\n[socket.x]\nlisten = "{kind.listen}"\n{kind.settings}\n'
        )
        with running("--config", str(file)) as server:
            yield server


def raise_limit() -> None:
    """Let this process, and the servers it starts, have as many descriptors as they may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    parser = argparse.ArgumentParser(description="What memory_budget bounds, measured as resident memory.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them by default")
    parser.add_argument("--peers", type=int, default=1500)
    parser.add_argument("--budgets", default="16,64", help="MiB")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each")
    options = parser.parse_args()
    raise_limit()
    failed = 0
    for name in options.kinds or KINDS:
        for budget in map(int, options.budgets.split(",")):
            outcome = measure(KINDS[name], budget * MIB, options.peers, options.seconds)
            failed += not outcome.held
            print(f"{KINDS[name].text:38} {budget:3} MiB {outcome.row()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
