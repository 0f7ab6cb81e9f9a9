"""Exceptions from a user's code: how they are shown, and the one that refuses a message on purpose."""

from __future__ import annotations

from types import FrameType

from twisted.python.failure import Failure


class Refused(Exception):
    """Raised by a handler or a conversation to refuse what its peer sent: `raise Refused("unknown article")`.

    The log gets one line with the reason, and no traceback. The connection closes after the answers to the messages
    before that one; a datagram is dropped, and the handler `hl7` rejects the message and goes on.
    """


class QueueFull(Exception):
    """A message is refused, and nothing of it queued: too much waits already for a peer that does not read.

    Who pushes to several peers leaves such a one out, or drops it; `await channel.write(...)` waits instead.
    """


def users_failure(failure: Failure) -> Failure:
    """The same failure with a traceback that starts in the user's code, not in ours."""
    value = failure.value
    trace = value.__traceback__ if isinstance(value, BaseException) else None
    while trace is not None and _is_ours(trace.tb_frame):
        trace = trace.tb_next
    return failure if trace is None else Failure(value, type(value), trace)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("sockserve", "twisted")
