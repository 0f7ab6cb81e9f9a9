"""Every case of `tests.support.cases`, in every split: one test each."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from tests.support.cases import CASES, Case
from tests.support.wire import Event, described, events, splits


class CaseTests(SynchronousTestCase):
    def test_no_two_cases_have_the_same_name(self) -> None:
        self.assertEqual(len({case.name for case in CASES}), len(CASES))


def check(case: Case) -> Callable[[CaseTests], None]:
    framing = parse(case.framing, max_length=case.max_length, on_bad_frame=case.on_bad_frame)
    expected: list[Event] = [item if isinstance(item, bytes) else described(item) for item in case.expected]

    def test(self: CaseTests) -> None:
        for chunks in splits(case.data):
            self.assertEqual(events(framing, chunks, end=case.end), expected, f"split as {chunks}")

    return test


for case in CASES:
    setattr(CaseTests, f"test_{case.name}", check(case))
