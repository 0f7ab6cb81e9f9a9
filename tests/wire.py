"""One way to run a decoder over bytes, shared by all tests of the framings.

`events` is what a user would see: each message, and each error as (its name, its text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockserve.framing import Decoder, Framing
from sockserve.framing.errors import FramingError

Event = bytes | tuple[str, str]


def events(framing: Framing, chunks: Iterable[bytes], *, end: bool = False) -> list[Event]:
    """Everything that `chunks`, one read each, make a fresh decoder say; `end`: the peer has closed behind them."""
    decoder = framing.decoder()
    seen: list[Event] = []
    for chunk in chunks:
        seen += drain(decoder, chunk)
        if decoder.state == "failed":
            return seen
    if end:
        try:
            decoder.finish()
        except FramingError as error:
            seen.append(described(error))
    return seen


def drain(decoder: Decoder, data: bytes) -> Iterator[Event]:
    """Feed `data` and call again until the decoder has nothing more to say."""
    while True:
        try:
            messages = decoder.decode(data)
        except FramingError as error:
            yield described(error)
            if decoder.state == "failed":
                return
        else:
            if not messages:
                return
            yield from messages
        data = b""


def described(error: FramingError) -> tuple[str, str]:
    return type(error).__name__, str(error)


def splits(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, byte by byte, and at every two-way split."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
