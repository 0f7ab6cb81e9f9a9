"""Whatever is done to a connection, from outside or inside its callbacks, MessageProtocol does what the model does.

The model is that of tests/support/model.py. An input starts with the framing, and whether the end of the messages
leaves the connection open (1 byte together); operations follow. The high bit of an operation's byte says that it is
meant for the next callback that has none yet; the other bits choose the operation. A change of framing takes 2 more
bytes, a message to be sent 1; a read takes 1 for its length, and then its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from tests.support.cases import CASES
from tests.support.model import END, FRAMINGS, LOST, WORDS, Action, Change, Pair, Send

MESSAGES = (b"", b"a", b"abc", b"nine byte", b"much too long", b"a\n", b"[1]")
PLANNED = 0x80
KINDS = (*WORDS, END, LOST, "change", "send", "read")


def operation(kind: str, *data: int, planned: bool = False) -> bytes:
    return bytes([KINDS.index(kind) | (PLANNED if planned else 0), *data])


def seeds() -> Iterator[bytes]:
    """Each wire case in two reads, after each of the things that a callback may do."""
    for number, case in enumerate(CASES):
        data = case.data[:200]
        half = len(data) // 2
        planned = KINDS[number % len(KINDS)]
        framing = next((at for at, each in enumerate(FRAMINGS) if str(each) == case.framing), number % len(FRAMINGS))
        yield b"".join((
            bytes([framing]),
            operation("change", number % len(FRAMINGS), 0, planned=True),
            operation("send", number % 18, planned=True),
            operation(planned, 1, 2, planned=True),
            operation("read", half, *data[:half]),
            operation("pause" if number % 2 else "block"),
            operation("read", len(data) - half, *data[half:]),
            operation("resume" if number % 2 else "unblock"),
            operation(END if number % 3 else "drain"),
        ))  # fmt: skip


def script(data: bytes) -> Iterator[tuple[bool, Action]]:
    """(planned, action) for each operation; the last one may lack some of its bytes."""
    rest = iter(data)
    for first in rest:
        planned = bool(first & PLANNED)
        match KINDS[(first & ~PLANNED) % len(KINDS)]:
            case "change":
                number, directions = next(rest, 0), next(rest, 0)
                yield planned, Change(FRAMINGS[number % len(FRAMINGS)], directions % 3 != 1, directions % 3 != 2)
            case "send":
                number = next(rest, 0)
                message = MESSAGES[number % len(MESSAGES)]
                yield planned, Send((message,) * (1 + number // len(MESSAGES) % 3))
            case "read":
                yield False, bytes(byte for _, byte in zip(range(next(rest, 0)), rest, strict=False))
            case "end" | "lost" as word:
                yield False, word
            case word:
                yield planned, word


def check(data: bytes) -> None:
    failures: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        number, lingers = divmod(data[0] if data else 0, len(FRAMINGS))
        pair = Pair(FRAMINGS[number % len(FRAMINGS)], lingers=bool(lingers % 2))
        for planned, action in script(data[1:]):
            if planned:
                pair.plan(action)
            elif pair.takes(action):
                pair.do(action)
                assert pair.difference() is None, pair.difference()
        for action in ("unblock", "resume"):
            pair.do(action)
            assert pair.difference() is None, pair.difference()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not failures, failures[0]["log_failure"].getTraceback()
