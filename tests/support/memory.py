"""What memory_budget bounds, measured as resident memory of a real server: `python -m tests.support.memory`.

For each kind of what a process holds for its peers, many peers make a server hold as much of it as they can, for a few
seconds. Memory may grow by half as much again as the budget, and by a fixed cost for each connection. Beside them a
good client asks, and is to have its answer within 100 ms: the median and the longest time are shown, without what other
processes of the machine took. A table tells what came of it; the exit status is 1 when something was exceeded. Linux
only.

    python -m tests.support.memory [KIND...] [--peers N] [--budgets 16,64] [--seconds S] [--reactor NAME]
"""

from __future__ import annotations

import argparse
import resource
import socket
import ssl
import statistics
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import TYPE_CHECKING

from twisted.application.reactors import installReactor

from sockserve.connection.protocol import MessageProtocol

if TYPE_CHECKING:
    from sockserve.connection.channel import Channel
    from tests.support.twistd import Server

MIB = 1 << 20
FIXED = 16 * 1024
FIXED_TLS = 80 * 1024
"""Bytes that a connection may cost beside the budget, as docs/operating.md has it."""
LATENCY = 0.1
# Seconds to go on when there is nothing to send any more.
REST = 0.7
# Seconds that a server may take to accept all peers.
PATIENCE = 15
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

    settings: of the socket, as TOML, with the folder of the certificates, and the address of a target that is forwarded
    to. data: what each peer sends, at the most. good: what the good client sends, and has an answer to; the bytes
    before its last frame are sent once. reset: who has sent all is reset, and another comes. pace: seconds between two
    pieces, where a piece makes work: it is memory that is to run short here. target: what the target sends, at the
    most, to each who is forwarded to it. shakes: peers shake hands first; cut: they send all but the end of a record.
    """

    text: str
    settings: str
    data: bytes
    good: bytes = b"\x04" + GOOD
    reset: bool = False
    pace: float = 0
    listen: str = LISTEN
    target: bytes = b""
    shakes: bool = False
    cut: bool = False

    @property
    def tls(self) -> bool:
        return TLS in self.settings

    @property
    def forwards(self) -> bool:
        return self.settings == FORWARD

    @property
    def fixed(self) -> int:
        """Bytes that a peer may cost."""
        return (FIXED_TLS if self.tls else FIXED) * (2 if self.forwards else 1)


def _app(kind: str, name: str, framing: str = "int8") -> str:
    return f'framing = "{framing}"\n{kind} = "tests.support.memory:{name}"'


TINY = b"\x02ab" * 7000
# Nobody's frame: 1 MiB are announced.
PARTIAL = b"\0\x10\0\0" + bytes(200_000)
HEADER = b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
ADDRESSES = bytes([127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 80])
INT32 = b"\0\0\0\x04" + GOOD
LARGE = b"\0\0\x40\0" + bytes(16384)
FORWARD = 'framing = "int32"\nhandler = "forward:{target}"'
TLS = '\ntls = {{ certificate = "{folder}/server.key" }}'
# A ClientHello that announces as much as OpenSSL takes, 16 KiB of it, and a third of the rest.
HELLO = b"\x16\3\1\x40\0\1\1\xf0\0\3\3" + bytes(16378) + b"\x16\3\1\x40\0" + bytes(16000)

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
    "forward": Kind("messages for a target that reads none", FORWARD, LARGE * 40, INT32),
    "back": Kind("a target's messages that nobody reads", FORWARD, b"", INT32, target=LARGE * 40, pace=0.0003),
    "hello": Kind("TLS handshakes under way", 'framing = "int8"' + TLS, HELLO),
    "records": Kind(
        "TLS records received in part", 'framing = "int32"' + TLS, bytes(16384), INT32, shakes=True, cut=True
    ),
    "sealed": Kind(
        "answers over TLS that nobody reads", _app("handler", "same", "int32") + TLS, LARGE * 40, INT32, shakes=True
    ),
}


class Peer:
    """A connection that reads nothing, and whose socket takes what the server reads and the kernel holds."""

    def __init__(self, kind: Kind, address: tuple[str, int]) -> None:
        datagrams = kind.listen.startswith("udp")
        self.socket = connect(address, 4096, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        self.over = False
        self._data = memoryview(kind.data)

    @property
    def ready(self) -> bool:
        """What it sends next is what it was made for."""
        return True

    @property
    def complete(self) -> bool:
        """All was sent."""
        return not self._data

    def step(self) -> bool:
        """Send a piece; whether there was one, and it could be sent."""
        if self.over or not self._data:
            return False
        try:
            self._data = self._data[self.socket.send(self._data[:60000]) :]
        except BlockingIOError:
            return False
        except OSError:
            # The server has ended it.
            self.over = True
            self.socket.close()
        return True


class TLSPeer(Peer):
    """The same inside TLS: shakes hands, and then sends records."""

    def __init__(self, kind: Kind, address: tuple[str, int]) -> None:
        super().__init__(kind, address)
        self._records = [kind.data[start : start + 16384] for start in range(0, len(kind.data), 16384)][::-1]
        self._cut = kind.cut
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = stranger().wrap_bio(self._incoming, self._outgoing)
        self._open = False
        self._data = memoryview(b"")
        self._shake()

    @property
    def ready(self) -> bool:
        return self._open or self.over

    @property
    def complete(self) -> bool:
        return not (self._data or self._records)

    def step(self) -> bool:
        if not self._data and not self.over:
            if not self._open:
                self._shake()
            if self._open and self._records:
                self._session.write(self._records.pop())
                self._take(1 if self._cut else 0)
        return super().step()

    def _shake(self) -> None:
        with suppress(OSError):  # nothing has come, or the server has ended it
            self._incoming.write(self.socket.recv(1 << 16))
        with suppress(ssl.SSLWantReadError):
            self._session.do_handshake()
            self._open = True
        self._take(0)

    def _take(self, without: int) -> None:
        data = self._outgoing.read()
        self._data = memoryview(data)[: len(data) - without]


class Peers:
    """Many connections to one server, fed in turn, a piece at a time."""

    def __init__(self, kind: Kind, address: tuple[str, int], count: int) -> None:
        self._kind = kind
        self._address = address
        self._peers: list[Peer] = []
        self._count = count
        self._ready = 0
        self._next = 0

    @property
    def complete(self) -> bool:
        """All are connected."""
        return len(self._peers) == self._count

    @property
    def ready(self) -> bool:
        """All have shaken hands, too."""
        while self._ready < len(self._peers) and self._peers[self._ready].ready:
            self._ready += 1
        return self._ready == self._count

    def step(self) -> bool:
        """Make one connection more, or feed one; whether there was anything to do."""
        if not self.complete:
            self._peers.append(self._peer())
            return True
        self._next = (self._next + 1) % self._count
        peer = self._peers[self._next]
        if self._kind.reset and peer.complete and not peer.over:
            reset(peer.socket)
            self._peers[self._next] = self._peer()
            return True
        return peer.step()

    def _peer(self) -> Peer:
        return (TLSPeer if self._kind.shakes else Peer)(self._kind, self._address)

    def close(self) -> None:
        for peer in self._peers:
            peer.socket.close()


class Target:
    """Somebody to forward to: echoes to the first who comes; the others send in vain, and are sent `data`."""

    def __init__(self, data: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        # So the kernel takes little of what is sent here.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        self._listener.setblocking(False)
        self._data = memoryview(data)
        self._first: socket.socket | None = None
        self._others: list[tuple[socket.socket, memoryview]] = []
        self._next = 0

    @property
    def met(self) -> int:
        """How many others have come."""
        return len(self._others)

    @property
    def endpoint(self) -> str:
        return f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"

    def echo(self) -> None:
        """Accept somebody, and answer the first."""
        with suppress(BlockingIOError):
            accepted, _ = self._listener.accept()
            accepted.setblocking(False)
            if self._first is None:
                self._first = accepted
            else:
                self._others.append((accepted, self._data))
        if self._first is not None:
            with suppress(BlockingIOError):
                self._first.send(self._first.recv(4096))

    def feed(self) -> bool:
        """Send a piece to one of the others; whether there was one, and it could be sent."""
        if not self._others:
            return False
        self._next = (self._next + 1) % len(self._others)
        other, data = self._others[self._next]
        with suppress(OSError):  # it is full, or the server has ended it
            sent = other.send(data[:60000]) if data else 0
            self._others[self._next] = other, data[sent:]
            return bool(sent)
        return False

    def close(self) -> None:
        for each in (self._listener, self._first, *(other for other, _ in self._others)):
            if each is not None:
                each.close()


@cache
def stranger() -> ssl.SSLContext:
    """Of clients that ask for no name, and take any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Moment:
    """Seconds so far: of a clock, that a server has run, and that it and this process had to wait for a processor."""

    clock: float
    ran: float
    waited: float

    @classmethod
    def now(cls, server: int) -> Moment:
        """server: the number of its process."""
        (ran, waited), (_, ours) = _scheduled(server), _scheduled("self")
        return cls(monotonic(), ran, waited + ours)

    def since(self, earlier: Moment) -> float:
        """The seconds between the two that a machine with nothing else to do would have needed."""
        return max(self.ran - earlier.ran, self.clock - earlier.clock - (self.waited - earlier.waited))


