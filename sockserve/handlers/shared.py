"""A relay that processes share: messages go through a stream in Redis, and reach clients in the order they have there.

So the clients of all processes receive all messages in one order, those of their own process too. While Redis is away,
messages wait; a client of which too much waits is not read from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import gatherResults
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from sockserve.handlers.relay import Relay, RelayProtocol
from sockserve.redis.commands import READ_BYTES
from sockserve.redis.probe import probe
from sockserve.redis.stream import Stream

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from sockserve.limits.memory import MemoryBudget
    from sockserve.redis.address import RedisAddress
    from sockserve.redis.waiting import Entry

log = Logger("sockserve.redis")

# Bytes of one client that may wait; then it is not read from until half of that has come back.
_WAITING = 64 * 1024
# Seconds for which the next messages wait for clients that do not read.
_PATIENCE = 0.25
_REASON = "relay"


class SharedRelay(Relay):
    """The clients of one named socket, and the stream that they share with those of other processes.

    name: of the socket. address: of the stream. room: bytes that may wait for Redis; then no client is read from.
    memory: counts what waits of clients that have left; what waits of the others is counted as theirs.

    lost: how many messages never reached Redis: the server stopped, or memory_budget was exceeded.
    unfinished: how many of them when it stopped last.
    missed: how many messages were removed from the stream before they were read here.
    connected: whether messages come and go.
    """

    def __init__(
        self, name: str, address: RedisAddress, *, room: int, memory: MemoryBudget, reactor: IReactorTime
    ) -> None:
        super().__init__()
        self.lost = 0
        self.unfinished = 0
        self._name = name
        self._address = address
        self._room = room
        self._memory = memory
        self._reactor = reactor
        self._missed = 0
        # Bytes of memory that the messages of clients that have left take.
        self._left_behind = 0
        self._full = False
        self._stream = self._new_stream()

    @property
    def missed(self) -> int:
        return self._missed + self._stream.missed

    @property
    def connected(self) -> bool:
        return self._stream.connected

    @property
    def waiting(self) -> int:
        """How many messages wait for Redis, or to come back from there."""
        return len(self._stream.waiting)

    def begin(self) -> None:
        """Ask Redis where the stream ends: from there on it is read. Blocks for a few seconds at most.

        Raises sockserve.redis.commands.Unavailable.
        """
        self._missed += self._stream.missed
        self._stream = self._new_stream()
        self._stream.begin()

    def start(self) -> None:
        self._memory.join(self)
        self._stream.start()

    async def stop(self) -> None:
        """Returns when the connections are closed. What waits then is lost, with a line in the log."""
        await self._stream.stop()
        self.unfinished = self._forget(lambda _: True, "drain_timeout")
        for client in self._clients:
            client.waiting = 0
        self._left_behind = 0
        self._full = False
        self._memory.leave(self)

    def when_empty(self) -> Deferred[None]:
        """Fires when no message waits."""
        return self._stream.when_empty()

    # Relay's.

    def client(self) -> RelayProtocol:
        return SharedClient(self)

    def send(self, messages: list[bytes], sender: RelayProtocol) -> None:
        weight = self._stream.put(messages, sender)
        client = cast("SharedClient", sender)
        if client in self.clients:
            client.waiting += weight
        else:
            self._left_behind += weight
        if not self._full and self._stream.waiting.weight >= self._room:
            self._full = True
            for each in self._clients:
                self.adjust(each)
        self.adjust(client)
        self._memory.grow(weight)

    def adjust(self, client: SharedClient) -> None:
        """Hold reading from the client, or release it."""
        if self._full or client.waiting >= _WAITING:
            client.holdReading(_REASON)
        elif client.waiting <= _WAITING // 2:
            client.releaseReading(_REASON)

    def leave(self, client: SharedClient) -> None:
        """It leaves; what it has said is still passed on."""
        self._left_behind += client.waiting
        client.waiting = 0

    def give_up(self, client: SharedClient) -> None:
        """Forget what waits of this client: it is aborted because of memory_budget."""
        client.waiting = 0
        self._forget(lambda sender: sender is client, "memory_budget")

    # The stream's listener; `deliver` is Relay's.

    def settled(self, entries: Sequence[Entry]) -> None:
        """See sockserve.redis.stream.Listener."""
        changed: dict[SharedClient, None] = {}
        for entry in entries:
            sender = cast("SharedClient", entry.sender)
            if sender in self.clients:
                sender.waiting -= entry.weight
                changed[sender] = None
            else:
                self._left_behind -= entry.weight
        if self._full and self._stream.waiting.weight <= self._room // 2:
            self._full = False
            changed = dict(self._clients)
        for client in changed:
            # What one says when it is read from again may fill the room.
            client.has_settled()

    def when_taken(self) -> Deferred[None]:
        """Fires when the clients have taken what was delivered, but soon: who does not read must not hold up others.

        After an outage more may have to be delivered at once than max_queued allows for one client.
        """
        slow = [client.whenWritable() for client in self._clients if client.blocked]
        taken: Deferred[None] = gatherResults(slow, consumeErrors=True).addCallback(lambda _: None)
        return taken.addTimeout(_PATIENCE, self._reactor, lambda *_: None)

    # What memory_budget counts.

    @property
    def held(self) -> int:
        return self._left_behind

    def hold_reading(self, reason: str) -> None:
        """It reads from nobody."""

    def release_reading(self, reason: str) -> None:
        """The same."""

    def abort_for(self, limit: str, text: str) -> None:
        self._memory.join(self)
        self._left_behind = 0
        self._forget(lambda sender: sender not in self.clients, limit)

    @property
    def _clients(self) -> dict[SharedClient, None]:
        return cast("dict[SharedClient, None]", self.clients)

    def _forget(self, of: Callable[[object], bool], reason: str) -> int:
        count = self._stream.give_up(of)
        self.lost += count
        if count:
            log.warn(
                "{name}: {count} messages are lost, {address} has not taken them ({reason})",
                name=self._name,
                count=count,
                address=str(self._address),
                reason=reason,
                event_name="sockserve.relay.lost",
                attributes={"sockserve.socket": self._name, "sockserve.messages": count},
            )
        return count

    def _new_stream(self) -> Stream:
        size = min(READ_BYTES, self._room // 2)
        key = _key(self._address, self._name)
        return Stream(self._address, key, self._name, self, self._reactor, read_bytes=size)


def reach(address: RedisAddress, name: str) -> None:
    """Ask Redis whether it can be used for the socket with that name. Blocks for a few seconds at most.

    Raises sockserve.redis.commands.Unavailable.
    """
    probe(address, _key(address, name))


def _key(address: RedisAddress, name: str) -> str:
    return address.key or f"sockserve:relay:{name}"


class SharedClient(RelayProtocol):
    """One client. Its connection closes when all that it has said is in the stream, and was read there.

    waiting: bytes of memory that its messages take which wait.
    """

    waiting = 0
    _all_said = False

    def __init__(self, relay: SharedRelay) -> None:
        super().__init__(relay)
        self._shared = relay

    def connectionMade(self) -> None:
        super().connectionMade()
        self._shared.adjust(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._shared.leave(self)
        super().connectionLost(reason)

    def messagesEnded(self) -> None:
        self._all_said = True
        self.has_settled()

    def has_settled(self) -> None:
        """Some of what waited has come back, or there is room again."""
        if not self._all_said:
            self._shared.adjust(self)
        elif not self.waiting:
            self.loseConnection()

    @property
    def blocked(self) -> bool:
        """Whether it does not read, as far as is known."""
        return self._engine.sending.blocked

    @property
    def keptBytes(self) -> int:
        return self.waiting

    def _dropKept(self) -> None:
        self._shared.give_up(self)
