"""length:W and its options, mbap, tpkt: a length field of W bytes anywhere in a header, counting whatever it counts.

    \\x00\\x00\\x00\\x0bHello World                            length:4, the same as int32
    \\x00\\x00\\x0fHello World                               length:3, with :inclusive it says 14
    \\x00\\x01\\x00\\x00\\x00\\x06\\x11\\x03\\x00\\x6b\\x00\\x03        mbap: a message, which has its header

Without `at` the length is followed by the payload, which is the message. With `at=N` the field stands after N bytes of
a header, and the message is the whole frame: its header says more than its length. The field counts the bytes after
it; with `inclusive`, all bytes of the frame; `add=N`, which may be negative, is added to what it says. These are
lengthFieldOffset, lengthFieldLength and lengthAdjustment of Netty's LengthFieldBasedFrameDecoder, and
length_field_offset, length_field_length and length_adjustment of tokio-util's LengthDelimitedCodec.

    mbap    length:2:at=4              "MODBUS Messaging on TCP/IP Implementation Guide" V1.0b, section 3.1.3: a
                                       transaction, the protocol, which is 0, the length, a unit
    tpkt    length:2:at=2:inclusive    RFC 1006, section 6: the version, which is 3, a reserved byte, the length

In these two, the protocol and the version are checked too, so that a peer that is out of step is noticed at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sockserve.framing.bounds import BoundedFraming
from sockserve.framing.errors import InvalidMessage
from sockserve.framing.form import need
from sockserve.framing.integer import ByteOrder, IntegerDecoder, LengthField, need_byteorder
from sockserve.framing.prefixed import PrefixedFraming

WIDTHS: Final = (1, 2, 3, 4, 8)

_MBAP_RULE: Final = "the third and fourth byte, the protocol, are 0 for Modbus"
_TPKT_RULE: Final = "the first byte, the version of TPKT, is 3"


@dataclass(frozen=True, slots=True)
class Length(PrefixedFraming):
    """A length, then the payload, which is the message.

    width: of the field in bytes: 1, 2, 3, 4 or 8. byteorder: "big" or "little".
    inclusive: the field counts itself too.
    add: is added to what the field says; negative, if it says too much.

    max_length is lowered to the largest length that the field can express.
    """

    width: int
    byteorder: ByteOrder = "big"
    inclusive: bool = False
    add: int = 0
    # Made once for all messages and decoders.
    length_field: LengthField = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        PrefixedFraming.__post_init__(self)
        _check(self.width, self.byteorder, self.inclusive, self.add)
        extra = self.add + (0 if self.inclusive else self.width)
        object.__setattr__(self, "length_field", LengthField(self.width, self.byteorder, extra=extra))
        object.__setattr__(self, "max_length", self.length_field.bounded(self.max_length))

    def __str__(self) -> str:
        return _name(self.width, self.byteorder, self.inclusive, -1, self.add)

    def least(self) -> int:
        return self.length_field.least()

    def _header(self, length: int) -> bytes:
        value = length + self.width - self.length_field.extra
        if value < 0:
            raise InvalidMessage(f"a message of {self} has at least {self.least()} bytes, not {length}")
        return value.to_bytes(self.width, self.byteorder)

    def decoder(self) -> IntegerDecoder:
        return IntegerDecoder(self, self.length_field)


@dataclass(frozen=True, slots=True)
class WholeFraming(BoundedFraming):
    """Its messages are frames with their headers, which say their length."""

    # Made once: every message that is sent is looked at with it.
    length_field: LengthField = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        BoundedFraming.__post_init__(self)
        object.__setattr__(self, "length_field", self._field())
        object.__setattr__(self, "max_length", self.length_field.bounded(self.max_length))

    def _field(self) -> LengthField:
        raise NotImplementedError

    def encode(self, message: bytes) -> bytes:
        length = self.check_length(message)
        where = self.length_field
        width = where.header()
        if length < width:
            raise InvalidMessage(
                f"a message of {self} starts with a header of {width} bytes, and this one has {length}"
            )
        said = where.value(message) + where.extra
        if said != length or not message.startswith(where.mark, where.mark_at):
            fault = where.fault(message[:width])
            rule = f"the header says that the message has {said} bytes, and it has {length}"
            raise InvalidMessage(rule if fault is None else fault.rule)
        return message

    def decoder(self) -> IntegerDecoder:
        return IntegerDecoder(self, self.length_field)


@dataclass(frozen=True, slots=True)
class LengthAt(WholeFraming):
    """A header with a length in it, and what follows; the message is all of that.

    width, byteorder, add: see `Length`.
    at: the number of bytes before the field.
    inclusive: the field counts the whole frame, and not only the bytes after it.
    """

    width: int
    at: int
    byteorder: ByteOrder = "big"
    inclusive: bool = False
    add: int = 0

    def __post_init__(self) -> None:
        _check(self.width, self.byteorder, self.inclusive, self.add)
        need(int, self.at, "at")
        if self.at < 0:
            raise ValueError(f"at must be at least 0 bytes, not {self.at}")
        WholeFraming.__post_init__(self)

    def __str__(self) -> str:
        return _name(self.width, self.byteorder, self.inclusive, self.at, self.add)

    def _field(self) -> LengthField:
        extra = self.add + (0 if self.inclusive else self.at + self.width)
        return LengthField(self.width, self.byteorder, self.at, extra, whole=True)


@dataclass(frozen=True, slots=True)
class Mbap(WholeFraming):
    """Modbus over TCP: a message is an application data unit, with its MBAP header."""

    def __str__(self) -> str:
        return "mbap"

    def _field(self) -> LengthField:
        return LengthField(2, "big", 4, 6, whole=True, mark=b"\0\0", mark_at=2, mark_rule=_MBAP_RULE)


@dataclass(frozen=True, slots=True)
class Tpkt(WholeFraming):
    """ISO transport over TCP (S7, RDP, H.323): a message is a packet, with its header."""

    def __str__(self) -> str:
        return "tpkt"

    def _field(self) -> LengthField:
        return LengthField(2, "big", 2, 0, whole=True, mark=b"\x03", mark_rule=_TPKT_RULE)


def _check(width: object, byteorder: object, inclusive: object, add: object) -> None:
    need(int, width, "width")
    need(bool, inclusive, "inclusive")
    need(int, add, "add")
    if width not in WIDTHS:
        raise ValueError(f"a length field has 1, 2, 3, 4 or 8 bytes, not {width}")
    need_byteorder(byteorder)


def _name(width: int, byteorder: str, inclusive: bool, at: int, add: int) -> str:
    parts = [f"length:{width}"]
    if byteorder == "little":
        parts.append("little")
    if inclusive:
        parts.append("inclusive")
    if at >= 0:
        parts.append(f"at={at}")
    if add:
        parts.append(f"add={add}")
    return ":".join(parts)
