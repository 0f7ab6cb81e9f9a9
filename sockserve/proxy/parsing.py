"""A PROXY header of either version, from the bytes that a stream starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockserve.proxy.binary import SIGNATURE, parse_binary
from sockserve.proxy.header import Header
from sockserve.proxy.text import parse_text

if TYPE_CHECKING:
    pass


def parse(data: bytes) -> Header | None:
    """The header that `data`, the begin of a stream, begins with; None: more bytes are needed.

    Raises HeaderError as soon as there cannot be one. The same bytes in other pieces have the same result.
    """
    return parse_binary(data) if data[:1] == SIGNATURE[:1] else parse_text(data)
