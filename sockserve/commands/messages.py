"""Messages that a framing can carry: of text of ours, as long as is wanted, with what each framing needs around it.

Hello World                          most of them: any text, but no mark of the framing
["Hello World"]                      json
\\0\\0 \\0\\0 \\0\\x0b Hello World         mbap, and all whose messages have a header that says their length
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sockserve.framing import Framing
from sockserve.framing.checked import CheckedEnvelope
from sockserve.framing.cobs import ZERO, Cobs
from sockserve.framing.delimited import Standard
from sockserve.framing.dle import DLE, Dle
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong
from sockserve.framing.fixed import Fixed
from sockserve.framing.integer import LengthField
from sockserve.framing.json import Json
from sockserve.framing.length import WholeFraming
from sockserve.framing.lines import Lines
from sockserve.framing.prefixed import PrefixedFraming
from sockserve.framing.slip import END, ESC, Slip

# All but ASCII that stands for itself in a string.
_NOT_IN_JSON = bytes({*range(256)} - {*range(0x20, 0x7F)} | {*b'"\\'})
_JSON = (b'["', b'"]')


@dataclass(frozen=True, slots=True)
class Shape:
    """What messages of a framing look like, as far as it is known.

    least, most: their lengths in bytes. around: how many of these are not text.
    mark: these bytes together may not be in a text. never: none of these may. escaped: these take more than one byte on
    the wire.
    """

    framing: Framing
    least: int
    most: int
    around: int = 0
    mark: bytes = b""
    never: bytes = b""
    escaped: bytes = b""

    @classmethod
    def of(cls, framing: Framing) -> Shape:
        longest = framing.max_length
        match framing:
            case Fixed(size=size):
                return cls(framing, size, size)
            case PrefixedFraming():
                return cls(framing, framing.least(), longest)
            case WholeFraming(length_field=field):
                return cls(framing, field.least(), longest, field.header())
            case Standard(delimiter=mark) | Envelope(end=mark) | CheckedEnvelope(end=mark):
                return cls(framing, 0, longest, mark=mark)
            case Lines(lf_only=lf_only):
                return cls(framing, 0, longest, never=b"\r\n" if lf_only else b"\n")
            case Dle():
                return cls(framing, 0, longest, escaped=DLE)
            case Slip():
                return cls(framing, 1, longest, escaped=END + ESC)
            case Cobs():
                return cls(framing, 0, longest, escaped=ZERO)
            case Json():
                around = sum(map(len, _JSON))
                return cls(framing, around, longest, around, never=_NOT_IN_JSON)
            case _:
                return cls(framing, 0, longest)

    @property
    def plain(self) -> bytes:
        """The bytes that stand for themselves, wherever they are in a text, in increasing order."""
        return bytes({*range(256)} - {*self.mark, *self.never, *self.escaped})

    def parts(self, length: int) -> tuple[bytes, bytes]:
        """What is before and after the text in a message of `length` bytes, `around` or more. Raises FramingError."""
        if length > self.framing.max_length:
            raise MessageTooLong(self.framing.max_length, length)
        match self.framing:
            case WholeFraming(length_field=field):
                if length < self.least:
                    raise InvalidMessage(f"a message of {self.framing} has at least {self.least} bytes, not {length}")
                return _header(field, length), b""
            case Json():
                return _JSON
            case _:
                return b"", b""

    def message(self, text: bytes) -> bytes:
        """The text with what belongs around it. Raises FramingError."""
        start, end = self.parts(self.around + len(text))
        return start + text + end

    def pattern(self, length: int) -> bytes:
        """A message of `length` bytes, `around` or more, of text that hardly repeats. Raises FramingError."""
        return self.message(self.text(length - self.around))

    def text(self, length: int) -> bytes:
        """Such a text."""
        unit = Random(7).randbytes(8191).translate(None, self.mark + self.never)  # noqa: S311 - any bytes do
        return (unit * (length // len(unit) + 1))[:length]

    def fitted(self, text: bytes) -> bytes | None:
        """A message of this text: without what may not be in it, repeated or cut to a good length. None: it is none."""
        text = text.translate(None, self.never)
        while self.mark and self.mark in text:
            text = text.replace(self.mark, b"")
        least = self.least - self.around
        if len(text) < least:
            text = (text or b"\0") * least
            text = text[:least]
        message = self.message(text[: self.most - self.around])
        try:
            self.framing.encode(message)
        except FramingError:
            return None
        return message


def _header(field: LengthField, length: int) -> bytes:
    header = bytearray(field.header())
    header[field.at :] = (length - field.extra).to_bytes(field.size, "big" if field.byteorder == "big" else "little")
    header[field.mark_at : field.mark_at + len(field.mark)] = field.mark
    return bytes(header)
