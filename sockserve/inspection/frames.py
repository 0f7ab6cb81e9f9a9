"""Frames in bytes, one after the other, each taken apart into header, payload and trailer.

No framing is described here a second time: where a frame ends is what its decoder says, byte by byte, and where the
message is in it follows from the frame, the message and what the framing writes for a message of that length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sockserve.framing import Decoder, Framing
from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.errors import FramingError
from sockserve.framing.raw import Raw

# Bytes that take the place of a byte of a message, to see where it stands in the frame.
_OTHERS = b"xyz0"

_PLACES = 16
"""So many places where the message may be are looked at; it is often short where there are more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """start: of its first byte in the stream. message: what it says.

    ignored: bytes between the frame before it and its header. header, payload, trailer: the frame. The payload is the
    message, unless its bytes are escaped.
    """

    start: int
    message: bytes
    ignored: bytes
    header: bytes
    payload: bytes
    trailer: bytes

    @property
    def size(self) -> int:
        """In bytes, with what was ignored."""
        return len(self.ignored) + len(self.header) + len(self.payload) + len(self.trailer)


def frames(framing: Framing, data: bytes) -> Iterator[Frame]:
    """The frames in `data`, up to the first bad or unfinished one."""
    if isinstance(framing, Raw):
        if data:
            yield Frame(0, data, b"", b"", data, b"")
        return
    decoder = framing.decoder()
    start = begin = 0
    try:
        for at in range(len(data)):
            messages = decoder.decode(data[at : at + 1])
            for message in messages:
                yield take_apart(framing, data[begin : at + 1], message, start, data[start:begin])
                start = begin = at + 1
            if not messages and _ignores(decoder):
                begin = at + 1
        for message in decoder.finish() or ():
            yield take_apart(framing, data[begin:], message, start, data[start:begin])
    except FramingError:
        return


def _ignores(decoder: Decoder) -> bool:
    """Whether the byte that was fed last, which completed nothing, belongs to no frame."""
    return decoder.state == "idle" and not decoder.pending


def take_apart(framing: Framing, frame: bytes, message: bytes, start: int = 0, ignored: bytes = b"") -> Frame:
    """The parts of a frame that says `message`."""
    at, end = _payload(framing, frame, message)
    return Frame(start, message, ignored, frame[:at], frame[at:end], frame[end:])


def _payload(framing: Framing, frame: bytes, message: bytes) -> tuple[int, int]:
    """Where the payload begins and ends in a frame."""
    if frame == message:
        return 0, len(frame)
    try:
        around = framing.around(len(message)) if isinstance(framing, BoundedFraming) else None
    except FramingError:
        around = None
    if around is not None and frame == around[0] + message + around[1]:
        return len(around[0]), len(frame) - len(around[1])
    places = _places(frame, message) if message else []
    for at in places:
        if _stands(framing, frame, message, at):
            return at, at + len(message)
    # Empty, escaped, or with a checksum: what surrounds a message of one byte surrounds this one.
    header, trailer = _surroundings(framing)
    if frame.startswith(header):
        at = len(header)
        if frame.endswith(trailer):
            return at, max(len(frame) - len(trailer), at) if message else at
        if at in places or not message:
            return at, at + len(message)
    if places:
        return places[0], places[0] + len(message)
    return (0, len(frame)) if message else (len(frame), len(frame))


def _surroundings(framing: Framing) -> tuple[bytes, bytes]:
    """What stands before and after a message of one byte."""
    for byte in _OTHERS:
        try:
            header, _, trailer = framing.encode(bytes([byte])).partition(bytes([byte]))
        except FramingError:
            continue
        return header, trailer
    return b"", b""


def _places(frame: bytes, message: bytes) -> list[int]:
    places: list[int] = []
    at = frame.find(message)
    while at >= 0 and len(places) < _PLACES:
        places.append(at)
        at = frame.find(message, at + 1)
    return places


def _stands(framing: Framing, frame: bytes, message: bytes, at: int) -> bool:
    """Whether the message is what stands there: with another last byte in that place, the frame says another one."""
    end = at + len(message)
    for byte in _OTHERS:
        changed = message[:-1] + bytes([byte])
        try:
            if framing.decoder().decode(frame[:at] + changed + frame[end:]) == [changed]:
                return True
        except FramingError:
            continue
    return False
