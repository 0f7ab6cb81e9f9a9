"""eof: one message a direction, which ends where the stream ends; there are no framing bytes.

    Hello World, then the end of the stream

Origin: whois (RFC 3912) and finger servers, which close after their answer; printers on port 9100; the habit of Winsock
programs that send, call shutdown(SD_SEND) and read the answer to its end.

An empty stream is no message: who connects and leaves, as health checks and port scanners do, has said nothing. So an
empty message cannot be sent. A connection that is lost has no end of stream, and its message is not complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong
from sockserve.framing.form import need_messages


@dataclass(frozen=True, slots=True)
class Eof(BoundedFraming):
    """`Hello World`, then the end of the stream."""

    @property
    def ends_stream(self) -> bool:
        return True

    def __str__(self) -> str:
        return "eof"

    def encode(self, message: bytes) -> bytes:
        if not self.check_length(message):
            raise InvalidMessage("an empty message over eof would be none")
        return message

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        messages = list(messages)
        need_messages(messages)
        if len(messages) > 1:
            raise InvalidMessage(ONE_MESSAGE)
        return b"".join([self.encode(message) for message in messages])

    def decoder(self) -> EofDecoder:
        return EofDecoder(self)


ONE_MESSAGE = "eof carries one message in each direction"


class EofDecoder(FrameDecoder):
    def finish(self) -> list[bytes] | None:
        if self._error is not None:
            self._report(self._error)
        message = b"".join(self._release())
        self.state = "idle"
        return [message] if message else None

    @property
    def under_way(self) -> int:
        # A part of a message would look like a whole one.
        return -1

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._needed = self._limit + 1
        if len(data) > self._limit:
            self._error = MessageTooLong(self._limit)
        return 0, 0

    def _complete(self, data: bytes, messages: list[bytes] | None) -> tuple[bytes, int]:
        self._held += b"".join(self._release()) + data
        self._error = MessageTooLong(self._limit)
        self._report(self._error)

    def _recover(self, error: FramingError) -> bool:
        return False
