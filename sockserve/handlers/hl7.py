"""hl7: receives HL7 v2 messages, calls a function for each, and sends the acknowledgments that the message asks for.

When the function returns, the message is accepted; when it raises `Refused`, the message is rejected; another exception
is an error of the application. The connection stays open. See sockserve.handlers.acknowledgment for what is sent.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from sockserve.connection.failures import Refused, users_failure
from sockserve.handlers.acknowledgment import INTERNAL, NO_ID, Error, MessageHeader, NotHL7, acknowledge, refusal
from sockserve.handlers.answers import Answer, Function, call, checked
from sockserve.handlers.function import DEFAULT_MAX_PENDING, Answering
from sockserve.text import reason_of

if TYPE_CHECKING:
    from sockserve.connection.channel import Channel
    from sockserve.handlers.durations import Durations
    from sockserve.handlers.threads import Threads

FRAMING = "mllp"
"""That of a socket that is given none: MLLP."""

Acknowledgments = tuple[bytes, ...]
"""What is sent for one message: an acknowledgment of transport, one of the application, both, or nothing."""


class Acknowledging(Answering):
    """Calls the function for each message and acknowledges it, in the order of the messages.

    The function returns None, or a message that is sent instead of an acknowledgment of the application. The other
    arguments are as those of Answering.
    """

    keepsState = False

    def __init__(
        self,
        function: Function,
        *,
        max_pending: int = DEFAULT_MAX_PENDING,
        threads: Threads | None = None,
        durations: Durations | None = None,
    ) -> None:
        acknowledged = cast("Function", self._acknowledged)
        super().__init__(acknowledged, max_pending=max_pending, durations=durations, several=True)
        self._received = function
        self._called_in = threads

    def _acknowledged(self, message: bytes, channel: Channel) -> Acknowledgments | Deferred[Acknowledgments]:
        try:
            header = MessageHeader(message)
        except NotHL7 as error:
            if self.info.framing.on_bad_frame != "skip":
                raise Refused(f"not an HL7 message: {error}") from None
            self._engine.telling.warn("on_bad_frame", f"not an HL7 message: {error}; skipping it")
            return ()
        if not header[10] and not header.silent:
            return self._refused(header, b"R", NO_ID)
        try:
            result = call(self._received, message, channel, self._called_in)
        except BaseException:
            return self._failed(header, Failure())
        if not isinstance(result, Deferred):
            return self._accepted(header, result)
        return result.addCallbacks(partial(self._accepted, header), partial(self._failed, header))

    def _accepted(self, header: MessageHeader, result: object) -> Acknowledgments:
        """The function has returned."""
        try:
            own: Answer = checked(result)
        except BaseException:
            return self._failed(header, Failure())
        answers: Acknowledgments = ()
        if header.accept[0]:
            answers += (acknowledge(header, b"CA"),)
        if header.application[0]:
            answers += (acknowledge(header, b"AA") if own is None else own,)
        return answers

    def _failed(self, header: MessageHeader, failure: Failure) -> Acknowledgments:
        """The function has raised something."""
        if self.closing and failure.check(CancelledError, asyncio.CancelledError):
            return ()
        if isinstance(failure.value, Refused):
            return self._refused(header, b"R", refusal(reason_of(failure.value)))
        code = _code(header, b"E")
        self._engine.options.events.failure(
            "handler",
            "{peer}: the handler failed; {answered}",
            users_failure(failure),
            peer=self.peer,
            answered=_answered(code),
            event_name="sockserve.handler.failed",
            attributes=self._engine.telling.attributes,
        )
        return _told(header, code, INTERNAL)

    def _refused(self, header: MessageHeader, kind: bytes, error: Error) -> Acknowledgments:
        code = _code(header, kind)
        self._engine.telling.warn("handler", f"refused: {error.text}; {_answered(code)}", "sockserve.handler.refused")
        return _told(header, code, error)


def _code(header: MessageHeader, kind: bytes) -> bytes:
    """How an error is told; b"": it is not. A message that is not accepted has nothing more to come."""
    if header.accept[1]:
        return b"C" + kind
    return b"A" + kind if header.application[1] else b""


def _answered(code: bytes) -> str:
    return f"answered {code.decode()}" if code else "its sender wants no answer"


def _told(header: MessageHeader, code: bytes, error: Error) -> Acknowledgments:
    return (acknowledge(header, code, error),) if code else ()
