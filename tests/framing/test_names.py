"""The names that users give to framings, and what a wrong one is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import ACCEPTED, KINDS, NAMES, Framing, as_framing, parse
from sockserve.framing.checked import CheckedEnvelope
from sockserve.framing.checks import ACCEPTED as CHECK_NAMES
from sockserve.framing.cobs import Cobs
from sockserve.framing.content_length import ContentLength
from sockserve.framing.decimal import Netstring, Octets, Windev
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.digits import Digits
from sockserve.framing.dle import Dle
from sockserve.framing.envelope import Envelope
from sockserve.framing.eof import Eof
from sockserve.framing.fixed import Fixed
from sockserve.framing.integer import Integer
from sockserve.framing.json import Json
from sockserve.framing.length import Length, LengthAt, Mbap, Tpkt
from sockserve.framing.lines import Lines
from sockserve.framing.mllp import Mllp
from sockserve.framing.raw import Raw
from sockserve.framing.slip import Slip
from sockserve.framing.syslog import Syslog
from sockserve.framing.varint import Varint
from tests.support import tolerant
from tests.support.cases import EXAMPLES

VALUES: dict[str, Framing] = {
    "raw": Raw(),
    "raw:5": Raw(5),
    "windev": Windev(),
    "standard": Standard(),
    "standard:<END>": Standard(b"<END>"),
    "standard:a:b": Standard(b"a:b"),
    "standard:\\r\\n": Standard(b"\r\n"),
    "buffered": Buffered(),
    "buffered:\\x00": Buffered(b"\0"),
    "int8": Integer(1),
    "int8:little": Integer(1, "little"),
    "int16": Integer(2),
    "int16:little": Integer(2, "little"),
    "int32": Integer(4),
    "int32:little": Integer(4, "little"),
    "netstring": Netstring(),
    "varint": Varint(),
    "fixed:11": Fixed(11),
    "envelope:\\x02:\\x03": Envelope(b"\x02", b"\x03"),
    "envelope:\\x0b:\\x1c\\r": Envelope(b"\x0b", b"\x1c\r"),
    "envelope:\\x3a:\\x3a": Envelope(b":", b":"),
    "octets": Octets(),
    "syslog": Syslog(),
    "length:4": Length(4),
    "length:8:little": Length(8, "little"),
    "length:3:little:inclusive": Length(3, "little", inclusive=True),
    "length:2:add=-2": Length(2, add=-2),
    "length:4:at=2": LengthAt(4, 2),
    "length:3:inclusive:at=1": LengthAt(3, 1, inclusive=True),
    "length:4:little:inclusive:at=0:add=4": LengthAt(4, 0, "little", inclusive=True, add=4),
    "mbap": Mbap(),
    "tpkt": Tpkt(),
    "digits:5": Digits(5),
    "digits:6:inclusive": Digits(6, inclusive=True),
    "eof": Eof(),
    "content-length": ContentLength(),
    "json": Json(),
    "envelope:\\x02:\\x03:astm": CheckedEnvelope(b"\x02", b"\x03", "astm"),
    "envelope:\\x3a:;:crc16-modbus": CheckedEnvelope(b":", b";", "crc16-modbus"),
    "lines": Lines(),
    "lines:lf": Lines(lf_only=True),
    "mllp": Mllp(),
    "dle": Dle(),
    "slip": Slip(),
    "cobs": Cobs(),
}
LENGTH = "length:W[:little][:inclusive][:at=N][:add=N]"
ENVELOPES = "envelope:START:END, envelope:START:END:CHECK"
COLONS = "START, END and CHECK are separated by one colon each; write a colon in them as \\x3a"
WRONG = (
    ("fixed", "incomplete", "fixed:N"),
    ("fixed:", "N is a number of bytes, not ''", "fixed:N"),
    ("fixed:3.5", "N is a number of bytes, not '3.5'", "fixed:N"),
    ("fixed:\u0663", "N is a number of bytes, not '\u0663'", "fixed:N"),
    ("fixed:0", "the size of fixed must be 1 to 100 bytes (max_length), not 0", "fixed:N"),
    ("fixed:101", "the size of fixed must be 1 to 100 bytes (max_length), not 101", "fixed:N"),
    ("raw:-1", "N is a number of bytes, not '-1'", "raw, raw:N"),
    ("raw:0", "the read size of raw must be at least 1 byte, not 0", "raw, raw:N"),
    ("windev:", "unexpected ''", "windev"),
    ("varint:5", "unexpected '5'", "varint"),
    ("netstring:x", "unexpected 'x'", "netstring"),
    ("int8:big", "unexpected 'big'", "int8, int8:little"),
    ("int32:", "unexpected ''", "int32, int32:little"),
    ("standard:", "a delimiter must have at least one byte", "standard, standard:DELIM"),
    ("buffered:", "a delimiter must have at least one byte", "buffered, buffered:DELIM"),
    ("standard:\\q", "bad escape '\\\\q': use \\r \\n \\t \\xNN, octal \\NNN or \\\\", "standard, standard:DELIM"),
    ("envelope", "incomplete", ENVELOPES),
    ("envelope:<", COLONS, ENVELOPES),
    ("envelope:<:>:lrc:", COLONS, ENVELOPES),
    ("envelope::>", "the start and the end of an envelope must have at least one byte each", ENVELOPES),
    ("envelope:<::lrc", "the start and the end of an envelope must have at least one byte each", ENVELOPES),
    ("envelope:<:>:", f"unknown CHECK '': use {CHECK_NAMES}", ENVELOPES),
    ("envelope:<:>:crc17", f"unknown CHECK 'crc17': use {CHECK_NAMES}", ENVELOPES),
    ("envelope:<:>:LRC", f"unknown CHECK 'LRC': use {CHECK_NAMES}", ENVELOPES),
    ("envelope:<:>:astm-hex", f"unknown CHECK 'astm-hex': use {CHECK_NAMES}", ENVELOPES),
    ("envelope:<:>:lrc-big", f"unknown CHECK 'lrc-big': use {CHECK_NAMES}", ENVELOPES),
    (
        "envelope:|:|:lrc",
        "START and END of an envelope with a CHECK must differ, to be told apart after a bad frame",
        ENVELOPES,
    ),
    ("length", "incomplete", LENGTH),
    ("length:", "W is 1, 2, 3, 4 or 8, not ''", LENGTH),
    ("length:x", "W is 1, 2, 3, 4 or 8, not 'x'", LENGTH),
    ("length:5", "a length field has 1, 2, 3, 4 or 8 bytes, not 5", LENGTH),
    ("length:0", "a length field has 1, 2, 3, 4 or 8 bytes, not 0", LENGTH),
    ("length:4:at=-1", "N in at=N is a number of bytes, not '-1'", LENGTH),
    ("length:4:at=", "N in at=N is a number of bytes, not ''", LENGTH),
    ("length:4:at", "unexpected 'at'", LENGTH),
    ("length:4:big", "unexpected 'big'", LENGTH),
    ("length:4:little=1", "unexpected 'little=1'", LENGTH),
    ("length:4:", "unexpected ''", LENGTH),
    ("length:4:add=+1", "N in add=N is a number of bytes, perhaps with a minus, not '+1'", LENGTH),
    ("length:4:add=--1", "N in add=N is a number of bytes, perhaps with a minus, not '-1'", LENGTH),
    ("length:4:little:little", "'little' is one too many", LENGTH),
    ("length:4:at=1:add=1:at=2", "'at=2' is one too many", LENGTH),
    ("length:1:add=-255", "a message would have at least 1 bytes, and at most 0", LENGTH),
    ("length:1:at=2:add=-300", "a message would have at least 3 bytes, and at most -42", LENGTH),
    ("length:1:add=101", "a message would have at least 101 bytes, and at most 100", LENGTH),
    ("length:8:at=93", "a message would have at least 101 bytes, and at most 100", LENGTH),
    ("mbap:1", "unexpected '1'", "mbap"),
    ("tpkt:", "unexpected ''", "tpkt"),
    ("octets:5", "unexpected '5'", "octets"),
    ("syslog:lines", "unexpected 'lines'", "syslog"),
    ("digits", "incomplete", "digits:N, digits:N:inclusive"),
    ("digits:0", "a length has 1 to 18 digits, not 0", "digits:N, digits:N:inclusive"),
    ("digits:19", "a length has 1 to 18 digits, not 19", "digits:N, digits:N:inclusive"),
    ("digits:-1", "N is a number of digits, not '-1'", "digits:N, digits:N:inclusive"),
    ("digits:4:", "unexpected ''", "digits:N, digits:N:inclusive"),
    ("digits:4:inclusive:inclusive", "unexpected 'inclusive:inclusive'", "digits:N, digits:N:inclusive"),
    ("eof:", "unexpected ''", "eof"),
    ("content-length:5", "unexpected '5'", "content-length"),
    ("json:lines", "unexpected 'lines'", "json"),
    ("lines:crlf", "unexpected 'crlf'", "lines, lines:lf"),
    ("mllp:", "unexpected ''", "mllp"),
    ("dle:x", "unexpected 'x'", "dle"),
    ("slip:both", "unexpected 'both'", "slip"),
    ("cobs:0", "unexpected '0'", "cobs"),
)
UNKNOWN = ("", ":", "Windev", "crlf", "int64", "line\nfeed", "wind\u00e9v", "standard<EOF>", " raw")


class NameTests(SynchronousTestCase):
    def test_each_name_gives_its_framing(self) -> None:
        for name, framing in VALUES.items():
            self.assertEqual(parse(name), framing, name)

    def test_each_form_has_an_example(self) -> None:
        self.assertEqual(tuple(EXAMPLES), NAMES)
        for name in EXAMPLES.values():
            self.assertEqual(parse(name), VALUES[name])

    def test_a_framing_is_written_as_the_name_that_gives_it(self) -> None:
        for name, framing in VALUES.items():
            self.assertEqual((str(framing), parse(str(framing))), (name, framing))

    def test_a_delimiter_that_is_the_default_needs_no_name(self) -> None:
        self.assertEqual(str(parse("standard:<EOF>")), "standard")
        self.assertEqual(str(parse("buffered:\\x0d\\x0a")), "buffered")

    def test_the_options_of_a_length_have_no_order(self) -> None:
        self.assertEqual(str(parse("length:2:add=1:at=2:inclusive:little")), "length:2:little:inclusive:at=2:add=1")
        self.assertEqual(str(parse("length:2:add=-0")), "length:2")

    def test_limits_are_passed_on(self) -> None:
        for name in EXAMPLES.values():
            framing = parse(name, max_length=20, on_bad_frame="skip")
            self.assertEqual((framing.max_length, framing.on_bad_frame), (20, "skip"))

    def test_kinds_are_the_names_without_arguments(self) -> None:
        kinds = "raw windev standard buffered int8 int16 int32 netstring varint fixed envelope octets syslog length "
        kinds += "mbap tpkt digits eof lines mllp dle slip cobs content-length json"
        self.assertEqual(KINDS, tuple(kinds.split()))


class WrongNameTests(SynchronousTestCase):
    def test_a_wrong_argument_is_told_what_is_accepted(self) -> None:
        for name, reason, accepted in WRONG:
            error = self.assertRaises(ValueError, parse, name, max_length=100)
            self.assertEqual(str(error), f"framing {name!r}: {reason}; accepted: {accepted}")

    def test_an_unknown_name_is_told_all_names(self) -> None:
        for name in UNKNOWN:
            text = str(self.assertRaises(ValueError, parse, name))
            self.assertTrue(text.startswith(f"unknown framing {name!r}"), text)
            self.assertTrue(text.endswith("; accepted: " + ", ".join(ACCEPTED)), text)

    def test_every_error_is_one_line(self) -> None:
        for name in (*UNKNOWN, *(row[0] for row in WRONG), "fixed:1\n2", "standard:\\\n", "windev:\r\n"):
            error = self.assertRaises(ValueError, parse, name, max_length=100)
            self.assertEqual(len(str(error).splitlines()), 1, name)

    def test_an_unknown_name_is_told_the_nearest(self) -> None:
        error = self.assertRaises(ValueError, parse, "winddev")
        self.assertIn("(did you mean 'windev'?)", str(error))

    def test_a_number_of_any_length_is_refused_in_one_line(self) -> None:
        """int() raises ValueError of its own above 4300 digits."""
        error = self.assertRaises(ValueError, parse, "fixed:" + 5000 * "9")
        self.assertIn("N is a number of bytes", str(error))

    def test_wrong_limits_are_told_with_the_name(self) -> None:
        error = self.assertRaises(ValueError, parse, "windev", max_length=0)
        self.assertIn("framing 'windev': max_length must be at least 1 byte, not 0", str(error))


OWN = Standard(b";", max_length=20, on_bad_frame="skip")


def failing() -> Framing:
    raise RuntimeError("no\nframing")


HERE = "tests.framing.test_names"


class OwnFramingTests(SynchronousTestCase):
    """MODULE:NAME."""

    def test_a_value_a_class_and_a_function_give_a_framing(self) -> None:
        self.assertIs(parse(f"{HERE}:OWN"), OWN)
        self.assertEqual(parse("tests.support.tolerant:Lines"), tolerant.Lines())
        self.assertEqual(parse("sockserve.framing.decimal:Netstring"), Netstring())

    def test_what_gives_none_is_one_line_that_says_why(self) -> None:
        for name, reason in (
            ("no_such_shop:Fix", "cannot import no_such_shop: ModuleNotFoundError"),
            (f"{HERE}:Fix", f"{HERE} has no Fix"),
            (f"{HERE}:HERE", "is of type str, not a framing"),
            (f"{HERE}:VALUES", "is of type dict, not a framing"),
            (f"{HERE}:failing", "calling it without arguments fails: RuntimeError: no framing"),
            ("os:getcwd", "is of type str, not a framing"),
            ("sockserve.framing.fixed:Fixed", "calling it without arguments fails: TypeError"),
        ):
            text = str(self.assertRaises(ValueError, parse, name))
            self.assertTrue(text.startswith(f"framing {name!r}"), text)
            self.assertIn(reason, text)
            self.assertTrue(text.endswith("; accepted: " + ", ".join(ACCEPTED)), text)
            self.assertEqual(len(text.splitlines()), 1, text)

    def test_a_slip_in_the_name_of_a_kind_stays_one(self) -> None:
        text = str(self.assertRaises(ValueError, parse, "standart:END"))
        self.assertTrue(text.startswith("unknown framing 'standart:END' (did you mean 'standard'?)"), text)

    def test_it_has_limits_of_its_own_and_takes_no_others(self) -> None:
        for setting, value, own in (("max_length", 10, "20"), ("on_bad_frame", "close", "skip")):
            text = str(self.assertRaises(ValueError, parse, f"{HERE}:OWN", **{setting: value}))
            self.assertIn(f"has its own {setting}, {own}", text)

    def test_a_name_that_a_peer_may_have_sent_imports_nothing(self) -> None:
        self.assertEqual(as_framing("windev"), Windev())
        for name in (f"{HERE}:OWN", "os:abort", "no_such:module"):
            text = str(self.assertRaises(ValueError, as_framing, name))
            self.assertEqual(text, f"unknown framing {name!r}; accepted: {', '.join(NAMES)}")

    def test_what_is_no_framing_at_all(self) -> None:
        for value in (None, 5, b"windev", Windev, object()):
            self.assertIn("is not a framing; accepted: ", str(self.assertRaises(ValueError, as_framing, value)))
