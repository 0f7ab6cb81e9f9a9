"""Messages to frames and back: the contract of a framing, and the names of framings.

A framing is an immutable value; it encodes messages and makes decoders. A decoder holds the state of one direction of
one connection. Neither knows about sockets: this package needs the standard library only.

    framing = parse("windev")
    framing.encode(b"Hello World")             b"11\\r\\nHello World"
    decoder = framing.decoder()
    decoder.decode(b"11\\r\\nHello")             []
    decoder.decode(b" World2\\r\\nok")           [b"Hello World", b"ok"]
    decoder.scan(b"2\\r\\nok2\\r\\nno")           (b"2\\r\\nok2\\r\\nno", 2)
    decoder.finish()                           None; inside a frame it raises TruncatedMessage
"""

from __future__ import annotations

from sockserve.framing.contract import Decoder, Framing, ends_stream
from sockserve.framing.form import compiled
from sockserve.framing.names import ACCEPTED, KINDS, NAMES, as_framing, parse

__all__ = ["ACCEPTED", "KINDS", "NAMES", "Decoder", "Framing", "as_framing", "compiled", "ends_stream", "parse"]
