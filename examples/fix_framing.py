r"""FIX, the protocol of stock exchanges, as a framing of one's own: `--framing fix_framing:Fix`.

A frame consists of fields TAG=VALUE, each ended by SOH, the byte 1, here written |:

    8=FIX.4.4|9=13|35=0|112=abc|10=202|
    8: the version   9: the number of bytes up to 10=   10: their sum and that of all before them, modulo 256

A message is what lies between, without the last SOH: `35=0|112=abc`. Run as a program, it answers each test request
(35=1) with a heartbeat (35=0) that has the same identifier (112).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from sockserve import Channel, SocketServer, run
from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.decoder import State
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage

SOH = b"\x01"
TRAILER = len(b"10=000\x01")


@dataclass(frozen=True)
class Fix:
    version: bytes = b"FIX.4.4"
    max_length: int = 64 * 1024
    on_bad_frame: OnBadFrame = "close"

    def __str__(self) -> str:
        return "fix_framing:Fix"

    @property
    def start(self) -> bytes:
        return b"8=%b\x019=" % self.version

    def encode(self, message: bytes) -> bytes:
        if not isinstance(message, bytes):
            raise TypeError(f"a message must be bytes, not {type(message).__name__}")
        if len(message) > self.max_length:
            raise MessageTooLong(self.max_length, len(message))
        frame = b"%b%d\x01%b\x01" % (self.start, len(message) + 1, message)
        return frame + checksum(frame)

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        return b"".join([self.encode(message) for message in messages])

    def decoder(self) -> FixDecoder:
        return FixDecoder(self)


def checksum(frame: bytes) -> bytes:
    return b"10=%03d\x01" % (sum(frame) % 256)


class FixDecoder:
    """What is received is looked at only when `_needed` bytes are there: so the time is linear, however they come."""

    def __init__(self, framing: Fix) -> None:
        self.state: State = "idle"
        self._framing = framing
        self._start = framing.start
        self._digits = len(str(framing.max_length + 1))
        self._held = bytearray()
        self._needed = 0
        # A bad frame that was found behind good ones: its error is raised by the next call.
        self._error: FramingError | None = None
        # The bytes that the last call looked at, and where each of its messages ended.
        self._seen = b""
        self._ends: list[int] = []

    @property
    def pending(self) -> int:
        return len(self._held)

    def decode(self, data: bytes) -> list[bytes]:
        if not isinstance(data, bytes):
            raise TypeError(f"the input must be bytes, not {type(data).__name__}")
        self._ends = []
        self._raise_due()
        self._held += data
        if not self._held or len(self._held) < self._needed:
            self.state = "partial" if self._held else "idle"
            return []
        self._seen = bytes(self._held)
        messages: list[bytes] = []
        try:
            while (found := self._frame(self._seen, self._ends[-1] if self._ends else 0)) is not None:
                message, end = found
                messages.append(message)
                self._ends.append(end)
        except FramingError as error:
            self._error = error
        if self._ends:
            del self._held[: self._ends[-1]]
        else:
            self._raise_due()
        self.state = "partial" if self._held else "idle"
        return messages

    def scan(self, data: bytes) -> tuple[bytes, int]:
        count = len(self.decode(data))
        return self._seen[: self._ends[-1]] if count else b"", count

    def finish(self) -> None:
        self._raise_due()
        if self._held:
            header = re.match(rb"([0-9]+)\x01", self._held[len(self._start) :])
            if header is None:
                raise TruncatedMessage(None, len(self._held), "the rest of the header")
            length = int(header[1]) - 1
            received = min(length, len(self._held) - len(self._start) - header.end())
            raise TruncatedMessage(length, received, "the checksum" if received == length else "")

    def take(self, messages: int = 0) -> bytes:
        taken = self._seen[self._ends[-1 - messages] :] if self._ends else bytes(self._held)
        self._held.clear()
        self._ends = []
        self._needed = 0
        if self.state != "failed":
            self.state, self._error = "idle", None
        return taken

    def skip(self, data: bytes) -> bool:
        raise AssertionError("with on_bad_frame `close` nothing is skipped")

    def _raise_due(self) -> None:
        if self._error is not None:
            self.state = "failed"
            self._held.clear()
            raise self._error.with_traceback(None)

    def _frame(self, data: bytes, begin: int) -> tuple[bytes, int] | None:
        """The message of the frame there, and where that ends; None: it is not complete. Raises FramingError."""
        after = begin + len(self._start)
        head = data[begin:after]
        if not self._start.startswith(head):
            wrong = next(at for at, byte in enumerate(head) if byte != self._start[at])
            raise MalformedHeader(head[: wrong + 1], f"a frame begins with {self._start!r}")
        number = data[after : after + self._digits + 1]
        digits = re.match(rb"(?:[1-9][0-9]*)?", number)
        assert digits is not None
        count = digits.end()
        if count == len(number) <= self._digits:
            # Look again at the next byte.
            self._needed = 0
            return None
        if not 1 <= count <= self._digits or number[count : count + 1] != SOH:
            rule = f"the length is 1 to {self._digits} digits without leading zeros, then SOH"
            raise MalformedHeader(data[begin : after + min(count, self._digits) + 1], rule)
        length = int(number[:count]) - 1
        if length > self._framing.max_length:
            raise MessageTooLong(self._framing.max_length, length)
        payload = after + count + 1
        stop = payload + length + 1
        self._needed = stop + TRAILER - begin
        if len(data) < stop + TRAILER:
            return None
        trailer, right = data[stop : stop + TRAILER], checksum(data[begin:stop])
        if trailer != right:
            raise MalformedHeader(trailer, f"{right!r} must follow the last field")
        if data[stop - 1 : stop] != SOH:
            raise MalformedHeader(data[stop - 1 : stop], "the last field must end with SOH")
        self._needed = 0
        return data[payload : stop - 1], stop + TRAILER


def answer(message: bytes, channel: Channel) -> bytes | None:
    fields = dict(field.split(b"=", 1) for field in message.split(SOH))
    if fields.get(b"35") != b"1":
        return None
    return b"35=0\x01112=%b" % fields.get(b"112", b"")


if __name__ == "__main__":
    run(SocketServer("fix", sys.argv[1] if len(sys.argv) > 1 else "tcp:9878:interface=127.0.0.1", Fix(), answer))
