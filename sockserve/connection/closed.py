"""The line that the log has of a connection when it is over: why, after how long, and what went over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine

log = Logger("sockserve.connection")

_ENDS = {
    "peer": "closed by the peer",
    "program": "closed by the program",
    "drain": "closed while draining",
    "lost": "lost",
    # There is a line that says what was wrong.
    "on_bad_frame": "closed because of malformed input",
}


def log_closed(connection: Engine, at: float) -> None:
    """Write it. at: when it was over, in seconds since the epoch."""
    reason, age = connection.reason, max(at - connection.since, 0.0)
    received, sent = connection.receiving.count, connection.encoder.count
    log.info(
        "{peer}: {end} after {age:.3f} s; messages: {messages_received} received, {messages_sent} sent; "
        "bytes: {bytes_received} received, {bytes_sent} sent",
        peer=connection.telling.peer,
        end=_ENDS.get(reason) or f"closed because of {reason}",
        age=age,
        messages_received=received,
        messages_sent=sent,
        bytes_received=connection.reading.bytes_received,
        bytes_sent=connection.sending.bytes_sent,
        event_name="sockserve.connection.closed",
        attributes={
            **connection.telling.attributes,
            "sockserve.connection.reason": reason,
            "sockserve.connection.duration": round(age, 6),
            "sockserve.messages.received": received,
            "sockserve.messages.sent": sent,
            "sockserve.bytes.received": connection.reading.bytes_received,
            "sockserve.bytes.sent": connection.sending.bytes_sent,
        },
    )
