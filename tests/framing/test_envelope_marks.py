"""envelope: one read of many frames means the same as the same bytes one by one, for marks of every kind."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.encoder import Encoder
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import FramingError
from tests.framing.test_properties import EXAMPLES, sendable
from tests.support.wire import Written, drain, events

LIMIT = 4

MARKS = [bytes(mark) for length in (1, 2, 3) for mark in product(b"ab", repeat=length)]
"""All short marks of two letters. Two of them may be equal, contain each other, or overlap, themselves included."""

pairs = st.tuples(st.sampled_from(MARKS), st.sampled_from(MARKS))
policies: st.SearchStrategy[OnBadFrame] = st.sampled_from(("close", "skip"))


@st.composite
def wires(draw: st.DrawFn) -> tuple[Envelope, bytes]:
    """A framing, and mostly good frames of it."""
    (start, end), policy = draw(pairs), draw(policies)
    framing = Envelope(start, end, max_length=LIMIT, on_bad_frame=policy)
    letters = st.text("abc", max_size=LIMIT + 1).map(str.encode)
    frames = st.tuples(letters, st.sampled_from([b"", b"", b"", b"", b"c", b"a"])).map(
        lambda each: start + each[0] + end + each[1]
    )
    return framing, b"".join(draw(st.lists(frames | letters, max_size=12)))


def by_marks(framing: Envelope, wire: bytes) -> list[bytes | str]:
    """What the rules say, with on_bad_frame "close": the messages, then the name of the error, if any."""
    seen: list[bytes | str] = []
    start, end, limit = framing.start, framing.end, framing.max_length
    while wire:
        if not wire.startswith(start):
            return seen if start.startswith(wire) else [*seen, "MalformedHeader"]
        message, found, rest = wire[len(start) :].partition(end)
        if not found:
            # The shortest message that this can become: what may be the start of the end mark is not in it.
            shortest = len(message) - max(n for n in range(len(end)) if message.endswith(end[:n]))
            return [*seen, "MessageTooLong"] if shortest > limit else seen
        if len(message) > limit:
            return [*seen, "MessageTooLong"]
        seen.append(message)
        wire = rest
    return seen


class MarkTests(SynchronousTestCase):
    @settings(max_examples=2 * EXAMPLES)
    @given(wires())
    def test_one_read_means_what_the_rules_say(self, case: tuple[Envelope, bytes]) -> None:
        framing, wire = case
        if framing.on_bad_frame == "close":
            seen = events(framing, [wire])
            self.assertEqual([each if isinstance(each, bytes) else each[0] for each in seen], by_marks(framing, wire))

    @settings(max_examples=2 * EXAMPLES)
    @given(wires(), st.integers(0, 100))
    def test_one_read_two_and_one_byte_at_a_time_mean_the_same(self, case: tuple[Envelope, bytes], place: int) -> None:
        framing, wire = case
        cut = place % (len(wire) + 1)
        single = [wire[at : at + 1] for at in range(len(wire))]
        expected = events(framing, single, end=True)
        self.assertEqual(events(framing, [wire], end=True), expected)
        self.assertEqual(events(framing, [wire[:cut], wire[cut:]], end=True), expected)

    @settings(max_examples=EXAMPLES)
    @given(wires(), st.integers(0, 12))
    def test_messages_taken_back_give_exactly_the_bytes_after_the_message_before(
        self, case: tuple[Envelope, bytes], back: int
    ) -> None:
        framing, wire = case
        for scans in (False, True):
            decoder, again = framing.decoder(), framing.decoder()
            try:
                count = decoder.scan(wire)[1] if scans else len(decoder.decode(wire))
            except FramingError:
                return
            if not count:
                return
            back %= count
            taken = decoder.take(back)
            self.assertTrue(wire.endswith(taken))
            self.assertEqual(len(again.decode(wire[: len(wire) - len(taken)])), count - back)
            self.assertEqual(again.state, "idle")

    @settings(max_examples=EXAMPLES)
    @given(pairs, st.lists(st.text("abc", max_size=LIMIT).map(str.encode), max_size=8))
    def test_messages_sent_together_are_framed_as_they_are_alone(
        self, marks: tuple[bytes, bytes], messages: list[bytes]
    ) -> None:
        # Room for all in one piece, where they are checked together.
        framing = Envelope(*marks, max_length=100)
        messages = [message for message in messages if sendable(framing, message)]
        alone = b"".join([framing.encode(message) for message in messages])
        self.assertEqual(framing.encode_all(messages), alone)
        written = Written()
        encoder = Encoder(framing, written)
        encoder.batch = 1000
        for message in messages:
            encoder.send(message)
        encoder.flush()
        self.assertEqual(b"".join(written), alone)
        self.assertEqual(list(drain(framing.decoder(), alone)), messages)

    @settings(max_examples=EXAMPLES)
    @given(pairs, st.lists(st.text("abc", max_size=LIMIT).map(str.encode), max_size=4))
    def test_a_message_that_cannot_be_sent_alone_cannot_be_sent_with_others(
        self, marks: tuple[bytes, bytes], messages: list[bytes]
    ) -> None:
        framing = Envelope(*marks, max_length=100)
        encoder = Encoder(framing, Written())
        encoder.batch = 1000
        for message in messages:
            if not sendable(framing, message):
                self.assertRaises(FramingError, framing.encode_all, messages)
                self.assertRaises(FramingError, encoder.send, message)
