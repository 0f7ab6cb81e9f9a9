"""standard and buffered."""

from __future__ import annotations

from sockserve.framing.errors import MessageTooLong, TruncatedMessage
from tests.support.cases.case import Case

NO_CRLF = "the delimiter b'\\r\\n'"
NO_LF = "the delimiter b'\\n'"
NO_EOF = "the delimiter b'<EOF>'"

# fmt: off

BUFFERED = (
    Case("crlf_ends_each_message", "buffered", b"line 1\r\nline 2\r\n", (b"line 1", b"line 2")),
    Case("two_delimiters_in_a_row_are_an_empty_message", "buffered", b"a\r\n\r\nb\r\n", (b"a", b"", b"b")),
    Case("delimiters_only_are_empty_messages", "buffered", b"\r\n\r\n", (b"", b"")),
    Case("no_bytes_and_the_end_are_nothing", "buffered", b"", (), end=True),
    Case("end_behind_a_delimiter_is_nothing", "buffered", b"line 1\r\n", (b"line 1",), end=True),
    Case("lone_lf_is_data", "buffered", b"a\nb\r\n", (b"a\nb",)),
    Case("lone_cr_is_data", "buffered", b"a\rb\r\n", (b"a\rb",)),
    Case("cr_before_crlf_is_data", "buffered", b"a\r\r\n", (b"a\r",)),
    Case("lf_before_cr_is_data", "buffered", b"a\n\rb\r\n", (b"a\n\rb",)),
    Case("lf_before_crlf_is_data", "buffered", b"a\n\r\n", (b"a\n",)),
    Case("bytes_that_are_no_text_are_data", "buffered", b"\xc3\x28\x00\r\n", (b"\xc3\x28\x00",)),
    Case("end_in_a_line_is_reported", "buffered", b"a\r\nline", (b"a", TruncatedMessage(None, 4, NO_CRLF)), end=True),
    Case("end_behind_a_lone_cr_is_reported", "buffered", b"a\r\n\r",
         (b"a", TruncatedMessage(None, 1, NO_CRLF)), end=True),
    Case("cr_that_no_lf_follows_counts_as_data", "buffered", b"\rk", (TruncatedMessage(None, 2, NO_CRLF),), end=True),
    Case("lf_framing_keeps_the_cr", "buffered:\\n", b"line 1\nline 2\r\n\n\r\n\r",
         (b"line 1", b"line 2\r", b"", b"\r", TruncatedMessage(None, 1, NO_LF)), end=True),
    Case("line_at_the_limit", "buffered", b"xyz\r\n", (b"xyz",), max_length=3),
    Case("line_one_over_the_limit", "buffered", b"wxyz\r\n", (MessageTooLong(3),), max_length=3),
    Case("line_at_the_limit_without_its_delimiter_waits", "buffered", b"xyz", (), max_length=3),
    Case("line_at_the_limit_with_half_its_delimiter_waits", "buffered", b"xyz\r", (), max_length=3),
    Case("one_byte_over_the_limit_without_delimiter", "buffered", b"aaabbbc", (MessageTooLong(6),), max_length=6),
    Case("cr_over_the_limit_with_other_bytes_behind_it", "buffered", b"xyz\rx", (MessageTooLong(3),), max_length=3),
    Case("two_crs_over_the_limit", "buffered", b"xyz\r\r\n", (MessageTooLong(3),), max_length=3),
    Case("messages_before_a_long_line_come_first", "buffered", b"a\r\nlong", (b"a", MessageTooLong(3)), max_length=3),
    Case("nothing_comes_behind_a_long_line", "buffered", b"long\r\nok\r\n", (MessageTooLong(3),), max_length=3),
    Case("exactly_at_the_limit_does_not_fail_early", "buffered:\\n", b"line too l\nline too lo\n",
         (b"line too l", MessageTooLong(10)), max_length=10),
    Case("skip_goes_on_behind_each_long_line", "buffered", b"line 1 is long\r\nline 2\r\nline 3\r\nline 10\r\n\r\n\r",
         (MessageTooLong(6), b"line 2", b"line 3", MessageTooLong(6), b"", TruncatedMessage(None, 1, NO_CRLF)),
         max_length=6, on_bad_frame="skip", end=True),
    Case("skip_with_lf_counts_the_cr_as_data", "buffered:\\n", b"line 1 is too long\nline 2\nline 3\r\nline 4\n\r\n",
         (MessageTooLong(6), b"line 2", MessageTooLong(6), b"line 4", b"\r"), max_length=6, on_bad_frame="skip"),
    Case("skip_reports_a_long_line_once", "buffered:\\n", b"line too very l" + 23 * b"a" + b"ong\nshort\n",
         (MessageTooLong(11), b"short"), max_length=11, on_bad_frame="skip"),
    Case("skip_with_a_limit_of_one_byte", "buffered:\\n", b"aaa\nb\ncc\n\nd\n",
         (MessageTooLong(1), b"b", MessageTooLong(1), b"", b"d"), max_length=1, on_bad_frame="skip"),
    Case("end_in_a_skipped_line_says_no_more", "buffered", b"long line",
         (MessageTooLong(3),), max_length=3, on_bad_frame="skip", end=True),
    Case("end_in_the_delimiter_of_a_skipped_line", "buffered", b"long\r",
         (MessageTooLong(3),), max_length=3, on_bad_frame="skip", end=True),
)

