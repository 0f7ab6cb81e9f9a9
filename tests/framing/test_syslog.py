"""syslog: what a connection has decided stays decided. What it reads is in `tests.support.cases`."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.decimal import Windev
from sockserve.framing.syslog import Syslog
from tests.support.wire import events

LINES = b"<13>one\n2 <13>two\r\n\n3 a\n"
MESSAGES = [b"<13>one", b"2 <13>two", b"", b"3 a"]


class SyslogTests(SynchronousTestCase):
    def test_it_sends_counted_messages(self) -> None:
        self.assertEqual(Syslog().encode_all([b"<13>one", b""]), b"7 <13>one0 ")

    def test_other_forms_are_refused(self) -> None:
        self.assertRaises(ValueError, Syslog, form=cast("Any", "cr"))
        self.assertRaises(TypeError, Syslog, form=cast("Any", None))

    def test_what_was_decided_has_no_part_in_the_name(self) -> None:
        lines = Syslog(form="lines")
        self.assertEqual((lines, str(lines), hash(lines)), (Syslog(), "syslog", hash(Syslog())))
        self.assertEqual(lines.decoder().decode(b"1 a\n"), [b"1 a"])
        self.assertEqual(Syslog(form="octets").decoder().decode(b"1 a"), [b"a"])

    def test_a_decoder_that_goes_on_knows_it(self) -> None:
        framing = Syslog(max_length=20)
        for stream, form in ((b"", "either"), (b"<", "lines"), (b"1", "octets"), (LINES, "lines")):
            decoder = framing.decoder()
            decoder.decode(stream)
            after = decoder.settled(framing)
            assert isinstance(after, Syslog)
            self.assertEqual((after.form, after.max_length, after), (form, 20, framing))
            other = parse("int8")
            self.assertIs(decoder.settled(other), other)
            self.assertIs(Windev().decoder().settled(other), other)

    def test_messages_are_taken_back_and_come_again(self) -> None:
        for back in range(5):
            decoder = Syslog().decoder()
            self.assertEqual(decoder.decode(LINES + b"4 "), MESSAGES)
            rest = decoder.take(back)
            self.assertEqual(rest, b"".join(LINES.splitlines(keepends=True)[4 - back :]) + b"4 ")
            self.assertEqual(decoder.decode(rest), MESSAGES[4 - back :])

    def test_a_long_line_in_any_reads(self) -> None:
        framing = Syslog(max_length=50_000)
        for end in (b"\n", b"\r\n"):
            wire = (b"<" + 49_999 * b"x" + end) * 2 + b"1 a" + end
            for size in (1, 700, 20_000, 50_000, 50_001, 100_000):
                reads = [wire[at : at + size] for at in range(0, len(wire), size)] if size > 1 else [wire]
                self.assertEqual(events(framing, reads, end=True), [b"<" + 49_999 * b"x"] * 2 + [b"1 a"])
