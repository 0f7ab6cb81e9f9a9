"""A model of MessageProtocol that is too simple to be wrong, one byte at a time, one rule a line; and what is compared.

An action is done by both. `do` of either takes it from outside, and from inside the callback for a message or an error
when it is in `reactions`. Used by tests/connection/test_model.py and by fuzz/protocol.py.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, parse
from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.errors import FramingError, TruncatedMessage
from tests.support.tolerant import Lines, Spaced

if TYPE_CHECKING:
    from tests.support.wire import Event

NAMES = (
    *("windev", "standard", "standard:\\n", "int8", "netstring", "varint", "fixed:1", "fixed:3", "envelope:<:>"),
    *("eof", "content-length", "json"),
    *("lines", "lines:lf", "mllp", "envelope:<:>:sum", "dle", "slip", "cobs"),
)
POLICIES: tuple[OnBadFrame, ...] = ("close", "skip")
FRAMINGS: tuple[Framing, ...] = (
    *(parse(name, max_length=9, on_bad_frame=policy) for name in NAMES for policy in POLICIES),
    *(kind(max_length=9, on_bad_frame=policy) for kind in (Lines, Spaced) for policy in POLICIES),
)


@dataclass(frozen=True)
class Change:
    framing: Framing
    incoming: bool = True
    outgoing: bool = True


@dataclass(frozen=True)
class Send:
    messages: tuple[bytes, ...]


WORDS = (
    "pause",
    "resume",
    "pause and resume",
    "block",
    "unblock",
    "stop sending",
    "close",
    "abort",
    "drain",
    "nothing",
)
"""block, unblock: the transport says that the peer does not read, or reads again."""

END = "end"
"""The peer's end of stream; no read comes after it."""

LOST = "lost"
"""The connection is lost."""

Action = str | Change | Send | bytes
"""One of WORDS, END, LOST, a change of framing, messages to send, or a read (bytes).

A reaction is none of those that a transport brings: no read, no END and no LOST.
"""

MESSAGES_ENDED = ("messagesEnded", "")
"""Seen when the messages have ended."""


class Model:
    """What a connection does, byte by byte.

    seen: messages, errors as (name, text), and MESSAGES_ENDED. sent: all bytes written.
    closed: nothing happens any more.
    lingers: the end of the messages does not close the connection.
    """

    def __init__(self, framing: Framing, *, lingers: bool) -> None:
        self.framing = self.outgoing = framing
        self.decoder = framing.decoder()
        self.waiting: Framing | None = None
        self.reactions: deque[Action] = deque()
        self.buffer: deque[int] = deque()
        self.seen: list[Event] = []
        self.sent = b""
        self.holds: set[str] = set()
        self.lingers = lingers
        self.busy = self.mute = self.closed = self.draining = self.ended = self.told = self.lost = False
        self.aborted = self.cut = False

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
                # Nothing holds up what is left when the connection is lost.
                if not self.lost:
                    self.holds.add(action)
            case "block":
                # After the last message sent nobody asks any more.
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
            case "abort":
                self.closed = self.aborted = True
            case "drain":
                self.draining = not self.ended
            case "end":
                self.ended = True
            case "lost":
                self.cut = not self.ended
                self.lost = self.mute = True
                self.ended = not self.draining
                self.holds.clear()
        if not self.busy:
            self.run()

    def send(self, messages: tuple[bytes, ...]) -> None:
        if not self.mute and not self.closed:
            try:
                self.sent += self.outgoing.encode_all(messages)
            except FramingError:
                return
            self.mute = str(self.outgoing) == "eof"

    def switch_at_border(self) -> None:
        if self.waiting is not None and self.decoder.state == "idle":
            self.framing, self.waiting = self.waiting, None
            self.decoder = self.framing.decoder()

    def run(self) -> None:
        self.busy = True
        while self.buffer and self.goes_on():
            self.feed(bytes([self.buffer.popleft()]))
            self.switch_at_border()
        if self.ended and self.goes_on():
            self.complete()
        if (self.ended or self.draining) and self.goes_on():
            self.tell()
        self.closed = self.closed or self.lost
        self.busy = False

    def goes_on(self) -> bool:
        return not self.holds and not self.told and not self.closed

    def complete(self) -> None:
        """The end of the stream completes a message, or is too early."""
        held = self.decoder.pending
        try:
            for message in self.decoder.finish() or ():
                if self.cut:
                    raise TruncatedMessage(None, held, "the end of the stream")
                self.happened(message)
                self.switch_at_border()
        except FramingError as error:
            self.happened(error)
            # Nothing holds up the end that was reported.
            self.tell()

    def tell(self) -> None:
        if not self.closed:
            self.told = True
            self.seen.append(MESSAGES_ENDED)
            self.closed = not self.lingers

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
            if self.decoder.state == "failed":
                self.tell()
        else:
            for message in messages:
                self.happened(message)

    def happened(self, event: bytes | FramingError) -> None:
        self.seen.append(event if isinstance(event, bytes) else (type(event).__name__, str(event)))
        self.do(self.reactions.popleft() if self.reactions else "nothing")


class Recorder(MessageProtocol):
    """Remembers what it is told, and does what the script says in the callback."""

    transport: StringTransport

    def __init__(self, framing: Framing, *, lingers: bool) -> None:
        self.framing = framing
        self.lingers = lingers
        self.reactions: deque[Action] = deque()
        self.seen: list[Event] = []
        self.options = ConnectionOptions(reactor=Clock())

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        self.do(self.reactions.popleft() if self.reactions else "nothing")

    def framingFailed(self, error: FramingError) -> None:
        self.seen.append((type(error).__name__, str(error)))
        self.do(self.reactions.popleft() if self.reactions else "nothing")

    def messagesEnded(self) -> None:
        self.seen.append(MESSAGES_ENDED)
        if not self.lingers:
            super().messagesEnded()

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
            case "abort":
                self.abortConnection()
            case "end":
                self.readConnectionLost()
            case "lost":
                self.connectionLost(Failure(ConnectionLost()))

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

    def __init__(self, framing: Framing, *, lingers: bool) -> None:
        self.model = Model(framing, lingers=lingers)
        self.protocol = Recorder(framing, lingers=lingers)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def takes(self, action: Action) -> bool:
        """Whether a transport can bring it now: no read, and no second end, comes after the end of the stream."""
        model = self.model
        if action == LOST:
            return not model.lost
        if isinstance(action, bytes) or action == END:
            return not (model.closed or model.ended or model.draining or model.told or model.lost)
        return True

    def plan(self, action: Action) -> None:
        """What to do in the next callback that has nothing planned yet."""
        self.model.reactions.append(action)
        self.protocol.reactions.append(action)

    def do(self, action: Action) -> None:
        self.model.do(action)
        self.protocol.do(action)

    def difference(self) -> str | None:
        sent = self.transport.value()
        for name, have, want in (
            ("seen", self.protocol.seen, self.model.seen),
            ("sent", sent, self.model.sent[: len(sent)] if self.model.aborted else self.model.sent),
            ("closed", self.protocol.closing, self.model.closed),
            ("disconnecting", self.model.lost or bool(self.transport.disconnecting), self.model.closed),
        ):
            if have != want:
                return f"{name}: {have!r}, but the model says {want!r}"
        return None
