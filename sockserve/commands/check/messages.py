"""Trials with good messages, sent in every way that a network may deliver them."""

from __future__ import annotations

from sockserve.commands.check.echo import Echo, plural
from sockserve.commands.check.frames import good_messages, longest
from sockserve.commands.check.trial import Outcome, Result, Target, Trial
from sockserve.framing import Framing

# Seconds between two segments, so that they are two reads for a server that is awake.
APART = 0.001
# Bytes at each end of a stream that are split off; between them is no border.
EDGE = 1024


async def whole(target: Target) -> Outcome:
    frames = _frames(target.framing)
    outcome = Outcome(f"{plural(len(frames), 'message')}, one by one", "each answered, then the end")
    echo = Echo(target.framing, b"".join(frames))
    async with target.peer() as peer:
        size = 0
        for frame in frames:
            await peer.send(frame)
            size += len(frame)
            if not await peer.has(size):
                break
        outcome.results.append(await target.end("", peer, echo))
    return outcome


async def together(target: Target) -> Outcome:
    frames = _frames(target.framing) * 100
    echo = Echo(target.framing, b"".join(frames))
    outcome = Outcome(f"{plural(len(frames), 'message')} in one write", f"{echo}, then the end")
    outcome.results.append(await target.exchange("", [b"".join(frames)]))
    return outcome


async def single_bytes(target: Target) -> Outcome:
    stream = b"".join(_frames(target.framing))
    echo = Echo(target.framing, stream)
    outcome = Outcome(f"{len(stream)} bytes, a segment each", f"{echo}, then the end")
    async with target.peer() as peer:
        for piece in _segments(stream):
            await peer.send(piece)
            await target.pause(APART)
        await peer.until(lambda: echo.complete(peer.received))
        outcome.results.append(await target.end("", peer, echo))
    return outcome


async def splits(target: Target) -> Outcome:
    """One connection: every answer of a round is there before the next round."""
    stream = b"".join(_frames(target.framing))
    places = [at for at in range(1, len(stream)) if at <= EDGE // 2 or len(stream) - at <= EDGE // 2]
    outcome = Outcome(f"{len(stream)} bytes in two parts, {len(places)} splits", "all answers each time")
    echo = Echo(target.framing, stream * len(places))
    async with target.peer() as peer:
        for number, at in enumerate(places, 1):
            await peer.send(stream[:at])
            await target.pause(APART)
            await peer.send(stream[at:])
            size = number * len(stream)
            if not await peer.has(size):
                result = await target.end(f"split at byte {at}", peer, echo)
                problem = f"split at byte {at}: {result.problem}"
                outcome.results.append(Result(result.sent, problem, problem, result.late))
                return outcome
        outcome.results.append(await target.end("", peer, echo))
    return outcome


async def largest(target: Target) -> Outcome:
    frame = target.framing.encode(longest(target.framing))
    outcome = Outcome(
        f"a message of {plural(len(longest(target.framing)), 'byte')}", f"{Echo(target.framing, frame)}, then the end"
    )
    outcome.results.append(await target.exchange("", [frame]))
    return outcome


def _frames(framing: Framing) -> list[bytes]:
    return [framing.encode(message) for message in good_messages(framing)]


def _segments(stream: bytes) -> list[bytes]:
    """A byte each; of a long stream, its two ends."""
    if len(stream) <= EDGE:
        edge, rest = len(stream), b""
    else:
        edge, rest = EDGE // 2, stream[EDGE // 2 : -EDGE // 2]
    first = [stream[at : at + 1] for at in range(edge)]
    last = [stream[at : at + 1] for at in range(edge + len(rest), len(stream))]
    return [*first, *filter(None, [rest]), *last]


TRIALS = (
    Trial("whole", "good messages, each sent when the one before was answered", whole),
    Trial("together", "many good messages in one write", together),
    Trial("bytes", "good messages, a byte a segment", single_bytes),
    Trial("splits", "good messages in two segments, split at every byte", splits),
    Trial("largest", "a message as long as --max-length allows", largest),
)
