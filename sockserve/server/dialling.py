"""A named socket that connects instead of listening: it keeps one connection, and makes it again when it is lost."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from sockserve.addresses import address_attributes, format_address
from sockserve.client.connecting import TimedEndpoint
from sockserve.client.endpoints import ClientEndpoint, as_endpoint
from sockserve.connection.protocol import MessageProtocol
from sockserve.connection.transports import unwrap
from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
    from twisted.python.failure import Failure

    from sockserve.connection.factory import MessageFactory
    from sockserve.limits.flood import FloodGuard

# As the rooms are called, not their modules.
log = Logger("sockserve.server.sockets")

# Seconds. A connection that lasts longer, or has brought something, is no failed attempt.
_LASTING = 10.0


class Dialled(Protocol):
    """What is asked of a connection that is over."""

    @property
    def bytes_received(self) -> int: ...


class State(Enum):
    """OFF: it does nothing. DIALLING: an attempt is under way. WAITING: for the time of the next one. CONNECTED: there
    is a connection. LAST: there is one, and no other follows it.
    """

    OFF = 0
    DIALLING = 1
    WAITING = 2
    CONNECTED = 3
    LAST = 4


class Dialler:
    """Makes one connection after the other.

    name: of the named socket. timeout: seconds that an attempt may take. lines: where it logs.
    pause: seconds before the next attempt, from the number of those that have failed in a row.

    state: what it does. failures: how many attempts have failed.

    The log has one line for each connection that is made, and one when none can be made: the next one for another
    reason only, however long it tries. Its end has a line as that of any connection.
    """

    def __init__(
        self,
        name: str,
        endpoint: ClientEndpoint,
        factory: MessageFactory,
        reactor: IReactorTime,
        *,
        timeout: float,
        lines: FloodGuard,
        pause: Callable[[int], float] | None = None,
    ) -> None:
        self.state = State.OFF
        self.failures = 0
        self._name = name
        self._endpoint = endpoint
        self._factory = factory
        self._reactor = reactor
        self._timeout = timeout
        self._lines = lines
        self._pause = backoffPolicy() if pause is None else pause
        # In a row; and why the last one has failed, since there was a connection.
        self._failed = 0
        self._problem = ""
        self._since = 0.0
        self._attempt: Deferred[IProtocol] | None = None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Connect, if there is no connection, and keep it."""
        if self.state is State.LAST:
            self.state = State.CONNECTED
        elif self.state is State.OFF:
            self._failed = 0
            self._dial()

    def stop(self) -> None:
        """Connect no more. A connection that there is stays."""
        if self.state is State.CONNECTED:
            self.state = State.LAST
        elif self.state is not State.LAST:
            self.state = State.OFF
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def taken(self) -> None:
        """There is a connection, which another one has made."""
        self.stop()
        self._begin(State.CONNECTED)

    def ended(self, connection: Dialled) -> None:
        """The connection is over."""
        if self.state is State.LAST:
            self.state = State.OFF
        elif self.state is State.CONNECTED:
            lasted = self._reactor.seconds() - self._since
            self._failed = 0 if connection.bytes_received or lasted >= _LASTING else self._failed + 1
            self._wait()

    def _dial(self) -> None:
        self._timer = None
        self.state = State.DIALLING
        try:
            # The files that it names may be others now.
            endpoint = as_endpoint(self._endpoint, self._reactor)
        except ValueError as error:
            self._cannot(str(error))
            return
        attempt = TimedEndpoint(endpoint, self._timeout, self._reactor).connect(self._factory)
        self._attempt = attempt
        attempt.addCallbacks(self._connected, self._refused)

    def _begin(self, state: State) -> None:
        self.state = state
        self._problem = ""
        self._since = self._reactor.seconds()

    def _connected(self, protocol: IProtocol) -> None:
        assert isinstance(protocol, MessageProtocol)
        self._attempt = None
        unwrap(protocol.transport, protocol)
        engine = protocol._engine
        address = format_address(engine.address)
        self._lines.line(
            "connect",
            lambda: log.info(
                "{name} connected to {address}",
                name=self._name,
                address=address,
                event_name="sockserve.socket.connected",
                attributes={"sockserve.socket": self._name, **address_attributes(address)},
            ),
        )
        self._begin(State.CONNECTED)
        if engine.over:
            self.ended(engine)

    def _refused(self, failure: Failure) -> None:
        self._attempt = None
        if failure.check(CancelledError) is None:
            self._cannot(failure.getErrorMessage() or repr(failure.value))

    def _cannot(self, problem: str) -> None:
        self.failures += 1
        self._failed += 1
        if problem != self._problem:
            self._problem = problem
            self._lines.warn(
                "connect",
                "{name} cannot connect to {target}: {error}; trying again",
                name=self._name,
                target=printable(str(self._endpoint)),
                error=printable(problem).rstrip("."),
                event_name="sockserve.socket.unconnected",
                attributes={
                    "sockserve.socket": self._name,
                    "sockserve.client.target": str(self._endpoint),
                    "exception.message": problem,
                },
            )
        self._wait()

    def _wait(self) -> None:
        self.state = State.WAITING
        self._timer = self._reactor.callLater(self._pause(self._failed), self._dial)
