"""TLS that begins on a connection which has carried messages in the clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sockserve.connection import transports
from sockserve.connection.state import Wire
from sockserve.tls.starting import begin, session_for

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol

    from sockserve.connection.engine import Engine


def start_tls(
    connection: Engine, context: object, server_hostname: str | None, handshake_timeout: float
) -> Deferred[None]:
    """See MessageProtocol.startTLS."""
    state = connection.state
    if state.sending_ended or state.wire is not Wire.OPEN:
        raise ValueError("startTLS comes too late: one side has ended its stream")
    session = session_for(context, connection.transport, server_hostname)
    connection.encoder.flush()
    transports.unregister(connection.transport)
    transport, done = begin(
        connection.transport,
        cast("IProtocol", connection.receiver),
        session,
        connection.options.clock,
        connection.telling.tell,
        handshake_timeout=handshake_timeout,
        reading=connection.reading.active,
        name=connection.options.socket,
    )
    connection.replace(transport)
    return done
