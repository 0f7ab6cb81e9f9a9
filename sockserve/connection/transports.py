"""What Twisted's transports do not say or cannot do: no other module here or above touches their private attributes.

A connection needs only ITransport's `write` and `loseConnection` of a transport. The rest is used where it exists:

getPeer, getHost                  the pipes of a process have neither; their address is NO_ADDRESS
registerProducer                  reports that the peer does not read; an SSH channel does so in its own way; without
                                  either, what the peer does not read is kept, and nothing reports it
pauseProducing, resumeProducing   make the peer wait; without them, what it sends is kept until it is wanted
loseWriteConnection               sends our end of stream while reading goes on (TCP, unix sockets, our TLS; a process's
                                  standard input is closed); without it (Twisted's own TLS, SSH channels, stdio) the
                                  peer sees our end when the connection closes
abortConnection                   closes at once; without it, loseConnection is used
disconnecting                     says whether a program has called the transport's own loseConnection
"""

from __future__ import annotations

import select
import socket
import sys
from array import array
from functools import lru_cache
from sys import getrefcount
from typing import Any, Protocol, TypeGuard, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableDescriptor,
    IProcessTransport,
    IProtocol,
    ISSLTransport,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import BaseClient, Connection, Server
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.limits.memory import OBJECT
from sockserve.sockets import LARGE, give_up, has_failed, has_unread, is_idle, is_socket, layers, lowest
from sockserve.tls.transport import IHalfCloseableTLS, TLSTransport


class Producer(Protocol):
    """An IPushProducer: paused when the peer does not read, resumed when it reads again."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


@implementer(IAddress)
class _NoAddress:
    """The address of a transport that has none."""

    def __repr__(self) -> str:
        return "pipe"


NO_ADDRESS = cast("IAddress", _NoAddress())
"""The address of a transport that has none, such as the pipes of a process."""


def prepare(transport: Any) -> None:  # noqa: ANN401 - whatever it has
    """Give a transport the attribute `disconnecting`, which is read after every message, if it has none."""
    disconnecting = getattr(transport, "disconnecting", False)
    try:  # noqa: SIM105 - half the time, for each connection
        # Looked up faster in an object than in its class.
        transport.disconnecting = disconnecting
    except AttributeError:
        pass


def peer_of(transport: Any) -> IAddress:  # noqa: ANN401
    """The peer's address; NO_ADDRESS if it has none."""
    return _address(transport, "getPeer")


def host_of(transport: Any) -> IAddress:  # noqa: ANN401
    """Our own address; NO_ADDRESS if we have none. Twisted's sockets forget it when the connection is lost."""
    return _address(transport, "getHost")


def local_of(transport: Any) -> IAddress:  # noqa: ANN401
    """The same as `host_of`; for TCP, one object for all connections with that address."""
    if not _is_tcp_server(transport) or "getHost" in vars(transport):
        return shared(host_of(transport))
    # To make an address, and to look for one that is equal, takes a tenth of the time of a short connection.
    try:
        name = transport.socket.getsockname()
    except OSError:
        return NO_ADDRESS
    if name not in _locals:
        if len(_locals) == _MOST_LOCALS:
            _locals.clear()
        _locals[name] = host_of(transport)
    return _locals[name]


def _is_tcp_server(transport: object) -> TypeGuard[Server]:
    # A unix socket's is one too.
    return isinstance(transport, Server) and type(transport).getHost is Server.getHost


# By what the kernel calls them.
_locals: dict[object, IAddress] = {}
_MOST_LOCALS = 64


def shared(address: IAddress) -> IAddress:
    """An equal address; for IP, the same object for all connections with that address, which saves memory."""
    return _first(address) if isinstance(address, IPv4Address | IPv6Address) else address


@lru_cache(maxsize=64)
def _first(address: IAddress) -> IAddress:
    return address


def _address(transport: object, getter: str) -> IAddress:
    try:
        return cast("IAddress", getattr(transport, getter)())
    except Exception:
        # There is no address, or no longer one; transports report this in different ways.
        return NO_ADDRESS


def register(transport: Any, producer: Producer) -> None:  # noqa: ANN401
    """Let the producer be paused while the peer does not read."""
    if hasattr(transport, "registerProducer"):
        transport.registerProducer(producer, True)
    elif hasattr(transport, "stopWriting"):
        transport.stopWriting, transport.startWriting = producer.pauseProducing, producer.resumeProducing


def unregister(transport: Any) -> None:  # noqa: ANN401
    """Undo `register`: a transport with a producer waits for more from it, and does not end."""
    if hasattr(transport, "unregisterProducer"):
        transport.unregisterProducer()


