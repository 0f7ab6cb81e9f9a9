"""Delimiters in the name of a framing: bytes written as text, with the escapes of a Python bytes literal."""

from __future__ import annotations

import re

SIMPLE = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "\\": 92, "'": 39, '"': 34}
NAMES = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}
ESCAPE = re.compile(r"""\\(?:x(?P<hex>[0-9A-Fa-f]{2})|(?P<octal>[0-7]{1,3})|(?P<simple>[abtnvfr\\'"]))""")


def unescape(text: str) -> bytes:
    """The bytes that `text` stands for. Raises ValueError for what a bytes literal cannot have."""
    result = bytearray()
    at = 0
    while at < len(text):
        if text[at] == "\\":
            match = ESCAPE.match(text, at)
            if match is None or (match["octal"] and int(match["octal"], 8) > 0xFF):
                raise ValueError(f"bad escape {text[at : at + 4]!r}: use \\r \\n \\t \\xNN, octal \\NNN or \\\\")
            if match["hex"]:
                result.append(int(match["hex"], 16))
            elif match["octal"]:
                result.append(int(match["octal"], 8))
            else:
                result.append(SIMPLE[match["simple"]])
            at = match.end()
        elif text[at].isascii():
            result.append(ord(text[at]))
            at += 1
        else:
            raise ValueError(f"{text[at]!r} is not ASCII: write its bytes in your encoding as \\xNN")
    return bytes(result)


def escape(data: bytes, special: bytes = b"") -> str:
    """The text that `unescape` turns back into `data`; the bytes in `special` are escaped too."""
    return "".join(
        NAMES[byte] if byte in NAMES else chr(byte) if 0x20 <= byte < 0x7F and byte not in special else f"\\x{byte:02x}"
        for byte in data
    )
