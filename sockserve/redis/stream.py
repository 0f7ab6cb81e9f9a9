"""A stream that processes share: each adds its messages, and reads those of all in one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger

from sockserve.limits.flood import FloodGuard
from sockserve.redis.commands import READ_BYTES, READ_COUNT, Unavailable, add_command, read_command, wait_command
from sockserve.redis.connection import RedisConnection
from sockserve.redis.probe import probe
from sockserve.redis.reading import News, Reading, passed
from sockserve.redis.waiting import Entry, Waiting
from sockserve.text import reason_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.redis.address import RedisAddress

log = Logger("sockserve.redis")

# Seconds for which Redis waits for new entries before it answers that there are none.
_WAIT = 20.0
# Seconds before the next attempt to connect.
_DELAY = backoffPolicy(initialDelay=0.1, maxDelay=5.0, factor=2.0)


class Listener(Protocol):
    """Who reads the stream."""

    def deliver(self, messages: list[bytes], sender: object) -> None:
        """Messages have come, in the order of the stream. sender: whose they are; None: another process's."""

    def settled(self, entries: Sequence[Entry]) -> None:
        """These need not wait any more. Called after they were delivered."""

    def when_taken(self) -> Deferred[None]:
        """Fires when what was delivered has gone on. Asked before more is read."""


