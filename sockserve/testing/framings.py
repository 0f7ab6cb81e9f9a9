"""What bytes mean in a framing, however they are split, and whether a framing keeps the contract of all of them.

`events` is what a program would see: each message, and each error as (its name, its text). It runs every decoder three
times, to check that `scan` says what `decode` does, also where the two are mixed.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import is_dataclass, replace
from functools import partial
from typing import Any, cast

from sockserve.framing import Decoder, Framing
from sockserve.framing.decoder import FrameDecoder, State
from sockserve.framing.errors import FramingError, MessageTooLong, TruncatedMessage
from sockserve.framing.names import is_framing

Event = bytes | tuple[str, str]
"""A message, or an error: its name and its text."""

Expected = bytes | FramingError | type[FramingError]
"""A message, an error, or the type of an error."""

Said = list[bytes] | tuple[str, str]


def splits(wire: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, byte by byte, and at every two-way split: the reads that may bring them."""
    yield [wire]
    yield [wire[at : at + 1] for at in range(len(wire))]
    for at in range(1, len(wire)):
        yield [wire[:at], wire[at:]]


def events(framing: Framing, chunks: Iterable[bytes], *, end: bool = False) -> list[Event]:
    """Everything that `chunks`, one read each, make a fresh decoder say. end: the peer then ends its stream.

    Raises AssertionError if `scan`, `state` or `pending` do not agree with `decode`.
    """
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


def assert_wire(framing: Framing, wire: bytes, expected: Sequence[Expected], *, end: bool = True) -> None:
    """These bytes are these messages and errors, in this order, in all `splits`. Raises AssertionError.

    end: the peer ends its stream after them.
    """
    for chunks in splits(wire):
        seen = events(framing, chunks, end=end)
        if len(seen) != len(expected) or not all(map(_is_expected, seen, expected)):
            raise AssertionError(f"{framing}, reads {_shown(chunks)}: found {seen}, expected {list(expected)}")


def assert_framing(framing: Framing, messages: Sequence[bytes]) -> None:
    """The framing keeps the contract (`sockserve.framing.Framing`), as far as these messages show it.

    messages: at least one, small ones, such as give trouble: the empty one, marks of the framing, digits.
    The framing has frames: where a read is a message, as in raw, there is nothing to check.

    Checked are encoding, decoding in all `splits`, also of wrong bytes, `scan`, `take`, `state`, `pending`, the limit,
    the end of the stream, and that it is a value. That time is linear is not. Raises AssertionError at the first fault.
    """
    if not messages:
        raise ValueError("assert_framing needs a message at least")
    _check_value(framing)
    _check_encoding(framing, messages)
    wire = framing.encode_all(messages)
    assert_wire(framing, wire, messages)
    for message in messages:
        _check_frame(framing, message)
    _check_take(framing, messages)
    _check_limit(framing, max(messages, key=len))
    _check_wrong_bytes(framing, wire)


