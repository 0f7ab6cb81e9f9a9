"""`python -m tests.support.soak MINUTES`: a real server under good, slow and hostile clients, for as long as you like.

It passes when every message of every good and slow client was answered, every hostile client was got rid of, no
traceback was logged, and descriptors and memory are at the end where they were after a warm-up. Both are looked at when
all clients have left. Descriptors must be the same number. Memory may have grown by 8 MiB: an allocator gives back much
of what it has no use for, but not all of it, and the first minutes fill caches; a leak of one kilobyte for each
connection is more than that after 8,000 connections, and the table shows how many there were.

All of it stays on 127.0.0.1. About fifty clients are connected at once, and each waits a little before its next one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from twisted.internet.task import deferLater

from sockserve.framing import Framing, parse
from tests.support.twistd import Server, running

if TYPE_CHECKING:
    from sockserve.connection.channel import Channel

# What may be at the end and was not there after the warm-up: bytes.
MEMORY = 8 << 20
# Seconds: of the warm-up at most; for a client at most; for the server to be rid of all clients.
WARM_UP = 60.0
PATIENCE = 30.0
# Workers of each kind, and seconds between two connections of one.
GOOD, HOSTILE = 2, 2
PAUSE = 0.02
ROWS = 12

LOCAL = "tcp:0:interface=127.0.0.1"
LIMITS = """
idle_timeout = "3s"
frame_timeout = "3s"
close_timeout = "3s"
max_length = "256k"
max_connections_per_peer = 100
"""


async def later(message: bytes, _channel: Channel) -> bytes:
    """A handler that takes its time."""
    from twisted.internet import reactor

    await deferLater(reactor, 0.005, lambda: None)
    return message


def blocking(message: bytes, _channel: Channel) -> bytes:
    """A handler for threads."""
    time.sleep(0.002)
    return message


async def talk(channel: Channel) -> None:
    """A conversation."""
    async for message in channel:
        await channel.write(message)


@dataclass(frozen=True)
class Socket:
    """A named socket that sends every message back; `relay` to the other clients."""

    name: str
    framing: str
    answers: str


SOCKETS = (
    Socket("windev", "windev", ""),
    Socket("int32", "int32", ""),
    Socket("standard", "standard", ""),
    Socket("raw", "raw", ""),
    Socket("forward", "varint", 'handler = "forward:unix:{directory}/int32,int32"'),
    Socket("async", "netstring", 'handler = "tests.support.soak:later"'),
    Socket("threads", "windev", 'handler = "tests.support.soak:blocking"\nthreads = true'),
    Socket("talk", "envelope:<:>", 'conversation = "tests.support.soak:talk"'),
    Socket("relay", "buffered", 'handler = "relay"'),
)


def configuration(directory: Path) -> str:
    tables = ['drain_timeout = "10s"\nmemory_budget = "64M"\n']
    for each in SOCKETS:
        # What the bridge connects to comes last, so that each has its first address.
        listen = f'["{LOCAL}", "unix:{directory}/int32"]' if each.name == "int32" else f'"{LOCAL}"'
        answers = each.answers.format(directory=directory)
        tables.append(f'[socket.{each.name}]\nlisten = {listen}\nframing = "{each.framing}"\n{answers}{LIMITS}')
    return "\n".join(tables)


@dataclass
class Row:
    """What one kind of client did. For hostile ones a message is none, and a failure is to be held on to."""

    connections: int = 0
    messages: int = 0
    answered: int = 0
    failures: int = 0


@dataclass
class Soak:
    """One run.

    server, ports: what is tried, and where. rows: by the kinds of clients. samples: (seconds, RSS, descriptors,
    connections so far).
    """

    server: Server
    ports: dict[str, int]
    chance: random.Random
    rows: dict[str, Row] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=5000))

    @property
    def connections(self) -> int:
        return sum(row.connections for row in self.rows.values())

    @asynccontextmanager
    async def connection(self, name: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[name])
        host, port = writer.get_extra_info("sockname")
        try:
            yield reader, writer
        except Exception as error:
            error.add_note(f"{name} {host}:{port}: ")
            raise
        finally:
            writer.transport.abort()

    async def work(self, kind: str, client: Callable[[Row], Awaitable[None]], until: float) -> None:
        """One client after the other, of one kind."""
        row = self.rows.setdefault(kind, Row())
        while time.monotonic() < until:
            row.connections += 1
            try:
                await asyncio.wait_for(client(row), PATIENCE)
            except (OSError, AssertionError, TimeoutError) as error:
                row.failures += 1
                await asyncio.sleep(0.5)
                self.problems[f"{kind}: {type(error).__name__} {error}{self.logged(error)}"] += 1
            await asyncio.sleep(PAUSE * (0.5 + self.chance.random()))

    def logged(self, error: BaseException) -> str:
        """What the server has said last of the client that had the error."""
        notes = getattr(error, "__notes__", [])
        lines = [*self.log, *self.server.lines]
        said = [line.partition(note)[2].strip() for note in notes for line in lines if note in line]
        return f" ({said[-1]})" if said else ""

    def messages(self, most: int) -> list[bytes]:
        sizes = (1, 17, 500, 5000, min(most, 60_000))
        return [
            self.chance.randbytes(self.chance.choice(sizes) // 2 + 1).hex().encode()
            for _ in range(self.chance.randrange(1, 20))
        ]

    # Good clients.

    async def good(self, each: Socket, row: Row) -> None:
        """All at once, the end of the stream behind it, and all answers."""
        framing = parse(each.framing)
        messages = self.messages(60_000)
        row.messages += len(messages)
        async with self.connection(each.name) as (reader, writer):
            writer.write(framing.encode_all(messages))
            writer.write_eof()
            data = await reader.read(-1)
        row.answered += answered(framing, data, messages)

    async def slow(self, each: Socket, row: Row) -> None:
        """Byte by byte, and the answers in small pieces."""
        framing = parse(each.framing)
        messages = [message[:20] for message in self.messages(20)]
        row.messages += len(messages)
        received = bytearray()
        async with self.connection(each.name) as (reader, writer):
            for byte in framing.encode_all(messages):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.001)
            writer.write_eof()
            while data := await reader.read(7):
                received += data
                await asyncio.sleep(0.001)
        row.answered += answered(framing, bytes(received), messages)

    async def relayed(self, row: Row) -> None:
        """Two clients of the relay; what one says comes to the other, among what all others say."""
        framing = parse("buffered")
        token = self.chance.randbytes(8).hex().encode()
        messages = [b"%b %b" % (token, message[:2000]) for message in self.messages(2000)]
        row.messages += len(messages)
        decoder = framing.decoder()
        seen: list[bytes] = []
        async with self.connection("relay") as (reader, writer), self.connection("relay") as (_, sender):
            # It is a client of the relay when what it says has come to the other.
            while b"hello %b" % token not in seen:
                writer.write(b"hello %b\r\n" % token)
                sender.write(b"hello %b\r\n" % token)
                data = await reader.read(65536)
                assert data, "the relay has closed"
                seen += decoder.decode(data)
            sender.write(framing.encode_all(messages))
            while len([message for message in seen if message.startswith(token)]) < len(messages):
                data = await reader.read(65536)
                assert data, "the relay has closed"
                seen += decoder.decode(data)
        assert [message for message in seen if message.startswith(token)] == messages, "not what was said"
        row.answered += len(messages)

    # Hostile clients; each is one connection to any of the sockets.

    async def garbage(self, row: Row) -> None:
        async with self.connection(self.any()) as (reader, writer):
            writer.write(self.chance.randbytes(2000))
            await gone(reader)

    async def too_long(self, row: Row) -> None:
        name, start = self.chance.choice(
            (
                ("windev", b"999999\r\n"),
                ("int32", b"\xff\xff\xff\xff"),
                ("standard", bytes(300_000)),
                ("async", b"99999999999:"),
            )
        )
        async with self.connection(name) as (reader, writer):
            writer.write(start + bytes(1000))
            await gone(reader)

    async def reset(self, row: Row) -> None:
        name = self.any()
        async with self.connection(name) as (_, writer):
            if self.chance.random() < 0.7:
                writer.write(self.begun(name))
                await asyncio.sleep(0.01 * self.chance.random())
            handle = writer.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def half_close(self, row: Row) -> None:
        """In the middle of a frame."""
        name = self.any()
        async with self.connection(name) as (reader, writer):
            writer.write(self.begun(name))
            writer.write_eof()
            await gone(reader)

    async def stall(self, row: Row) -> None:
        """Half a frame, and no more."""
        name = self.any()
        async with self.connection(name) as (reader, writer):
            writer.write(self.begun(name))
            await gone(reader)

    async def idle(self, row: Row) -> None:
        # In the relay it would be somebody who listens.
        async with self.connection(self.chance.choice(SOCKETS[:-1]).name) as (reader, _):
            await gone(reader)

    async def deaf(self, row: Row) -> None:
        """Sends as long as the server takes it, and never reads."""
        each = self.chance.choice([each for each in SOCKETS if each.name != "relay"])
        frames = parse(each.framing).encode_all([b"x" * 60_000] * 20)
        async with self.connection(each.name) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            try:
                while True:
                    writer.write(frames)
                    await writer.drain()
            except ConnectionError:
                return

    async def leave(self, row: Row) -> None:
        async with self.connection(self.any()):
            pass

    def any(self) -> str:
        return self.chance.choice(SOCKETS).name

    def begun(self, name: str) -> bytes:
        """A good message, and half a frame behind it."""
        framing = parse(next(each.framing for each in SOCKETS if each.name == name))
        frame = framing.encode(b"hello")
        return frame + frame[: self.chance.randrange(1, len(frame))]

    # The run.

    async def load(self, seconds: float) -> None:
        """All kinds at once; returns when the last client has left."""
        until = time.monotonic() + seconds
        work = []
        for each in SOCKETS:
            if each.name == "relay":
                clients = {"good relay": self.relayed}
            else:
                clients = {
                    f"good {each.name}": lambda row, each=each: self.good(each, row),  # type: ignore[misc]
                    f"slow {each.name}": lambda row, each=each: self.slow(each, row),  # type: ignore[misc]
                }
            work += [(kind, client) for kind, client in clients.items() for _ in range(GOOD)]
        for client in (
            self.garbage,
            self.too_long,
            self.reset,
            self.half_close,
            self.stall,
            self.idle,
            self.deaf,
            self.leave,
        ):
            work += [(f"hostile {client.__name__}", client)] * HOSTILE
        sampling = asyncio.create_task(self.sample())
        await asyncio.gather(*(self.work(kind, client, until) for kind, client in work))
        sampling.cancel()

    async def sample(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(1)

    def look(self) -> tuple[int, int]:
        """RSS and descriptors now, into the table; and what was logged that should not be."""
        resident, descriptors = self.server.resident(), self.server.descriptors()
        self.samples.append((time.monotonic() - self.began, resident, descriptors, self.connections))
        lines = self.server.lines[:-1]
        del self.server.lines[: len(lines)]
        self.log.extend(lines)
        for line in lines:
            if "Traceback" in line or "Unhandled" in line:
                self.problems[f"log: {line.strip()}"] += 1
        return resident, descriptors

    async def alone(self) -> int:
        """Descriptors without a client: all but that of the first one, while it is served, and the server has begun."""
        frame = parse("int32").encode(b"hello")
        async with self.connection("int32") as (reader, writer):
            writer.write(frame)
            await reader.readexactly(len(frame))
            return self.server.descriptors() - 1

    async def settled(self, descriptors: int) -> tuple[int, int]:
        """RSS and descriptors when the server is rid of all clients: it has that many descriptors, or time is over."""
        for _ in range(int(PATIENCE / 0.1)):
            if self.server.descriptors() <= descriptors:
                break
            await asyncio.sleep(0.1)
        return self.look()

    def table(self) -> str:
        lines = [f"{'clients':20} {'connections':>11} {'messages':>9} {'answered':>9} {'failures':>9}"]
        for kind, row in sorted(self.rows.items()):
            counts = f"{row.messages:9,} {row.answered:9,}" if row.messages else f"{'-':>9} {'-':>9}"
            lines.append(f"{kind:20} {row.connections:11,} {counts} {row.failures:9,}")
        lines += ["", f"{'seconds':>8} {'RSS, MiB':>9} {'descriptors':>12} {'connections':>12}"]
        step = max(1, -(-len(self.samples) // ROWS))
        for seconds, resident, descriptors, connections in [*self.samples[:-1:step], self.samples[-1]]:
            lines.append(f"{seconds:8.0f} {resident / (1 << 20):9.1f} {descriptors:12} {connections:12,}")
        return "\n".join(lines)


def answered(framing: Framing, data: bytes, messages: list[bytes]) -> int:
    """How many messages came back. Raises AssertionError unless it is all of them, in order, and nothing else."""
    assert data == framing.encode_all(messages), "what came back is not what was sent" if data else "nothing came back"
    return len(messages)


async def gone(reader: asyncio.StreamReader) -> None:
    """Wait until the server has closed."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        return


