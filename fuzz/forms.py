"""The compiled framings and the pure ones do the same: of the same reads the same messages, frames, errors and states,
of the same messages the same frames and errors.

An input is as for the decoder. Where the framings are not compiled, two pure ones are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from fuzz.decoder import FRAMINGS, KINDS
from fuzz.decoder import seeds as decoder_seeds
from sockserve.framing import Framing
from tests.support.pure import pure_framing

PURE: tuple[Framing, ...] = tuple(
    pure_framing().parse(name, max_length=max_length, on_bad_frame=policy) for name, max_length, policy in KINDS
)


def seeds() -> Iterator[bytes]:
    yield from decoder_seeds()


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    number = data[0] % len(FRAMINGS)
    cuts = 2 + data[1] % 16
    stream = data[cuts:]
    places = sorted(place for place in data[2:cuts] if place < len(stream))
    chunks = [stream[start:stop] for start, stop in pairwise([0, *places, len(stream)])]
    for look in (decoded, scanned, encoded):
        ours, pure = look(FRAMINGS[number], chunks), look(PURE[number], chunks)
        assert ours == pure, (look.__name__, ours, pure)


def decoded(framing: Framing, chunks: list[bytes]) -> list[object]:
    """All that a decoder says of these reads, and the state that each leaves."""
    decoder = framing.decoder()
    return [*fed(decoder, decoder.decode, chunks), outcome(decoder.finish), decoder.take(), decoder.state]


def scanned(framing: Framing, chunks: list[bytes]) -> list[object]:
    decoder = framing.decoder()
    return [*fed(decoder, decoder.scan, chunks), outcome(decoder.finish), decoder.take(), decoder.state]


def encoded(framing: Framing, chunks: list[bytes]) -> list[object]:
    """What is sent of the pieces as messages, one by one and together; and what they are as other kinds of buffers."""
    return [
        str(framing),
        *(outcome(framing.encode, chunk) for chunk in chunks),
        outcome(framing.encode_all, chunks),
        *(outcome(framing.encode, kind(chunk))[0] for chunk in chunks for kind in (bytearray, memoryview)),
    ]


def fed(decoder: Any, feed: Callable[[bytes], object], chunks: list[bytes]) -> Iterator[object]:  # noqa: ANN401 - of either form
    for chunk in chunks:
        data = chunk
        while True:
            said = outcome(feed, data)
            yield said, decoder.state, decoder.pending
            if said[1] in ([], (b"", 0)) or decoder.state == "failed":
                break
            data = b""


def outcome(function: Callable[..., object], *arguments: object) -> tuple[str, object]:
    """What it returns, or the name of its error, and what that says; the classes are not the same ones."""
    try:
        return "", function(*arguments)
    except TypeError:
        # Compiled code has words of its own.
        return "TypeError", ""
    except Exception as error:
        return type(error).__name__, (str(error), repr(error.args))
