"""A model of MessageProtocol that is too simple to be wrong, one byte at a time, one rule a line; and what is compared.

An action is done by both. `do` of either takes it from outside, and from inside the callback for a message or an error
when it is in `reactions`. Used by tests/test_protocol_model.py and by fuzz/protocol.py.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError
from sockserve.protocol import MessageProtocol

if TYPE_CHECKING:
    from tests.wire import Event

NAMES = ("windev", "standard", "standard:\\n", "int8", "netstring", "varint", "fixed:1", "fixed:3", "envelope:<:>")
FRAMINGS = tuple(
    parse(name, max_length=9, on_bad_frame="skip" if policy else "close") for name in NAMES for policy in (0, 1)
)


@dataclass(frozen=True)
class Change:
    framing: Framing
    incoming: bool = True
    outgoing: bool = True


@dataclass(frozen=True)
class Send:
    messages: tuple[bytes, ...]


WORDS = ("pause", "resume", "pause and resume", "block", "unblock", "stop sending", "close", "drain", "nothing")
"""block, unblock: the transport says that the peer does not read, or reads again."""

END = "end"
"""The peer's end of stream; no read comes behind it."""

Action = str | Change | Send | bytes
"""One of WORDS, END, a change of framing, messages to send, or a read (bytes). A reaction is no read and no END."""


class Model:
    """What a connection does, byte by byte.

    seen: messages, and errors as (name, text). sent: all bytes written. closed: nothing happens any more.
    """

    def __init__(self, framing: Framing) -> None:
        self.framing = self.outgoing = framing
        self.decoder = framing.decoder()
        self.waiting: Framing | None = None
        self.reactions: deque[Action] = deque()
        self.buffer: deque[int] = deque()
        self.seen: list[Event] = []
        self.sent = b""
        self.holds: set[str] = set()
        self.busy = self.mute = self.closed = self.draining = self.ended = False

    def do(self, action: Action) -> None:
        match action:
            case bytes():
                self.buffer.extend(action)
            case Send(messages):
                self.send(messages)
            case Change(framing, incoming, outgoing):
                if outgoing:
                    self.outgoing = framing
                if incoming:
                    self.waiting = framing
                    self.switch_at_border()
            case "pause":
                self.holds.add(action)
            case "block":
                # Behind the last message sent nobody asks any more.
                if not self.mute:
                    self.holds.add(action)
            case "resume" | "unblock":
                self.holds.discard({"resume": "pause", "unblock": "block"}[action])
            case "pause and resume":
                self.holds.discard("pause")
            case "stop sending":
                self.mute = True
            case "close":
                self.closed = True
            case "drain":
                self.draining = True
            case "end":
                self.ended = True
        if not self.busy:
            self.run()

    def send(self, messages: tuple[bytes, ...]) -> None:
        if not self.mute and not self.closed:
            try:
                self.sent += self.outgoing.encode_all(messages)
            except FramingError:
                return

    def switch_at_border(self) -> None:
        if self.waiting is not None and self.decoder.state == "idle":
            self.framing, self.waiting = self.waiting, None
            self.decoder = self.framing.decoder()

    def run(self) -> None:
        self.busy = True
        while self.buffer and not self.holds and not self.closed:
            self.feed(bytes([self.buffer.popleft()]))
            self.switch_at_border()
        if (self.ended or self.draining) and not self.holds and not self.closed:
            if self.ended:
                try:
                    self.decoder.finish()
                except FramingError as error:
                    self.happened(error)
            self.closed = True
        self.busy = False

    def feed(self, byte: bytes) -> None:
        if self.waiting is not None and self.decoder.state == "skipping":
            if self.decoder.skip(byte):
                # What stands behind the bad frame is for the new framing, a start mark that ended it included.
                self.buffer.extendleft(reversed(self.decoder.take()))
            return
        try:
            messages = self.decoder.decode(byte)
        except FramingError as error:
            self.happened(error)
            self.closed = self.closed or self.decoder.state == "failed"
        else:
            for message in messages:
                self.happened(message)

    def happened(self, event: bytes | FramingError) -> None:
        self.seen.append(event if isinstance(event, bytes) else (type(event).__name__, str(event)))
        self.do(self.reactions.popleft() if self.reactions else "nothing")


class Recorder(MessageProtocol):
    """Remembers what it is told, and does what the script says in the callback."""

    transport: StringTransport  # type: ignore[assignment]

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self.reactions: deque[Action] = deque()
        self.seen: list[Event] = []
        self.reactor = Clock()

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        self.do(self.reactions.popleft() if self.reactions else "nothing")

    def framingFailed(self, error: FramingError) -> None:
        self.seen.append((type(error).__name__, str(error)))
        self.do(self.reactions.popleft() if self.reactions else "nothing")

    def do(self, action: Action) -> None:
        match action:
            case bytes():
                self.dataReceived(action)
            case Send(messages):
                self.send(messages)
            case Change(framing, incoming, outgoing):
                self.setFraming(framing, incoming=incoming, outgoing=outgoing)
            case "pause":
                self.pauseProducing()
            case "resume":
                self.resumeProducing()
            case "pause and resume":
                self.pauseProducing()
                self.resumeProducing()
            case "block":
                if self.transport.producer is not None:
                    self.transport.producer.pauseProducing()
            case "unblock":
                if self.transport.producer is not None:
                    self.transport.producer.resumeProducing()
            case "stop sending":
                self.endMessages()
            case "close":
                self.loseConnection()
            case "drain":
                self.drain()
            case "end":
                self.readConnectionLost()

    def send(self, messages: tuple[bytes, ...]) -> None:
        try:
            if len(messages) == 1:
                self.sendMessage(messages[0])
            else:
                self.sendMessages(messages)
        except FramingError:
            return


class Pair:
    """Both, side by side. Actions are done by both; `difference` says in which way they differ, or None."""

    def __init__(self, framing: Framing) -> None:
        self.model = Model(framing)
        self.protocol = Recorder(framing)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    @property
    def over(self) -> bool:
        """No read may come any more."""
        return self.model.closed or self.model.ended or self.model.draining

    def plan(self, action: Action) -> None:
        """What to do in the next callback that has nothing planned yet."""
        self.model.reactions.append(action)
        self.protocol.reactions.append(action)

    def do(self, action: Action) -> None:
        self.model.do(action)
        self.protocol.do(action)

    def difference(self) -> str | None:
        for name, have, want in (
            ("seen", self.protocol.seen, self.model.seen),
            ("sent", self.transport.value(), self.model.sent),
            ("closed", bool(self.transport.disconnecting), self.model.closed),
        ):
            if have != want:
                return f"{name}: {have!r}, but the model says {want!r}"
        return None
