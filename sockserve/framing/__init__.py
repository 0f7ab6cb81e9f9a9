"""Messages to frames and back: the contract of a framing, and the names that users give it.

A framing is an immutable value; it encodes messages and makes decoders. A decoder is the state of one direction of one
connection. Neither knows a socket: this package needs the standard library only.

    framing = parse("windev")
    framing.encode(b"Hello World")             b"11\\r\\nHello World"
    decoder = framing.decoder()
    decoder.decode(b"11\\r\\nHello")             []
    decoder.decode(b" World2\\r\\nok")           [b"Hello World", b"ok"]
    decoder.scan(b"2\\r\\nok2\\r\\nno")           (b"2\\r\\nok2\\r\\nno", 2)
    decoder.finish()                           None; inside a frame it raises TruncatedMessage
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Protocol

from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.decimal import Netstring, Windev
from sockserve.framing.decoder import State
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.envelope import Envelope
from sockserve.framing.escapes import unescape
from sockserve.framing.fixed import Fixed
from sockserve.framing.form import compiled as compiled
from sockserve.framing.integer import ByteOrder, Integer
from sockserve.framing.raw import Raw
from sockserve.framing.varint import Varint


class Decoder(Protocol):
    """Bytes in, messages out. Any split of the same bytes gives the same messages and the same errors."""

    @property
    def state(self) -> State:
        """Where the bytes so far end: "idle" between two frames; "partial" inside one; "skipping" inside a bad one
        that was reported; "failed" for good, behind a bad frame. It is read at every read: let it be an attribute."""

    @property
    def pending(self) -> int:
        """Bytes that are held: received, and part of nothing that was handed out."""

    def decode(self, data: bytes) -> list[bytes]:
        """All messages that `data` completes, in order.

        Raises FramingError for a bad frame, once the messages before it were returned: call again, with b"", until
        the list is empty. With on_bad_frame "skip" the call after the error goes on behind the bad frame; with
        "close", or when the end of the bad frame cannot be found, every later call raises the same error.
        """

    def scan(self, data: bytes) -> tuple[bytes, int]:
        """The frames that `data` completes, as they stand on the wire, and how many they are.

        `decode` without taking the frames apart, for who sends them back or drops them: the same errors, at the same
        calls; no bytes where `decode` gives no messages. Calls of both may be mixed.
        """

    def finish(self) -> None:
        """The peer sends no more. Raises TruncatedMessage inside a frame.

        To be called when all was handed out: it raises an error that is due, and gives no messages.
        """

    def take(self) -> bytes:
        """Hand back the bytes received that belong to no message returned; the decoder forgets them."""

    def skip(self, data: bytes) -> bool:
        """Feed a decoder that is "skipping" no further than the end of the bad frame. True: it has come."""


class Framing(Protocol):
    """How messages become frames. Immutable, comparable; str() gives the name that `parse` takes.

    A framing of your own has to have one form only for each message, and to decode nothing else: a connection that
    changes its framing counts on it.
    """

    @property
    def max_length(self) -> int:
        """The largest payload in bytes, framing bytes not counted."""

    @property
    def on_bad_frame(self) -> OnBadFrame:
        """What a bad frame leads to."""

    def encode(self, message: bytes) -> bytes:
        """The frame of one message. Raises FramingError for one that this framing cannot send."""

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        """The frames of all messages as one object. Raises FramingError for the first that cannot be sent."""

    def decoder(self) -> Decoder:
        """Fresh state, for one direction of one connection."""


NAMES = (
    "raw",
    "raw:N",
    "windev",
    "standard",
    "standard:DELIM",
    "buffered",
    "buffered:DELIM",
    "int8",
    "int8:little",
    "int16",
    "int16:little",
    "int32",
    "int32:little",
    "netstring",
    "varint",
    "fixed:N",
    "envelope:START:END",
)
"""What `parse` takes. N is a number of bytes; DELIM, START and END are bytes, written with Python's escapes."""

KINDS = tuple(dict.fromkeys(name.partition(":")[0] for name in NAMES))


def parse(name: str, *, max_length: int = DEFAULT_MAX_LENGTH, on_bad_frame: OnBadFrame = "close") -> Framing:
    """The framing with that name, as on the command line and in configuration files.

    name: one of NAMES, with bytes written like "standard:\\r\\n".
    max_length: the largest payload in bytes; lowered to what the framing's length field can express.
    on_bad_frame: "close" or "skip".

    Raises ValueError with one line that says what is accepted.
    """
    kind, colon, argument = name.partition(":")
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1, 0.7)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown framing {name!r}{hint}; accepted: {', '.join(NAMES)}")
    try:
        return _make(kind, argument if colon else None, max_length, on_bad_frame)
    except ValueError as error:
        forms = [form for form in NAMES if form.partition(":")[0] == kind]
        raise ValueError(f"framing {name!r}: {error}; accepted: {', '.join(forms)}") from None


def _make(kind: str, argument: str | None, max_length: int, on_bad_frame: OnBadFrame) -> Framing:
    match kind, argument:
        case "raw", None:
            return Raw(max_length=max_length, on_bad_frame=on_bad_frame)
        case "raw", str(size):
            return Raw(_number(size), max_length=max_length, on_bad_frame=on_bad_frame)
        case "windev", None:
            return Windev(max_length=max_length, on_bad_frame=on_bad_frame)
        case "standard", None:
            return Standard(max_length=max_length, on_bad_frame=on_bad_frame)
        case "standard", str(delimiter):
            return Standard(unescape(delimiter), max_length=max_length, on_bad_frame=on_bad_frame)
        case "buffered", None:
            return Buffered(max_length=max_length, on_bad_frame=on_bad_frame)
        case "buffered", str(delimiter):
            return Buffered(unescape(delimiter), max_length=max_length, on_bad_frame=on_bad_frame)
        case "int8" | "int16" | "int32", None | "little":
            order: ByteOrder = "little" if argument else "big"
            return Integer(int(kind[3:]) // 8, order, max_length=max_length, on_bad_frame=on_bad_frame)
        case "netstring", None:
            return Netstring(max_length=max_length, on_bad_frame=on_bad_frame)
        case "varint", None:
            return Varint(max_length=max_length, on_bad_frame=on_bad_frame)
        case "fixed", str(size):
            return Fixed(_number(size), max_length=max_length, on_bad_frame=on_bad_frame)
        case "envelope", str(marks):
            start, colon, end = marks.partition(":")
            if not colon or ":" in end:
                raise ValueError("START and END are separated by one colon; a colon in them is \\x3a")
            return Envelope(unescape(start), unescape(end), max_length=max_length, on_bad_frame=on_bad_frame)
        case _, None:
            raise ValueError("incomplete")
        case _:
            raise ValueError(f"unexpected {argument!r}")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"N is a number of bytes, not {text!r}")
    return int(text)
