"""envelope:START:END."""

from __future__ import annotations

from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.cases.case import Case

NO_ETX = "the end mark b'\\x03'"
NO_STX = "a message starts with b'\\x02'"
STX_ETX = "envelope:\\x02:\\x03"
MLLP = "envelope:\\x0b:\\x1c\\r"

# fmt: off

ENVELOPE = (
    Case("stx_etx_message", STX_ETX, b"\x02Hello World\x03", (b"Hello World",)),
    Case("stx_etx_messages_in_a_row", STX_ETX, b"\x02a\x03\x02\x03\x02b\x03", (b"a", b"", b"b"), end=True),
    Case("start_mark_inside_a_message_is_data", STX_ETX, b"\x02a\x02b\x03", (b"a\x02b",)),
    Case("mllp_message", MLLP, b"\x0bMSH|^~\\&|\r\x1c\r", (b"MSH|^~\\&|\r",)),
    Case("mllp_file_separator_without_cr_is_data", MLLP, b"\x0ba\x1cb\x1c\r", (b"a\x1cb",)),
    Case("mllp_two_file_separators", MLLP, b"\x0ba\x1c\x1c\r", (b"a\x1c",)),
    Case("the_same_byte_on_both_sides", "envelope:|:|", b"|a|||", (b"a", b"")),
    Case("end_mark_is_not_looked_for_in_the_start_mark", "envelope:<<:<", b"<<a<", (b"a",)),
    Case("end_mark_overlaps_itself", "envelope:<:aab", b"<aaab", (b"a",)),
    Case("garbage_before_a_frame", STX_ETX, b"x\x02a\x03", (MalformedHeader(b"x", NO_STX),)),
    Case("garbage_behind_a_frame", STX_ETX, b"\x02a\x03\r\n", (b"a", MalformedHeader(b"\r", NO_STX))),
    Case("start_mark_breaks_off", "envelope:<<<:>", b"<<a>",
         (MalformedHeader(b"<<a", "a message starts with b'<<<'"),)),
    Case("envelope_at_the_limit", STX_ETX, b"\x02abc\x03", (b"abc",), max_length=3),
    Case("envelope_over_the_limit", STX_ETX, b"\x02abcd\x03", (MessageTooLong(3),), max_length=3),
    Case("envelope_over_the_limit_without_end_mark", STX_ETX, b"\x02abcd", (MessageTooLong(3),), max_length=3),
    Case("partial_end_mark_does_not_count_against_the_limit", MLLP, b"\x0babc\x1c", (), max_length=3),
    Case("partial_end_mark_over_the_limit_breaks_off", MLLP, b"\x0babc\x1cx", (MessageTooLong(3),), max_length=3),
    Case("start_mark_does_not_help_the_end_mark", "envelope:a:abc", b"abc", (MessageTooLong(1),), max_length=1),
    Case("envelope_end_behind_the_start_mark", STX_ETX, b"\x02a\x03\x02",
         (b"a", TruncatedMessage(None, 1, NO_ETX)), end=True),
    Case("envelope_end_in_the_message", STX_ETX, b"\x02abc", (TruncatedMessage(None, 4, NO_ETX),), end=True),
    Case("envelope_end_in_the_start_mark", "envelope:<<:>", b"<",
         (TruncatedMessage(None, 1, "the rest of the start mark b'<<'"),), end=True),
    Case("envelope_end_behind_a_start_mark_that_broke_off", "envelope:<<:>", b"<a",
         (MalformedHeader(b"<a", "a message starts with b'<<'"),), end=True),
    Case("skip_goes_on_at_the_next_start_mark", STX_ETX, b"\r\n\x02a\x03\r\n\x02b\x03",
         (MalformedHeader(b"\r", NO_STX), b"a", MalformedHeader(b"\r", NO_STX), b"b"), on_bad_frame="skip"),
    Case("skip_finds_a_start_mark_that_overlaps_itself", "envelope:aab:>", b"aaaabok>",
         (MalformedHeader(b"aaa", "a message starts with b'aab'"), b"ok"), on_bad_frame="skip"),
    Case("skip_goes_on_behind_the_end_mark_of_a_long_message", STX_ETX, b"\x02four\x02\x03\x02ok\x03",
         (MessageTooLong(3), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("end_in_skipped_garbage", STX_ETX, b"garbage",
         (MalformedHeader(b"g", NO_STX),), max_length=3, on_bad_frame="skip", end=True),
    Case("end_in_a_skipped_envelope", STX_ETX, b"\x02four",
         (MessageTooLong(3),), max_length=3, on_bad_frame="skip", end=True),
)

# fmt: on
