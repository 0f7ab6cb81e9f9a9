"""What an echo server may answer to a stream of bytes, decided by our own decoders, and what it did answer."""

from __future__ import annotations

from bisect import bisect_right

from sockserve.commands.check.frames import changed
from sockserve.framing import Framing
from sockserve.framing.errors import FramingError
from sockserve.framing.raw import Raw


class Echo:
    """The answers to `stream`, in which there may be bad frames, and which may end inside one.

    All messages before the first bad frame are owed. A server may stop there, or go on where the framing can find
    the next frame. What is no message must not come back. Where a message has several forms, each of them will do.

    data: all that may be answered, in the form that is sent here. owed: how many bytes of it have to be.
    """

    def __init__(self, framing: Framing, stream: bytes) -> None:
        self._framing = framing
        self._raw = isinstance(framing, Raw)
        frames = [stream] if self._raw else _answers(changed(framing, on_bad_frame="skip"), stream)[0]
        owed = frames if self._raw else _answers(changed(framing, on_bad_frame="close"), stream)[0]
        self.data = b"".join(frames)
        self.owed = sum(map(len, owed))
        self._borders = [0]
        for frame in frames:
            self._borders.append(self._borders[-1] + len(frame))

    def __str__(self) -> str:
        return self.counted(self.owed)

    def counted(self, size: int) -> str:
        """A number of bytes of the answers, in words."""
        if self._raw:
            return plural(size, "byte")
        return plural(bisect_right(self._borders, size) - 1, "answer")

    def right(self, received: bytes | bytearray) -> bool:
        """What has come so far is right."""
        return self.data.startswith(self._plain(received))

    def complete(self, received: bytes | bytearray) -> bool:
        """All that is owed has come, or something that is wrong."""
        plain = self._plain(received)
        return len(plain) >= self.owed or not self.data.startswith(plain)

    def problem(self, received: bytes | bytearray) -> str:
        """What is wrong with this as the whole answer; "" when nothing is."""
        received = self._plain(received)
        size = len(received)
        if not self.data.startswith(received):
            at = next((at for at, byte in enumerate(self.data) if at >= size or received[at] != byte), len(self.data))
            came = short(bytes(received[at : at + 32]))
            return f"{self.counted(at)}, then {came}" + ("" if at < len(self.data) else ", which was no message")
        if size < self.owed:
            return f"{size} of {self.owed} bytes"
        if not self._raw and size not in self._borders:
            return f"{self.counted(size)} and a part of one"
        return ""

    def _plain(self, received: bytes | bytearray) -> bytes | bytearray:
        """These answers in the form that is sent here, where they are messages."""
        if self._raw or self.data.startswith(received):
            return received
        frames, rest = _answers(changed(self._framing, on_bad_frame="close"), bytes(received))
        return received if rest is None else b"".join(frames) + rest


def short(data: bytes, limit: int = 20) -> str:
    """Bytes as Python writes them, cut."""
    text = repr(data)[1:]
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"


def _answers(framing: Framing, stream: bytes) -> tuple[list[bytes], bytes | None]:
    """The frames of its messages, and what is after the last one; None: a bad frame that nothing can be found after."""
    decoder = framing.decoder()
    messages: list[bytes] = []
    data = stream
    while True:
        try:
            found = decoder.decode(data)
        except FramingError:
            if decoder.state == "failed":
                rest = None
                break
        else:
            if not found:
                rest = decoder.take()
                break
            messages += found
        data = b""
    return [framing.encode(message) for message in messages], rest


def plural(number: int, unit: str) -> str:
    """As in "3 answers"."""
    return f"no {unit}" if not number else f"{number} {unit}" + ("s" if number > 1 else "")
