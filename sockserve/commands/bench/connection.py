"""One connection of the load, without its socket: what it may send, what has come, and when each message was sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from sockserve.commands.bench.latency import Histogram
from sockserve.commands.bench.stream import Stream


class Fault(Exception):
    """A byte or a connection that was lost or wrong, in one line."""


@dataclass(slots=True)
class Tally:
    """What the connections of a process have done in one phase of the load. last: when the last answer came, in ns."""

    asked: int = 0
    answered: int = 0
    last: int = 0
    latencies: Histogram = field(default_factory=Histogram)


class Times(Protocol):
    """When the messages of one connection were sent, or should have been."""

    def asked(self, count: int, now: int) -> None:
        """`count` messages more are being sent."""

    def answered(self, count: int, now: int, latencies: Histogram) -> None:
        """The answers of the oldest `count` came."""


class Sent:
    """Messages are sent when the window has room for them, many at the same time."""

    def __init__(self) -> None:
        self._batches: deque[list[int]] = deque()

    def asked(self, count: int, now: int) -> None:
        self._batches.append([count, now])

    def answered(self, count: int, now: int, latencies: Histogram) -> None:
        while count:
            batch = self._batches[0]
            part = min(count, batch[0])
            latencies.record(now - batch[1], part)
            count -= part
            batch[0] -= part
            if not batch[0]:
                self._batches.popleft()


class Intended:
    """Messages should be sent one each `interval` ns from `first` on, whatever the server does.

    Counted from then, a message that had to wait in the client because the server stood still was late as well; from
    when it was sent, the worst times would be the ones that are counted least (coordinated omission).
    """

    def __init__(self, first: float, interval: float) -> None:
        self._next = first
        self._interval = interval

    def asked(self, count: int, now: int) -> None:
        pass

    def answered(self, count: int, now: int, latencies: Histogram) -> None:
        latencies.record_series(now - self._next, self._interval, count)
        self._next += count * self._interval


class Connection:
    """number: of this connection, from 1, over all processes.

    due: messages that the load wants sent so far. asked: those that the window has let through. answered: those whose
    answers came, every byte of them.
    """

    def __init__(self, number: int, stream: Stream, window: int) -> None:
        self.number = number
        self.stream = stream
        self._window = window
        self.due = self.asked = self.answered = 0
        # Bytes.
        self._received = self._written = 0
        # When bytes came last, or the first message after a silence that was owed nothing was sent; in ns.
        self._heard = 0
        self.begin(Sent(), Tally())

    def begin(self, times: Times, tally: Tally) -> None:
        """Another phase of the load; nothing is owed."""
        self.times = times
        self.tally = tally

    def ask(self, now: int) -> bool:
        """Let through what is due and has room in the window. True: there is something to write."""
        count = min(self.due, self.answered + self._window) - self.asked
        if count > 0:
            if self.asked == self.answered:
                self._heard = now
            self.asked += count
            self.tally.asked += count
            self.times.asked(count, now)
        return self._written < self.asked * self.stream.frame

    def piece(self) -> memoryview:
        """The next bytes to write, some of them at least; none when all is written."""
        rest = self.asked * self.stream.frame - self._written
        return self.stream.piece(self._written, rest) if rest else memoryview(b"")

    def wrote(self, count: int) -> None:
        self._written += count

    def received(self, data: memoryview, now: int) -> None:
        """Bytes came. Raises Fault when they are not those that are owed."""
        wrong = self.stream.wrong(self._received, data)
        self._heard = now
        more = self._received + len(data) - self._written
        if more > 0 and (wrong < 0 or wrong >= len(data) - more):
            raise Fault(
                f"{self.name}: {more} bytes came that were not sent, from byte {self._written} of the answers on"
            )
        if wrong >= 0:
            raise self._fault(data, wrong)
        self._received += len(data)
        complete = self._received // self.stream.frame
        count = complete - self.answered
        if count:
            self.answered = complete
            self.times.answered(count, now, self.tally.latencies)
            self.tally.answered += count
            self.tally.last = now

    def broken(self, reason: str) -> Fault:
        """The connection ended in this way."""
        return Fault(f"{self.name}: {reason} at byte {self._received} of the answers, {self._owed}")

    def check(self, now: int, timeout: float) -> None:
        """Raises Fault when answers are owed and nothing came for `timeout` seconds."""
        if self.asked > self.answered and now - self._heard > timeout * 1e9:
            raise Fault(
                f"{self.name}: nothing came for {timeout:g} seconds, from byte {self._received} of the answers on, "
                f"{self._owed}"
            )

    @property
    def name(self) -> str:
        return f"connection {self.number}"

    @property
    def _owed(self) -> str:
        return f"{self.asked - self.answered} of {self.asked} answers missing"

    def _fault(self, data: memoryview, wrong: int) -> Fault:
        """What is wrong with the byte there, and, where its frame is another one of those in flight, which one."""
        at = self._received + wrong
        message, offset = divmod(at, self.stream.frame)
        line = (
            f"{self.name}: byte {at} of the answers is 0x{data[wrong]:02x} instead of "
            f"0x{self.stream.piece(at, 1)[0]:02x}: byte {offset} of the frame of message {message + 1}"
        )
        came = data[max(wrong - offset, 0) :][: self.stream.frame]
        if wrong >= offset and len(came) == self.stream.frame:
            for other in range(max(0, message - self._window), self.asked):
                if self.stream.wrong(other * self.stream.frame, came) < 0:
                    return Fault(f"{line}; the frame of message {other + 1} stands there")
        return Fault(line)
