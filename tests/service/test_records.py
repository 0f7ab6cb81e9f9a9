"""How events of the log become lines: no event breaks its line, whatever is in it."""

from __future__ import annotations

import json
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any, cast

from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.service.logs import observer
from sockserve.service.records import record, screen, text

# What a peer might like to write into somebody's terminal or log.
HOSTILE = "a\r\n2026-11-26T17:04:37+0000 [-] a lie\x1b[2J\u2028\u202e\x00\udc80"


def event(form: str | None = "said", **values: Any) -> dict[str, Any]:  # noqa: ANN401 - as Logger's
    found: list[dict[str, Any]] = []
    Logger("sockserve.test", observer=cast("ILogObserver", found.append)).emit(LogLevel.info, form, **values)
    found[0]["log_time"] = 1795712677.0123
    return found[0]


def failed(error: Exception, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - as Logger's
    found: list[dict[str, Any]] = []

    def fail() -> None:
        raise error

    try:
        fail()
    except Exception:
        Logger("sockserve.test", observer=cast("ILogObserver", found.append)).failure("it failed", **values)
    return found[0]


class Unspeakable:
    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


class TextTests(SynchronousTestCase):
    def test_a_line_is_as_twisted_writes_it(self) -> None:
        from twisted.logger import formatEventAsClassicLogText

        for one in (event("{a} {b!r} {c()}", a=1, b="x", c=lambda: 2), event("100 %"), event("{", a=1)):
            self.assertEqual(text(one), formatEventAsClassicLogText(one))

    def test_nothing_to_say_is_no_line(self) -> None:
        for form in (None, "", "\n"):
            self.assertEqual((text(event(form)), screen(event(form), colour=True)), ("", ""))
        self.assertEqual(record(event("")), "")

    def test_a_traceback_is_below_its_line_and_indented(self) -> None:
        first, *rest = text(failed(ValueError("no"))).splitlines()
        self.assertTrue(first.endswith("[sockserve.test#critical] it failed"), first)
        self.assertEqual(rest[-1], "\tbuiltins.ValueError: no")
        self.assertTrue(all(line.startswith("\t") for line in rest), rest)

    def test_a_traceback_that_came_as_text_is_written_in_the_same_way(self) -> None:
        whole = failed(ValueError("no"))
        passed_on = {key: value for key, value in whole.items() if key != "log_failure"}
        passed_on["log_traceback"] = whole["log_failure"].getTraceback()
        passed_on["log_level"] = passed_on["log_level"].name
        for form in (text, lambda one: screen(one, colour=False)):
            self.assertEqual(form(passed_on), form(whole))
        ours = json.loads(record(passed_on))
        self.assertEqual(ours["severity_text"], "FATAL")
        self.assertEqual(ours["attributes"]["exception.stacktrace"], passed_on["log_traceback"])

    def test_what_a_terminal_obeys_is_escaped(self) -> None:
        for said in (text(event("{said}", said=HOSTILE)), text(failed(ValueError(HOSTILE)))):
            self.assertEqual({each for each in said if not each.isprintable()}, {"\n", "\t"})
            self.assertEqual([line for line in said.splitlines() if line.startswith("2026-11-26T17:04:37")][1:], [])

    def test_a_terminal_shows_the_level_where_it_is_not_info(self) -> None:
        self.assertRegex(screen(event(), colour=False), r"^\d\d:\d\d:\d\d said\n$")
        self.assertRegex(
            screen(failed(ValueError()), colour=False), r"^\d\d:\d\d:\d\d critical: it failed\n\tTraceback"
        )

    def test_colour_ends_where_the_line_ends(self) -> None:
        for one in (event(), failed(ValueError())):
            self.assertTrue(screen(one, colour=True).startswith("\033[2m"))
        self.assertTrue(screen(failed(ValueError()), colour=True).endswith("\033[0m\n"))


class LinesTests(SynchronousTestCase):
    def test_what_is_logged_while_a_line_is_written_comes_after_it(self) -> None:
        class Interrupted(StringIO):
            """As if a signal came, whose handler logs."""

            def flush(self) -> None:
                if "signal" not in self.getvalue():
                    lines(event("a signal"))
                    self.write("the end of the line\n")

        stream = Interrupted()
        lines = observer(stream, "text")
        lines(event("a line"))
        said = [line.partition("] ")[2] or line for line in stream.getvalue().splitlines()]
        self.assertEqual(said, ["a line", "the end of the line", "a signal"])

    def test_a_stream_that_fails_gets_the_next_line(self) -> None:
        class Full(StringIO):
            def write(self, text: str) -> int:
                if "first" in text:
                    raise OSError(28, "No space left on device")
                return super().write(text)

        stream = Full()
        lines = observer(stream, "json")
        with self.assertRaises(OSError):
            lines(event("first"))
        lines(event("second"))
        self.assertEqual(json.loads(stream.getvalue())["body"], "second")

    def test_characters_that_the_stream_has_not_are_escaped(self) -> None:
        binary = BytesIO()
        stream = TextIOWrapper(binary, "latin-1")
        observer(stream, "text")(event("é…"))
        self.assertTrue(binary.getvalue().endswith(b" \xe9\\u2026\n"), binary.getvalue())


class RecordTests(SynchronousTestCase):
    def read(self, one: dict[str, Any]) -> dict[str, Any]:
        """The one line of an event, read strictly."""
        line = record(one)
        self.assertTrue(line.isascii() and line.endswith("\n"), line)
        self.assertEqual(line.count("\n"), 1)

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        found = json.loads(line, parse_constant=refuse)
        # No half of a character.
        json.dumps(found, ensure_ascii=False).encode()
        assert isinstance(found, dict)
        return found

    def test_the_fields_of_an_event_of_ours(self) -> None:
        one = event("{peer}: gone", peer="192.0.2.7:1", event_name="sockserve.test.gone", attributes={"a.b": 7})
        self.assertEqual(
            self.read(one),
            {
                "timestamp": "2026-11-26T17:04:37.012300Z",
                "severity_text": "INFO",
                "severity_number": 9,
                "event_name": "sockserve.test.gone",
                "body": "192.0.2.7:1: gone",
                "attributes": {"a.b": 7, "otel.scope.name": "sockserve.test"},
            },
        )

    def test_the_levels_have_opentelemetrys_numbers(self) -> None:
        for level, expected in (
            (LogLevel.debug, ("DEBUG", 5)),
            (LogLevel.warn, ("WARN", 13)),
            (LogLevel.error, ("ERROR", 17)),
            (LogLevel.critical, ("FATAL", 21)),
        ):
            found = self.read({**event(), "log_level": level})
            self.assertEqual((found["severity_text"], found["severity_number"]), expected)

    def test_an_event_of_a_program_has_its_plain_values_and_no_name(self) -> None:
        found = self.read(event("order {number}", number=7, price=1.5, key="k", data=b"secret", more=[1]))
        self.assertEqual(
            found["attributes"], {"number": 7, "price": 1.5, "key": "k", "otel.scope.name": "sockserve.test"}
        )
        self.assertNotIn("event_name", found)

    def test_an_event_of_the_old_log_is_a_record_too(self) -> None:
        found: list[dict[str, Any]] = []
        legacy.addObserver(found.append)
        try:
            legacy.msg("as in old days")
        finally:
            legacy.removeObserver(found.append)
        self.assertEqual(self.read(found[0])["body"], "as in old days")

    def test_a_failure_has_its_type_message_and_traceback(self) -> None:
        attributes = self.read(failed(ValueError("no")))["attributes"]
        self.assertEqual((attributes["exception.type"], attributes["exception.message"]), ("builtins.ValueError", "no"))
        self.assertIn("raise error", attributes["exception.stacktrace"])

    def test_nothing_breaks_the_line(self) -> None:
        for one in (
            event("{said}", said=HOSTILE),
            event(HOSTILE),
            failed(ValueError(HOSTILE)),
            failed(ValueError(Unspeakable())),
            event(None, said=HOSTILE) | {HOSTILE: 1},
            event(big=10**5000, wide=2**64, nan=float("nan"), endless=float("inf")),
            event(event_name="sockserve.test", attributes={HOSTILE: [HOSTILE, {HOSTILE: float("nan")}, b"\xff", None]}),
            event("{it}", it=Unspeakable()),
            event(event_name="sockserve.test", attributes={"it": Unspeakable()}),
            event(event_name=7, attributes=7),
            {"log_time": "yesterday", "log_format": 7},
            {"log_failure": "none", "log_traceback": 7, "log_level": 7},
            {},
        ):
            if record(one):
                self.read(one)

    def test_an_event_that_holds_itself_is_still_a_line(self) -> None:
        circle: list[object] = []
        circle.append(circle)
        found = self.read(event(event_name="sockserve.test", attributes={"circle": circle}))
        self.assertEqual(found["body"], "an event that cannot be written")

    def test_a_failure_without_a_traceback_is_a_record(self) -> None:
        found = self.read(event(log_failure=Failure(ValueError("no"))))
        self.assertEqual(found["attributes"]["exception.message"], "no")
