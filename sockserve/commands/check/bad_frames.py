"""Trials with bytes that are no frame. A good message comes before them, and must be answered."""

from __future__ import annotations

from random import Random

from sockserve.commands.check.echo import Echo, short
from sockserve.commands.check.endings import size_of
from sockserve.commands.check.frames import PIECE, bad_headers, cuts, garbage, long_headers, long_messages
from sockserve.commands.check.trial import QUIET, Outcome, Result, Target, Trial

GARBAGE = 20


async def truncated(target: Target) -> Outcome:
    starts = cuts(target.framing)
    outcome = Outcome(f"a message, part of a frame, our end; {len(starts)} cuts", "1 answer, then the end")
    return await _hostile(target, outcome, starts)


async def long_header(target: Target) -> Outcome:
    headers = long_headers(target.framing)
    outcome = Outcome("a message, then a header over the limit", "1 answer, then the end")
    return await _hostile(target, outcome, headers, behind=b"x" * 16, patience=QUIET)


async def long_message(target: Target) -> Outcome:
    messages = long_messages(target.framing)
    outcome = Outcome(f"a message, then one over {target.framing.max_length} bytes", "1 answer, then the end")
    return await _hostile(target, outcome, messages, patience=QUIET)


async def bad_header(target: Target) -> Outcome:
    headers = bad_headers(target.framing)
    outcome = Outcome(f"a message, then a malformed frame; {len(headers)} kinds", "1 answer, then the end")
    return await _hostile(target, outcome, headers, behind=target.sample, patience=QUIET)


async def random_bytes(target: Target) -> Outcome:
    outcome = Outcome(f"a message, then random bytes; {GARBAGE} times", "what is a message")
    random = Random(target.seed)  # noqa: S311 - to be repeated, not to be secret
    return await _hostile(target, outcome, [garbage(random) for _ in range(GARBAGE)])


async def _hostile(
    target: Target, outcome: Outcome, bad: list[bytes], *, behind: bytes = b"", patience: float = QUIET / 10
) -> Outcome:
    """Each of `bad` on a connection of its own. patience: seconds for the server to close by itself."""
    for item in bad:
        result = await _one(target, item, behind, patience)
        outcome.results.append(result)
        if result.late:
            break
    return outcome


async def _one(target: Target, bad: bytes, behind: bytes, patience: float) -> Result:
    stream = target.sample + bad + behind
    echo = Echo(target.framing, stream)
    async with target.peer() as peer:
        # The good message and the bad bytes together. A server that closes resets us when we go on sending, so the rest
        # waits for what is owed.
        await peer.send(stream[:PIECE])
        await peer.has(len(target.sample))
        await peer.send(*(stream[at : at + PIECE] for at in range(PIECE, len(stream), PIECE)))
        await peer.until(lambda: echo.complete(peer.received))
        # Whether it closes by itself, and what it should not send.
        await peer.until(lambda: len(peer.received) > len(echo.data), patience)
        by_itself = bool(peer.over)
        result = await target.end(_label(bad), peer, echo, rude=True)
    if result.problem:
        problem = f"{result.sent}: {result.problem}"
        return Result(result.sent, problem, problem, result.late)
    return Result(result.sent, result.came + (" by itself" if by_itself else ""))


def _label(data: bytes) -> str:
    return short(data) if len(data) <= 1024 else size_of(len(data))


TRIALS = (
    Trial("truncated", "the start of a frame, then a half-close", truncated, hostile=True),
    Trial("long-header", "a header that announces too much, or never ends", long_header, hostile=True),
    Trial("long-message", "a message over the limit, or without an end", long_message, hostile=True),
    Trial("bad-header", "framing bytes that break a rule", bad_header, hostile=True),
    Trial("garbage", "random bytes", random_bytes, hostile=True),
)
