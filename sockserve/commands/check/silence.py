"""Trials with a peer that falls silent: it sends no more, or it reads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

from sockserve.commands.check.echo import Echo
from sockserve.commands.check.endings import size_of
from sockserve.commands.check.frames import cuts, pieces
from sockserve.commands.check.trial import QUIET, Outcome, Result, Target, Trial

# Bytes: no server should hold this many for one peer.
UNREAD = 64 * 1024 * 1024
# Seconds without a byte taken, after which the server has stopped reading.
STUCK = 0.5


async def stall(target: Target) -> Outcome:
    """Part of a frame, silence, and then the rest, if the server has kept the connection."""
    starts = cuts(target.framing)
    outcome = Outcome(
        f"a message, part of a frame, {target.silence:g} s of silence, the rest", "1 answer, or 2 if it waits"
    )
    echo = Echo(target.framing, 2 * target.sample)
    size = len(target.sample)
    async with AsyncExitStack() as stack:
        stalled = []
        for start in dict.fromkeys((starts[0], starts[-1])):
            peer = await stack.enter_async_context(target.peer())
            await peer.send(target.sample + start)
            await peer.has(size)
            stalled.append((peer, start))
        begun = target.reactor.seconds()
        for peer, start in stalled:
            rest = begun + target.silence - target.reactor.seconds()
            await peer.has(size + 1, max(rest, QUIET))
            label = f"{len(start)} of {size} bytes"
            if peer.over or len(peer.received) != size:
                problem = Echo(target.framing, target.sample + start).problem(peer.received)
                came = f"1 answer, {peer.over} after {max(peer.over_at - begun, 0):.1f} s"
                outcome.results.append(Result(label, problem or came, problem))
                continue
            await peer.send(target.sample[len(start) :])
            await peer.has(echo.owed)
            result = await target.end(label, peer, echo)
            outcome.results.append(Result(label, f"waited; {result.came}", result.problem, result.late))
    return outcome


async def never_read(target: Target) -> Outcome:
    outcome = Outcome("messages without end, reading nothing", "it stops reading; others are served")
    async with target.peer() as peer:
        peer.hold()
        stuck = False

        def until_stuck() -> Iterator[bytes]:
            for piece in pieces(target.framing):
                if stuck:
                    return
                yield piece

        peer.start(until_stuck())
        await peer.until(lambda: peer.sent >= UNREAD, STUCK)
        stuck = True
        taken = f"{size_of(peer.sent)} taken"
        if peer.sent >= UNREAD:
            problem = f"{taken}, and no end of it"
        else:
            problem = await target.next_client()
            problem = f"{taken}; next client: {problem}" * bool(problem)
        came = problem or f"{taken}, {peer.over or 'then no more'}"
        outcome.results.append(Result("", came, problem))
    return outcome


TRIALS = (
    Trial("stall", "part of a frame, then silence", stall, hostile=True),
    Trial("never-read", "sending until the server takes no more, reading nothing", never_read, hostile=True),
)
