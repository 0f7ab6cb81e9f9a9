"""What a process has to say and has not read in the stream yet."""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sockserve.limits.memory import OBJECT

# Of one batch: as much as one message, or several that are not longer together.
_BATCH_BYTES = 1024 * 1024
_BATCH_COUNT = 500


class Entry(NamedTuple):
    """A message that waits. sender: whose it is."""

    number: int
    message: bytes
    sender: object

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.message) + 3 * OBJECT


class Waiting:
    """Messages from their arrival until they come back from the stream, in order.

    They are numbered. After an outage, what has not come back is added again, because nobody knows whether Redis has
    it; whoever reads it a second time recognises the number. This is exact because a batch is added as a whole, and
    the next one only after the answer.

    origin: of this process, and of nobody else. weight: bytes of memory that all of it takes.
    rewound: how many times all was to be added again.
    """

    def __init__(self) -> None:
        self.origin = f"{os.getpid()}-{secrets.token_hex(8)}".encode()
        self.weight = 0
        self.rewound = 0
        self._number = 0
        self._added: deque[Entry] = deque()
        self._new: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._added) + len(self._new)

    def put(self, messages: Iterable[bytes], sender: object) -> int:
        """Returns the weight of these messages."""
        before = self.weight
        for message in messages:
            self._number += 1
            entry = Entry(self._number, message, sender)
            self._new.append(entry)
            self.weight += entry.weight
        return self.weight - before

    def batch(self) -> list[bytes]:
        """The field and the value of each message that is to be added next; they count as added."""
        pairs: list[bytes] = []
        room, new = _BATCH_BYTES, self._new
        while new and len(pairs) < 2 * _BATCH_COUNT and (not pairs or len(new[0].message) <= room):
            entry = new.popleft()
            self._added.append(entry)
            room -= len(entry.message)
            pairs += (b"%s:%d" % (self.origin, entry.number), entry.message)
        return pairs

    @property
    def last_added(self) -> int:
        """The number of the last message that was added."""
        return self._added[-1].number if self._added else 0

    def rewind(self) -> None:
        """Nobody knows what of it was added: all of it is to be added again."""
        self.rewound += 1
        self._new.extendleft(reversed(self._added))
        self._added.clear()

    def come(self, number: int) -> list[Entry]:
        """What need not wait any more, now that the message with this number is in the stream, and has been read."""
        come = []
        for entries in (self._added, self._new):
            while entries and entries[0].number <= number:
                entry = entries.popleft()
                self.weight -= entry.weight
                come.append(entry)
        return come

    def give_up(self, of: Callable[[object], bool]) -> int:
        """Forget the messages of these senders. Returns how many there were."""
        count = len(self)
        self._added = deque(entry for entry in self._added if not of(entry.sender))
        self._new = deque(entry for entry in self._new if not of(entry.sender))
        self.weight = sum(entry.weight for entry in (*self._added, *self._new))
        return count - len(self)
