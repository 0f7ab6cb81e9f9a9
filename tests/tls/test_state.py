"""Every state of TLS on a connection, and every event in it: what changes, and what the layer is told to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from sockserve.tls.state import Phase, Reading, State, Wire, Writing

SHAKING, OPEN, ABANDONED, OVER = Phase
FLOWING, PAUSED, HOLDING, DUE, ENDED = Reading

Values = tuple[Phase, Reading, Writing, Wire]

EVENTS: dict[str, Callable[[State], object]] = {
    "shaken": State.shaken,
    "fail": State.fail,
    "abort": State.abort,
    "lost": State.lost,
    "pause": State.pause,
    "resume": State.resume,
    "deliver": State.deliver,
    "told": State.told,
    "peer ended": State.peer_ended,
    "end": State.end,
    "close": State.close,
    "ready": lambda state: state.ready(producing=False),
    "not ready": lambda state: state.ready(producing=True),
}

# Where each event leads. What is not here leaves the state as it is.
PHASE = {
    SHAKING: {"shaken": OPEN, "fail": OVER, "abort": ABANDONED, "lost": OVER},
    OPEN: {"fail": OVER, "abort": OVER, "lost": OVER},
    ABANDONED: {"fail": OVER, "lost": OVER},
    OVER: {},
}
READING = {
    FLOWING: {"pause": PAUSED, "told": ENDED},
    PAUSED: {"resume": FLOWING, "deliver": HOLDING, "told": ENDED},
    HOLDING: {"resume": DUE, "told": ENDED},
    DUE: {"pause": HOLDING, "deliver": FLOWING, "told": ENDED},
    ENDED: {},
}
WRITING = {
    Writing.OPEN: {"end": Writing.ENDED, "close": Writing.CLOSING, "abort": Writing.CLOSED},
    Writing.ENDING: {"end": Writing.ENDED, "close": Writing.CLOSING, "abort": Writing.CLOSED},
    Writing.ENDED: {"close": Writing.CLOSED, "abort": Writing.CLOSED},
    Writing.CLOSING: {"ready": Writing.CLOSED, "abort": Writing.CLOSED},
    Writing.CLOSED: {},
}
# The same, before the handshake is done and when TLS is over.
WRITING_SHAKING = {
    Writing.OPEN: {"end": Writing.ENDING, "close": Writing.CLOSING, "abort": Writing.CLOSED},
    Writing.ENDING: {"close": Writing.CLOSING, "abort": Writing.CLOSED},
    Writing.ENDED: {"close": Writing.CLOSED, "abort": Writing.CLOSED},
    Writing.CLOSING: {"abort": Writing.CLOSED},
    Writing.CLOSED: {},
}
WRITING_OVER = {each: {"close": Writing.CLOSED, "abort": Writing.CLOSED} for each in Writing}
WIRE = {
    Wire.OPEN: {"peer ended": Wire.ENDED, "lost": Wire.LOST},
    Wire.ENDED: {"lost": Wire.LOST},
    Wire.LOST: {},
}


def made(values: Values) -> State:
    state = State()
    state.phase, state.reading, state.writing, state.wire = values
    return state


def after(values: Values, event: str) -> Values:
    """What the tables say."""
    phase, reading, writing, wire = values
    handed_on = phase is OPEN and writing < Writing.CLOSING
    table = WRITING if phase is OPEN else WRITING_SHAKING if phase is SHAKING else WRITING_OVER
    return (
        PHASE[phase].get(event, phase),
        READING[reading].get(event, reading) if event != "deliver" or handed_on else reading,
        table[writing].get(event, writing),
        WIRE[wire].get(event, wire),
    )


def values() -> Iterator[Values]:
    return product(Phase, Reading, Writing, Wire)


class TableTests(SynchronousTestCase):
    def test_each_event_leads_where_the_tables_say(self) -> None:
        for before, (name, event) in product(values(), EVENTS.items()):
            state = made(before)
            event(state)
            self.assertEqual(
                (state.phase, state.reading, state.writing, state.wire), after(before, name), (before, name)
            )

    def test_what_the_layer_is_told(self) -> None:
        for before in values():
            phase, reading, writing, _ = before
            opened = phase is OPEN
            told = {
                "fail": phase is not OVER,
                "lost": phase in (SHAKING, ABANDONED),
                "resume": reading in (HOLDING, DUE),
                "deliver": opened and writing < Writing.CLOSING and reading in (FLOWING, DUE),
                "end": opened and writing in (Writing.OPEN, Writing.ENDING),
                "ready": opened and writing is Writing.CLOSING,
                "not ready": False,
            }
            for name, expected in told.items():
                self.assertIs(EVENTS[name](made(before)), expected, (before, name))

    def test_what_a_state_means(self) -> None:
        for before in values():
            phase, reading, writing, _ = before
            state = made(before)
            over = phase in (ABANDONED, OVER)
            self.assertIs(state.over, over, before)
            self.assertIs(state.paused, reading in (PAUSED, HOLDING), before)
            self.assertIs(state.receives, phase is OPEN and reading is not ENDED and writing < Writing.CLOSING, before)
            for producing in (False, True):
                sent = not over and (writing <= Writing.ENDING or (writing is Writing.CLOSING and producing))
                self.assertIs(state.writes(producing), sent, before)

    def test_what_is_said_once_is_not_said_again(self) -> None:
        for before, name in product(values(), ("fail", "lost", "end", "ready")):
            state = made(before)
            EVENTS[name](state)
            self.assertIs(EVENTS[name](state), False, (before, name))