STANDARD = (
    Case("message_with_its_end_tag", "standard", b"Hello World<EOF>", (b"Hello World",)),
    Case("delimiter_repeats_its_first_byte", "standard", b"<<EOF>", (b"<",)),
    Case("delimiter_repeats_its_first_two_bytes", "standard", b"<E<EOF>", (b"<E",)),
    Case("delimiter_repeats_its_first_three_bytes", "standard", b"<EO<EOF>", (b"<EO",)),
    Case("delimiter_repeats_its_first_four_bytes", "standard", b"<EOF<EOF>", (b"<EOF",)),
    Case("delimiter_aab_in_aaab", "standard:aab", b"aaab", (b"a",)),
    Case("delimiter_aab_in_aaaab", "standard:aab", b"aaaab", (b"aa",)),
    Case("delimiter_abab_in_ababab", "standard:abab", b"abababab", (b"", b"")),
    Case("leftmost_delimiter_ends_the_message", "standard:aa", b"baaa", (b"b",)),
    Case("half_a_delimiter_is_left_over", "standard:aa", b"aaa",
         (b"", TruncatedMessage(None, 1, "the delimiter b'aa'")), end=True),
    Case("lower_case_is_no_delimiter", "standard", b"a<eof>b<EOF>", (b"a<eof>b",)),
    Case("delimiter_of_one_null_byte", "standard:\\x00", b"a\0\0b\0", (b"a", b"", b"b")),
    Case("messages_at_the_limit", "standard", b"12345<EOF>ok<EOF>", (b"12345", b"ok"), max_length=5),
    Case("partial_delimiter_does_not_count_against_the_limit", "standard", b"12345<EOF", (), max_length=5),
    Case("partial_delimiter_that_breaks_off", "standard", b"12345<EOx", (MessageTooLong(5),), max_length=5),
    Case("partial_delimiter_one_over_the_limit", "standard", b"123456<EOF>", (MessageTooLong(5),), max_length=5),
    Case("self_overlap_at_the_limit", "standard:aab", b"aaab", (b"a",), max_length=1),
    Case("self_overlap_over_the_limit", "standard:aab", b"aaaab", (MessageTooLong(1),), max_length=1),
    Case("end_in_the_delimiter_is_reported", "standard", b"ok<EOF>12<EO",
         (b"ok", TruncatedMessage(None, 5, NO_EOF)), end=True),
    Case("skip_finds_a_delimiter_that_was_split", "standard", 20 * b"x" + b"<EOF>next<EOF>",
         (MessageTooLong(5), b"next"), max_length=5, on_bad_frame="skip"),
    Case("skip_finds_a_delimiter_that_overlaps_itself", "standard:aab", b"xxxaaaabok" + b"aab",
         (MessageTooLong(2), b"ok"), max_length=2, on_bad_frame="skip"),
)

# fmt: on
