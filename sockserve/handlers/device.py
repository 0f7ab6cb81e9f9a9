"""The one connection to a device that many clients share: it is kept for as long as it is wanted, and made again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError
from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProtocol, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from sockserve.connection.options import ConnectionOptions
    from sockserve.framing import Framing

log = Logger("sockserve.handlers.share")

# Seconds before an attempt to connect, from the number of those that have failed in a row: each pause is twice the one
# before. A connection that was lost is made again at once.
_PAUSE = backoffPolicy(0.1, 5.0, 2.0, jitter=lambda: 0.0)
# Nothing is owed to a device whose connection is closed: it has this many seconds to close its side.
_CLOSE_TIMEOUT = 1.0


class Listener(Protocol):
    """Who is told of the device; see sockserve.handlers.share."""

    def ready(self) -> None:
        """The device can be sent messages."""

    def received(self, messages: list[bytes]) -> None:
        """It has sent these."""

    def lost(self, reason: str) -> None:
        """It was connected, and is not any more. Not called after `drop` and `stop`."""


class Device:
    """The connection: dialled at the start, and again whenever it is lost, until the stop.

    endpoint, framing: of the device. description: names the endpoint in the log. options: of the connection; its limits
    on the time of clients do not apply.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        framing: Framing,
        description: str,
        options: ConnectionOptions,
        listener: Listener,
    ) -> None:
        self.description = description
        self._endpoint = endpoint
        self._options = replace(options.for_target(), close_timeout=min(options.close_timeout, _CLOSE_TIMEOUT))
        self._factory = MessageFactory(framing, self._protocol)
        self._listener = listener
        self._wanted = False
        # The protocol that the endpoint was given last.
        self._made: DeviceProtocol
        # At most one of these three is there.
        self._connecting: Deferred[IProtocol] | None = None
        self._pause: IDelayedCall | None = None
        self._current: DeviceProtocol | None = None
        # Connections, and attempts at one, since the device has answered last.
        self._attempts = 0
        # When the attempts began to fail, which was logged then; None: they do not.
        self._failing: float | None = None

    @property
    def connected(self) -> bool:
        return self._current is not None

    @property
    def peer(self) -> str:
        """Its name in the log, after that of the named socket."""
        if self._current is not None:
            return self._current.peer
        return f"{self._options.socket} {self.description}".lstrip()

    def start(self) -> None:
        self._wanted = True
        self._dial()

    def stop(self) -> Deferred[None]:
        """Close the connection, and make no other. Fires when it is over."""
        self._wanted = False
        self._failing = None
        self._attempts = 0
        if self._connecting is not None:
            self._connecting.cancel()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        current, self._current = self._current, None
        if current is None:
            return succeed(None)
        over: Deferred[None] = Deferred()
        current.over = over
        current.loseConnection()
        return over

    def send(self, message: bytes) -> None:
        """Raises FramingError for a message that its framing cannot carry."""
        assert self._current is not None
        # Whatever waits there: the next one is sent when this one is answered.
        self._current._engine.encoder.answer_all([message])

    def drop(self) -> None:
        """Abort the connection, so that nothing more comes from it, and make another."""
        current, self._current = self._current, None
        if current is not None:
            current.abortConnection()
            self._again()

    def warn(self, text: str, event_name: str) -> None:
        """Log one line about the device."""
        own = {"sockserve.socket": self._options.socket} if self._current is None else self._current.attributes
        attributes = {**own, "sockserve.client.target": self.description}
        self._options.events.warn(
            "share", "{peer}: {text}", peer=self.peer, text=text, event_name=event_name, attributes=attributes
        )

    # What its connections call.

    def received(self, messages: list[bytes]) -> None:
        self._attempts = 0
        self._listener.received(messages)

    def closed(self, protocol: DeviceProtocol, reason: str) -> None:
        """No more comes from it. Called once or several times."""
        if protocol is not self._current:
            return
        self.warn(f"lost the device: {reason}; connecting again", "sockserve.share.lost")
        self._current = None
        protocol.abortConnection()
        self._again()
        self._listener.lost(reason)

    def _protocol(self) -> DeviceProtocol:
        self._made = protocol = DeviceProtocol(self)
        protocol.options = self._options
        return protocol

    def _dial(self) -> None:
        self._attempts += 1
        self._pause = None
        self._connecting = connecting = self._endpoint.connect(self._factory)
        connecting.addCallbacks(self._connected, self._refused)

    def _again(self) -> None:
        if not self._wanted:
            return
        failed = self._attempts - 1
        pause = _PAUSE(failed - 1) if failed > 0 else 0.0
        self._pause = self._options.clock.callLater(pause, self._dial)

    def _connected(self, _: object) -> None:
        # An endpoint may give a wrapper of it.
        protocol = self._made
        self._connecting = None
        if not self._wanted:
            # Some endpoints cannot be cancelled.
            protocol.abortConnection()
        elif protocol.closing:
            self._again()
        else:
            self._opened(protocol)

    def _opened(self, protocol: DeviceProtocol) -> None:
        self._current = protocol
        if self._failing is not None:
            log.info(
                "{peer}: connected again after {seconds:.3g} s",
                peer=self.peer,
                seconds=self._options.clock.seconds() - self._failing,
                event_name="sockserve.share.back",
                attributes={**protocol.attributes, "sockserve.client.target": self.description},
            )
            self._failing = None
        self._listener.ready()

    def _refused(self, failure: Failure) -> None:
        self._connecting = None
        if not self._wanted or failure.check(CancelledError, ConnectingCancelledError):
            return
        if self._failing is None:
            self._failing = self._options.clock.seconds()
            self.warn(
                f"no connection: {printable(failure.getErrorMessage()).rstrip('.')}; trying again",
                "sockserve.share.lost",
            )
        self._again()


class DeviceProtocol(MessageProtocol):
    """One connection to the device. over: fires at its end, if somebody waits for that."""

    over: Deferred[None] | None = None

    def __init__(self, device: Device) -> None:
        self._device = device

    @property
    def attributes(self) -> dict[str, object]:
        """What the log says of it to programs."""
        return self._engine.telling.attributes

    def messagesReceived(self, messages: list[bytes]) -> None:
        self._device.received(messages)

    def messageReceived(self, message: bytes) -> None:
        """One that had to wait for its delivery."""
        self._device.received([message])

    def writingPaused(self) -> None:
        """It does not read; it is read from all the same."""

    def writingResumed(self) -> None:
        """Nothing was held."""

    def framingFailed(self, error: FramingError) -> None:
        # Whatever on_bad_frame says: nothing tells whose answer is missing after that.
        self._device.closed(self, printable(error))

    def messagesEnded(self) -> None:
        self._device.closed(self, "it has ended its stream")
        self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._device.closed(self, printable(reason.getErrorMessage()).rstrip("."))
        if self.over is not None:
            self.over.callback(None)
