"""discard: read and drop, answer nothing; RFC 863."""

from __future__ import annotations

from sockserve.protocol import MessageProtocol


class Discard(MessageProtocol):
    """Drops every message."""

    def messagesReceived(self, messages: list[bytes]) -> None:
        """Nothing to do: the batch was counted already."""
