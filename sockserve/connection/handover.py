"""A connection that goes on elsewhere: in another process, or with another factory of this one.

Between two messages, with nothing owed to the peer, a connection is a descriptor and what is written here.
`give` and `go` take it apart; `take` and `restore` put it together again. The peer notices nothing.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol

from sockserve.connection import transports
from sockserve.connection.state import Incoming, Wire
from sockserve.limits import turns
from sockserve.sockets import detach

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocolFactory

    from sockserve.connection.engine import Engine
    from sockserve.framing import Framing
    from sockserve.proxy.layer import ProxyInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a connection takes along. It can be pickled if its framings can.

    started: False: it waits for its place, and has no more than `unread`.
    framing, sending: of the two directions.
    unread: bytes that came, and belong to no message that was delivered.
    since, established: seconds since the epoch; see ConnectionInfo. 0: not yet.
    messages_received, messages_sent, bytes_received, bytes_sent: counts, without what is in `unread`.
    proxy: what a PROXY header said.
    """

    started: bool
    framing: Framing
    sending: Framing
    unread: bytes
    since: float
    established: float
    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    proxy: ProxyInfo | None


def can_move(connection: Engine) -> bool:
    """Whether it can ever: neither its handler nor its transport keeps anything for it."""
    receiver, transport = connection.receiver, connection.transport
    kept = connection.started and type(receiver).__dict__.get("keepsState", True)
    return not kept and transports.is_plain(transport, receiver)


def give(connection: Engine) -> Carried | None:
    """What it takes along, when it goes on elsewhere; nothing has changed yet. None: that cannot be told now.

    Hold its reading first: it moves between two messages, with nothing owed to the peer.
    """
    state, receiving = connection.state, connection.receiving
    if state.wire is not Wire.OPEN or not transports.can_move(connection.transport):
        return None
    started = connection.started
    if started:
        if state.incoming is not Incoming.OPEN or state.sending_ended or receiving.running or not receiving.held:
            return None
        if connection.owing or len(connection.reading.holds - {turns.REASON}) > 1:
            return None
        unread = receiving.rewind()
        if unread is None:
            return None
    else:
        unread = connection.reading.early
    return Carried(
        started=started,
        framing=receiving.framing,
        sending=connection.encoder.framing,
        unread=unread,
        since=connection.since,
        established=connection.established,
        messages_received=receiving.count,
        messages_sent=connection.encoder.count,
        bytes_received=connection.reading.bytes_received - (len(unread) if started else 0),
        bytes_sent=connection.sending.bytes_sent,
        proxy=getattr(connection.transport, "proxy", None),
    )


def go(connection: Engine) -> int:
    """Give up the connection right after `give`; returns its descriptor. Here it is over, and nobody is told."""
    descriptor = detach(connection.transport)
    connection.moved()
    return descriptor


def take(
    reactor: Any,  # noqa: ANN401 - an IReactorSocket, which has no types
    descriptor: int,
    family: int,
    factory: IProtocolFactory,
    carried: Carried,
) -> None:
    """Go on with a connection, as one of the factory. The descriptor is its own from now on, and is closed here."""
    try:
        os.set_blocking(descriptor, False)
        reactor.adoptStreamConnection(descriptor, socket.AddressFamily(family), _Newcomers(factory, carried))
    finally:
        os.close(descriptor)


def restore(connection: Engine, carried: Carried) -> None:
    """Make a connection that has just been made what it was elsewhere. It has not started yet."""
    connection.since, connection.established = carried.since, carried.established
    connection.reading.early = carried.unread
    connection.receiving.count, connection.encoder.count = carried.messages_received, carried.messages_sent
    connection.reading.bytes_received, connection.sending.bytes_sent = carried.bytes_received, carried.bytes_sent
    if carried.started:
        connection.set_framing(carried.framing, incoming=True, outgoing=False)
        connection.set_framing(carried.sending, incoming=False, outgoing=True)


class _Newcomers(Factory["_Newcomer"]):
    """Of one connection: a factory cannot be told more than an address."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, carried: Carried) -> None:
        self._factory = factory
        self._carried = carried

    def buildProtocol(self, addr: IAddress | None) -> _Newcomer:
        return _Newcomer(self._factory, self._carried)


class _Newcomer(Protocol):
    """Makes way for the protocol that goes on, when it has the transport."""

    def __init__(self, factory: IProtocolFactory, carried: Carried) -> None:
        self._factory = factory
        self._carried = carried

    def makeConnection(self, transport: Any) -> None:  # noqa: ANN401 - with all that Twisted's sockets have
        if self._carried.proxy is not None:
            self._carried.proxy.tell(transport)
        protocol: Any = self._factory.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        protocol.continueConnection(transport, self._carried)
