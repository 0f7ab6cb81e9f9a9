"""Listening sockets that outlive the processes that accept from them.

Where the kernel can share clients out, there is one for each worker, with SO_REUSEPORT and a queue of its own. Whoever
opens them keeps all of them open: what waits in the queue of a worker that has died waits for the next one. A unix
socket, and one that was inherited, is one for all.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

DEFAULT_BACKLOG = 1024
"""Connections that one slot keeps waiting, unless its endpoint says otherwise. The system may have a lower limit."""


class Slot(Protocol):
    """A listening socket. socket.socket is one."""

    def fileno(self) -> int: ...

    def close(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Slots:
    """How an endpoint is opened for several processes.

    key: equal for two endpoints with the same address. shared: one slot is for all of them.
    open: opens one, beside these, which were opened before; raises CannotListenError.
    backlog: connections that a slot keeps waiting; None: that is not ours to say.
    """

    key: object
    open: Callable[[list[Slot]], Slot]
    shared: bool = False
    backlog: int | None = None


def stream(port: int, interface: str, backlog: int = DEFAULT_BACKLOG, *, key: object) -> Slots:
    """TCP. interface: an address or the name of a host. port: 0: the system chooses one, the same for all slots."""

    def open_one(beside: list[Slot]) -> Slot:
        slot = _bound(socket.SOCK_STREAM, interface, port, beside)
        slot.listen(backlog)
        return slot

    return Slots(key, open_one, backlog=backlog)


def datagrams(port: int, interface: str, *, key: object) -> Slots:
    """UDP. All datagrams from one address go to the same slot."""
    return Slots(key, lambda beside: _bound(socket.SOCK_DGRAM, interface, port, beside))


def inherited(descriptor: int, *, key: object) -> Slots:
    """What this process has inherited: it stays open when the slot is closed."""
    return Slots(key, lambda _: _Inherited(descriptor), shared=True)


def unix(endpoint: Any, *, key: object, backlog: int) -> Slots:  # noqa: ANN401 - see sockserve.server.unix
    """endpoint: a UnixEndpoint, which opens its socket at once."""

    def open_one(_: list[Slot]) -> Slot:
        factory = Factory()
        factory.noisy = False
        opening: Deferred[IListeningPort] = endpoint.listen(factory)
        if isinstance(opening.result, Failure):
            failure = opening.result
            opening.addErrback(lambda _: None)
            failure.raiseException()
        return _Unix(opening.result)

    return Slots(key, open_one, shared=True, backlog=backlog)


def address_of(slot: Slot) -> IAddress:
    """Where it listens."""
    with socket.socket(fileno=os.dup(slot.fileno())) as copy:
        name = copy.getsockname()
        if copy.family == getattr(socket, "AF_UNIX", None):
            return UNIXAddress(name)
        make = IPv6Address if copy.family == socket.AF_INET6 else IPv4Address
        return make("UDP" if copy.type == socket.SOCK_DGRAM else "TCP", *name[:2])


def _bound(kind: socket.SocketKind, interface: str, port: int, beside: list[Slot]) -> socket.socket:
    family = _family(interface)
    if beside:
        port = cast("IPv4Address", address_of(beside[0])).port
    elif port:
        # With SO_REUSEPORT it would share the port with another program of the same user.
        _bind(socket.socket(family, kind), interface, port, kind is socket.SOCK_STREAM, False).close()
    return _bind(socket.socket(family, kind), interface, port, kind is socket.SOCK_STREAM, True)


def _bind(slot: socket.socket, interface: str, port: int, reuse_address: bool, reuse_port: bool) -> socket.socket:
    try:
        slot.setblocking(False)
        if reuse_address:
            slot.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            slot.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        slot.bind((interface, port))
    except OSError as error:
        slot.close()
        raise CannotListenError(interface, port, error) from error
    return slot


def _family(interface: str) -> socket.AddressFamily:
    try:
        return socket.AF_INET6 if ip_address(interface).version == 6 else socket.AF_INET
    except ValueError:
        # The name of a host; Twisted does the same.
        return socket.AF_INET


@dataclass(frozen=True, slots=True)
class _Inherited:
    descriptor: int

    def fileno(self) -> int:
        return self.descriptor

    def close(self) -> None:
        """Whoever has passed it on has it still."""


class _Unix:
    """A unix port of Twisted's that accepts nothing here, and removes its file at the end."""

    def __init__(self, port: Any) -> None:  # noqa: ANN401
        self._port = port
        port.stopReading()

    def fileno(self) -> int:
        return int(self._port.fileno())

    def close(self) -> object:
        return self._port.stopListening()
