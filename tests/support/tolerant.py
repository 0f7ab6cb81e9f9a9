"""Two framings that understand several wire forms of a message: one by hand, and one with the decoder of ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sockserve.framing
from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, MessageTooLong, TruncatedMessage

if TYPE_CHECKING:
    from sockserve.framing import Framing
    from sockserve.framing.decoder import FrameDecoder, State
else:
    # Nothing can inherit from a compiled class: here is the same one, not compiled.
    _spec = importlib.util.spec_from_file_location(
        "tests.support.pure_decoder", Path(sockserve.framing.__file__).with_name("decoder.py")
    )
    _pure = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_pure)
    FrameDecoder = _pure.FrameDecoder


@dataclass(frozen=True)
class Lines:
    """A line ends in LF, and a CR before that is not part of it. Sent with CR LF."""

    max_length: int = 1024 * 1024
    on_bad_frame: OnBadFrame = "close"

    def __str__(self) -> str:
        return "lines"

    def encode(self, message: bytes) -> bytes:
        if len(message) > self.max_length:
            raise MessageTooLong(self.max_length, len(message))
        if b"\n" in message:
            raise InvalidMessage("a line feed in a line")
        return message + b"\r\n"

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        return b"".join(map(self.encode, messages))

    def decoder(self) -> LinesDecoder:
        return LinesDecoder(self)


class LinesDecoder:
    """Nothing but the contract; in quadratic time."""

    def __init__(self, framing: Lines) -> None:
        self.state: State = "idle"
        self._framing = framing
        self._held = b""
        self._error: FramingError | None = None
        # The bytes that the last call looked at, and where each of its messages ended.
        self._last = b""
        self._ends: list[int] = []

    @property
    def pending(self) -> int:
        return len(self._held)

    def decode(self, data: bytes) -> list[bytes]:
        self._ends = []
        if self.state == "skipping":
            if not self.skip(data):
                return []
            data = b""
        self._held += data
        self._report()
        messages: list[bytes] = []
        start = 0
        while True:
            end = self._held.find(b"\n", start)
            line = (self._held[start:] if end < 0 else self._held[start:end]).removesuffix(b"\r")
            if len(line) > self._framing.max_length:
                self._error = MessageTooLong(self._framing.max_length)
                break
            if end < 0:
                break
            messages.append(line)
            start = end + 1
            self._ends.append(start)
        self._last, self._held = self._held, self._held[start:]
        self.state = "partial" if self._held else "idle"
        if not messages:
            self._report()
        return messages

    def scan(self, data: bytes) -> tuple[bytes, int]:
        count = len(self.decode(data))
        return self._last[: self._ends[-1]] if count else b"", count

    def finish(self) -> None:
        self._report()
        if self._held:
            raise TruncatedMessage(None, len(self._held), "the line feed")

    def take(self, messages: int = 0) -> bytes:
        taken = self._last[self._ends[-1 - messages] :] if self._ends else self._held
        self._held = b""
        self._ends = []
        if self.state == "partial":
            self.state = "idle"
            self._error = None
        return taken

    def skip(self, data: bytes) -> bool:
        self._ends = []
        _, end, self._held = (self._held + data).partition(b"\n")
        self.state = "skipping" if not end else "partial" if self._held else "idle"
        return bool(end)

    def _report(self) -> None:
        error = self._error
        if error is None:
            return
        if self._framing.on_bad_frame == "skip":
            self._error = None
            self.skip(b"")
        else:
            self.state = "failed"
            self._held = b""
        raise error.with_traceback(None)


@dataclass(frozen=True)
class Spaced:
    """A digit that says how many bytes follow, a comma, the bytes. Without the comma too, unless they begin with one.

    White space before the digit is ignored.
    """

    max_length: int = 9
    on_bad_frame: OnBadFrame = "close"

    def __str__(self) -> str:
        return "spaced"

    def encode(self, message: bytes) -> bytes:
        if len(message) > self.max_length:
            raise MessageTooLong(self.max_length, len(message))
        return b"%d,%b" % (len(message), message) if message else b"0"

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        return b"".join(map(self.encode, messages))

    def decoder(self) -> SpacedDecoder:
        return SpacedDecoder(self)


class SpacedDecoder(FrameDecoder):
    def __init__(self, framing: Spaced) -> None:
        super().__init__(framing)  # type: ignore[arg-type]

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        start = count = 0
        while True:
            while data[start : start + 1].isspace():
                start += 1
            digit = data[start : start + 1]
            if not digit:
                return start, count
            if not digit.isdigit():
                self._error = MalformedHeader(digit, "a digit must come first")
                return start, count
            mark = data[start + 1 : start + 2]
            if digit != b"0" and not mark:
                self._needed = 2
                return start, count
            payload = start + (2 if digit != b"0" and mark == b"," else 1)
            stop = payload + int(digit)
            if int(digit) > self._limit:
                self._error = MessageTooLong(self._limit, int(digit))
                self._bad_length = stop - start
                return start, count
            if stop > len(data):
                self._needed = stop - start
                return start, count
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = stop

    def _truncated(self, held: bytes) -> TruncatedMessage:
        return TruncatedMessage(int(held[:1]), len(held) - 1)


TOLERANT = (Lines, Spaced)

TOLERANT_KINDS = ("syslog", "lines", "mllp", "slip", "cobs", "content-length", "json")
"""Of the framings that have names, those that are tolerant."""


def is_tolerant(framing: Framing) -> bool:
    return isinstance(framing, TOLERANT) or str(framing).partition(":")[0] in TOLERANT_KINDS
