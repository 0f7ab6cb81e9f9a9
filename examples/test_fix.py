"""Tests of fix_framing.py, in each of the ways that there are. Run them with pytest; pytest-twisted has to be there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from fix_framing import Fix, answer
from pytest_twisted import ensureDeferred

from sockserve import MessageFactory, connect
from sockserve.framing.errors import MalformedHeader, TruncatedMessage
from sockserve.handlers.function import Answering
from sockserve.testing import LocalServer, Pair, Recorder, ServerProcess, assert_framing, assert_wire

REQUEST = b"35=1\x01112=abc"
HEARTBEAT = b"35=0\x01112=abc"


def test_the_framing_keeps_the_contract() -> None:
    assert_framing(Fix(max_length=100), [REQUEST, HEARTBEAT, b"", b"\x01", b"8=FIX.4.4\x019=1\x01"])


def test_a_wrong_checksum() -> None:
    frame = Fix().encode(REQUEST)
    assert_wire(Fix(), frame + frame[:-2] + b"x\x01", [REQUEST, MalformedHeader])


def test_in_memory() -> None:
    pair = Pair(MessageFactory(Fix(), Recorder), MessageFactory(Fix(), partial(Answering, answer)))
    pair.client.sendMessages([REQUEST, HEARTBEAT])
    pair.client.endMessages()
    pair.flush()
    assert (pair.client.messages, pair.client.ended) == ([HEARTBEAT], True)


def test_a_frame_that_is_cut_off() -> None:
    pair = Pair(MessageFactory(Fix(), Recorder), MessageFactory(Fix(), Recorder), read_size=1)
    pair.client_transport.write(Fix().encode(REQUEST)[:-1])
    pair.client_transport.loseWriteConnection()
    pair.flush()
    assert [type(error) for error in pair.server.errors] == [TruncatedMessage]


def test_with_a_blocking_client(sockserve_process: Callable[..., ServerProcess]) -> None:
    server = sockserve_process(framing="fix_framing:Fix", handler=answer)
    with socket.create_connection((server.host, server.port), timeout=20) as client:
        client.sendall(Fix().encode(REQUEST))
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read() == Fix().encode(HEARTBEAT)


@ensureDeferred  # type: ignore[untyped-decorator]
async def test_in_the_reactor(sockserve_server: Callable[..., LocalServer]) -> None:
    server = sockserve_server(framing=Fix(), handler=answer)
    channel = await connect(server.endpoint, Fix())
    await channel.write(REQUEST)
    assert await channel.read(timeout=10) == HEARTBEAT
    channel.close()
