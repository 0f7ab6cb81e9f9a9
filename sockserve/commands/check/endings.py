"""Trials of how a connection ends: half-closes, which must lose nothing, and resets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sockserve.commands.check.echo import Echo
from sockserve.commands.check.frames import NotApplicable, pieces, sample
from sockserve.commands.check.peer import Peer
from sockserve.commands.check.trial import QUIET, Outcome, Result, Target, Trial

# The loss after a half-close is a race: often enough to meet it.
RACES = 100
RESETS = 10
# Pieces of 64 KiB: more than a connection holds in most places.
PENDING = 256


async def end_at_once(target: Target) -> Outcome:
    outcome = Outcome("nothing, then our end", "no answer, then the end")
    async with target.peer() as peer:
        _need_half_close(peer)
        outcome.results.append(await target.end("", peer, Echo(target.framing, b"")))
    return outcome


async def end_behind(target: Target) -> Outcome:
    echo = Echo(target.framing, target.sample)
    size = len(sample(target.framing))
    outcome = Outcome(f"{size} bytes, our end right after; {RACES} times", f"{echo}, then the end")
    for _ in range(RACES):
        async with target.peer() as peer:
            _need_half_close(peer)
            peer.write(target.sample)
            outcome.results.append(await target.end("", peer, echo))
        if outcome.results[-1].late:
            break
    return outcome


async def end_pending(target: Target) -> Outcome:
    """Fill all buffers, end, and only then read."""
    sent: list[bytes] = []
    full = False
    async with target.peer() as peer:
        _need_half_close(peer)
        peer.hold()
        pieces_left = islice(pieces(target.framing), PENDING)

        def next_pieces() -> Iterator[bytes]:
            for piece in pieces_left:
                if full:
                    return
                sent.append(piece)
                yield piece

        peer.start(next_pieces())
        await peer.until(lambda: len(sent) == PENDING, QUIET)
        full = True
        peer.end()
        await target.pause(QUIET)
        peer.read_on()
        stream = b"".join(sent)
        echo = Echo(target.framing, stream)
        outcome = Outcome(f"{size_of(len(stream))}, our end, reading late", f"{echo}, then the end")
        await peer.until(lambda: echo.complete(peer.received))
        outcome.results.append(await target.end("", peer, echo))
    return outcome


async def reset_at_once(target: Target) -> Outcome:
    return await _resets(target, "a connection", b"")


async def reset_inside(target: Target) -> Outcome:
    return await _resets(target, "half a message", target.sample[: max(1, len(target.sample) // 2)])


async def reset_unread(target: Target) -> Outcome:
    [piece] = islice(pieces(target.framing), 1)
    return await _resets(target, f"{size_of(len(piece))}, reading nothing", piece)


async def _resets(target: Target, what: str, stream: bytes) -> Outcome:
    outcome = Outcome(f"{what}, reset; {RESETS} times", "others are served")
    for number in range(1, RESETS + 1):
        async with target.peer() as peer:
            if not peer.can_reset:
                raise NotApplicable("only TCP has a reset")
            peer.hold()
            await peer.send(stream)
            if number % 2:
                # Every other time the server has taken it.
                await target.pause(QUIET / 10)
        outcome.results.append(Result("", "reset"))
    return outcome


def _need_half_close(peer: Peer) -> None:
    if not peer.can_end:
        raise NotApplicable("a client cannot end its side alone over this transport")


def size_of(size: int) -> str:
    """As in "64 KiB"; bytes when it is not round enough."""
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


TRIALS = (
    Trial("end-at-once", "a half-close without a byte before it", end_at_once),
    Trial("end-behind", f"a half-close right after a message, as the Winsock sample, {RACES} times", end_behind),
    Trial("end-pending", "a half-close after some MB, and reading late", end_pending),
    Trial("reset-at-once", "a connection that is reset at once", reset_at_once, hostile=True),
    Trial("reset-inside", "a reset inside a message", reset_inside, hostile=True),
    Trial("reset-unread", "a reset with the answers unread", reset_unread, hostile=True),
)
