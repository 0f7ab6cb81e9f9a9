"""The harnesses in fuzz/ hold for the inputs that fuzzing starts from, and see what they are for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from fuzz import TARGETS, decoder, forms, header, names, protocol
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing
from sockserve.proxy.header import Header, HeaderError
from sockserve.proxy.parsing import parse as parse_header


class HarnessTests(SynchronousTestCase):
    def test_each_has_its_invariant_and_its_seeds_hold(self) -> None:
        for name in TARGETS:
            with self.subTest(target=name):
                harness = import_module(f"fuzz.{name}")
                self.assertIn(".", harness.__doc__)
                seeds = list(harness.seeds())
                self.assertGreater(len(seeds), 20)
                for seed in seeds:
                    harness.check(seed)

    def test_inputs_of_any_bytes_hold_as_well(self) -> None:
        chance = random.Random(1)
        for name in TARGETS:
            harness = import_module(f"fuzz.{name}")
            for _ in range(300):
                harness.check(chance.randbytes(chance.randrange(60)))

    def test_every_file_in_the_folder_is_a_target(self) -> None:
        files = {path.stem for path in Path(decoder.__file__).parent.glob("*.py")}
        self.assertEqual(files - {"__init__", "__main__"}, set(TARGETS))


class Forgetful:
    """A framing, or the decoder of one, that starts anew at every read; all else is passed on."""

    def __init__(self, whole: object) -> None:
        self.whole: Any = whole

    def __getattr__(self, name: str) -> object:
        return getattr(self.whole, name)

    def decoder(self) -> Forgetful:
        return Forgetful(self.whole.decoder())

    def decode(self, data: bytes) -> list[bytes]:
        self.whole.take()
        messages: list[bytes] = self.whole.decode(data)
        return messages


class BrokenTests(SynchronousTestCase):
    """A fault that is put in is found by the seeds alone."""

    def assert_found(self, check: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
        for seed in seeds:
            try:
                check(seed)
            except AssertionError:
                return
        self.fail("no seed has found it")

    def test_a_decoder_that_forgets_what_it_holds(self) -> None:
        self.patch(decoder, "FRAMINGS", tuple(map(Forgetful, decoder.FRAMINGS)))
        self.assert_found(decoder.check, decoder.seeds())

    def test_a_form_that_forgets_what_it_holds(self) -> None:
        self.patch(forms, "PURE", tuple(map(Forgetful, forms.PURE)))
        self.assert_found(forms.check, forms.seeds())

    def test_a_form_whose_errors_say_something_else(self) -> None:
        other = [replace(cast("Any", framing), max_length=framing.max_length + 1) for framing in forms.PURE]
        self.patch(forms, "PURE", tuple(other))
        self.assert_found(forms.check, forms.seeds())

    def test_a_name_that_is_refused_in_two_lines(self) -> None:
        def refuse(name: str) -> Framing:
            raise ValueError(f"{name!r}\naccepted: nothing")

        self.patch(names, "as_framing", refuse)
        self.assert_found(names.check, names.seeds())

    def test_a_parser_of_headers_that_expects_eight_bytes_at_once(self) -> None:
        def parse(data: bytes) -> Header | None:
            if len(data) < 8:
                raise HeaderError("too short")
            return parse_header(data)

        self.patch(header, "parse", parse)
        self.assert_found(header.check, header.seeds())

    def test_a_protocol_that_does_not_pause(self) -> None:
        self.patch(MessageProtocol, "holdReading", lambda _self, _reason: None)
        self.assert_found(protocol.check, protocol.seeds())
