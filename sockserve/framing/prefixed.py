"""How the framings with a length prefix send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.errors import MessageTooLong
from sockserve.framing.form import need_messages

SHORT = 1024
"""Headers for payloads of fewer bytes than this are kept: a stream has few different lengths, mostly short ones."""


@dataclass(frozen=True, slots=True)
class PrefixedFraming(BoundedFraming):
    # Headers by the length of the payload in bytes.
    _headers: dict[int, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    def encode(self, message: bytes) -> bytes:
        return self._known_header(self.check_length(message)) + message + self._trailer()

    def around(self, length: int) -> tuple[bytes, bytes] | None:
        if length > self.max_length:
            raise MessageTooLong(self.max_length, length)
        return self._known_header(length), self._trailer()

    def pieces(self, message: bytes) -> list[bytes]:
        header, trailer = self._known_header(self.check_length(message)), self._trailer()
        return [header, message, trailer] if trailer else [header, message]

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        messages = list(messages)
        need_messages(messages)
        limit = self.max_length
        trailer = self._trailer()
        frames: list[bytes] = []
        # Successive messages often have the same length.
        last = -1
        header = b""
        for message in messages:
            length = len(message)
            if length != last:
                if length > limit:
                    self.check_length(message)
                header = self._known_header(length)
                last = length
            frames.append(header)
            frames.append(message)
            if trailer:
                frames.append(trailer)
        return b"".join(frames)

    def least(self) -> int:
        """The length of the shortest message."""
        return 0

    def _known_header(self, length: int) -> bytes:
        header = self._headers.get(length)
        if header is None:
            header = self._header(length)
            if length < SHORT:
                self._headers[length] = header
        return header

    def _header(self, length: int) -> bytes:
        """The bytes before a payload of that length. Raises InvalidMessage if that is less than `least`."""
        raise NotImplementedError

    def _trailer(self) -> bytes:
        """The bytes after a payload."""
        return b""