def pause(transport: Any) -> None:  # noqa: ANN401
    """Stop reading, if the transport can."""
    if hasattr(transport, "pauseProducing"):
        transport.pauseProducing()


def resume(transport: Any) -> None:  # noqa: ANN401
    """Read again, if the transport can stop."""
    if hasattr(transport, "resumeProducing"):
        transport.resumeProducing()


def can_half_close(transport: object) -> bool:
    """Whether our end of stream can go out while reading goes on.

    Twisted's own TLS provides the interface of the transport below it, but cannot. A wrapper of
    twisted.protocols.policies provides it too, but does not report the peer's end.
    """
    if ISSLTransport.providedBy(transport):
        return IHalfCloseableTLS.providedBy(transport)
    if _is_stdio(transport):
        # It claims so, but leaves the descriptor open.
        return False
    return IHalfCloseableDescriptor.providedBy(transport) or IProcessTransport.providedBy(transport)


def end_stream(transport: Any) -> None:  # noqa: ANN401
    """Send our end of stream after what was written. Only where `can_half_close`."""
    if IProcessTransport.providedBy(transport):
        transport.closeStdin()
    else:
        transport.loseWriteConnection()


def close(transport: Any) -> None:  # noqa: ANN401
    """Close after what was written is sent."""
    transport.loseConnection()
    if _is_stdio(transport) and transport._writer is None and not transport.disconnected:
        # Its other end has already gone, and it would not report the loss.
        transport.connectionLost(Failure(ConnectionDone()))


def watch_line(transport: object, keepalive: float | None, user_timeout: float | None) -> None:
    """Let the kernel notice that the other machine, or the way to it, is gone. Does nothing where there is no TCP.

    keepalive: after these seconds of silence the kernel probes eight times, within as much time again. user_timeout:
    seconds that what was sent may remain without confirmation.
    """
    bottom = lowest(transport)
    handle = bottom.getHandle() if isinstance(bottom, Connection) else None
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if keepalive is not None:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # macOS has another name for the first.
        idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        for option, value in ((idle, keepalive), (socket.TCP_KEEPINTVL, keepalive / 8)):
            if option is not None:
                handle.setsockopt(socket.IPPROTO_TCP, option, max(1, round(value)))
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 8)
    if user_timeout is not None:
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(user_timeout * 1000)))


def report_reset(transport: Any) -> bool:  # noqa: ANN401
    """Report the loss if a transport reports a reset as the peer's end of stream. False: it is that end.

    For a moment a reset is an error to the kernel, and nothing to read yet; Twisted's pollers take that for an end.
    """
    if not is_socket(transport) or not has_failed(transport):
        return False
    transport.connectionLost(Failure(CONNECTION_LOST))
    return True


def cut_short(transport: Any) -> bool:  # noqa: ANN401
    """Whether somebody on the way may have made up the peer's end of stream: over TLS, it came without close_notify."""
    return bool(getattr(transport, "unsaid", False))


def close_now(transport: Any) -> bool:  # noqa: ANN401
    """Close before this returns, while a transport reports the peer's end of stream. False: bytes wait to be sent."""
    if not is_socket(transport) or not is_idle(transport):
        return False
    transport.connectionLost(connectionDone)
    return True


def is_plain(transport: object, protocol: object) -> bool:
    """Whether it is a plain socket, with nothing between it and the protocol."""
    return isinstance(transport, Server | BaseClient) and not transport.TLS and transport.protocol is protocol


def unwrap(transport: object, protocol: object) -> None:
    """Let a plain socket that Twisted's endpoints have connected call the protocol itself, not what they wrap it in."""
    if isinstance(transport, BaseClient) and getattr(transport.protocol, "_wrappedProtocol", None) is protocol:
        transport.protocol = cast("IProtocol", protocol)


def can_move(transport: Any) -> bool:  # noqa: ANN401
    """Whether a plain socket can be taken away from its transport now: nothing waits to be sent."""
    return is_idle(transport) and not has_unread(transport) and not transport.disconnecting


def abort(transport: Any) -> None:  # noqa: ANN401
    """Close at once, and give up what was written."""
    # The connection itself ends in the next turn of the reactor only.
    forget_unsent(transport)
    if hasattr(transport, "abortConnection"):
        transport.abortConnection()
    elif _is_stdio(transport) and not transport.disconnected:
        transport.connectionLost(Failure(ConnectionAborted()))
    else:
        transport.loseConnection()


def forget_unsent(transport: object) -> None:
    """Free what was written and not sent. Without it, that takes memory until the objects of the connection are freed.

    They refer to each other, so for this they wait until Python looks for such.
    """
    bottom = lowest(transport)
    if isinstance(bottom, Connection):
        give_up(bottom)


