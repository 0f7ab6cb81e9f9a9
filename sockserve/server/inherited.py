"""Listening on descriptors that somebody else has opened, and keeps: systemd, a shell, or the supervisor of workers.

When such a port closes, nothing ends for the others: the file of a unix socket stays, and what waits in the queue is
theirs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.interfaces import IStreamServerEndpoint
from zope.interface import implementer

from sockserve.server.udp import MAX_SIZE, DatagramSocket

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorFDSet, IReactorSocket


@implementer(IStreamServerEndpoint)
class InheritedEndpoint:
    """Listens on a copy of a descriptor that listens already. It may stay open elsewhere.

    descriptor: its number in this process. family: that of its socket; None: ask the kernel.
    """

    def __init__(self, reactor: object, descriptor: int, family: socket.AddressFamily | None = None) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._family = family

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 - as the interface
        """Fires with the port."""
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        # It may be shared with processes that block.
        os.set_blocking(self._descriptor, False)
        family = family_of(self._descriptor) if self._family is None else self._family
        if family == getattr(socket, "AF_UNIX", None):
            # Imported here: the module needs a system that has unix sockets.
            from sockserve.server.unix import UnixPort

            return UnixPort.inherited(cast("IReactorFDSet", self._reactor), self._descriptor, factory)
        port = _Port._fromListeningDescriptor(self._reactor, self._descriptor, family, factory)
        port.startListening()
        return cast("IListeningPort", port)


class _Port(tcp.Port):
    """Says nothing when it opens and closes: it is open before and after."""

    def startListening(self) -> None:
        self.transport = getattr(self.reactor, "serverTransport", self.transport)
        assert self._preexistingSocket is not None
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self._shouldShutdown = False
        self._realPortNumber = self.socket.getsockname()[1]
        self.numberAccepts = 100
        self.connected = True
        cast("IProtocolFactory", self.factory).doStart()
        self.startReading()

    def _logConnectionLostMsg(self) -> None:
        pass


class InheritedDatagramEndpoint:
    """The same for datagrams; the counterpart of DatagramEndpoint."""

    def __init__(self, reactor: object, descriptor: int) -> None:
        self._reactor = cast("IReactorSocket", reactor)
        self._descriptor = descriptor

    def listen(self, protocol: DatagramSocket) -> Deferred[IListeningPort]:
        """Fires with the port."""
        return execute(
            self._reactor.adoptDatagramPort, self._descriptor, family_of(self._descriptor), protocol, MAX_SIZE
        )


class TakenEndpoint:
    """A port that is open, and is another factory's until this one listens.

    take: gives it up there, and returns it.
    """

    def __init__(self, take: Callable[[], IListeningPort]) -> None:
        self._take = take

    def listen(self, factory: IProtocolFactory | DatagramSocket) -> Deferred[IListeningPort]:
        """Fires with the port, at once."""
        port = self._take()
        held: Any = port
        if isinstance(factory, DatagramSocket):
            held.protocol = factory
            factory.makeConnection(held)
        else:
            held.factory = factory
            factory.doStart()
        return succeed(port)


def family_of(descriptor: int) -> socket.AddressFamily:
    """The family of a socket of this process. Raises OSError if the descriptor is none."""
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        return socket.AddressFamily(copy.family)
