"""discard: read and drop, answer nothing; RFC 863."""

from __future__ import annotations

from sockserve.connection.protocol import MessageProtocol


class Discard(MessageProtocol):
    """Drops every message."""

    keepsState = False
    takesFrames = True

    def framesReceived(self, frames: bytes, count: int) -> None:
        pass

    def messagesReceived(self, messages: list[bytes]) -> None:
        pass