async def soak(server: Server, seconds: float, seed: int) -> bool:
    """Run it, and print what came of it."""
    addresses = [address for address in server.addresses if not address.startswith("unix:")]
    ports = {each.name: int(address.rpartition(":")[2]) for each, address in zip(SOCKETS, addresses, strict=True)}
    run = Soak(server, ports, random.Random(seed))
    start = await run.alone()
    warm_up = min(WARM_UP, seconds / 4)
    await run.load(warm_up)
    before = await run.settled(start)
    await run.load(seconds - warm_up)
    after = await run.settled(start)
    print(run.table())
    grown = after[0] - before[0]
    print(f"\nafter the warm-up {before[0] / (1 << 20):.1f} MiB and {before[1]} descriptors; ", end="")
    print(f"at the end {after[0] / (1 << 20):.1f} MiB ({grown / 1024:+,.0f} KiB) and {after[1]}")
    if after[1] != before[1]:
        run.problems[f"descriptors: {before[1]} after the warm-up, {after[1]} at the end"] += 1
    if grown > MEMORY:
        run.problems[f"memory: {grown} bytes more than after the warm-up, {MEMORY} may be"] += 1
    for row in run.rows.values():
        if row.answered != row.messages:
            run.problems[f"{row.messages - row.answered} messages were not answered"] += 1
    for problem, count in run.problems.most_common(20):
        print(f"FAILED {count} times: {problem}")
    return not run.problems


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.support.soak", description="Soak sockserve.", allow_abbrev=False)
    parser.add_argument("minutes", type=float, help="how long, the warm-up (a quarter, at most a minute) included")
    parser.add_argument("--seed", type=int, default=1, help="of the clients' choices [default: 1]")
    options = parser.parse_args(arguments)
    # A unix socket's path has to be short.
    with TemporaryDirectory() as name:
        path = Path(name) / "soak.toml"
        path.write_text(configuration(Path(name)))
        with running("--config", str(path), listen=len(SOCKETS) + 1) as server:
            passed = asyncio.run(soak(server, options.minutes * 60, options.seed))
            for line in server.stop().splitlines():
                if "closed connections because of" in line:
                    print(line.partition("] ")[2])
            return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
