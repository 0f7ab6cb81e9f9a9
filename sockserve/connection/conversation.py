"""Conversations: coroutines that own one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost

from sockserve.connection.channel import Channel, ChannelClosed, ReadProtocol
from sockserve.connection.coroutine import run
from sockserve.connection.evidence import log_bad_frame
from sockserve.framing.errors import TruncatedMessage

if TYPE_CHECKING:
    from twisted.python.failure import Failure

Conversation = Callable[["Channel"], Coroutine[Any, Any, object]]
"""`async def talk(channel)`: owns one connection for its whole life. Its end closes the connection."""


class ConversationProtocol(ReadProtocol):
    """Runs one conversation. Its end closes the connection; an exception in it is logged, and closes it too."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def connectionMade(self) -> None:
        super().connectionMade()
        run(self._converse()).addErrback(self._talk_failed).addCallback(self._done)

    async def _converse(self) -> None:
        # Awaited here, so that a callable that returns no coroutine fails as a conversation does.
        await self._talk(Channel(self))

    def _done(self, _: object) -> None:
        self.loseConnection()
        self.forget()

    def _talk_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, TruncatedMessage):
            log_bad_frame(self._engine, failure.value, "closing")
        elif failure.check(ChannelClosed, ConnectionLost, CancelledError, asyncio.CancelledError):
            # Its traceback keeps the frames of all who are called now, and they keep it.
            failure.cleanFailure()
        else:
            self._engine.failed("the conversation", failure)
