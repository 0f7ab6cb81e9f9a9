"""However bytes are split into reads, a decoder gives the same messages and errors, and holds no more than one frame;
what it gives, encoded again, is what came in.

Nothing but a FramingError may be raised, and its text is one line. An input is: which framing and settings (1 byte),
how many cuts (1 byte, up to 15), where they are (1 byte each), and the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError
from sockserve.framing.raw import Raw
from tests.cases import CASES, EXAMPLES
from tests.wire import drain, events

MARKS = 16
"""More bytes than any of FRAMINGS puts around a message."""

KINDS = {
    **dict.fromkeys((case.framing, case.max_length, case.on_bad_frame) for case in CASES),
    **dict.fromkeys((name, 12, policy) for name in EXAMPLES.values() for policy in ("close", "skip")),
}
FRAMINGS: tuple[Framing, ...] = tuple(
    parse(name, max_length=max_length, on_bad_frame=policy) for name, max_length, policy in KINDS
)
assert len(FRAMINGS) <= 256, "the first byte of an input chooses"


def seeds() -> Iterator[bytes]:
    """Each wire case, cut once in its middle."""
    numbers = {kind: number for number, kind in enumerate(KINDS)}
    for case in CASES:
        number = numbers[case.framing, case.max_length, case.on_bad_frame]
        yield bytes([number, 1, min(255, len(case.data) // 2)]) + case.data


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    framing = FRAMINGS[data[0] % len(FRAMINGS)]
    cuts = 2 + data[1] % 16
    stream = data[cuts:]
    places = sorted(place for place in data[2:cuts] if place < len(stream))
    chunks = [stream[start:stop] for start, stop in pairwise([0, *places, len(stream)])]
    if isinstance(framing, Raw):
        # A read is a message, so the splits may show; the bytes may not change.
        assert b"".join(framing.decoder().decode(stream)) == stream
        return
    check_splits(framing, stream, chunks)
    check_encoding(framing, stream)
    check_held(framing, chunks)


def check_splits(framing: Framing, stream: bytes, chunks: list[bytes]) -> None:
    """Whole, cut, and byte by byte."""
    whole = events(framing, [stream], end=True)
    assert events(framing, chunks, end=True) == whole
    assert events(framing, [stream[at : at + 1] for at in range(len(stream))], end=True) == whole
    for event in whole:
        assert isinstance(event, bytes) or len(event[1].splitlines()) == 1, event


def check_encoding(framing: Framing, stream: bytes) -> None:
    """The messages in front of the first bad frame, and what is held behind them, are the stream."""
    decoder = framing.decoder()
    try:
        messages = decoder.decode(stream)
    except FramingError:
        return
    frames = framing.encode_all(messages)
    assert frames == b"".join(map(framing.encode, messages))
    assert frames + decoder.take() == stream


def check_held(framing: Framing, chunks: list[bytes]) -> None:
    """After any number of reads: never by an announced length, and not what belongs to a bad frame."""
    for count in range(1, len(chunks) + 1):
        decoder = framing.decoder()
        for chunk in chunks[:count]:
            for _ in drain(decoder, chunk):
                pass
        skipping = decoder.state in ("skipping", "failed")
        held = len(decoder.take())
        assert held < (MARKS if skipping else framing.max_length + MARKS), held
