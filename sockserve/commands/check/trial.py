"""A trial: some connections to the server, and what came of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from sockserve.client.endpoints import ClientEndpoint, as_endpoint
from sockserve.commands.check.echo import Echo
from sockserve.commands.check.frames import NotApplicable, sample
from sockserve.commands.check.peer import CLOSED, RESET, Peer
from sockserve.text import reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from twisted.internet.base import ReactorBase

    from sockserve.framing import Framing

__all__ = ["NotApplicable", "Outcome", "Result", "Target", "Trial"]

QUIET = 0.2
"""Seconds for something that should not come, or need not."""


class NoConnection(Exception):
    """The server did not take a connection: why."""


@dataclass(frozen=True, slots=True)
class Result:
    """One connection. sent, came: in words. problem: "" when all is well.

    late: the whole timeout was waited for in vain, so more of the same would take long.
    """

    sent: str
    came: str
    problem: str = ""
    late: bool = False


@dataclass(slots=True)
class Outcome:
    """One row of the table. sent, expected: in words."""

    sent: str
    expected: str
    results: list[Result] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """The first one."""
        return next((result.problem for result in self.results if result.problem), "")

    @property
    def came(self) -> str:
        count = len(self.results)
        held = sum(not result.problem for result in self.results)
        if held < count:
            return self.problem if count == 1 else f"{held} of {count} held; {self.problem}"
        ways = list(dict.fromkeys(result.came for result in self.results))
        if count == 1:
            return ways[0]
        return f"{held} of {count}: {ways[0]}" if len(ways) == 1 else f"{held} of {count} held"


@dataclass(frozen=True, slots=True)
class Trial:
    """run: gives the row, or raises NotApplicable with the reason.

    hostile: a good client must be served after it.
    """

    name: str
    summary: str
    run: Callable[[Target], Awaitable[Outcome]]
    hostile: bool = False


class Target:
    """The server under trial.

    timeout: seconds that it may be silent while it owes something.
    seed: of what is random.
    silence: seconds that we are silent inside a frame; by default `timeout`.
    """

    def __init__(
        self,
        reactor: ReactorBase,
        endpoint: ClientEndpoint,
        framing: Framing,
        timeout: float,
        seed: int,
        silence: float | None = None,
    ) -> None:
        self.reactor = reactor
        self.framing = framing
        self.timeout = timeout
        self.seed = seed
        self.silence = timeout if silence is None else silence
        self.sample = framing.encode(sample(framing))
        self._endpoint = as_endpoint(endpoint, reactor)

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        """A new connection, which is gone after the block. Raises NoConnection."""
        factory = Factory.forProtocol(lambda: Peer(self.reactor, self.timeout))
        connecting = self._endpoint.connect(factory)
        connecting.addTimeout(self.timeout, self.reactor, _none_within)
        try:
            peer = await connecting
        except Exception as error:  # one line for all that Twisted's endpoints may raise
            raise NoConnection(reason_of(error)) from None
        assert isinstance(peer, Peer)
        try:
            if not await peer.until(lambda: peer.ready):
                raise NoConnection(peer.over or f"no TLS handshake within {self.timeout:g} s")
            yield peer
        finally:
            await peer.leave()

    async def pause(self, seconds: float) -> None:
        await deferLater(self.reactor, seconds)

    async def exchange(self, label: str, pieces: Iterable[bytes]) -> Result:
        """Send good pieces, wait for all the answers, end, wait for the end."""
        pieces = list(pieces)
        echo = Echo(self.framing, b"".join(pieces))
        async with self.peer() as peer:
            await peer.send(*pieces)
            await peer.until(lambda: echo.complete(peer.received))
            return await self.end(label, peer, echo)

    async def end(self, label: str, peer: Peer, echo: Echo, *, rude: bool = False) -> Result:
        """End our side, wait for the server's end, and judge. rude: a reset will do as an end."""
        if echo.right(peer.received):
            peer.end()
            await peer.until(lambda: not echo.right(peer.received))
        problem = echo.problem(peer.received)
        late = not peer.over and echo.right(peer.received)
        how = f"no end in {self.timeout:g} s" if late else peer.over
        came = ", ".join(filter(None, (problem or echo.counted(len(peer.received)), how)))
        well = peer.over == CLOSED or (rude and peer.over == RESET)
        return Result(label, came, "" if well and not problem else came, late)

    async def next_client(self) -> str:
        """What goes wrong for a good client now; "" when nothing does. Raises NoConnection."""
        return (await self.exchange("", [self.sample])).problem


def _none_within(_: object, seconds: float) -> NoReturn:
    raise NoConnection(f"none within {seconds:g} s")
