"""Every state of a connection, and every event in it: one table for each of the three staircases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.state import Cause, Incoming, Outgoing, State, Wire

WAITING, OPEN, ENDING, ENDED, DROPPED = Incoming

EVENTS: dict[str, Callable[[State], object]] = {
    "start": State.start,
    "bad frame": lambda state: state.no_more(Cause.BAD_FRAME),
    "drain": lambda state: state.no_more(Cause.DRAIN),
    "peer ended": State.peer_ended,
    "end told": State.end_told,
    "delivered": State.delivered,
    "drop": State.drop,
    "end sending": State.end_sending,
    "end stream": State.end_stream,
    "flush": State.flush,
    "lost": State.lost,
}

# Where each event leads. What is not here leaves the state as it is.
INCOMING = {
    WAITING: {"start": OPEN, "drop": DROPPED, "lost": DROPPED},
    OPEN: {"bad frame": ENDING, "drain": ENDING, "peer ended": ENDING, "lost": ENDING, "drop": DROPPED},
    ENDING: {"delivered": ENDED, "drop": DROPPED},
    ENDED: {"drop": DROPPED},
    DROPPED: {},
}
OUTGOING = {
    Outgoing.OPEN: {
        **dict.fromkeys(("end sending", "drop", "lost"), Outgoing.ENDING),
        "end stream": Outgoing.ENDED,
        "flush": Outgoing.FLUSHED,
    },
    Outgoing.ENDING: {"end stream": Outgoing.ENDED, "flush": Outgoing.FLUSHED},
    Outgoing.ENDED: {"flush": Outgoing.FLUSHED},
    Outgoing.FLUSHED: {},
}
WIRE = {
    Wire.OPEN: {"peer ended": Wire.ENDING, "lost": Wire.LOST},
    Wire.ENDING: {"end told": Wire.ENDED, "lost": Wire.LOST},
    Wire.ENDED: {"lost": Wire.LOST},
    Wire.LOST: {},
}
CAUSES = {"bad frame": Cause.BAD_FRAME, "drain": Cause.DRAIN, "peer ended": Cause.STREAM, "lost": Cause.STREAM}


def states() -> Iterator[tuple[Incoming, Outgoing, Wire, Cause | None]]:
    """All that are possible: a cause is there from ENDING to ENDED, and perhaps after a drop."""
    for incoming, outgoing, wire, cause in product(Incoming, Outgoing, Wire, (None, *Cause)):
        if incoming is DROPPED or (cause is None) == (incoming in (WAITING, OPEN)):
            yield incoming, outgoing, wire, cause


def made(incoming: Incoming, outgoing: Outgoing, wire: Wire, cause: Cause | None) -> State:
    state = State()
    state.incoming, state.outgoing, state.wire, state.cause = incoming, outgoing, wire, cause
    return state


class TableTests(SynchronousTestCase):
    def test_each_event_leads_where_the_tables_say(self) -> None:
        for before in states():
            incoming, outgoing, wire, cause = before
            for name, event in EVENTS.items():
                state = made(*before)
                event(state)
                expected = INCOMING[incoming].get(name, incoming)
                self.assertIs(state.incoming, expected, (before, name))
                self.assertIs(state.outgoing, OUTGOING[outgoing].get(name, outgoing), (before, name))
                self.assertIs(state.wire, WIRE[wire].get(name, wire), (before, name))
                replaced = incoming is ENDING and name == "bad frame"
                begun = incoming is OPEN and expected is ENDING
                self.assertIs(state.cause, CAUSES[name] if begun or replaced else cause, (before, name))

    def test_no_event_goes_back_a_stair(self) -> None:
        for before in states():
            for name, event in EVENTS.items():
                state = made(*before)
                event(state)
                after = (state.incoming, state.outgoing, state.wire)
                self.assertTrue(all(new >= old for new, old in zip(after, before[:3], strict=True)), (before, name))

    def test_the_end_of_the_messages_is_told_once(self) -> None:
        for before in states():
            state = made(*before)
            self.assertEqual([state.delivered(), state.delivered()], [before[0] is ENDING, False])

    def test_our_end_of_stream_goes_out_once(self) -> None:
        for before in states():
            state = made(*before)
            self.assertEqual([state.end_stream(), state.end_stream()], [before[1] < Outgoing.ENDED, False])

    def test_a_connection_is_read_from_while_messages_are_wanted(self) -> None:
        for before in states():
            incoming, _, wire, _ = before
            settled = incoming in (WAITING, DROPPED) or wire is not Wire.OPEN
            for held in (True, False):
                expected = None if settled else incoming is OPEN and not held
                self.assertIs(made(*before).wants_reading(held), expected, before)

    def test_it_is_flushed_when_it_closes_and_the_kernel_has_all_and_the_peer_is_silent(self) -> None:
        for before in states():
            for discarded in (0, 1):
                state = made(*before)
                state.discarded = discarded
                done = before[0] is DROPPED and before[1] is Outgoing.FLUSHED and not discarded
                self.assertIs(state.flushed, done, (before, discarded))
