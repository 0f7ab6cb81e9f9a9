"""One way to run a decoder over bytes, shared by all tests of the framings.

`events` is what a user would see: each message, and each error as (its name, its text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockserve.framing import Decoder, Framing
from sockserve.framing.decimal import Netstring
from sockserve.framing.decoder import FrameDecoder, State
from sockserve.framing.errors import FramingError
from tests.support.tolerant import is_tolerant

NETSTRING = Netstring(max_length=1 << 30)


class Written(list[bytes]):
    """The writes of an Encoder. pieces, shared: those that were written in pieces, or as shared; they are here too.

    ended: whether the stream ends after them.
    """

    def __init__(self) -> None:
        self.ended = False
        self.pieces: list[list[bytes]] = []
        self.shared: list[bytes] = []

    def write(self, frames: bytes) -> None:
        self.append(frames)

    def write_pieces(self, pieces: list[bytes]) -> None:
        self.pieces.append(pieces)
        self.extend(pieces)

    def write_shared(self, frames: bytes) -> None:
        self.shared.append(frames)
        self.append(frames)

    def end_messages(self) -> None:
        self.ended = True


Event = bytes | tuple[str, str]
Scanned = tuple[bytes, int] | tuple[str, str]


def events(framing: Framing, chunks: Iterable[bytes], *, end: bool = False) -> list[Event]:
    """Everything that `chunks`, one read each, make a fresh decoder say; `end`: the peer has closed behind them."""
    decoder = CheckedDecoder(framing)
    seen: list[Event] = []
    for chunk in chunks:
        seen += drain(decoder, chunk)
        if decoder.state == "failed":
            return seen
    if end:
        try:
            seen += decoder.finish() or ()
        except FramingError as error:
            seen.append(described(error))
    return seen


class CheckedDecoder:
    """Decodes, and checks at each call that `scan` says the same, also where the two are mixed.

    The frames of a tolerant framing, which `scan` gives as they came, are compared by their messages.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._decoder, self._scanner, self._mixed = framing.decoder(), framing.decoder(), framing.decoder()
        self._calls = 0

    @property
    def state(self) -> State:
        return self._decoder.state

    def decode(self, data: bytes) -> list[bytes]:
        try:
            messages = self._decoder.decode(data)
        except FramingError as error:
            self._check(data, described(error))
            raise
        self._check(data, (framed(self._framing, messages), len(messages)))
        return messages

    def finish(self) -> list[bytes] | None:
        try:
            messages = self._decoder.finish()
            if messages:
                assert messages == self._scanner.finish() == self._mixed.finish()
            return messages
        finally:
            assert self._scanner.take() == self._mixed.take() == self._decoder.take()

    def _check(self, data: bytes, expected: Scanned) -> None:
        self._calls += 1
        for decoder, scans in ((self._scanner, True), (self._mixed, self._calls % 2 == 0)):
            said = scan(self._framing, decoder, data, scans=scans)
            assert (said, decoder.state) == (expected, self.state), f"{said} is not {expected}"
            assert decoder.pending == self._decoder.pending


def scan(framing: Framing, decoder: Decoder, data: bytes, *, scans: bool) -> Scanned:
    """What `scan` says; without `scans`, what it should, by `decode`."""
    try:
        if scans and not is_tolerant(framing):
            return decoder.scan(data)
        if scans:
            frames, count = decoder.scan(data)
            return framed(framing, settled(framing, decoder).decoder().decode(frames)), count
        messages = decoder.decode(data)
    except FramingError as error:
        return described(error)
    return framed(framing, messages), len(messages)


def framed(framing: Framing, messages: list[bytes]) -> bytes:
    """Their frames; of a tolerant framing, which may not send all that it understands, what stands for them."""
    return (NETSTRING if is_tolerant(framing) else framing).encode_all(messages)


def settled(framing: Framing, decoder: Decoder) -> Framing:
    """The framing for another decoder that goes on after this one."""
    return decoder.settled(framing) if isinstance(decoder, FrameDecoder) else framing


def drain(decoder: Decoder | CheckedDecoder, data: bytes) -> Iterator[Event]:
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
