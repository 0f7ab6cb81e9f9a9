"""MessageProtocol against a model that is too simple to be wrong: one byte at a time, one rule a line.

Any interleaving of reads, pauses, changes of framing, closes and the end of the stream, made from outside or from
inside the callback for any message, must give the same messages, the same errors and the same answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError
from sockserve.protocol import MessageProtocol

if TYPE_CHECKING:
    from tests.wire import Event

NAMES = ("windev", "standard", "standard:\\n", "int8", "netstring", "varint", "fixed:1", "fixed:3", "envelope:<:>")
FRAMINGS = tuple(
    parse(name, max_length=9, on_bad_frame="skip" if policy else "close") for name in NAMES for policy in (0, 1)
)

Action = str | Framing | bytes
"""A read (bytes), a change of framing, or one of the words below."""

actions = st.sampled_from(("pause", "resume", "pause and resume", "close", "nothing", "nothing")) | st.sampled_from(
    FRAMINGS
)
pieces = st.sampled_from((b"2\r\nok", b"2:ok,", b"\x02ok", b"ok\n", b"ok<EOF>", b"<ok>", b"abc", b"\n", b"9", b"\xff"))
reads = st.lists(pieces | st.binary(max_size=4), max_size=12).map(b"".join)
scripts = st.lists(reads | actions | st.just("end"), max_size=12)
reactions = st.lists(actions, max_size=30)


class Model:
    """What a connection does, byte by byte."""

    def __init__(self, framing: Framing, reactions: list[Action]) -> None:
        self.framing = framing
        self.decoder = framing.decoder()
        self.waiting: Framing | None = None
        self.reactions = iter(reactions)
        self.buffer: deque[int] = deque()
        self.seen: list[Event] = []
        self.busy = self.paused = self.closed = self.ended = False

    def do(self, action: Action) -> None:
        match action:
            case bytes():
                self.buffer.extend(action)
            case "pause":
                self.paused = True
            case "resume":
                self.paused = False
            case "close":
                self.closed = True
            case "end":
                self.ended = True
            case "pause and resume":
                self.paused = False
            case "nothing":
                pass
            case _:
                assert not isinstance(action, str)
                self.waiting = action
                self.switch_at_border()
        if not self.busy:
            self.run()

    def switch_at_border(self) -> None:
        if self.waiting is not None and self.decoder.state == "idle":
            self.framing, self.waiting = self.waiting, None
            self.decoder = self.framing.decoder()

    def run(self) -> None:
        self.busy = True
        while self.buffer and not self.paused and not self.closed:
            self.feed(bytes([self.buffer.popleft()]))
            self.switch_at_border()
        self.busy = False
        if self.ended and not self.paused and not self.closed:
            self.busy = self.closed = True
            try:
                self.decoder.finish()
            except FramingError as error:
                self.happened(error)

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
        self.do(next(self.reactions, "nothing"))


class Recorder(MessageProtocol):
    """Remembers what it is told, and does what the script says in the callback."""

    def __init__(self, framing: Framing, reactions: list[Action]) -> None:
        self.framing = framing
        self.reactions: Iterator[Action] = iter(reactions)
        self.seen: list[Event] = []
        self.reactor = Clock()

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        self.do(next(self.reactions, "nothing"))

    def framingFailed(self, error: FramingError) -> None:
        self.seen.append((type(error).__name__, str(error)))
        self.do(next(self.reactions, "nothing"))

    def do(self, action: Action) -> None:
        match action:
            case bytes():
                self.dataReceived(action)
            case "pause":
                self.pauseProducing()
            case "resume":
                self.resumeProducing()
            case "close":
                self.loseConnection()
            case "end":
                self.readConnectionLost()
            case "pause and resume":
                self.pauseProducing()
                self.resumeProducing()
            case "nothing":
                pass
            case _:
                assert not isinstance(action, str)
                self.setFraming(action)


class ModelTests(SynchronousTestCase):
    @settings(max_examples=2000, deadline=None)
    @given(st.sampled_from(FRAMINGS), scripts, reactions)
    def test_any_interleaving_gives_what_the_model_gives(
        self, framing: Framing, script: list[Action], reactions: list[Action]
    ) -> None:
        model = Model(framing, reactions)
        protocol = Recorder(framing, reactions)
        transport = StringTransport()
        protocol.makeConnection(transport)
        for action in script:
            model.do(action)
            protocol.do(action)
            self.assertEqual(protocol.seen, model.seen)
            self.assertEqual(bool(transport.disconnecting), model.closed)
            if model.closed or model.ended:
                break
        if not model.closed:
            model.do("resume")
            protocol.do("resume")
            self.assertEqual(protocol.seen, model.seen)
        self.assertEqual(self.flushLoggedErrors(), [])
