"""Connections to which anything happens at any time, in any order: nothing is lost or told twice.

SCHEDULES in the environment says how many schedules; each has a seed, which the failure names.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import Any

from tests.support.reactors import PATIENCE, HalfClosing, Situations, reset, situation

COUNT = int(os.environ.get("SCHEDULES", "6"))


class Chaotic(HalfClosing):
    """sent: what the peer has sent. written, owed: what was written, and what of that the peer must get.

    got: what the peer has. clean: neither side has given up anything. peer_ended: what the peer has said is all.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.peer: Any = None
        self.sent = bytearray()
        self.written = bytearray()
        self.owed: int | None = None
        self.got = bytearray()
        self.clean = True
        self.peer_ended = False
        self.paused = False

    def is_paused(self) -> bool:
        # epoll goes on with what it has found before another connection paused this one.
        return self.paused and type(self.transport.reactor).__name__ != "EPollReactor"

    def made(self) -> None:
        self.schedule.perhaps()

    def came(self, data: bytes) -> None:
        assert not self.is_paused(), "data while paused"
        self.schedule.perhaps()

    def readConnectionLost(self) -> None:
        assert not self.is_paused(), "end while paused"
        assert self.peer_ended
        assert self.data == self.sent, "the end came before the last bytes"
        super().readConnectionLost()
        self.schedule.perhaps()

    def writeConnectionLost(self) -> None:
        super().writeConnectionLost()
        self.schedule.perhaps()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ANN401
        assert "lost" not in self.events, "lost twice"
        if self.data != self.sent:
            # The kernel answers with a RST what nobody has read, and with that the peer may lose the rest.
            self.clean = False
        super().connectionLost(reason)
        self.schedule.perhaps()

    # What can happen.

    def peer_sends(self) -> None:
        if "lost" in self.events:
            # It would be answered with a RST.
            return
        if not self.peer_ended and self.peer.fileno() >= 0:
            data = self.schedule.data()
            try:
                self.sent += data[: self.peer.send(data)]
            except OSError:
                return

    def peer_reads(self) -> None:
        try:
            self.got += self.peer.recv(self.schedule.chance.choice((1, 1000, 1 << 20)))
        except OSError:
            return

    def peer_ends(self) -> None:
        if not self.peer_ended and self.peer.fileno() >= 0:
            self.peer_ended = True
            try:
                self.peer.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def peer_resets(self) -> None:
        self.clean = False
        # Over a unix socket it is no more than an end.
        self.peer_ended = True
        if self.peer.fileno() >= 0:
            reset(self.peer)

    def writes(self) -> None:
        data = self.schedule.data()
        self.written += data
        if self.schedule.chance.random() < 0.5:
            self.transport.write(data)
        else:
            self.transport.writeSequence([data[:10], data[10:]])

    def pauses(self) -> None:
        self.paused = True
        self.transport.pauseProducing()

    def resumes(self) -> None:
        self.paused = False
        self.transport.resumeProducing()

    def ends(self) -> None:
        # Twisted's reactors raise ValueError otherwise.
        if "lost" not in self.events:
            self.owes()
            self.transport.loseWriteConnection()

    def closes(self) -> None:
        self.owes()
        self.transport.loseConnection()

    def aborts(self) -> None:
        self.clean = False
        self.transport.abortConnection()

    def owes(self) -> None:
        if self.owed is None:
            self.owed = len(self.written)


OFTEN: list[Callable[[Chaotic], None]] = [
    Chaotic.peer_sends,
    Chaotic.peer_reads,
    Chaotic.writes,
    Chaotic.pauses,
    Chaotic.resumes,
]
ONCE: list[Callable[[Chaotic], None]] = [
    Chaotic.peer_ends,
    Chaotic.peer_resets,
    Chaotic.ends,
    Chaotic.closes,
    Chaotic.aborts,
]


class Schedule:
    """Chooses what happens to which of the connections."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.connections = [Chaotic(self) for _ in range(3)]
        self.depth = 0
        self.over = False

    def data(self) -> bytes:
        return self.chance.randbytes(self.chance.choice((1, 20, 3000, 200_000, 2_000_000)))

    def perhaps(self) -> None:
        """Something may happen, inside of what happens."""
        if self.depth < 2 and not self.over and self.chance.random() < 0.5:
            self.happen()

    def happen(self) -> None:
        self.depth += 1
        try:
            connection = self.chance.choice(self.connections)
            act = self.chance.choice(OFTEN if self.chance.random() < 0.95 else ONCE)
            if connection.peer is not None and "made" in connection.events:
                act(connection)
        finally:
            self.depth -= 1


class ScheduleTests(Situations):
    patience = PATIENCE + COUNT

    @situation
    async def test_nothing_is_lost_or_told_twice(self) -> None:
        for seed in range(COUNT):
            schedule = Schedule(seed)
            try:
                await self.one(schedule)
                # An exception in a protocol's method is logged, and nothing else.
                for failure in self.flushLoggedErrors():
                    failure.raiseException()
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise

    async def one(self, schedule: Schedule) -> None:
        for connection in schedule.connections:
            if schedule.chance.random() < 0.5:
                connection.peer = self.connect(connection)
            else:
                ours, connection.peer = socket.socketpair()
                ours.setblocking(False)
                self.adopt(connection, self.closing(ours))
            self.closing(connection.peer).setblocking(False)
        for _ in range(schedule.chance.choice((5, 30, 100))):
            schedule.happen()
            if schedule.chance.random() < 0.5:
                await self.turn()
        schedule.over = True
        for connection in schedule.connections:
            await connection.event("made")
            connection.resumes()
            connection.closes()
        for connection in schedule.connections:
            while "lost" not in connection.events:
                connection.peer_reads()
                await self.turn()
            for _ in range(1000):
                before = len(connection.got)
                connection.peer_reads()
                if len(connection.got) == before:
                    break
            assert connection.sent.startswith(connection.data), "not what was sent"
            assert connection.written.startswith(connection.got), "not what was written"
            if connection.clean:
                assert len(connection.got) >= (connection.owed or 0), "not all that was written"
            connection.peer.close()


globals().update(ScheduleTests.makeTestCaseClasses())
