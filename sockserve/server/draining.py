"""How the connections of a named socket end when it stops: between two messages, where there is time for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

if TYPE_CHECKING:
    from typing import Any

    from twisted.internet.interfaces import IReactorTime

    from sockserve.limits.admission import Admission
    from sockserve.limits.arrivals import Arrivals

QUIET = 1.0
"""Seconds for which a client must be silent, and owed no answer, to be between two messages: what it has sent may still
be on its way. At the most a tenth of the drain_timeout."""

BUSY = 0.5
"""The part of the drain_timeout for which those that are never silent are served. The rest is for what is owed."""

LINGER = 0.5
"""Seconds that clients that are owed nothing have to end their stream when they see the end of ours. What a client
sends to a process that is gone is answered with a reset, which destroys what it has not read yet. At the most a
twentieth of the drain_timeout."""


async def drain(admission: Admission[Any], arrivals: Arrivals, reactor: IReactorTime, seconds: float) -> int:
    """End all connections, after the ports are closed. Returns how many had to be aborted after so many seconds.

    arrivals: connections before their PROXY header or handshake; they have the time of a silence to get further.
    """
    began = reactor.seconds()
    quiet = min(QUIET, seconds / 10)
    admission.begin_drain()
    while arrivals and reactor.seconds() - began < quiet:
        await deferLater(reactor, quiet / 10)
    while admission.drain_quiet(quiet) and reactor.seconds() - began < seconds * BUSY:
        await _emptied(admission, reactor, quiet)
    arrivals.forget()
    drained: Deferred[int] = admission.drain().addCallback(lambda _: 0)
    left = max(0.0, began + seconds - reactor.seconds())
    aborted = await drained.addTimeout(left, reactor, lambda *_: admission.abort())
    await _emptied(admission, reactor, min(LINGER, seconds / 20))
    return aborted


def _emptied(admission: Admission[Any], reactor: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires when no connection runs any more, at the latest after so many seconds."""
    return admission.emptied().addTimeout(seconds, reactor, lambda *_: None)
