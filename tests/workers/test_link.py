"""Links: messages and descriptors between two processes, here between two ends in one."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from sockserve.workers.link import Link, Message
from sockserve.workers.worker import Worker
from tests.support.sockets import turn

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFDSet


def copies(inode: int) -> int:
    """How many descriptors of this process are for that file (Linux)."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += path.stat().st_ino == inode
    return count


class LinkTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.received: list[tuple[Message, list[int]]] = []
        self.lost: Deferred[None] = Deferred()
        ours, theirs = socket.socketpair()
        self.one = Link(reactor, ours, lambda *_: None)
        self.other = Link(reactor, theirs, self.receive, lambda: self.lost.callback(None))
        self.addCleanup(self.one.close)
        self.addCleanup(self.other.close)

    def receive(self, message: Message, descriptors: list[int]) -> None:
        self.received.append((message, descriptors))

    async def until(self, count: int) -> None:
        while len(self.received) < count:
            await turn()

    async def test_messages_in_their_order_whatever_their_size(self) -> None:
        messages = [{"number": number, "text": "é" * number * 1000} for number in range(200)]
        for message in messages:
            self.one.send(message)
        await self.until(200)
        self.assertEqual([message for message, _ in self.received], messages)

    async def test_descriptors_come_with_their_message(self) -> None:
        for number in range(300):
            pipes = [os.pipe() for _ in range(number % 3)]
            self.one.send({"number": number}, [write for _, write in pipes])
            for pair in pipes:
                for each in pair:
                    os.close(each)
        read, write = os.pipe()
        self.one.send({"last": True}, (write,))
        os.close(write)
        await self.until(301)
        self.assertEqual([len(descriptors) for _, descriptors in self.received], [n % 3 for n in range(300)] + [1])
        os.write(self.received[-1][1][0], b"hi")
        self.assertEqual(os.read(read, 10), b"hi")
        os.close(read)
        for _, descriptors in self.received:
            for each in descriptors:
                self.assertFalse(os.get_inheritable(each))
                os.close(each)

    async def test_a_close_sends_what_waits(self) -> None:
        closed: Deferred[None] = Deferred()
        for _ in range(50):
            self.one.send({"text": "x" * 100_000})
        self.one.close(lambda: closed.callback(None))
        self.one.send({"text": "too late"})
        self.assertFalse(self.one.open)
        await closed
        await self.lost
        self.assertEqual(len(self.received), 50)

    async def test_any_number_of_descriptors(self) -> None:
        read, write = os.pipe()
        self.one.send({"text": "many"}, [write] * 600)
        await self.until(1)
        os.close(write)
        ((message, descriptors),) = self.received
        self.assertEqual((message, len(descriptors)), ({"text": "many"}, 600))
        for each in descriptors:
            os.close(each)
        self.assertEqual(os.read(read, 1), b"")
        os.close(read)

    async def test_a_message_whose_descriptors_cannot_be_received_is_dropped(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        cast("IReactorFDSet", reactor).removeReader(self.other)
        self.one.send({"number": 0}, (write,))
        self.one.send({"number": 1})
        os.close(write)
        while self.one._queue:
            await turn()
        free = os.dup(read)
        os.close(free)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            self.other.doRead()
            self.other.doRead()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        cast("IReactorFDSet", reactor).addReader(self.other)
        self.assertEqual(self.received, [({"number": 1}, [])])
        self.assertEqual(os.read(read, 1), b"")

    async def test_a_parcel_that_cannot_be_opened_is_the_end_of_that_connection_only(self) -> None:
        ours, theirs = socket.socketpair()
        above, below = socket.socketpair()
        self.addCleanup(above.close)
        worker = Worker(cast("Any", reactor), below, cast("Any", None))
        self.addCleanup(worker._link.close)
        worker._told_to_take(theirs.detach())
        giver = Link(reactor, ours, lambda *_: None)
        self.addCleanup(giver.close)
        for _ in range(2):
            read, write = os.pipe()
            self.addCleanup(os.close, read)
            giver.send({"parcel": "AAAA", "socket": "x", "place": "1-0"}, (write,))
            os.close(write)
            while not select.select([read], [], [], 0)[0]:
                await turn()
            self.assertTrue(giver.open)

    async def test_nothing_is_left_open_when_the_other_side_is_gone(self) -> None:
        read, write = os.pipe()
        inode = os.fstat(write).st_ino
        for _ in range(100):
            self.other.send({"text": "x" * 100_000}, (write,))
        os.close(read)
        os.close(write)
        self.assertEqual(copies(inode), 100)
        self.one.close()
        await self.lost
        self.assertEqual(copies(inode), 0)
        self.other.send({"text": "nobody"})
