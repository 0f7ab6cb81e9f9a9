"""What a peer says, made fit for a line of the log; and what reactors are called."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis.strategies import binary, integers, text
from twisted.application.reactors import Reactor, getReactorTypes
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.python.reflect import namedModule
from twisted.trial.unittest import SynchronousTestCase

from sockserve.text import PRINTABLE, printable, reactor_name


class PrintableTests(SynchronousTestCase):
    def test_what_is_printable_stays(self) -> None:
        for said in ("", "shop.example", "Zo\u00eb \u4e16\u754c", r"C:\\x"):
            self.assertEqual(printable(said), said)
            self.assertEqual(printable(said.encode()), said)

    def test_nothing_in_it_steers_a_terminal_or_begins_a_line(self) -> None:
        for said, shown in [
            ("a\nb\r", r"a\nb\r"),
            ("\x1b[31mred", r"\x1b[31mred"),
            ("\x9b31m", r"\x9b31m"),
            ("admin\u202etxt.exe", r"admin\u202etxt.exe"),
            ("zero\u200bwidth", r"zero\u200bwidth"),
            ("\u2028line", r"\u2028line"),
            ("\0", r"\x00"),
            ("\udc80", r"\udc80"),
            ("\U000e0041tag", r"\U000e0041tag"),
        ]:
            self.assertEqual(printable(said), shown)

    def test_bytes_are_utf_8_where_they_can_be(self) -> None:
        self.assertEqual(printable(b"caf\xc3\xa9 \xff\xfe\n"), "caf\u00e9 \\xff\\xfe\\n")

    def test_an_error_is_its_text(self) -> None:
        self.assertEqual(printable(ValueError("two\nlines")), r"two\nlines")

    def test_what_is_long_is_cut_and_says_so(self) -> None:
        for said in ("x" * 10**6, b"x" * 10**6):
            self.assertEqual(printable(said), "x" * (PRINTABLE - 1) + "\u2026")
        self.assertEqual(printable("x" * 200, 200), "x" * 200)
        self.assertEqual(printable(b"\xff" * 100, 10), r"\xff\xff\x"[:9] + "\u2026")

    @given(binary() | text(), integers(1, 40))
    def test_whatever_is_said_is_short_printable_and_shown_the_same_when_shown_again(
        self, said: bytes | str, limit: int
    ) -> None:
        shown = printable(said, limit)
        self.assertTrue(shown.isprintable())
        self.assertLessEqual(len(shown), limit)
        self.assertEqual(printable(shown, limit), shown)


class ReactorNameTests(SynchronousTestCase):
    def test_it_is_what_twistd_calls_it(self) -> None:
        names = {"asyncio", "epoll", "kqueue", "poll", "select", "uvloop"}
        for plugin in getReactorTypes():
            if plugin.shortName not in names:
                continue
            try:
                module = namedModule(cast("Reactor", plugin).moduleName)
            except ImportError:
                # Not on this system.
                continue
            classes = [each for name, each in vars(module).items() if name.endswith("Reactor") and callable(each)]
            self.assertIn(plugin.shortName, [reactor_name(each.__new__(each)) for each in classes])
            names.remove(plugin.shortName)
        self.assertLessEqual(names, {"epoll", "kqueue", "poll"})

    def test_any_class_has_a_name(self) -> None:
        self.assertEqual([reactor_name(MemoryReactor()), reactor_name(Clock())], ["memory", "clock"])
