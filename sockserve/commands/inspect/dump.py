"""Frames as lines of text: the offset, the header in hexadecimal, the payload, the trailer; with colours or marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockserve.inspection.frames import Frame

# What a part looks like on a terminal.
_COLOURS = {"header": "36", "payload": "1", "trailer": "35", "ignored": "2", "offset": "2", "bad": "31"}
# Without colours: what stands around it.
_MARKS = {"header": ("[", "]"), "trailer": ("[", "]"), "ignored": ("(", ")")}

_MOST_HEADER = 12
_TEXT_SHARE = 0.75


class Painter:
    """colours: whether the output shows them."""

    def __init__(self, colours: bool) -> None:
        self.colours = colours

    def __call__(self, part: str, text: str) -> str:
        """The text of that part of a frame."""
        if not text:
            return ""
        if self.colours:
            return f"\033[{_COLOURS[part]}m{text}\033[0m"
        before, after = _MARKS.get(part, ("", ""))
        return f"{before}{text}{after}"

    def width(self, part: str, text: str) -> int:
        """How many columns it takes."""
        return len(text) + (0 if self.colours or not text else len(_MARKS.get(part, "")))


def lines(frames: Iterable[Frame], paint: Painter, width: int, size: int) -> Iterator[str]:
    """A line for each frame, at most `width` columns wide. size: of all bytes, for the offsets."""
    frames = list(frames)
    offset = max(len(str(size)), len("byte"))
    room = max((width - offset) // 3, 8)
    heads = [_head(frame, room) for frame in frames]
    column = max((_columns(head, paint) for head in heads), default=0)
    for frame, head in zip(frames, heads, strict=True):
        start = " ".join(paint(part, text) for part, text in head)
        trailer = short_hex(frame.trailer, room)
        left = width - offset - 2 - (column + 1 if column else 0)
        left -= paint.width("trailer", trailer) + 1 if trailer else 0
        payload = paint("payload", payload_text(frame.payload, left))
        parts = [start + " " * (column - _columns(head, paint))] if column else []
        line = " ".join([*parts, payload, *filter(None, [paint("trailer", trailer)])])
        yield (paint("offset", f"{frame.start:>{offset}}") + "  " + line).rstrip()


def _head(frame: Frame, room: int) -> list[tuple[str, str]]:
    """What stands before the payload: the part and its text."""
    found = (("ignored", short_hex(frame.ignored, room // 2)), ("header", short_hex(frame.header, room)))
    return [(part, text) for part, text in found if text]


def _columns(head: list[tuple[str, str]], paint: Painter) -> int:
    return sum(paint.width(part, text) for part, text in head) + max(len(head) - 1, 0)


def short_hex(data: bytes, room: int) -> str:
    """Bytes in hexadecimal, in at most so many columns, or a few more: the length of those that are left out."""
    if 3 * len(data) - 1 <= room and len(data) <= _MOST_HEADER:
        return data.hex(" ")
    shown = max(min((room - 6) // 3, _MOST_HEADER), 1)
    return f"{data[:shown].hex(' ')} +{len(data) - shown}" if len(data) > shown else data.hex(" ")


def payload_text(data: bytes, room: int) -> str:
    """A payload in at most so many columns: as text, with a dot for each other byte, or else in hexadecimal.

    A long one is cut, and its length follows.
    """
    as_text = sum(0x20 <= byte < 0x7F for byte in data[:256]) >= _TEXT_SHARE * len(data[:256])
    length = f"... {len(data)} bytes"
    if as_text:
        if len(data) > room:
            return _characters(data[: max(room - len(length), 1)]) + length
        return _characters(data)
    if 3 * len(data) - 1 > room:
        return data[: max((room - len(length)) // 3, 1)].hex(" ") + " " + length
    return data.hex(" ")


def _characters(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)
