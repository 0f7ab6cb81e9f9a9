"""A connection that goes on elsewhere: in another process, or with another factory of this one.

Between two messages, with nothing owed to the peer, a connection is a descriptor and what is written here.
`Engine.give` takes it apart, and `take` puts it together again. The peer notices nothing.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocolFactory

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
