"""Checksums over the bytes of a frame, by name: what `envelope:START:END:CHECK` puts after END.

    lrc                 all bytes combined by exclusive or: one byte (ISO 1155; terminals call it LRC or BCC)
    sum                 their sum modulo 256: one byte
    crc16               the CRC-16/ARC of the catalogue below: two bytes
    crc16-modbus        CRC-16/MODBUS
    crc16-kermit        CRC-16/KERMIT, which is CRC-CCITT as the standard has it
    crc16-x25           CRC-16/IBM-SDLC, which HDLC and X.25 have
    crc16-xmodem        CRC-16/XMODEM
    crc16-ccitt-false   CRC-16/IBM-3740, which often passes for CRC-CCITT
    crc32               CRC-32/ISO-HDLC, that of Ethernet and zlib: four bytes
    astm                sum as two hexadecimal digits, then CR LF (ASTM E1381, CLSI LIS1-A)

A CRC is sent in the order in which its register is shifted: xmodem and ccitt-false with the most significant byte
first, the others with the least significant one. With `-big` or `-little` after its name it is sent in that order. With
`-hex` after it, each but astm is sent as hexadecimal digits in upper case, the most significant first.

The parameters are those of the Catalogue of parametrised CRC algorithms, https://reveng.sourceforge.io/crc-catalogue/.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import TYPE_CHECKING, Final
from zlib import adler32, crc32

from sockserve.framing.form import compiled

if TYPE_CHECKING:
    # An int for Python; a machine word where this is compiled.
    from mypy_extensions import i64

_LONGEST_SUM: Final = 256
"""So many bytes, of 255 each, add up to less than the modulus of Adler-32."""

_SHORT: Final = 256 if compiled else 8
"""Up to so many bytes, a loop over them is the fastest."""

_DIGITS: Final = b"0123456789ABCDEF"

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the opposite order."""


class Check:
    """One checksum and how it is sent.

    name: as above. width: the number of bytes it takes on the wire.
    """

    def __init__(self, name: str, size: int, form: str, first: int, tail: bytes) -> None:
        """size: of the number in bytes. form: big, little or hex. first: where a CRC starts. tail: sent after it."""
        self.name = name
        self.width = size * (2 if form == "hex" else 1) + len(tail)
        self._size = size
        self._hex = form == "hex"
        self._little = form == "little"
        self._first = first
        self._tail = tail

    def of(self, data: bytes) -> bytes:
        """What is sent after `data`."""
        return self._written(self.number(data, 0, len(data)))

    def stands(self, data: bytes, start: i64, stop: i64) -> bool:
        """Whether what is sent after data[start:stop] comes next in `data`."""
        number: i64 = self.number(data, start, stop)
        # From the least significant byte or digit on.
        at: i64 = stop
        step: i64 = 1
        left: i64 = self._size
        if self._hex:
            left *= 2
        if not self._little:
            at += left - 1
            step = -1
        while left:
            if self._hex:
                if data[at] != _DIGITS[number & 0xF]:
                    return False
                number >>= 4
            else:
                if data[at] != number & 0xFF:
                    return False
                number >>= 8
            at += step
            left -= 1
        return not self._tail or data.startswith(self._tail, stop + 2 * self._size)

    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        """The checksum of data[start:stop], at least one byte."""
        raise NotImplementedError

    def _written(self, number: int) -> bytes:
        if self._hex:
            return b"%0*X" % (2 * self._size, number) + self._tail
        return number.to_bytes(self._size, "little" if self._little else "big")


class Lrc(Check):
    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        if stop - start <= _SHORT:
            total: i64 = 0
            at: i64 = start
            while at < stop:
                total ^= data[at]
                at += 1
            return total
        # One half upon the other, until a byte is left.
        length = int(stop - start)
        number = int.from_bytes(data[start:stop], "little")
        half = 4 << (length - 1).bit_length()
        while half >= 8:
            number = number >> half ^ number & (1 << half) - 1
            half >>= 1
        return number


class Sum(Check):
    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        total: i64 = 0
        at: i64 = start
        if stop - start <= _SHORT:
            while at < stop:
                total += data[at]
                at += 1
            return total & 0xFF
        while at < stop:
            # The lower half of an Adler-32 that starts at 0 is the sum of the bytes.
            total += adler32(data[at : min(at + _LONGEST_SUM, stop)], 0) & 0xFFFF
            at += _LONGEST_SUM
        return total & 0xFF


class Arc(Check):
    """The polynomial 0x8005, from the least significant bit on."""

    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        low, high = _ARC_LOW, _ARC_HIGH
        register: i64 = self._first
        at: i64 = start
        while at < stop:
            place: i64 = (register ^ data[at]) & 0xFF
            register = register >> 8 ^ low[place] ^ high[place] << 8
            at += 1
        return register


class Ccitt(Check):
    """The polynomial 0x1021, from the most significant bit on."""

    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        return crc_hqx(data[start:stop], self._first)


class ReversedCcitt(Check):
    """The same from the least significant bit on. At its end, the register is combined with what it started with."""

    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        number = crc_hqx(data[start:stop].translate(_REVERSED), self._first)
        return (_REVERSED[number & 0xFF] << 8 | _REVERSED[number >> 8]) ^ self._first


class Crc32(Check):
    def number(self, data: bytes, start: i64, stop: i64) -> i64:
        return crc32(data[start:stop])


def _table(polynomial: int) -> list[int]:
    """What each byte adds to a register of 16 bits that is shifted to the right."""
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (polynomial if register & 1 else 0)
        table.append(register)
    return table


# As bytes: where this is compiled, they are read as fast as an array.
_ARC_LOW = bytes(entry & 0xFF for entry in _table(0xA001))
_ARC_HIGH = bytes(entry >> 8 for entry in _table(0xA001))

_KINDS: dict[str, tuple[type[Check], int, str, int]] = {
    "lrc": (Lrc, 1, "big", 0),
    "sum": (Sum, 1, "big", 0),
    "crc16": (Arc, 2, "little", 0),
    "crc16-modbus": (Arc, 2, "little", 0xFFFF),
    "crc16-kermit": (ReversedCcitt, 2, "little", 0),
    "crc16-x25": (ReversedCcitt, 2, "little", 0xFFFF),
    "crc16-xmodem": (Ccitt, 2, "big", 0),
    "crc16-ccitt-false": (Ccitt, 2, "big", 0xFFFF),
    "crc32": (Crc32, 4, "little", 0),
}
"""The class of each, its size in bytes, its order, and where its register starts."""


def _make(name: str, kind: str, form: str = "", tail: bytes = b"") -> Check:
    made, size, usual, first = _KINDS[kind]
    return made(name, size, form or usual, first, tail)


CHECKS: dict[str, Check] = {
    **{kind: _make(kind, kind) for kind in _KINDS},
    **{
        f"{kind}-{form}": _make(f"{kind}-{form}", kind, form)
        for kind in _KINDS
        for form in ("hex", "big", "little")
        if form == "hex" or kind.startswith("crc")
    },
    "astm": _make("astm", "sum", "hex", b"\r\n"),
}
"""By name."""

ACCEPTED = f"{', '.join(_KINDS)}, each also with -hex, the crc ones also with -big or -little; or astm"
