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
from zlib import adler32, crc32

from sockserve.framing.form import compiled

_LONGEST_SUM = 256
"""So many bytes, of 255 each, add up to less than the modulus of Adler-32."""

_SHORT = 96 if compiled else 8
"""Up to so many bytes, a loop over them is the fastest."""

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
        return self._written(self.number(data))

    def stands(self, data: bytes, frame: bytes, at: int) -> bool:
        """Whether `frame` has, from `at` on, what is sent after `data`."""
        number = self.number(data)
        if self._hex:
            return frame.startswith(self._written(number), at)
        for place in range(self._size):
            if frame[at + place if self._little else at + self._size - 1 - place] != number & 0xFF:
                return False
            number >>= 8
        return True

    def number(self, data: bytes) -> int:
        """The checksum of `data`, at least one byte."""
        raise NotImplementedError

    def _written(self, number: int) -> bytes:
        if self._hex:
            return b"%0*X" % (2 * self._size, number) + self._tail
        return number.to_bytes(self._size, "little" if self._little else "big")


class Lrc(Check):
    def number(self, data: bytes) -> int:
        if len(data) <= _SHORT:
            number = 0
            for byte in data:
                number ^= byte
            return number
        # One half upon the other, until a byte is left.
        number = int.from_bytes(data, "little")
        half = 4 << (len(data) - 1).bit_length()
        while half >= 8:
            number = number >> half ^ number & (1 << half) - 1
            half >>= 1
        return number


class Sum(Check):
    def number(self, data: bytes) -> int:
        # The lower half of an Adler-32 that starts at 0 is the sum of the bytes.
        if len(data) <= _LONGEST_SUM:
            return adler32(data, 0) & 0xFF
        total = 0
        for start in range(0, len(data), _LONGEST_SUM):
            total += adler32(data[start : start + _LONGEST_SUM], 0)
        return total & 0xFF


class Arc(Check):
    """The polynomial 0x8005, from the least significant bit on."""

    def number(self, data: bytes) -> int:
        table = _ARC
        register = self._first
        for byte in data:
            register = register >> 8 ^ table[(register ^ byte) & 0xFF]
        return register


class Ccitt(Check):
    """The polynomial 0x1021, from the most significant bit on."""

    def number(self, data: bytes) -> int:
        return crc_hqx(data, self._first)


class ReversedCcitt(Check):
    """The same from the least significant bit on. At its end, the register is combined with what it started with."""

    def number(self, data: bytes) -> int:
        number = crc_hqx(data.translate(_REVERSED), self._first)
        return (_REVERSED[number & 0xFF] << 8 | _REVERSED[number >> 8]) ^ self._first


class Crc32(Check):
    def number(self, data: bytes) -> int:
        return crc32(data)


def _table(polynomial: int) -> list[int]:
    """What each byte adds to a register of 16 bits that is shifted to the right."""
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (polynomial if register & 1 else 0)
        table.append(register)
    return table


_ARC = _table(0xA001)

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
