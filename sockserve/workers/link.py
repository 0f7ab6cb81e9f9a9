"""What a supervisor and its workers tell each other: JSON objects, and descriptors, over a pair of unix sockets.

On the wire: four bytes of length, big endian, and a JSON object in UTF-8. Its descriptors come with its first byte, or
bytes; `"descriptors"` is their number. Twisted's unix transport passes descriptors too, but does not say when the
kernel has them, and they may be closed.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

Message = dict[str, Any]
"""What JSON can say."""

log = Logger()

# Bytes read at once, and the most descriptors that go with one byte: Linux takes 253.
_READ = 256 * 1024
_MOST = 250


@implementer(IReadWriteDescriptor)
class Link:
    """One side of it.

    socket: a connected unix socket, which is the link's from now on.
    received: called with each message and the descriptors that came with it, which are the callee's from then on.
    lost: called once, when the other side is gone, and not after `close`.
    """

    def __init__(
        self,
        reactor: object,
        socket: socket.socket,
        received: Callable[[Message, list[int]], object],
        lost: Callable[[], object] = lambda: None,
    ) -> None:
        self._reactor = cast("IReactorFDSet", reactor)
        self._socket = socket
        self._received = received
        self._lost = lost
        self._open = True
        self._closing = False
        self._data = bytearray()
        self._descriptors: deque[int] = deque()
        # What waits to be sent: bytes, and the descriptors that go with the first of them.
        self._queue: deque[tuple[memoryview, list[int]]] = deque()
        socket.setblocking(False)
        self._reactor.addReader(self)

    @property
    def open(self) -> bool:
        """Whether the other side is there, as far as is known."""
        return self._open and not self._closing

    def send(self, message: Message, descriptors: tuple[int, ...] | list[int] = ()) -> None:
        """Send a message, with copies of the descriptors. After the end of the other side it goes nowhere."""
        if not self.open:
            return
        if descriptors:
            message = {**message, "descriptors": len(descriptors)}
        text = json.dumps(message).encode()
        data, copies = memoryview(len(text).to_bytes(4, "big") + text), [os.dup(each) for each in descriptors]
        while len(copies) > _MOST:
            self._queue.append((data[:1], copies[:_MOST]))
            data, copies = data[1:], copies[_MOST:]
        self._queue.append((data, copies))
        self._reactor.addWriter(self)

    def close(self, closed: Callable[[], object] = lambda: None) -> None:
        """Send what waits, then end the link. closed: called when that is done, or the other side is gone."""
        if not self._open:
            closed()
            return
        self._closing = True
        self._lost = closed
        if not self._queue:
            self._end()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return type(self).__name__

    def read_on(self) -> None:
        """Receive what has come, although the reactor may not have said so yet."""
        while self._open and self._read():
            pass

    def doRead(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Returns whether there was anything."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _READ, _MOST)
        except BlockingIOError:
            return False
        except OSError:
            data, descriptors = b"", []
        for each in descriptors:
            os.set_inheritable(each, False)
        self._descriptors += descriptors
        if not data:
            self._end()
            return True
        self._data += data
        while self._open and len(self._data) >= 4:
            end = 4 + int.from_bytes(self._data[:4], "big")
            if len(self._data) < end:
                break
            message = json.loads(self._data[4:end])
            del self._data[:end]
            count = message.pop("descriptors", 0)
            came = [self._descriptors.popleft() for _ in range(min(count, len(self._descriptors)))]
            if len(came) == count:
                self._received(message, came)
                continue
            log.error(
                "This process has too many open files: what another one has sent it is lost (raise the limit)",
                event_name="sockserve.descriptors.lost",
                attributes={},
            )
            for each in came:
                os.close(each)
        return True

    def doWrite(self) -> None:
        if not self._queue:
            # It has ended in the same turn.
            return
        data, descriptors = self._queue[0]
        try:
            sent = socket.send_fds(self._socket, [data], descriptors)
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        for each in descriptors:
            os.close(each)
        if sent < len(data):
            self._queue[0] = data[sent:], []
            return
        self._queue.popleft()
        if not self._queue:
            self._reactor.removeWriter(self)
            if self._closing:
                self._end()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has seen an error, or it stops."""
        self._end()

    def _end(self) -> None:
        if not self._open:
            return
        self._open = False
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._socket.close()
        for each in [*self._descriptors, *(each for _, descriptors in self._queue for each in descriptors)]:
            os.close(each)
        self._descriptors.clear()
        self._queue.clear()
        self._lost()
