"""forward: a bridge. Each client gets its own connection to the target; messages are carried from framing to framing.

In both directions, with half-close and back-pressure: reading from one side pauses while the other does not read, and
the end of one side's messages ends what is sent to the other side.

A large message is passed on while it comes, in parts, if its own framing tells its length first, and the other side's
can send a header for it without having seen all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import connectionDone

from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.errors import FramingError
from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from sockserve.connection.options import ConnectionOptions
    from sockserve.framing import Framing


class Bridged(MessageProtocol):
    """One side of a bridge: what it receives goes to the other side."""

    other: Bridged | None = None
    # The peer's messages have ended, and so has what is sent to the other side.
    ended = False

    def messagesReceived(self, messages: list[bytes]) -> None:
        other = self.other
        if other is None:
            # Lost before the target was connected.
            return
        try:
            # Whatever waits there: this side is read no further meanwhile.
            other._engine.encoder.answer_all(messages)
        except FramingError:
            self._pass_each(messages, other)

    def _messageBegun(self, length: int) -> bool:
        """Pass it on while it comes, if the other side's framing can."""
        other = self.other
        if other is None:
            return False
        try:
            return other._engine.encoder.open(length)
        except FramingError as error:
            # With "skip" it is skipped when it is complete.
            if self.info.framing.on_bad_frame == "close":
                self._refuse(error, other)
            return False

    def _partReceived(self, part: bytes, last: bool) -> None:
        if self.other is not None:
            self.other._engine.encoder.add(part, last=last)

    def messagesEnded(self) -> None:
        other = self.other
        self.ended = True
        if other is None:
            return
        other.endMessages()
        if other.ended or other.closing:
            other.loseConnection()
            self.loseConnection()

    def writingPaused(self) -> None:
        if self.other is not None:
            self.other.holdReading("other side")

    def writingResumed(self) -> None:
        if self.other is not None:
            self.other.releaseReading("other side")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.loseConnection()

    def _pass_each(self, messages: list[bytes], other: Bridged) -> None:
        """Some message cannot be carried: pass on those before it, or, with on_bad_frame "skip", all others."""
        for message in messages:
            try:
                other._engine.encoder.answer_all([message])
            except FramingError as error:
                if self._refuse(error, other):
                    return

    def _refuse(self, error: FramingError, other: Bridged) -> bool:
        """A message cannot be carried. Whether that is the end, for which on_bad_frame decides."""
        skip = self.info.framing.on_bad_frame == "skip"
        action = "skipping it" if skip else "closing"
        self._engine.telling.warn("on_bad_frame", f"cannot cross to {other.peer}: {printable(error)}; {action}")
        if not skip:
            self.loseConnection()
            other.loseConnection()
        return not skip


class Target(Bridged):
    """The side of the target."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        client = self.other
        super().connectionLost(reason)
        if client is not None and self.lossReason is not None:
            text = f"lost the target: {printable(self.lossReason).rstrip('.')}; closing"
            client._engine.telling.warn("forward", text, "sockserve.forward.failed")


class Client(Bridged):
    """The side of a client. Nothing is read from it until the target is connected."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._connecting: Deferred[IProtocol] | None = None

    def connectionMade(self) -> None:
        self.holdReading("target")
        framing = self._forward.framing or self.info.framing
        factory = MessageFactory(framing, self._target)
        self._connecting = self._forward.endpoint.connect(factory)
        self._connecting.addCallbacks(self._connected, self._refused)

    def _target(self) -> Target:
        target = Target()
        target.options = self._forward.options_for(self.options)
        return target

    def _connected(self, target: IProtocol) -> None:
        assert isinstance(target, Target)
        self._connecting = None
        self.other, target.other = target, self
        self.releaseReading("target")

    def _refused(self, failure: Failure) -> None:
        self._connecting = None
        if not failure.check(CancelledError, ConnectingCancelledError):
            reason = printable(failure.getErrorMessage())
            text = f"no connection to {self._forward.description}: {reason}; closing"
            self._engine.telling.warn("forward", text, "sockserve.forward.failed")
            self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._connecting is not None:
            self._connecting.cancel()


class Forward:
    """endpoint: of the target. framing: of the target; None: the client's. description: names the target in the log."""

    def __init__(self, endpoint: IStreamClientEndpoint, framing: Framing | None, description: str) -> None:
        self.endpoint = endpoint
        self.framing = framing
        self.description = description
        # Those of the clients, and those of the connections to the target.
        self._options: tuple[ConnectionOptions, ConnectionOptions] | None = None

    def options_for(self, clients: ConnectionOptions) -> ConnectionOptions:
        """Those of the connections to the target; made once, since all clients of a socket have the same."""
        if self._options is None or self._options[0] is not clients:
            self._options = clients, clients.for_target()
        return self._options[1]

    def client(self) -> Client:
        """The protocol of a new client."""
        return Client(self)
