"""Events of a worker's log in that of its supervisor: as good as those of one process, and each says where from."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase

from sockserve.service.records import record, screen, text
from sockserve.workers.events import from_message, to_message

NO = "invalid literal for int() with base 10: 'no'"


class EventTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.log = Logger("shop.orders", observer=cast("ILogObserver", self.found.append))

    def passed_on(self) -> dict[str, Any]:
        """The event as the supervisor has it."""
        return from_message(json.loads(json.dumps(to_message(self.found[0]))), 4711)

    def test_each_form_says_which_worker(self) -> None:
        self.log.warn("order {number}", number=7)
        self.assertTrue(text(self.passed_on()).endswith("[shop.orders#warn, worker 4711] order 7\n"))
        self.assertRegex(screen(self.passed_on(), colour=False), r"^\d\d:\d\d:\d\d worker 4711: warn: order 7\n$")
        self.assertIn("worker 4711:\033[0m", screen(self.passed_on(), colour=True))
        attributes = json.loads(record(self.passed_on()))["attributes"]
        self.assertEqual(attributes, {"number": 7, "sockserve.worker": 4711, "otel.scope.name": "shop.orders"})

    def test_an_event_of_ours_keeps_its_name_and_attributes(self) -> None:
        self.log.info("gone", event_name="sockserve.test.gone", attributes={"a": 1})
        found = json.loads(record(self.passed_on()))
        self.assertEqual(found["event_name"], "sockserve.test.gone")
        self.assertEqual(found["attributes"], {"a": 1, "sockserve.worker": 4711, "otel.scope.name": "shop.orders"})

    def test_an_exception_has_its_type_message_and_traceback(self) -> None:
        try:
            int("no")
        except ValueError:
            self.log.failure("it failed")
        here = json.loads(record(self.found[0]))["attributes"]
        there = json.loads(record(self.passed_on()))["attributes"]
        self.assertEqual(there, {**here, "sockserve.worker": 4711})
        self.assertEqual((there["exception.type"], there["exception.message"]), ("builtins.ValueError", NO))
