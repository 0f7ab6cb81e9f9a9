"""UDP: every datagram is a message, and its answer goes to its sender. Always raw; on loopback by default.

A datagram may be lost, duplicated or reordered, and its sender's address may be forged: a server that answers such
datagrams on a public address sends traffic to any victim that the sender names (RFC 4732 section 3.1, amplification).
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from sockserve.addresses import address_attributes, format_address, host_of
from sockserve.connection.channel import Channel
from sockserve.connection.failures import Refused, users_failure
from sockserve.connection.info import ConnectionInfo
from sockserve.connection.telling import log_moved
from sockserve.framing.errors import MessageTooLong
from sockserve.framing.raw import Raw
from sockserve.handlers.answers import Function, call, checked, under_way
from sockserve.handlers.durations import Durations, clock
from sockserve.handlers.threads import Threads
from sockserve.limits.access import EVERYONE, Access
from sockserve.limits.flood import FloodGuard
from sockserve.text import printable, reason_of

if TYPE_CHECKING:
    from twisted.internet.error import ConnectionLost
    from twisted.internet.interfaces import IListeningPort, IReactorUDP
    from twisted.internet.udp import Port

    from sockserve.framing import Framing
    from sockserve.limits.memory import MemoryBudget

log = Logger()

MAX_SIZE = 65535
"""The largest datagram there is."""


class DatagramSocket(DatagramProtocol):
    """The datagrams of one endpoint.

    name: of the named socket. function: see sockserve.handlers.function.
    lines: where lines that peers cause are logged.
    framing: its max_length limits datagrams in both directions; longer ones are dropped.
    access: whose datagrams are answered; those of others are dropped.
    max_pending: how many answers may be under way; further datagrams are dropped, as by the network.
    memory: the budget that the answers under way count towards. While it is exceeded, datagrams may be dropped.
    durations: where the time that calls take is counted.
    info: that of the last sender; None before the first datagram.
    received, sent, bytes_received, bytes_sent: counts of datagrams, and of their bytes.
    dropped: how many were dropped, by the reason.
    """

    transport: Port

    def __init__(
        self,
        name: str,
        function: Function,
        framing: Raw,
        lines: FloodGuard,
        access: Access = EVERYONE,
        *,
        max_pending: int,
        threads: bool = False,
        log_traffic: bool = False,
        memory: MemoryBudget | None = None,
        durations: Durations | None = None,
    ) -> None:
        self.received = self.sent = self.bytes_received = self.bytes_sent = 0
        self.dropped: Counter[str] = Counter()
        self._durations = Durations() if durations is None else durations
        self.name = name
        self.framing = framing
        self._lines = lines
        self._access = access
        self._function = function
        self._max_pending = max_pending
        self._threads = Threads() if threads else None
        self._log_traffic = log_traffic
        self._memory = memory
        # Answers under way, and the bytes of memory that they take.
        self._pending: dict[Deferred[object], int] = {}
        self._kept = 0
        self._held_up = False
        self._last: Sender | None = None

    @property
    def pending(self) -> int:
        """How many answers are under way."""
        return len(self._pending)

    @property
    def info(self) -> ConnectionInfo | None:
        """That of the last sender; None before the first datagram."""
        return None if self._last is None else self._last.info

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.received += 1
        self.bytes_received += len(datagram)
        sender = Sender(self, addr, len(datagram))
        refusal = self._access.refusal(host_of(sender.info.peer))
        if refusal is not None:
            self.drop(refusal, sender, f"its address may not send ({refusal})")
            return
        if len(datagram) > self.framing.max_length:
            self.drop("max_length", sender, MessageTooLong(self.framing.max_length, len(datagram)))
            return
        self._last = sender
        if self._log_traffic:
            log_moved(log, sender.peer, sender.attributes, "received", len(datagram))
        if self._held_up:
            self.drop("memory_budget", sender, "too much is held for all peers (memory_budget)")
            return
        if len(self._pending) >= self._max_pending:
            self.drop("max_pending", sender, f"{self._max_pending} answers are under way (max_pending)")
            return
        begun = clock()
        answering: Deferred[object] = maybeDeferred(call, self._function, datagram, Channel(sender), self._threads)
        self._keep(answering, under_way() + len(datagram))
        answering.addBoth(self._answered, answering, sender, begun)

    def send(self, datagram: bytes, sender: Sender) -> None:
        """Send one datagram. Raises MessageTooLong.

        What cannot be sent is dropped, with a line in the log: it is too long for a datagram, or the sender's address
        cannot be reached, such as port 0 (RFC 768: no answer is expected).
        """
        frame = self.framing.encode(datagram)
        if self._log_traffic:
            log_moved(log, sender.peer, sender.attributes, "sent", len(datagram))
        try:
            self.transport.write(frame, sender.address)
            self.sent += 1
            self.bytes_sent += len(frame)
        except MessageLengthError:
            self.drop("unsent", sender, f"an answer of {len(frame)} bytes is longer than a datagram can be")
        except OSError as error:
            self.drop("unsent", sender, f"no answer can be sent there: {error.strerror}")

    def drop(self, kind: str, sender: Sender, why: object) -> None:
        """Log that a datagram, or the answer to one, was dropped. kind: see FloodGuard."""
        self.dropped[kind] += 1
        self._lines.warn(
            kind,
            "{peer}: dropped, {why}",
            peer=sender.peer,
            why=printable(why),
            event_name="sockserve.datagram.dropped",
            attributes={**sender.attributes, "sockserve.limit": kind},
        )

    # The view of sockserve.limits.memory.

    def startProtocol(self) -> None:
        if self._memory is not None:
            self._memory.join(self)

    def stopProtocol(self) -> None:
        if self._memory is not None:
            self._memory.leave(self)

    @property
    def held(self) -> int:
        """Bytes of memory that the answers under way take."""
        return self._kept

    def hold_reading(self, reason: str) -> None:
        """Datagrams are dropped from now on."""
        self._held_up = True

    def release_reading(self, reason: str) -> None:
        self._held_up = False

    def abort_for(self, limit: str, text: str) -> None:
        """Give up the answers under way."""
        self._lines.warn(
            limit,
            "{name}: {text}",
            name=self.name,
            text=text,
            event_name="sockserve.datagram.dropped",
            attributes={"sockserve.socket": self.name, "sockserve.limit": limit},
        )
        pending, self._pending = self._pending, {}
        self._kept = 0
        while pending:
            pending.popitem()[0].cancel()
        if self._memory is not None:
            # It goes on.
            self._memory.join(self)

    def _keep(self, answering: Deferred[object], size: int) -> None:
        self._pending[answering] = size
        self._kept += size
        if self._memory is not None and not answering.called:
            self._memory.grow(size, self)

    def _answered(self, answer: object, answering: Deferred[object], sender: Sender, begun: float) -> None:
        size = self._pending.pop(answering, 0)
        if not size:
            # Given up.
            return
        self._kept -= size
        self._durations.add(clock() - begun)
        try:
            datagram = checked(answer)
            if datagram is not None and self.transport.connected:
                self.send(datagram, sender)
        except MessageTooLong as error:
            self.drop("max_length", sender, error)
        except Refused as refusal:
            self._lines.warn(
                "refused",
                "{peer}: refused: {reason}",
                peer=sender.peer,
                reason=reason_of(refusal),
                event_name="sockserve.handler.refused",
                attributes=sender.attributes,
            )
        except BaseException:
            self._lines.failure(
                "handler",
                "{peer}: the handler failed",
                users_failure(Failure()),
                peer=sender.peer,
                event_name="sockserve.handler.failed",
                attributes=sender.attributes,
            )


class Sender:
    """The sender of a datagram, below the channel of its handler: what the channel sends goes back to that address."""

    id = 0
    lossReason: ConnectionLost | None = None

    def __init__(self, socket: DatagramSocket, address: tuple[str, int], size: int) -> None:
        self.address = address
        self._socket = socket
        self._size = size
        self._messages_sent = self._bytes_sent = 0
        self._since = datetime.now(UTC)

    @property
    def peer(self) -> str:
        return f"{self._socket.name} {format_address(self.info.peer)}"

    @property
    def attributes(self) -> dict[str, object]:
        """What the log says of it to programs."""
        address = format_address(self.info.peer)
        return {"sockserve.socket": self._socket.name, **address_attributes(address, transport="udp")}

    @property
    def info(self) -> ConnectionInfo:
        host, port = self.address[:2]
        make = IPv6Address if ":" in host else IPv4Address
        framing = self._socket.framing
        return ConnectionInfo(
            id=0,
            socket=self._socket.name,
            peer=make("UDP", host, port),
            local=self._socket.transport.getHost(),
            framing=framing,
            sending=framing,
            certificate=None,
            connected=self._since,
            established=self._since,
            messages_received=1,
            messages_sent=self._messages_sent,
            bytes_received=self._size,
            bytes_sent=self._bytes_sent,
        )

    @property
    def closing(self) -> bool:
        return not self._socket.transport.connected

    @property
    def sendingEnded(self) -> bool:
        return self.closing

    @property
    def queued(self) -> int:
        """Datagrams do not wait."""
        return 0

    def sendMessage(self, message: bytes) -> None:
        self._socket.send(message, self)
        self._messages_sent += 1
        self._bytes_sent += len(message)

    def whenWritable(self) -> Deferred[None]:
        return succeed(None)

    def setFraming(self, framing: Framing | str, *, incoming: bool = True, outgoing: bool = True) -> None:
        raise ValueError("a datagram is always one message, raw: its framing cannot change")

    def endMessages(self) -> None:
        """Datagrams have no end of stream."""

    def loseConnection(self) -> None:
        """There is no connection."""

    def abortConnection(self) -> None:
        """There is no connection."""


class DatagramEndpoint:
    """Where datagrams arrive; the counterpart of stream endpoints.

    port: 0: the system chooses one. interface: by default loopback.
    """

    def __init__(self, reactor: IReactorUDP, port: int, interface: str = "127.0.0.1") -> None:
        self._reactor = reactor
        self._port = port
        self._interface = interface

    def listen(self, protocol: DatagramSocket) -> Deferred[IListeningPort]:
        """Open the port. Fails as stream endpoints do."""
        return maybeDeferred(self._reactor.listenUDP, self._port, protocol, self._interface, MAX_SIZE)
