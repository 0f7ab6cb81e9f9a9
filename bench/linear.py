"""Is the cost linear? CPU time by size, for every framing of sockserve and for Twisted's own receivers.

If the cost of a receiver grows with the square of what a peer sends, the peer can stop the whole reactor. Cases:

tiny     one read of the smallest frames: bare delimiters, empty messages, or one byte where no message is empty
big      one large message in reads of 4 KiB
drip     one message in reads of 1 byte
flip     one read of the smallest frames; the callback changes the framing, or the mode, at every message
pause    one read of the smallest frames; the callback pauses and resumes at every message
bad      one read of the smallest frames, every other one bad, with on_bad_frame = skip

Each runs on a bare decoder, on a MessageProtocol that sends every message back to a transport that discards it (tiny
frames also on Echo, which sends back all of a read at once), and on the Twisted receiver for the same bytes, with its
limit raised where the message requires it. The time is CPU time, the best of several rounds. `order` is the exponent
of the growth over all sizes: 1 is linear, 2 is quadratic, and less than 1 means that a fixed cost still shows. From
about 16 MiB on, memory that is fresh from the system costs more than the work on it, once; this raises the order of a
linear case to 1.4. A run that takes longer than the budget is stopped, and larger sizes are not tried.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITransport
from twisted.internet.task import Clock
from twisted.protocols.basic import (
    Int8StringReceiver,
    Int16StringReceiver,
    Int32StringReceiver,
    LineOnlyReceiver,
    LineReceiver,
    NetstringReceiver,
)
from zope.interface import implementer

import sockserve
import twisted
from sockserve import MessageProtocol
from sockserve.connection.options import ConnectionOptions
from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError
from sockserve.handlers.echo import Echo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from twisted.internet.protocol import Protocol

KIB = 1024
MIB = 1024 * KIB

# A framing for tiny frames, and its smallest frame.
TINY: dict[str, bytes] = {
    "raw:1": b"x",
    "windev": b"0\r\n",
    "standard": b"<EOF>",
    "buffered": b"\r\n",
    "int8": b"\0",
    "int16": b"\0\0",
    "int16:little": b"\0\0",
    "int32": b"\0\0\0\0",
    "int32:little": b"\0\0\0\0",
    "netstring": b"0:,",
    "varint": b"\0",
    "fixed:1": b"x",
    "envelope:\\x02:\\x03": b"\x02\x03",
}
# One frame that is too long for max_length=1, or wrong otherwise; then a good one.
BAD: dict[str, bytes] = {
    "windev": b"2\r\nxx0\r\n",
    "standard": b"xx<EOF><EOF>",
    "buffered": b"xx\r\n\r\n",
    "int8": b"\2xx\0",
    "int16": b"\0\2xx\0\0",
    "int32": b"\0\0\0\2xx\0\0\0\0",
    "netstring": b"2:xx,0:,",
    "varint": b"\2xx\0",
    "envelope:\\x02:\\x03": b"x\x02\x03",
    "mllp": b"\x0b\x1c\ra",
    "dle": b"\x10\x02\x10a",
    "slip": b"a\xc0\xdb\xc0",
    "cobs": b"\2a\0\5\0",
}


class OverBudgetError(BaseException):
    """The run has used up its time. Not an Exception, so that no protocol mistakes it for an error in a callback."""


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """Raise OverBudgetError in the block once it has used this much CPU time."""

    def expired(_number: int, _frame: FrameType | None) -> None:
        raise OverBudgetError

    before = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@implementer(ITransport)
class Sink:
    """A transport that discards what is written."""

    disconnecting = False

    def write(self, data: bytes) -> None:
        pass

    def writeSequence(self, data: Iterable[bytes]) -> None:
        pass

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.disconnecting = True

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 1)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 2)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass


# Ours.


class Answering(MessageProtocol):
    """Sends every message back, one by one."""

    count = 0
    errors = 0

    def messageReceived(self, message: bytes) -> None:
        self.count += 1
        self.sendMessage(message)

    def framingFailed(self, error: FramingError) -> None:
        self.errors += 1


class Echoing(Echo):
    """The echo of `twistd sockserve`."""

    @property
    def count(self) -> int:
        return self.info.messages_received


class Flipping(MessageProtocol):
    """Changes the framing at every message, to one with the same bytes on the wire."""

    count = 0
    flips: tuple[Framing, Framing]

    def messageReceived(self, message: bytes) -> None:
        self.count += 1
        self.setFraming(self.flips[self.count & 1])


class Pausing(MessageProtocol):
    """Pauses and resumes at every message."""

    count = 0

    def messageReceived(self, message: bytes) -> None:
        self.count += 1
        self.pauseProducing()
        self.resumeProducing()


# Twisted's.


class LineAnswering(LineReceiver):
    count = 0

    def lineReceived(self, line: bytes) -> None:
        self.count += 1
        self.sendLine(line)


class LineOnlyAnswering(LineOnlyReceiver):
    count = 0

    def lineReceived(self, line: bytes) -> None:
        self.count += 1
        self.sendLine(line)


class NetstringAnswering(NetstringReceiver):
    count = 0

    def stringReceived(self, string: bytes) -> None:
        self.count += 1
        self.sendString(string)


class Int8Answering(Int8StringReceiver):
    count = 0

    def stringReceived(self, string: bytes) -> None:
        self.count += 1
        self.sendString(string)


class Int16Answering(Int16StringReceiver):
    count = 0

    def stringReceived(self, string: bytes) -> None:
        self.count += 1
        self.sendString(string)


class Int32Answering(Int32StringReceiver):
    count = 0

    def stringReceived(self, string: bytes) -> None:
        self.count += 1
        self.sendString(string)


class LineFlipping(LineReceiver):
    """Leaves line mode at every line, and returns to it at once."""

    count = 0

    def lineReceived(self, line: bytes) -> None:
        self.count += 1
        self.setRawMode()

    def rawDataReceived(self, data: bytes) -> None:
        self.setLineMode(data)


class LinePausing(LineReceiver):
    count = 0

    def lineReceived(self, line: bytes) -> None:
        self.count += 1
        self.pauseProducing()
        self.resumeProducing()


TWISTED: tuple[tuple[type[Protocol], str], ...] = (
    (LineAnswering, "buffered"),
    (LineOnlyAnswering, "buffered"),
    (Int8Answering, "int8"),
    (Int16Answering, "int16"),
    (Int32Answering, "int32"),
    (NetstringAnswering, "netstring"),
)


# Runs: each is made for one size and called once a round; it returns the number of messages.

Run = Callable[[], int]


def decode(framing: Framing, reads: Sequence[bytes]) -> int:
    """Feed a bare decoder; a bad frame is skipped, as its framing says."""
    decode = framing.decoder().decode
    count = 0
    for data in reads:
        piece = data
        while True:
            try:
                messages = decode(piece)
            except FramingError:
                messages = [b""]
            else:
                count += len(messages)
            if not messages:
                break
            piece = b""
    return count


def receive(protocol: Protocol, reads: Sequence[bytes]) -> int:
    protocol.makeConnection(Sink())
    for data in reads:
        protocol.dataReceived(data)
    return int(protocol.count)  # type: ignore[attr-defined]


def on_decoder(framing: Framing, reads: Sequence[bytes]) -> Run:
    return lambda: decode(framing, reads)


def on_protocol(protocol: type[MessageProtocol], framing: Framing, reads: Sequence[bytes]) -> Run:
    def run() -> int:
        subject = protocol()
        subject.framing = framing
        subject.options = ConnectionOptions(reactor=Clock())
        return receive(subject, reads)

    return run


def on_flipping(first: Framing, second: Framing, reads: Sequence[bytes]) -> Run:
    def run() -> int:
        subject = Flipping()
        subject.framing = first
        subject.flips = (first, second)
        return receive(subject, reads)

    return run


def on_twisted(protocol: type[Protocol], framing: Framing, reads: Sequence[bytes]) -> Run:
    def run() -> int:
        subject = protocol()
        # LineOnlyReceiver counts the start of a delimiter that is split between two reads.
        subject.MAX_LENGTH = framing.max_length + 2  # type: ignore[attr-defined]
        return receive(subject, reads)

    return run


# Cases.


@dataclass(frozen=True)
class Subject:
    """make: turns a size in bytes into a run and the messages it must deliver. largest: the last size it can handle."""

    name: str
    make: Callable[[int], tuple[Run, int]]
    largest: int = sys.maxsize


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    sizes: tuple[int, ...]
    subjects: tuple[Subject, ...]


def one_read(name: str, frames: bytes, on: Callable[[Sequence[bytes]], Run]) -> Subject:
    """As many `frames`, with one good message each, as fit in the size, in one read."""

    def make(size: int) -> tuple[Run, int]:
        count = size // len(frames)
        return on([frames * count]), count

    return Subject(name, make)


def one_message(name: str, framing: str, read: int, on: Callable[[Framing, Sequence[bytes]], Run]) -> Subject:
    """One message of that size, in reads of `read` bytes."""
    framing = {"raw:1": "raw", "fixed:1": "fixed:N"}.get(framing, framing)

    def make(size: int) -> tuple[Run, int]:
        value = parse(framing.replace("N", str(size)), max_length=size)
        wire = value.encode(b"x" * size)
        reads = [wire[start : start + read] for start in range(0, len(wire), read)]
        return on(value, reads), len(reads) if framing == "raw" else 1

    largest = parse(framing, max_length=2**32).max_length if framing.startswith("int") else sys.maxsize
    return Subject(name if name.startswith("Twisted") else f"{name} {framing}", make, largest)


def tiny_case(*sizes: int) -> Case:
    subjects: list[Subject] = []
    for name, frame in TINY.items():
        framing = parse(name)
        subjects += [
            one_read(f"decoder {name}", frame, partial(on_decoder, framing)),
            one_read(f"echo {name}", frame, partial(on_protocol, Echoing, framing)),
            one_read(f"protocol {name}", frame, partial(on_protocol, Answering, framing)),
        ]
    for protocol, name in TWISTED:
        subjects.append(one_read(twisted_name(protocol), TINY[name], partial(on_twisted, protocol, parse(name))))
    return Case("tiny", "one read of the smallest frames", sizes, tuple(subjects))


def long_case(case: str, title: str, read: int, *sizes: int) -> Case:
    subjects: list[Subject] = []
    for name in TINY:
        subjects += [
            one_message("decoder", name, read, on_decoder),
            one_message("protocol", name, read, partial(on_protocol, Answering)),
        ]
    subjects += [
        one_message(twisted_name(protocol), name, read, partial(on_twisted, protocol)) for protocol, name in TWISTED
    ]
    return Case(case, title, sizes, tuple(subjects))


def flip_case(*sizes: int) -> Case:
    subjects = [
        one_read(f"protocol {name}", frame, partial(on_flipping, parse(name), parse(name, max_length=MIB - 1)))
        for name, frame in TINY.items()
    ]
    subjects.append(one_read("Twisted LineReceiver", b"\r\n", partial(on_twisted, LineFlipping, parse("buffered"))))
    return Case("flip", "one read of the smallest frames, a change of framing at every message", sizes, tuple(subjects))


def pause_case(*sizes: int) -> Case:
    subjects = [
        one_read(f"protocol {name}", frame, partial(on_protocol, Pausing, parse(name))) for name, frame in TINY.items()
    ]
    subjects.append(one_read("Twisted LineReceiver", b"\r\n", partial(on_twisted, LinePausing, parse("buffered"))))
    return Case("pause", "one read of the smallest frames, a pause and resume at every message", sizes, tuple(subjects))


def bad_case(*sizes: int) -> Case:
    subjects: list[Subject] = []
    for name, frames in BAD.items():
        framing = parse(name, max_length=1, on_bad_frame="skip")
        subjects += [
            one_read(f"decoder {name}", frames, partial(on_decoder, framing)),
            one_read(f"protocol {name}", frames, partial(on_protocol, Answering, framing)),
        ]
    return Case("bad", "one read of the smallest frames, every other one bad and skipped", sizes, tuple(subjects))


def twisted_name(protocol: type[Protocol]) -> str:
    return f"Twisted {protocol.__bases__[0].__name__}"


def cases(*, quick: bool) -> tuple[Case, ...]:
    reads = (16 * KIB, 64 * KIB) if quick else (16 * KIB, 64 * KIB, 256 * KIB)
    messages = (1 * MIB, 4 * MIB) if quick else (1 * MIB, 4 * MIB, 16 * MIB, 64 * MIB)
    return (
        tiny_case(*reads),
        long_case("big", "one message in reads of 4 KiB", 4 * KIB, *messages),
        long_case("drip", "one message in reads of 1 byte", 1, 1 * KIB, 4 * KIB, 16 * KIB),
        flip_case(*reads),
        pause_case(*reads),
        bad_case(*reads),
    )


# Measuring.


@dataclass
class Row:
    """ms: the time for each size; None: over the budget, or larger than one that was. `sizes` are those it can take."""

    case: str
    subject: str
    sizes: list[int]
    ms: list[float | None]

    @property
    def factors(self) -> list[float | None]:
        """How much longer each size takes than the one before it."""
        return [after / before if before and after else None for before, after in pairwise(self.ms)]

    @property
    def order(self) -> float | None:
        """The exponent of the growth, from the first size to the last one that was measured."""
        known = [(size, ms) for size, ms in zip(self.sizes, self.ms, strict=True) if ms is not None]
        if len(known) < 2:
            return None
        (first, start), (last, end) = known[0], known[-1]
        return math.log(end / start) / math.log(last / first)


def measure(subject: Subject, case: Case, rounds: int, seconds: float) -> Row:
    sizes = [size for size in case.sizes if size <= subject.largest]
    row = Row(case.name, subject.name, sizes, [])
    for size in sizes:
        row.ms.append(None if None in row.ms else best_of(*subject.make(size), rounds, seconds))
    return row


def best_of(run: Run, expected: int, rounds: int, seconds: float) -> float | None:
    """Milliseconds of the fastest round; None when one was over the budget. Slow runs get fewer rounds."""
    times: list[float] = []
    while len(times) < rounds and sum(times) < 1.0:
        gc.collect()
        try:
            with budget(seconds):
                # Of the one thread there is: with a timer set, the clock of the process moves in ticks.
                start = time.thread_time()
                count = run()
                times.append(time.thread_time() - start)
        except OverBudgetError:
            return None
        if count != expected:
            raise SystemExit(f"{count} messages were delivered instead of {expected}")
    return 1000 * min(times)


# Printing.


def size_name(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


def print_heading(case: Case) -> None:
    print(f"\n{case.name}: {case.title}; ms, and the factor from one size to the next")
    steps = [f" x{after / before:<5.3g}" for before, after in pairwise(case.sizes)]
    columns = [f"{size_name(size):>13}" for size in case.sizes]
    print(f"{'':32}" + columns[0] + "".join(map("".join, zip(columns[1:], steps, strict=True))) + " order")


def print_row(row: Row, case: Case, seconds: float) -> None:
    line = f"{row.subject:32}"
    factors = [None, *row.factors]
    for at in range(len(case.sizes)):
        if at >= len(row.sizes):
            cell, factor = "too large", None
        else:
            ms, factor = row.ms[at], factors[at]
            cell = f"over {seconds:g} s" if ms is None else f"{ms:.2f}"
        line += f"{cell:>13}"
        if at:
            line += f" x{factor:<5.1f}" if factor else " " * 7
    order = row.order
    print(line + (f"{order:6.2f}" if order is not None else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, a budget of 0.5 s: under 20 s")
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case (repeatable)")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="only subjects with TEXT in their name (repeatable)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="the best of N rounds (default 3)")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="stop a run that takes longer (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    options = parser.parse_args()
    rounds: int = options.rounds or (1 if options.quick else 3)
    seconds: float = options.budget or (0.5 if options.quick else 5.0)
    chosen = cases(quick=options.quick)
    names = [case.name for case in chosen]
    unknown = set(options.case or ()).difference(names)
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}; accepted: {', '.join(names)}")

    versions = {
        "sockserve": sockserve.__version__,
        "twisted": twisted.__version__,
        "python": platform.python_version(),
    }
    print(", ".join(f"{name} {version}" for name, version in versions.items()), end="; ")
    print(f"CPU time, best of {rounds}, budget {seconds:g} s")
    rows: list[Row] = []
    for case in chosen:
        if options.case and case.name not in options.case:
            continue
        print_heading(case)
        for subject in case.subjects:
            wanted = not options.only or any(text in subject.name for text in options.only)
            if wanted and subject.largest >= case.sizes[0]:
                rows.append(measure(subject, case, rounds, seconds))
                print_row(rows[-1], case, seconds)
    if options.json:
        figures = [asdict(row) | {"factors": row.factors, "order": row.order} for row in rows]
        document = {"versions": versions, "rounds": rounds, "budget_s": seconds, "rows": figures}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
