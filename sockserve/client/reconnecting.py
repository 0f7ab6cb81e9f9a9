"""A service that stays connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

from sockserve.client.connecting import ClientProtocol, TimedEndpoint
from sockserve.client.endpoints import ClientEndpoint, as_endpoint, as_reactor
from sockserve.connection.channel import Channel
from sockserve.connection.conversation import Conversation, ConversationProtocol
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import DEFAULT_CLOSE_TIMEOUT, DEFAULT_MAX_QUEUED
from sockserve.tls.client import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.framing import Framing

log = Logger()


RetryPolicy = Callable[[int], float]
"""Seconds to wait, from the number of attempts that have failed in a row; see twisted.application.internet."""


def reconnecting(
    endpoint: ClientEndpoint,
    framing: Framing | str,
    conversation: Conversation,
    *,
    retry_policy: RetryPolicy | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
    max_queued: int = DEFAULT_MAX_QUEUED,
    log_traffic: bool = False,
    reactor: object = None,
) -> ClientService:
    """A service that keeps a connection for as long as it runs, and runs `conversation(channel)` on each.

    The end of the conversation closes its connection, and another one is made; when the connection is lost, the
    conversation's read or write raises, as elsewhere. Stopping the service sends what is owed and closes.

    endpoint, framing, close_timeout, max_queued, reactor: as of `connect`.
    timeout: seconds for each attempt; one that fails is logged in one line.
    retry_policy: seconds before the next attempt; None: from one second on, by steps to one minute.
    log_traffic: log the number of bytes of every read and write.

    Raises ValueError for an endpoint string or a framing that is none.
    """
    reactor = as_reactor(reactor)
    whole = TimedEndpoint(as_endpoint(endpoint, reactor), timeout, reactor, description=str(endpoint))
    options = {"close_timeout": close_timeout, "max_queued": max_queued, "log_traffic": log_traffic}
    return _Reconnecting(whole, framing, conversation, retry_policy, reactor, **options)


class _ReconnectingProtocol(ClientProtocol, ConversationProtocol):
    """One connection of a service: its conversation begins when it is ready."""

    def __init__(self, conversation: Conversation) -> None:
        ClientProtocol.__init__(self)
        ConversationProtocol.__init__(self, self._begin)
        self._conversation = conversation

    async def _begin(self, channel: Channel) -> None:
        try:
            await self.ready
        except (ConnectError, CancelledError) as error:
            log.warn(
                "{peer}: {error}",
                peer=self.peer,
                error=str(error),
                event_name="sockserve.client.failed",
                attributes={"exception.message": str(error)},
            )
        else:
            await self._conversation(channel)


class _Reconnecting(ClientService):
    """Closes as a channel does: what is owed is sent, as long as the peer takes it."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        framing: Framing | str,
        conversation: Conversation,
        retry_policy: RetryPolicy | None,
        reactor: IReactorTime,
        **options: float,
    ) -> None:
        self._conversation = conversation
        self._current: _ReconnectingProtocol | None = None
        factory = MessageFactory(framing, self._make, **options)
        super().__init__(endpoint, factory, retry_policy, reactor)

    def _make(self) -> _ReconnectingProtocol:
        self._current = _ReconnectingProtocol(self._conversation)
        return self._current

    def stopService(self) -> Deferred[None]:
        current = self._current
        if current is None or not current.connected:
            return super().stopService()
        Service.stopService(self)
        over = current.whenOver()
        current.loseConnection()
        return over.addCallback(self._stop)

    def _stop(self, _: object) -> Deferred[None] | None:
        """The connection is over: make no other, unless the service was started again."""
        return None if self.running else maybeDeferred(super().stopService)
