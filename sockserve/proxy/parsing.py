"""A PROXY header of either version, from the bytes that a stream starts with."""

from __future__ import annotations

from sockserve.proxy.binary import SIGNATURE, parse_binary
from sockserve.proxy.header import Header
from sockserve.proxy.text import parse_text


def parse(data: bytes | bytearray) -> Header | None:
    """The header that `data`, the begin of a stream, begins with; None: more bytes are needed.

    Raises HeaderError as soon as there cannot be one. The same bytes in other pieces have the same result. The work is
    linear in the header, and a call that needs more bytes looks at a few only.
    """
    return parse_binary(data) if data[:1] == SIGNATURE[:1] else parse_text(data)