class CheckedDecoder:
    """Decodes, and checks at each call that `scan` says the same, also where the two are mixed."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._decoder, self._scanner, self._mixed = framing.decoder(), framing.decoder(), framing.decoder()
        self._calls = 0
        self._received = bytearray()

    @property
    def state(self) -> State:
        return self._decoder.state

    @property
    def pending(self) -> int:
        return self._decoder.pending

    def decode(self, data: bytes) -> list[bytes]:
        self._received += data
        try:
            messages = self._decoder.decode(data)
        except FramingError as error:
            self._check(data, described(error))
            raise
        self._check(data, messages)
        return messages

    def finish(self) -> list[bytes] | None:
        try:
            messages = self._decoder.finish()
            if messages:
                others = self._scanner.finish(), self._mixed.finish()
                same = others == (messages, messages)
                _require(same, f"{self._framing}: finish gives {messages} after decode, {others} after scan and both")
            return messages
        finally:
            self.take()

    def take(self) -> bytes:
        """What all of them hand back."""
        held = self._decoder.take()
        for name, other in (("scan", self._scanner), ("decode and scan", self._mixed)):
            found = other.take()
            _require(found == held, f"{self._framing}: after {name}, take gives {found!r}, after decode {held!r}")
        return held

    def _check(self, data: bytes, expected: Said) -> None:
        self._calls += 1
        for decoder, scans in ((self._scanner, True), (self._mixed, self._calls % 2 == 0)):
            said = self._said(decoder, data, expected, scans=scans)
            _require(
                (said, decoder.state, decoder.pending) == (expected, self.state, self._decoder.pending),
                f"{self._framing}: decode gives {expected}, {self.state}, pending {self._decoder.pending}; "
                f"{'scan' if scans else 'decode after scan'} gives {said}, {decoder.state}, pending {decoder.pending}",
            )

    def _said(self, decoder: Decoder, data: bytes, expected: Said, *, scans: bool) -> Said | tuple[bytes, int]:
        """What it says, as messages; frames that are not those of the expected messages stay frames."""
        try:
            if not scans:
                return decoder.decode(data)
            frames, count = decoder.scan(data)
        except FramingError as error:
            return described(error)
        right = isinstance(expected, list) and count == len(expected) and self._are(frames, expected, decoder)
        return expected if right else (frames, count)

    def _are(self, frames: bytes, messages: list[bytes], decoder: Decoder) -> bool:
        """Whether these are frames of the messages: as they are sent, or as they came in another form."""
        if not messages:
            return True
        try:
            if frames == self._framing.encode_all(messages):
                return True
        except FramingError:
            # A tolerant framing may understand what it does not send.
            pass
        other = settled(self._framing, decoder).decoder()
        return frames in self._received and other.decode(frames) == messages


def settled(framing: Framing, decoder: Decoder) -> Framing:
    """The framing for another decoder that goes on where this one is: its first bytes may have decided for all."""
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
    """An error as an event."""
    return type(error).__name__, str(error)


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise AssertionError(complaint)


def _shown(chunks: list[bytes]) -> str:
    return str(chunks) if len(chunks) < 10 else f"of {len(chunks)} single bytes"


def _is_expected(event: Event, expected: Expected) -> bool:
    if isinstance(expected, type):
        return event[0] == expected.__name__
    return event == (expected if isinstance(expected, bytes) else described(expected))


def _error(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


# The checks of assert_framing.


def _check_value(framing: Framing) -> None:
    _require(is_framing(framing), f"{framing!r} lacks methods or attributes of a Framing")
    name = str(framing)
    _require(name.isprintable() and bool(name), f"str() of the framing must be its name, not {name!r}")
    limit, policy = framing.max_length, framing.on_bad_frame
    _require(isinstance(limit, int) and limit >= 1, f"{name}: max_length must be a number from 1, not {limit!r}")
    _require(policy in ("close", "skip"), f"{name}: on_bad_frame must be 'close' or 'skip', not {policy!r}")
    change = partial(setattr, framing, "max_length", limit)
    _require(_error(change) is not None, f"{name}: max_length can be set; a framing must be immutable")
    ways: dict[str, Callable[[Framing], Framing]] = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda value: cast("Framing", pickle.loads(pickle.dumps(value))),  # noqa: S301 - just made
    }
    for way, function in ways.items():
        try:
            same = function(framing)
        except Exception as error:
            raise AssertionError(f"{name}: {way} fails: {type(error).__name__}: {error}") from error
        _require(same == framing, f"{name}: {way} gives {same!r}, which is not equal")
        _require(hash(same) == hash(framing), f"{name}: {way} gives another hash")
        _require(str(same) == name, f"{name}: {way} gives the name {same}")


def _check_encoding(framing: Framing, messages: Sequence[bytes]) -> None:
    for message in messages:
        frame = framing.encode(message)
        _require(isinstance(frame, bytes), f"{framing}: encode gives {type(frame).__name__}, not bytes")
    for some in ([], messages[:1], messages):
        found, expected = framing.encode_all(some), b"".join(map(framing.encode, some))
        _require(found == expected, f"{framing}: encode_all gives {found!r}, encode {expected!r}")
    for wrong in cast("tuple[Any, ...]", (bytearray(messages[0]), memoryview(messages[0]), "text", None)):
        kind = type(wrong).__name__
        for name, call in (
            ("encode", partial(framing.encode, wrong)),
            ("encode_all", partial(framing.encode_all, [messages[0], wrong])),
            ("decode", partial(framing.decoder().decode, wrong)),
            ("scan", partial(framing.decoder().scan, wrong)),
        ):
            error = _error(call)
            _require(isinstance(error, TypeError), f"{framing}: {name} of a {kind} must raise TypeError, not {error!r}")


def _check_frame(framing: Framing, message: bytes) -> None:
    """One frame, byte by byte."""
    frame = framing.encode(message)
    decoder = framing.decoder()
    _require((decoder.state, decoder.pending) == ("idle", 0), f"{framing}: a fresh decoder is {decoder.state}")
    decoder.finish()
    for count in range(1, len(frame) + 1):
        found = decoder.decode(frame[count - 1 : count])
        state, pending = decoder.state, decoder.pending
        if count < len(frame) and not found:
            where = f"{framing}: after {frame[:count]!r} of {frame!r}"
            _require(state == "partial", f"{where}, state is {state!r}, not 'partial'")
            _require(pending == count, f"{where}, pending is {pending}")
            cut = framing.decoder()
            cut.decode(frame[:count])
            errors = [_error(cut.finish), _error(cut.finish)]
            truncated = isinstance(errors[0], TruncatedMessage) and str(errors[0]) == str(errors[1])
            _require(truncated, f"{where}, finish, called twice, gives {errors}, not the same TruncatedMessage")
        elif found:
            _require(
                (state, pending) == ("idle", 0), f"{framing}: after {frame!r}, state is {state!r}, pending {pending}"
            )


def _check_take(framing: Framing, messages: Sequence[bytes]) -> None:
    frames = [framing.encode(message) for message in messages]
    begun = frames[0][:-1]
    for back in range(len(frames)):
        decoder = framing.decoder()
        found = decoder.decode(b"".join([*frames, begun]))
        _require(found == list(messages), f"{framing}: decode gives {found}, not {list(messages)}")
        kept = len(frames) - back
        rest, expected = decoder.take(back), b"".join([*frames[kept:], begun])
        _require(rest == expected, f"{framing}: take({back}) gives {rest!r}, not {expected!r}")
        _require((decoder.state, decoder.pending) == ("idle", 0), f"{framing}: after take, state is {decoder.state!r}")
        again = decoder.decode(rest) if rest else []
        _require(again == list(messages[kept:]), f"{framing}: fed what take gave, decode gives {again}")


def _check_limit(framing: Framing, longest: bytes) -> None:
    error = _error(partial(framing.encode, bytes(framing.max_length + 1)))
    _require(isinstance(error, FramingError), f"{framing}: a message over max_length is encoded ({error!r})")
    limit = len(longest) - 1
    small = _changed(framing, max_length=limit) if limit > 0 else None
    if small is None or small.max_length != limit:
        return
    frame = framing.encode(longest)
    most = limit + len(frame) - len(longest) + 1
    decoder = small.decoder()
    for count in range(1, len(frame) + 1):
        error = _error(partial(decoder.decode, frame[count - 1 : count]))
        if error is not None:
            _require(isinstance(error, MessageTooLong), f"{framing}: a message over max_length raises {error!r}")
            return
        _require(count < most, f"{framing}: with max_length {limit}, {count} bytes of {frame!r} are accepted")


def _check_wrong_bytes(framing: Framing, wire: bytes) -> None:
    """Whatever comes, it means the same however it is split, and a decoder that has failed says so for good."""
    policies = [
        each for each in (_changed(framing, on_bad_frame=word) for word in ("close", "skip")) if each is not None
    ]
    for at in range(len(wire)):
        for wrong in (wire[:at] + wire[at + 1 :], wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]):
            for value in policies or [framing]:
                expected = events(value, [wrong], end=True)
                for chunks in ([wrong[:at], wrong[at:]], [wrong[each : each + 1] for each in range(len(wrong))]):
                    found = events(value, chunks, end=True)
                    _require(
                        found == expected, f"{value}: {wrong!r} is {expected}, but in reads {_shown(chunks)} {found}"
                    )
                _check_failed(value, wrong)


def _check_failed(framing: Framing, wrong: bytes) -> None:
    decoder = framing.decoder()
    list(drain(decoder, wrong))
    if decoder.state == "failed":
        errors = [_error(call) for call in (partial(decoder.decode, b"x"), partial(decoder.scan, b""), decoder.finish)]
        same = errors[0] is not None and all(each is errors[0] for each in errors)
        _require(same, f"{framing}: failed after {wrong!r}, it raises {errors}, not the same error each time")
        _require(decoder.take() == b"", f"{framing}: failed after {wrong!r}, it holds bytes")


def _changed(framing: Framing, **changes: object) -> Framing | None:
    """The same framing but for these; None: that cannot be made."""
    value: Any = framing
    if not is_dataclass(value):
        return None
    try:
        return cast("Framing", replace(cast("Any", value), **changes))
    except (TypeError, ValueError):
        return None
