"""UDP: every datagram is a message, and its answer goes to its sender. Always raw, on loopback unless told otherwise.

A datagram may be lost, doubled or overtaken, and its sender's address may be a lie: a server that answers such
datagrams on a public address sends traffic to whoever the sender names (RFC 4732 section 3.1, amplification).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.addresses import format_address, host_of
from sockserve.connection.channel import Channel
from sockserve.connection.failures import Refused, reason_of, users_failure
from sockserve.connection.info import ConnectionInfo
from sockserve.framing.raw import Raw
from sockserve.handlers.function import UNDER_WAY, Function, call, checked
from sockserve.handlers.threads import Threads
from sockserve.limits.access import EVERYONE, Access

if TYPE_CHECKING:
    from twisted.internet.error import ConnectionLost
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorUDP
    from twisted.internet.udp import Port

    from sockserve.framing import Framing
    from sockserve.limits.memory import MemoryBudget

log = Logger()

FORM = re.compile(r"udp:([0-9]{1,5})(?::interface=(.+))?", re.ASCII)
ACCEPTED = "udp:PORT or udp:PORT:interface=ADDRESS, with \\: for a colon in the address"

# The largest datagram there is.
_MAX_SIZE = 65535


class DatagramSocket(DatagramProtocol):
    """The datagrams of one endpoint.

    name: of the named socket. function: see sockserve.handlers.function. framing: its max_length bounds the answers.
    access: whose datagrams are answered; those of others are dropped without a word.
    max_pending: answers under way; datagrams beyond them are dropped, as the network does.
    memory: the budget that the answers under way count for. While it is exceeded datagrams may be dropped, too.
    info: of the last sender; None before the first datagram.
    """

    transport: Port

    def __init__(
        self,
        name: str,
        function: Function,
        framing: Raw,
        access: Access = EVERYONE,
        *,
        max_pending: int,
        threads: bool = False,
        log_traffic: bool = False,
        memory: MemoryBudget | None = None,
    ) -> None:
        self.name = name
        self.framing = framing
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
        self._dropped = 0
        self._last: Sender | None = None

    @property
    def info(self) -> ConnectionInfo | None:
        """Of the last sender."""
        return None if self._last is None else self._last.info

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        sender = Sender(self, addr, len(datagram))
        if self._access.refusal(host_of(sender.info.peer)) is not None:
            # Addresses of datagrams can be forged: a line for each would let anyone fill the log.
            return
        self._last = sender
        if self._log_traffic:
            log.info("{peer}: Bytes received: {count}", peer=sender.peer, count=len(datagram))
        if self._held_up or len(self._pending) >= self._max_pending:
            self._dropped += 1
            if self._dropped == 1:
                under_way = f"{len(self._pending)} answers are under way"
                why = f"{under_way} ({'memory_budget' if self._held_up else 'max_pending'})"
                log.warn("{peer}: dropped, {why}", peer=sender.peer, why=why)
            return
        answering: Deferred[object] = maybeDeferred(call, self._function, datagram, Channel(sender), self._threads)
        self._keep(answering, UNDER_WAY + len(datagram))
        answering.addBoth(self._answered, answering, sender)

    def send(self, datagram: bytes, sender: Sender) -> None:
        """Send one datagram. Raises MessageTooLong, or twisted.internet.error.MessageLengthError from the network."""
        if self._log_traffic:
            log.info("{peer}: Bytes sent: {count}", peer=sender.peer, count=len(datagram))
        self.transport.write(self.framing.encode(datagram), sender.address)

    # What bounds it; see sockserve.limits.memory.

    def startProtocol(self) -> None:
        if self._memory is not None:
            self._memory.join(self)

    def stopProtocol(self) -> None:
        if self._memory is not None:
            self._memory.leave(self)

    @property
    def held(self) -> int:
        """Bytes of memory that answers under way take."""
        return self._kept

    def hold_reading(self, reason: str) -> None:
        """Datagrams are dropped from now on."""
        self._held_up = True

    def release_reading(self, reason: str) -> None:
        self._held_up = False

    def abort_for(self, limit: str, text: str) -> None:
        """Give up the answers under way."""
        log.warn("{name}: {text}", name=self.name, text=text)
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
            self._memory.grow(size)

    def _answered(self, answer: object, answering: Deferred[object], sender: Sender) -> None:
        size = self._pending.pop(answering, 0)
        if not size:
            # Given up.
            return
        self._kept -= size
        if self._dropped and not self._pending:
            log.warn("{name}: {count} datagrams were dropped", name=self.name, count=self._dropped)
            self._dropped = 0
        try:
            datagram = checked(answer)
            if datagram is not None and self.transport.connected:
                self.send(datagram, sender)
        except Refused as refusal:
            log.info("{peer}: refused: {reason}", peer=sender.peer, reason=reason_of(refusal))
        except BaseException:
            log.failure("{peer}: the handler failed", users_failure(Failure()), peer=sender.peer)


class Sender:
    """Who sent a datagram, for the channel of its handler: what is sent goes back to that address."""

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


@implementer(IStreamServerEndpoint)
class DatagramEndpoint:
    """Listens for datagrams; stands beside the endpoints of streams, and ignores the factory that those need."""

    def __init__(self, reactor: IReactorUDP, text: str, protocol: DatagramSocket) -> None:
        """text: `udp:PORT` or `udp:PORT:interface=ADDRESS`. Raises ValueError for anything else."""
        match = FORM.fullmatch(text)
        if match is None or int(match[1]) > 65535:
            raise ValueError(f"{text!r} is no UDP endpoint; accepted: {ACCEPTED}")
        self._reactor = reactor
        self._port = int(match[1])
        self._interface = (match[2] or "127.0.0.1").replace("\\:", ":")
        self._protocol = protocol

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 - as the interface
        return maybeDeferred(self._reactor.listenUDP, self._port, self._protocol, self._interface, _MAX_SIZE)
