"""Where a process stands in the stream: what it has read, what it has missed, and what it has seen before."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sockserve.redis.commands import ENDLESS

# ORIGIN:NUMBER; see sockserve.redis.waiting.
_OURS = re.compile(rb"([0-9]+-[0-9a-f]{16}):([0-9]{1,18})")

# Of so many processes it is known which of their messages was the last; the one that was silent longest is forgotten.
_ORIGINS = 4096


class Message(NamedTuple):
    """One message of the stream. origin: of the process that added it; b"" for another program. number: see Waiting."""

    origin: bytes
    number: int
    message: bytes


@dataclass(slots=True)
class News:
    """What a reply has brought. missed: how many entries were removed before they were read.

    end: nothing more is there after it. lost: Redis has lost entries that were read: reading goes on at another place.
    """

    messages: list[Message] = field(default_factory=list)
    missed: int = 0
    end: bool = False
    lost: bool = False


class Reading:
    """The place of one process in the stream, from that where it begins.

    count: how many entries there were up to the position, in the life of the stream. position: the id of the last.
    """

    def __init__(self, count: int, position: str) -> None:
        self.count = count
        self.position = position
        self._start = count, position
        self._last: OrderedDict[bytes, int] = OrderedDict()

    def take(self, reply: Sequence[int | bytes]) -> News:
        """What is new in the reply to a read_command from the position."""
        added, length, first, last, *rest = reply
        assert isinstance(added, int)
        assert isinstance(length, int)
        removed = added - length
        if added < self.count or _id(last) < _id(self.position):
            self._go_back(added, removed, first, last)
            return News(lost=True)
        news = News(missed=max(removed - self.count, 0))
        self.count += news.missed
        entry: object = None
        for number in range(0, len(rest), 3):
            if rest[number] != entry:
                entry = rest[number]
                self.count += 1
            message = self._fresh(rest[number + 1], rest[number + 2])
            if message is not None:
                news.messages.append(message)
        if isinstance(entry, bytes):
            self.position = entry.decode()
        news.end = entry is None or entry == last
        if entry == last:
            # Where others delete entries in the middle, counting them is not exact.
            self.count = added
        return news

    def _fresh(self, name: object, value: object) -> Message | None:
        """None: a message that was there before. A process adds one again when it could not know that it was added."""
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)
        match = _OURS.fullmatch(name)
        if match is None:
            return Message(b"", 0, value)
        origin, number = match[1], int(match[2])
        if number <= self._last.get(origin, -1):
            return None
        self._last[origin] = number
        self._last.move_to_end(origin)
        if len(self._last) > _ORIGINS:
            self._last.popitem(last=False)
        return Message(origin, number, value)

    def _go_back(self, added: int, removed: int, first: object, last: object) -> None:
        """The stream is not the one that was read: an older state of it, or a new one.

        Read on from where this process began, if that is in it: what was read before is recognised. All that an older
        state has from before then is not for this process.
        """
        count, position = self._start
        if _id(last) <= _id(position):
            self.count, self.position = added, ENDLESS if not added else _text(last)
            self._start = self.count, self.position
        else:
            self.count = min(count, added) if _id(first) <= _id(position) else removed
            self.position = position


def _text(number: object) -> str:
    return number.decode() if isinstance(number, bytes) else str(number)


def passed(position: str, number: str) -> bool:
    """Whether the position is that of the entry with this id, or after it."""
    return _id(position) >= _id(number)


def _id(number: object) -> tuple[int, int]:
    milliseconds, _, sequence = _text(number).partition("-")
    return int(milliseconds), int(sequence)
