"""Bytes from a file or from standard input: as they are, as hexadecimal text in its many forms, or captured packets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Input = Literal["raw", "hex", "pcap"]

INPUTS: tuple[Input, ...] = ("raw", "hex", "pcap")

_CAPTURES = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a")
"""How files of pcap and pcapng begin."""

# A line of a dump: how far it is indented, the offset, and what follows it.
_LINE = re.compile(r"^(\s*)(?:0x)?([0-9a-fA-F]{4,8})(:?)(?:\s+(\S.*))?$")
_PAIRS = re.compile(r"(?:[0-9a-fA-F]{2})+(?: {1,2}(?:[0-9a-fA-F]{2})+)*")
# What may stand around the bytes of C source, and of a list.
_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ARRAY = re.compile(r"\{[^{}]*\}")
_LISTED = re.compile(r"(?:0x[0-9a-fA-F]{1,2}|\\x[0-9a-fA-F]{2}|[\s,{}();\"'\[\]])+")
_BARE = re.compile(r"[0-9a-fA-F]{2}(?:[\s:,-]+[0-9a-fA-F]{2})+")
_SOLID = re.compile(r"(?:[0-9a-fA-F]{2})+(?:\s+(?:[0-9a-fA-F]{2})+)*")
_LONG = re.compile(r"[0-9a-fA-F]{16}")
_PACKET = re.compile(r"^\s+0x([0-9a-f]{4}):  ((?:[0-9a-f]{2,4} ?)+)", re.MULTILINE)
_WORDS = re.compile(r"[0-9a-fA-F]{4}(?: +[0-9a-fA-F]{4})*\s*")
_OCTAL_DIGITS = 7


class Unreadable(Exception):
    """The input cannot be read: why, in one line."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The bytes of one direction. name: of where they come from. note: what is to be said of them, or ""."""

    name: str
    data: bytes
    note: str = ""


def recognise(data: bytes) -> Input:
    """What kind of input it looks like."""
    if data.startswith(_CAPTURES):
        return "pcap"
    try:
        text = data.decode("ascii")
        if _PACKET.search(text) or _dump_lines(text):
            return "hex"
        _listed(text, strict=True)
    except (UnicodeDecodeError, Unreadable):
        return "raw"
    return "hex"


def packets(data: bytes) -> list[bytes]:
    """The IP packets in what tcpdump -x or -X prints; none if it is something else."""
    found: list[bytearray] = []
    for offset, shown in _PACKET.findall(data.decode("ascii", "replace")):
        if not int(offset, 16):
            found.append(bytearray())
        if found:
            found[-1] += bytes.fromhex(shown.replace(" ", ""))
    return [bytes(each) for each in found]


def from_hex(data: bytes) -> list[bytes]:
    """The bytes that a text stands for: one object for each direction that it tells apart.

    Dumps of xxd, hexdump -C, od -t x1 and Wireshark are understood, where a line starts with an offset, and lists of
    bytes, also those of C source. Raises Unreadable.
    """
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise Unreadable("not hexadecimal: it has bytes that are not ASCII") from None
    lines = _dump_lines(text)
    return _undump(lines) if lines else [_listed(text)]


def _dump_lines(text: str) -> list[str]:
    """The lines of a dump; none if there is another one."""
    lines = [line for line in text.splitlines() if line.strip()]
    shown = [line for line in lines if _is_dump(line)]
    return (
        lines if len(shown) == len(lines) and any(_row(found) for line in lines if (found := _LINE.match(line))) else []
    )


def _is_dump(line: str) -> bool:
    found = _LINE.match(line)
    return line.strip() == "*" or (found is not None and (found[4] is None or bool(_row(found))))


def _row(found: re.Match[str]) -> bytes:
    """The bytes in a line of a dump, without the text beside them; b"": there are none."""
    if found[4] is None:
        return b""
    # Two spaces may stand in the middle of the bytes, except where a colon follows the offset.
    gap = r" {2,}" if found[3] else r" {3,}| {1,2}(?=[|>])"
    shown = re.split(gap, found[4])[0].strip()
    return bytes.fromhex(shown) if _PAIRS.fullmatch(shown) else b""


def _undump(lines: list[str]) -> list[bytes]:
    """The bytes of a dump. Wireshark indents those of the other direction."""
    streams: dict[bool, bytearray] = {}
    last = b""
    repeats = False
    start = -1
    for line in lines:
        found = _LINE.match(line)
        if found and not found[3] and found[4] and len(found[2]) == _OCTAL_DIGITS and _WORDS.fullmatch(found[4]):
            raise Unreadable("words of two bytes, whose order is that of some machine; accepted: hexdump -C, od -t x1")
        if found is None:
            repeats = True
            continue
        # od's offsets have seven digits, and are octal.
        at = int(found[2], 8 if len(found[2]) == _OCTAL_DIGITS and re.fullmatch("[0-7]+", found[2]) else 16)
        data = streams.setdefault(len(found[1]) >= 4 and "\t" not in found[1], bytearray())
        if repeats and last:
            missing = at - start - len(last)
            if missing > _LARGEST:
                raise Unreadable(f"a dump of more than {_LARGEST} bytes")
            data += last * (missing // len(last))
            repeats = False
        start = at
        if found[4] is not None:
            last = _row(found)
            data += last
    return [bytes(each) for each in streams.values() if each]


_LARGEST = 64 * 1024 * 1024


def _listed(text: str, *, strict: bool = False) -> bytes:
    """The bytes of a list. strict: digits that may as well be numbers in decimal are none."""
    plain = _COMMENTS.sub(" ", text)
    plain = " ".join(_ARRAY.findall(plain)) or plain.strip()
    bare, solid = _BARE.fullmatch(plain), _SOLID.fullmatch(plain)
    if strict:
        letters = re.search("[a-fA-F]", plain)
        bare = bare if letters or re.search("[ :,-]", plain) else None
        solid = solid if letters and _LONG.match(plain) else None
    if bare or solid:
        return bytes.fromhex(re.sub(r"[\s:,-]", "", plain))
    found = re.findall(r"[0\\]x([0-9a-fA-F]{1,2})", plain) if _LISTED.fullmatch(plain) else []
    if not found:
        raise Unreadable("not hexadecimal: accepted are dumps of xxd, hexdump -C, od -t x1, and lists of bytes")
    return bytes(int(digits, 16) for digits in found)