class Stream:
    """One process's access to the stream, from `begin` to `stop`.

    address, key: where it is. name: for the log. listener: gets all that comes after `begin`.
    read_bytes: how much is read at once; a single message may be longer.

    waiting: what was added here and has not come back. missed: how many entries were removed before they were read.
    connected: whether messages come and go.
    """

    def __init__(
        self,
        address: RedisAddress,
        key: str,
        name: str,
        listener: Listener,
        reactor: IReactorTime,
        *,
        read_bytes: int = READ_BYTES,
    ) -> None:
        self.waiting = Waiting()
        self.missed = 0
        self.connected = False
        self._address = address
        self._key = key
        self._name = name
        self._listener = listener
        self._read_bytes = read_bytes
        self._reactor = reactor
        self._lines = FloodGuard(log, reactor, name)
        self._reading = Reading(0, "0-0")
        self._running: Deferred[None] | None = None
        self.running = False
        self._news: Deferred[None] | None = None
        self._empty: list[Deferred[None]] = []
        # When the connection was lost; None: it is there, or none was needed yet.
        self._down: float | None = None
        # The id of the entry that was added last, and the number of its message.
        self._added: tuple[str, int] | None = None

    def begin(self) -> None:
        """Ask where the stream ends now. Blocks for a few seconds at most. Raises Unavailable."""
        self._reading = Reading(*probe(self._address, self._key))

    def start(self) -> None:
        """Connect, and keep connected."""
        self.running = True
        self._running = Deferred.fromCoroutine(self._run())
        # The wait between two attempts.
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def stop(self) -> None:
        """Returns when the connections are closed. What waits then stays where it is."""
        self.running = False
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await running
        self._lines.flush()

    def put(self, messages: list[bytes], sender: object) -> int:
        """Add messages. They wait until they come back. Returns the bytes of memory that they take."""
        weight = self.waiting.put(messages, sender)
        self._wake()
        return weight

    def give_up(self, of: Callable[[object], bool]) -> int:
        """Forget the messages of these senders. Returns how many there were."""
        count = self.waiting.give_up(of)
        self._check_empty()
        return count

    def when_empty(self) -> Deferred[None]:
        """Fires when nothing waits."""
        empty: Deferred[None] = Deferred(self._empty.remove)
        self._empty.append(empty)
        self._check_empty()
        return empty

    def _check_empty(self) -> None:
        """Tell those who wait for it, if nothing waits."""
        while self._empty and not self.waiting:
            self._empty.pop().callback(None)

    # Connections: one reads, one adds.

    async def _run(self) -> None:
        attempts = 0
        while True:
            try:
                await self._connect_and_go_on()
            except (Unavailable, CancelledError) as error:
                reason: object = error
            except Exception as error:
                log.failure(
                    "{name}: {address} is used wrongly",
                    name=self._name,
                    address=str(self._address),
                    event_name="sockserve.redis.failed",
                    attributes=self._attributes,
                )
                reason = reason_of(error)
            if not self.running:
                return
            attempts = 0 if self.connected else attempts + 1
            self._lost(reason)
            await deferLater(self._reactor, _DELAY(attempts))

    async def _connect_and_go_on(self) -> None:
        connections: list[RedisConnection] = []
        try:
            for _ in range(2):
                connections.append(await RedisConnection.open(self._address, self._reactor))  # noqa: PERF401
            reader, writer = connections
            # Much of what waits may be there: read all before adding it again.
            while not await self._read(reader):
                pass
            self.waiting.rewind()
            self._added = None
            both = [Deferred.fromCoroutine(self._read_on(reader)), Deferred.fromCoroutine(self._add_on(writer))]
            try:
                await gatherResults(both, consumeErrors=True)
            except FirstError as error:
                error.subFailure.raiseException()
            finally:
                for each in both:
                    each.cancel()
        finally:
            for connection in connections:
                await connection.close()

    @property
    def _attributes(self) -> dict[str, object]:
        """Of the events that it logs."""
        return {"sockserve.socket": self._name}

    def _lost(self, reason: object) -> None:
        self.connected = False
        if self._down is None:
            self._down = self._reactor.seconds()
            log.warn(
                "{name}: {address} is lost: {reason}; messages wait until it is back",
                name=self._name,
                address=str(self._address),
                reason=str(reason),
                event_name="sockserve.redis.lost",
                attributes=self._attributes,
            )

    def _back(self) -> None:
        self.connected = True
        if self._down is not None:
            log.info(
                "{name}: {address} is back after {seconds:.1f} seconds; {count} messages have waited",
                name=self._name,
                address=str(self._address),
                seconds=self._reactor.seconds() - self._down,
                count=len(self.waiting),
                event_name="sockserve.redis.back",
                attributes={**self._attributes, "sockserve.messages": len(self.waiting)},
            )
            self._down = None

    async def _read_on(self, reader: RedisConnection) -> None:
        while True:
            if await self._read(reader):
                await reader.call(*wait_command(self._key, self._reading.position, _WAIT), patience=_WAIT)

    async def _read(self, reader: RedisConnection) -> bool:
        """Read what has come. Returns whether that was all."""
        reply = await reader.call(*read_command(self._key, self._reading.position, READ_COUNT, self._read_bytes))
        news = self._reading.take(reply)
        if news.lost:
            log.warn(
                "{name}: {address} has lost entries of {key} that it had; reading what it has now",
                name=self._name,
                address=str(self._address),
                key=self._key,
                event_name="sockserve.redis.emptied",
                attributes=self._attributes,
            )
            self.waiting.rewind()
            self._added = None
            self._wake()
        if news.missed:
            self.missed += news.missed
            self._lines.warn(
                "maxlen",
                "{name}: {count} messages were removed from {key} before they were read, and not passed on (maxlen)",
                name=self._name,
                count=news.missed,
                key=self._key,
                event_name="sockserve.relay.missed",
                attributes={**self._attributes, "sockserve.messages": news.missed},
            )
        self._pass_on(news)
        if not news.end:
            await self._listener.when_taken()
        return news.end

    async def _add_on(self, writer: RedisConnection) -> None:
        while True:
            pairs = self.waiting.batch()
            if not self.connected and not pairs:
                self._back()
            if not pairs:
                self._news = Deferred()
                await self._news
                continue
            last, rewound = self.waiting.last_added, self.waiting.rewound
            number = await writer.call(*add_command(self._key, self._address.maxlen, pairs))
            if not self.connected:
                # Not before: it may be there, and refuse what is added.
                self._back()
            if rewound == self.waiting.rewound:
                self._added = number.decode(), last
                self._settle_passed()

    def _wake(self) -> None:
        """There is something to add."""
        news, self._news = self._news, None
        if news is not None:
            news.callback(None)

    # What has come.

    def _pass_on(self, news: News) -> None:
        """Deliver, messages of one sender together; then those that waited need not wait any more."""
        settled: list[Entry] = []
        together: list[bytes] = []
        whose: object = None
        for origin, number, message in news.messages:
            sender = None
            if origin == self.waiting.origin:
                come = self.waiting.come(number)
                settled += come
                if come and come[-1].number == number:
                    sender = come[-1].sender
            if sender is not whose and together:
                self._listener.deliver(together, whose)
                together = []
            whose = sender
            together.append(message)
        if together:
            self._listener.deliver(together, whose)
        self._settle(settled)
        self._settle_passed()

    def _settle_passed(self) -> None:
        """What was removed before it came back is in the stream's past too."""
        if self._added is not None and passed(self._reading.position, self._added[0]):
            self._settle(self.waiting.come(self._added[1]))

    def _settle(self, entries: list[Entry]) -> None:
        if entries:
            self._listener.settled(entries)
            self._check_empty()
