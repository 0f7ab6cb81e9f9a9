"""One connection to Redis, through txredisapi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Factory

from sockserve.redis.commands import Argument, Unavailable
from sockserve.text import printable, reason_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from sockserve.redis.address import RedisAddress

TIMEOUT = 10.0
"""Seconds for each step of connecting, and for an answer."""


class RedisConnection:
    """An open connection. Its calls are answered in turn. close: to be awaited, also after a failure."""

    def __init__(self, protocol: Any, clock: IReactorTime) -> None:  # noqa: ANN401 - of txredisapi, which has no types
        self._protocol = protocol
        self._clock = clock
        self._closed: Deferred[object] = protocol.whenDisconnected()

    @classmethod
    async def open(cls, address: RedisAddress, reactor: IReactorTime) -> RedisConnection:
        """Connect, with the password and the database of the address. Raises Unavailable."""
        # It imports the reactor.
        from txredisapi import RedisProtocol

        factory: Factory[Any] = Factory.forProtocol(lambda: RedisProtocol(charset=None, convertNumbers=False))
        factory.noisy = False
        try:
            protocol = await address.endpoint(reactor, TIMEOUT).connect(factory)
        except Exception as error:  # endpoints fail with what they like
            raise Unavailable(printable(reason_of(error))) from None
        connection = cls(protocol, reactor)
        try:
            for command in address.greeting:
                await connection.call(*command)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def call(self, *command: Argument, patience: float = 0.0) -> Any:  # noqa: ANN401 - what Redis answers
        """The answer to a command: bytes, a number, None, or a list. Raises Unavailable.

        patience: seconds that Redis may wait before it answers.
        """
        from txredisapi import RedisError

        try:
            answer: Deferred[Any] = self._protocol.execute_command(*command)
            return await answer.addTimeout(TIMEOUT + patience, self._clock)
        except DeferredTimeout:
            raise Unavailable(f"it has not answered for {TIMEOUT + patience:g} seconds") from None
        except RedisError as error:
            raise Unavailable(printable(reason_of(error))) from None

    async def close(self) -> None:
        """Returns when it is closed."""
        self._protocol.transport.abortConnection()
        await self._closed
