"""However bytes are split into reads, a decoder returns the same messages and errors, and holds no more than one frame;
its messages, encoded again, are what came in, and what `scan` returns.

Nothing but a FramingError may be raised, and its text is one line. An input consists of the framing and its settings
(1 byte), the number of cuts (1 byte, up to 15), where they are (1 byte each), and the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sockserve.framing import Framing, parse
from sockserve.framing.content_length import MAX_HEADERS
from sockserve.framing.errors import FramingError
from sockserve.framing.raw import Raw
from sockserve.testing.framings import CheckedDecoder, drain
from tests.support.cases import CASES, EXAMPLES
from tests.support.tolerant import is_tolerant
from tests.support.wire import events

MARKS = {"content-length": MAX_HEADERS}
"""More bytes than a framing adds to a message; those that are not here add less than 16. Escapes at most double one."""

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
    check_reads(framing, chunks)
    check_encoding(framing, stream)
    # In raw a read is a message, so the splits may show.
    if not isinstance(framing, Raw):
        check_splits(framing, stream, chunks)


def check_splits(framing: Framing, stream: bytes, chunks: list[bytes]) -> None:
    """Whole, cut, and byte by byte."""
    whole = events(framing, [stream], end=True)
    assert events(framing, chunks, end=True) == whole
    assert events(framing, [stream[at : at + 1] for at in range(len(stream))], end=True) == whole
    for event in whole:
        assert isinstance(event, bytes) or len(event[1].splitlines()) == 1, event


def check_encoding(framing: Framing, stream: bytes) -> None:
    """The messages before the first bad frame, and what is held after them, make up the stream."""
    decoder = framing.decoder()
    try:
        messages = decoder.decode(stream)
    except FramingError:
        return
    rest = decoder.take()
    if is_tolerant(framing):
        assert stream.endswith(rest)
        assert framing.decoder().decode(stream[: len(stream) - len(rest)]) == messages
        return
    frames = framing.encode_all(messages)
    assert frames == b"".join(map(framing.encode, messages))
    assert frames + rest == stream


def check_reads(framing: Framing, chunks: list[bytes]) -> None:
    """Read by read, `scan`, alone or mixed with `decode`, says the same, and each holds at most one frame.

    They never hold memory because of an announced length, and hold nothing of a bad frame.
    """
    decoder = CheckedDecoder(framing)
    marks = MARKS.get(str(framing), 15)
    for chunk in chunks:
        for _ in drain(decoder, chunk):
            pass
        over = decoder.state in ("skipping", "failed")
        assert decoder.pending <= marks + (0 if over else 2 * framing.max_length), decoder.pending
    rest = decoder.pending
    assert len(decoder.take()) == rest
    assert decoder.pending == 0