def _scheduled(process: int | str) -> tuple[float, float]:
    ran, waited, _ = map(int, Path(f"/proc/{process}/schedstat").read_text().split())
    return ran / 1e9, waited / 1e9


class GoodClient:
    """Asks, waits for the answer, and asks again a moment later. times: seconds that its answers took.

    Without those that other processes of this machine took: it is the server's delays that are looked for.
    """

    def __init__(self, kind: Kind, server: Server) -> None:
        self._server = server.process.pid
        address = server.address
        self._socket = connect(address, tls=kind.tls) if kind.good else None
        self._question = kind.good
        self._frame = kind.good[-8:] if kind.good == INT32 else kind.good[-5:]
        self._asked: Moment | None = None
        self._due = 0.0
        self._got = 0
        self.times: list[float] = []
        self.lost = False

    def give_up(self) -> None:
        """An answer that has not come yet counts with the time so far."""
        if self._asked is not None:
            self.times.append(Moment.now(self._server).since(self._asked))

    def step(self) -> None:
        now = monotonic()
        if self._socket is None or self.lost:
            return
        try:
            if self._asked is None:
                if now >= self._due:
                    self._socket.send(self._question)
                    self._asked = Moment.now(self._server)
                return
            data = self._socket.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        self.lost = not data
        self._got += len(data)
        if self._asked is not None and self._got >= len(self._frame):
            self._question = self._frame
            self._got = 0
            self.times.append(Moment.now(self._server).since(self._asked))
            self._asked, self._due = None, now + 0.01

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def connect(
    address: tuple[str, int],
    receive_buffer: int = 0,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    tls: bool = False,
) -> socket.socket:
    peer = socket.socket(type=kind)
    if receive_buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    peer.settimeout(10)
    peer.connect(address)
    if tls:
        peer = stranger().wrap_socket(peer)
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
    with closing(Target(kind.target)) as target, served(kind, budget, target) as server:
        good = GoodClient(kind, server)
        end = monotonic() + 5
        while kind.good and not good.times and monotonic() < end:
            good.step()
            target.echo()
            sleep(0.001)
        before = server.resident()
        crowd = Peers(kind, server.address, peers)
        idle = 0
        again = 0.0
        forwarded = peers if kind.forwards else 0
        began = start = busy = now = monotonic()
        while now < start + seconds and now < busy + REST:
            now = monotonic()
            if now < began + PATIENCE and not (crowd.ready and target.met >= forwarded):
                start = busy = now
            if now >= again and (crowd.step() or target.feed()):
                idle, busy, again = 0, now, now + (kind.pace if crowd.complete else 0)
            idle += 1
            target.echo()
            good.step()
            if idle > peers:
                sleep(0.001)
        grown = server.peak() - before
        good.give_up()
        crowd.close()
        good.close()
        aborted = sum("(memory_budget)" in line and "aborted" in line for line in server.lines)
        return Outcome(grown, budget * 3 // 2 + peers * kind.fixed, good.times, aborted, good.lost)


@contextmanager
def served(kind: Kind, budget: int, target: Target) -> Iterator[Server]:
    from tests.support.authority import Authority
    from tests.support.twistd import running

    with TemporaryDirectory() as folder:
        if "{folder}" in kind.settings:
            Authority(f"{folder}/tls")
        file = Path(folder, "sockserve.toml")
        settings = kind.settings.format(folder=f"{folder}/tls", target=target.endpoint)
        file.write_text(
            f'memory_budget = {budget}\ndrain_timeout = "1ms"\n[socket.x]\nlisten = "{kind.listen}"\n{settings}\n'
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
    parser.add_argument("--reactor", metavar="NAME", help="of the servers; see tests.support.reactor")
    options = parser.parse_args()
    if options.reactor:
        installReactor(options.reactor)
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
