"""Handlers with faults, for tests/system/test_faults.py and bench/soak.py."""

from __future__ import annotations

from threading import Event

from twisted.internet.defer import Deferred

from sockserve.connection.channel import Channel

never = Event()


def raising(message: bytes, _channel: Channel) -> bytes:
    raise RuntimeError(f"told to by {message!r}")


async def silent(_message: bytes, _channel: Channel) -> bytes:
    return await Deferred[bytes]()


def blocking(message: bytes, _channel: Channel) -> bytes:
    """For threads."""
    never.wait()
    return message


def upper(message: bytes, _channel: Channel) -> bytes:
    return message.upper()
