"""echo: send every message back; RFC 862."""

from __future__ import annotations

from sockserve.connection.protocol import MessageProtocol


class Echo(MessageProtocol):
    """Sends every message back. Over raw: every byte, as RFC 862 and the Winsock sample server do."""

    keepsState = False

    @property
    def takesFrames(self) -> bool:
        # The frames go back as they came.
        return self._engine.echoes and type(self).messagesReceived is Echo.messagesReceived

    def framesReceived(self, frames: bytes, count: int) -> None:
        self._engine.encoder.send_frames(frames, count)

    def messagesReceived(self, messages: list[bytes]) -> None:
        self._engine.encoder.answer_all(messages)
