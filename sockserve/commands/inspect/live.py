"""What a peer sends first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionLost

from sockserve.client.connecting import connect, disconnect
from sockserve.commands.inspect.reading import Unreadable
from sockserve.connection.channel import ChannelClosed, ReadTimeout

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase
    from twisted.internet.interfaces import IStreamClientEndpoint


async def first_bytes(
    reactor: ReactorBase, endpoint: IStreamClientEndpoint, timeout: float, say: bytes, most: int
) -> bytes:
    """Connect, send `say`, and read until nothing has come for a quarter of `timeout`, seconds, or `timeout` is over,
    or the peer ends its stream, or there are `most` bytes.

    Raises Unreadable when nothing comes, and what Twisted's endpoints raise.
    """
    channel = await connect(endpoint, "raw", timeout=timeout, reactor=reactor)
    received = bytearray()
    end = reactor.seconds() + timeout
    try:
        if say:
            await channel.write(say)
        while len(received) < most and (left := end - reactor.seconds()) > 0:
            received += await channel.read(timeout=min(left, timeout / 4) if received else left)
    except ReadTimeout:
        if not received:
            raise Unreadable(f"nothing came within {timeout:g} s (--send sends something first)") from None
    except (ChannelClosed, ConnectionLost):
        if not received:
            raise Unreadable("the peer closed the connection and sent nothing") from None
    finally:
        await disconnect(channel)
    return bytes(received[:most])