def _is_stdio(transport: object) -> bool:
    return hasattr(transport, "_reader") and hasattr(transport, "_writer")


def peer_has_ended(transport: object) -> bool:
    """Whether the peer has shut down its sending side, perhaps after bytes that were not read yet.

    A transport whose reading is paused does not notice. False where the platform cannot tell (poll(2) has POLLRDHUP on
    Linux only).
    """
    if not hasattr(select, "POLLRDHUP"):
        return False
    try:
        descriptor = cast("Connection", transport).fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLRDHUP)
        return bool(poll.poll(0))
    except (AttributeError, TypeError, ValueError, OSError):
        # No socket, or none any more.
        return False


def silence(transport: object) -> float:
    """Seconds since the peer has sent something, all of it read; 0 where nothing tells (Linux tells it of TCP)."""
    if sys.platform != "linux":
        return 0.0
    import termios

    bottom = lowest(transport)
    try:
        handle = cast("Connection", bottom).getHandle()
        information = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_RECEIVED + 4)
    except (AttributeError, OSError):
        return 0.0
    if _queued(bottom, termios.FIONREAD):
        return 0.0
    return int.from_bytes(information[_LAST_RECEIVED:], sys.byteorder) / 1000


# The place of tcpi_last_data_recv in struct tcp_info, see linux/tcp.h: milliseconds.
_LAST_RECEIVED = 52


def unsent(transport: object) -> int:
    """Bytes written to a transport that the kernel has not taken, because the peer does not read."""
    *above, bottom = layers(transport)
    count = 0
    # TLS has a transport below it and passes on its attributes; no public interface says how much waits where.
    for layer in above:
        count += sum(map(len, getattr(layer, "_appSendBuffer", ())))
        if isinstance(layer, TLSTransport):
            count += layer.unsent
    count += len(getattr(bottom, "dataBuffer", b"")) - getattr(bottom, "offset", 0)
    count += getattr(bottom, "_tempDataLen", 0)
    # An SSH channel.
    buffered = getattr(bottom, "buf", b"")
    return count + (len(buffered) if isinstance(buffered, bytes) else 0)


def takes_turns(transport: object) -> bool:
    """Whether a reactor reads it in turn with others: it does not where all is in memory, as in tests."""
    return hasattr(lowest(transport), "fileno")


def tells_untaken(transport: object) -> bool:
    """Whether `untaken` can be more than 0: it cannot for a transport in memory, which takes everything at once."""
    return hasattr(transport, "fileno") or hasattr(transport, "dataBuffer")


def footprint(transport: object, *, shares: bool = False) -> int:
    """Bytes of memory that a transport takes for what was written to it: more than `unsent`.

    A socket of Twisted's keeps each write as an object, and what it is sending until nearly all of it is sent.

    shares: large objects may wait for several peers; then each has its share of one.
    """
    if isinstance(transport, Connection):
        # Most are, and a count asks each.
        waiting = transport._tempDataBuffer
        size = transport._tempDataLen
        if not shares:
            return len(transport.dataBuffer) + size + OBJECT * len(waiting)
        # Small ones are copied when their turn comes.
        if size >= LARGE // 4 * len(waiting):
            size = sum(_share(piece, 3) for piece in waiting)
        return _share(transport.dataBuffer, 2) + size + OBJECT * len(waiting)
    *above, bottom = layers(transport)
    count = unsent(transport)
    for layer in above:
        count += OBJECT * len(getattr(layer, "_appSendBuffer", ()))
        if isinstance(layer, TLSTransport):
            count += layer.unread
    if isinstance(bottom, Connection):
        count += bottom.offset + OBJECT * len(bottom._tempDataBuffer)
    return count


def _share(piece: bytes, looking: int) -> int:
    """What one of those who keep this object takes of it. looking: the references of those who look at it now."""
    return len(piece) if len(piece) < LARGE else len(piece) // max(1, getrefcount(piece) - looking)


def untaken(transport: object) -> int:
    """Bytes that the peer has not taken: `unsent`, and what the kernel holds, where it says so (Linux).

    The kernel asks for more only when a third of what it holds is gone, often a megabyte: long after a slow peer has
    begun to read.
    """
    if sys.platform != "linux":
        return unsent(transport)
    import termios

    return unsent(transport) + _queued(transport, termios.TIOCOUTQ)


def _queued(transport: object, which: int) -> int:
    """Bytes that lie in one of the kernel's queues for it."""
    import fcntl

    queued = array("i", [0])
    try:
        fcntl.ioctl(cast("Connection", transport).fileno(), which, queued)
    except (AttributeError, TypeError, ValueError, OSError):
        # No socket, or none any more.
        return 0
    return queued[0]
