"""MessageProtocol against the model in tests/support/model.py.

Any interleaving of reads, pauses, a peer that does not read, changes of framing, messages sent, closes, aborts, drains,
the end of the stream and the loss of the connection, made from outside or from inside the callback for any message or
error, must give the same messages, the same errors, the same bytes sent and the same close. EXAMPLES in the environment
says how many are tried.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing
from tests.support.model import END, FRAMINGS, LOST, WORDS, Action, Change, Pair, Send

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
MESSAGES = (b"", b"a", b"abc", b"nine byte", b"much too long", b"a\n", b"[1]")

pieces = st.sampled_from((
    *(b"2\r\nok", b"2:ok,", b"2,ok", b"\x02ok", b"ok\n", b"ok\r\n", b"ok<EOF>", b"<ok>"),
    *(b"Content-Length: 2\r\n\r\nok", b"content-length:1\r\nA: b\r\n\r\nx", b"[1]", b' {"a":"]"}', b"[[[0]]", b'["'),
    *(b"\x0bok\x1c\r", b"<ok>\x18", b"\x10\x02o\x10\x10k\x10\x03", b"o\xdb\xddk\xc0", b"\x03ok\0", b"\xdb", b"\x10"),
    *(b"abc", b"\n", b"\r", b" ", b"9", b"\xff"),
))  # fmt: skip
reads = st.lists(pieces | st.binary(max_size=4), max_size=12).map(b"".join)
changes = st.builds(Change, st.sampled_from(FRAMINGS), st.booleans(), st.booleans())
sends = st.builds(Send, st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3).map(tuple))
words = st.sampled_from(tuple(word for word in WORDS if word != "nothing"))
reactions = st.sampled_from(WORDS) | changes | changes | sends


class Connection(RuleBasedStateMachine):
    @initialize(framing=st.sampled_from(FRAMINGS), lingers=st.booleans())
    def connect(self, framing: Framing, lingers: bool) -> None:
        self.pair = Pair(framing, lingers=lingers)

    @precondition(lambda self: self.pair.takes(END))
    @rule(data=reads)
    def read(self, data: bytes) -> None:
        self.pair.do(data)

    @precondition(lambda self: self.pair.takes(END))
    @rule(planned=st.lists(reactions, max_size=6), data=reads)
    def react(self, planned: list[Action], data: bytes) -> None:
        for action in planned:
            self.pair.plan(action)
        self.pair.do(data)

    @rule(action=words | changes | sends)
    def act(self, action: Action) -> None:
        self.pair.do(action)

    @precondition(lambda self: self.pair.takes(END))
    @rule()
    def end(self) -> None:
        self.pair.do(END)

    @precondition(lambda self: self.pair.takes(LOST))
    @rule()
    def lose(self) -> None:
        self.pair.do(LOST)

    @invariant()
    def same(self) -> None:
        assert self.pair.difference() is None, self.pair.difference()

    def teardown(self) -> None:
        self.pair.do("unblock")
        self.pair.do("resume")
        self.same()


class ModelTests(SynchronousTestCase):
    def test_any_interleaving_gives_what_the_model_gives(self) -> None:
        run_state_machine_as_test(
            Connection, settings=settings(max_examples=EXAMPLES, stateful_step_count=15, deadline=None)
        )
        self.assertEqual(self.flushLoggedErrors(), [])
