"""What bytes mean in each framing: one table, run whole, byte by byte and at every two-way split.

A case says what a user sees: the messages, and the errors, in their order. `end`: the peer closes behind the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.errors import FramingError, MalformedHeader, MessageTooLong, TruncatedMessage


@dataclass(frozen=True)
class Case:
    name: str
    framing: str
    data: bytes
    expected: tuple[bytes | FramingError, ...]
    max_length: int = DEFAULT_MAX_LENGTH
    on_bad_frame: OnBadFrame = "close"
    end: bool = False


EXAMPLES = {
    "raw": "raw",
    "raw:N": "raw:5",
    "windev": "windev",
    "standard": "standard",
    "standard:DELIM": "standard:<END>",
    "buffered": "buffered",
    "buffered:DELIM": "buffered:\\x00",
    "int8": "int8",
    "int8:little": "int8:little",
    "int16": "int16",
    "int16:little": "int16:little",
    "int32": "int32",
    "int32:little": "int32:little",
    "netstring": "netstring",
    "varint": "varint",
    "fixed:N": "fixed:11",
    "envelope:START:END": "envelope:\\x02:\\x03",
}
"""A framing of each form in `sockserve.framing.NAMES`."""

DIGITS = "a length is ASCII digits, then b'\\r\\n'"
COLON = "a length is ASCII digits, then b':'"
COMMA = "b',' must follow the payload"
OVERLONG = "longer than its number needs"
REST = "the rest of the header"
NO_CRLF = "the delimiter b'\\r\\n'"
NO_LF = "the delimiter b'\\n'"
NO_EOF = "the delimiter b'<EOF>'"
NO_ETX = "the end mark b'\\x03'"
NO_STX = "a message starts with b'\\x02'"

STX_ETX = "envelope:\\x02:\\x03"
MLLP = "envelope:\\x0b:\\x1c\\r"


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

WINDEV = (
    Case("windev_message", "windev", b"11\r\nHello World", (b"Hello World",)),
    Case("windev_messages_in_a_row", "windev", b"11\r\nHello World3\r\nabc", (b"Hello World", b"abc")),
    Case("windev_count_one_too_high_waits", "windev", b"11\r\nHelloWorld", ()),
    Case("windev_count_one_too_high_and_one_byte_more", "windev", b"11\r\nHelloWorld!", (b"HelloWorld!",)),
    Case("windev_count_one_too_high_and_the_end", "windev", b"11\r\nHelloWorld",
         (TruncatedMessage(11, 10),), end=True),
    Case("windev_empty_messages", "windev", b"0\r\n0\r\n", (b"", b""), end=True),
    Case("windev_short_headers_behind_a_long_one", "windev", b"11\r\nHello World0\r\n1\r\na10\r\nHelloWorld1\r\nb0\r\n",
         (b"Hello World", b"", b"a", b"HelloWorld", b"b", b"")),
    Case("windev_payload_looks_like_frames", "windev", b"9\r\n\r\n1\r\na2\r\n", (b"\r\n1\r\na2\r\n",)),
    Case("windev_end_behind_the_digits", "windev", b"11", (TruncatedMessage(None, 2, REST),), end=True),
    Case("windev_end_inside_the_mark", "windev", b"1\r\na11\r", (b"a", TruncatedMessage(None, 3, REST)), end=True),
    Case("windev_end_before_the_payload", "windev", b"3\r\n", (TruncatedMessage(3, 0),), end=True),
    Case("windev_header_is_empty", "windev", b"\r\n", (MalformedHeader(b"\r", DIGITS),)),
    Case("windev_minus", "windev", b"-5\r\n", (MalformedHeader(b"-", DIGITS),)),
    Case("windev_plus", "windev", b"+11\r\n", (MalformedHeader(b"+", DIGITS),)),
    Case("windev_space_before_the_digits", "windev", b" 11\r\n", (MalformedHeader(b" ", DIGITS),)),
    Case("windev_space_behind_the_digits", "windev", b"11 \r\n", (MalformedHeader(b"11 ", DIGITS),)),
    Case("windev_tab", "windev", b"\t11\r\n", (MalformedHeader(b"\t", DIGITS),)),
    Case("windev_underscore", "windev", b"1_1\r\n", (MalformedHeader(b"1_", DIGITS),)),
    Case("windev_exponent", "windev", b"1e3\r\n", (MalformedHeader(b"1e", DIGITS),)),
    Case("windev_hexadecimal", "windev", b"0x0b\r\n", (MalformedHeader(b"0x", DIGITS),)),
    Case("windev_bare_lf", "windev", b"11\nHello World", (MalformedHeader(b"11\n", DIGITS),)),
    Case("windev_cr_without_lf", "windev", b"11\rHello World", (MalformedHeader(b"11\rH", DIGITS),)),
    Case("windev_digits_that_are_not_ascii", "windev", b"\xd9\xa1\r\n", (MalformedHeader(b"\xd9", DIGITS),)),
    Case("windev_leading_zeros", "windev", b"0011\r\n", (MalformedHeader(b"00", "leading zero"),)),
    Case("windev_zero_twice", "windev", b"00\r\n", (MalformedHeader(b"00", "leading zero"),)),
    Case("windev_messages_before_a_bad_header", "windev", b"1\r\nax", (b"a", MalformedHeader(b"x", DIGITS))),
    Case("windev_at_the_limit", "windev", b"12\r\nabcdefghijkl", (b"abcdefghijkl",), max_length=12),
    Case("windev_over_the_limit_before_any_payload", "windev", b"13\r\n", (MessageTooLong(12, 13),), max_length=12),
    Case("windev_as_many_digits_as_the_limit", "windev", b"99\r\n", (MessageTooLong(12, 99),), max_length=12),
    Case("windev_one_digit_more_than_the_limit", "windev", b"100",
         (MalformedHeader(b"100", "more digits than the 2 that max_length (12) needs"),), max_length=12),
    Case("windev_digits_without_end", "windev", 30 * b"9",
         (MalformedHeader(8 * b"9", "more digits than the 7 that max_length (1048576) needs"),)),
    Case("windev_skip_goes_on_behind_a_long_payload", "windev", b"2\r\nab5\r\nwrong2\r\nok",
         (b"ab", MessageTooLong(3, 5), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("windev_skip_goes_on_behind_two_long_payloads", "windev", b"9\r\n0\r\n0\r\n0\r\n5\r\nwrong0\r\n",
         (MessageTooLong(3, 9), MessageTooLong(3, 5), b""), max_length=3, on_bad_frame="skip"),
    Case("windev_end_in_a_skipped_payload", "windev", b"5\r\nab",
         (MessageTooLong(3, 5),), max_length=3, on_bad_frame="skip", end=True),
    Case("windev_skip_ends_at_a_bad_header", "windev", b"x1\r\na",
         (MalformedHeader(b"x", DIGITS),), max_length=3, on_bad_frame="skip"),
)

NETSTRING = (
    Case("netstring_message", "netstring", b"11:Hello World,", (b"Hello World",)),
    Case("netstring_empty_messages", "netstring", b"0:,0:,", (b"", b""), end=True),
    Case("netstring_inside_a_netstring", "netstring", b"4:1:a,,", (b"1:a,",)),
    Case("netstring_without_a_length", "netstring", b":aaa,", (MalformedHeader(b":", COLON),)),
    Case("netstring_without_a_colon", "netstring", b"3aaa,", (MalformedHeader(b"3a", COLON),)),
    Case("netstring_without_a_header", "netstring", b"aaa,", (MalformedHeader(b"a", COLON),)),
    Case("netstring_length_too_small", "netstring", b"2:aaa,", (MalformedHeader(b"a", COMMA),)),
    Case("netstring_zero_with_a_payload", "netstring", b"0:a,", (MalformedHeader(b"a", COMMA),)),
    Case("netstring_with_another_byte_for_the_comma", "netstring", b"4:abcde", (MalformedHeader(b"e", COMMA),)),
    Case("netstring_with_a_leading_zero", "netstring", b"03:abc,", (MalformedHeader(b"03", "leading zero"),)),
    Case("netstring_with_a_space", "netstring", b"3 :abc,", (MalformedHeader(b"3 ", COLON),)),
    Case("netstring_with_a_minus", "netstring", b"-1:,", (MalformedHeader(b"-", COLON),)),
    Case("netstring_at_the_limit", "netstring", b"3:abc,", (b"abc",), max_length=3),
    Case("netstring_over_the_limit", "netstring", b"4:", (MessageTooLong(3, 4),), max_length=3),
    Case("netstring_digits_without_end", "netstring", b"9999",
         (MalformedHeader(b"99", "more digits than the 1 that max_length (3) needs"),), max_length=3),
    Case("netstring_skip", "netstring", b"5:1:a,,,2:ok,",
         (MessageTooLong(3, 5), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("netstring_end_in_the_header", "netstring", b"1:a,3", (b"a", TruncatedMessage(None, 1, REST)), end=True),
    Case("netstring_end_in_the_payload", "netstring", b"3:a", (TruncatedMessage(3, 1),), end=True),
    Case("netstring_end_before_the_comma", "netstring", b"3:abc", (TruncatedMessage(3, 3, "the comma"),), end=True),
)

INTEGER = (
    Case("int32_message", "int32", b"\0\0\0\x09abcdefghi", (b"abcdefghi",)),
    Case("int32_messages_in_a_row", "int32", b"\0\0\0\x03123\0\0\0\x0bhello world", (b"123", b"hello world")),
    Case("int32_empty_messages", "int32", b"\0\0\0\0\0\0\0\0", (b"", b""), end=True),
    Case("int32_payload_looks_like_frames", "int32", b"\0\0\0\x05\0\0\0\x01a", (b"\0\0\0\x01a",)),
    Case("int32_end_in_the_length", "int32", b"\0\0", (TruncatedMessage(None, 2, REST),), end=True),
    Case("int32_end_behind_one_byte", "int32", b"\0\0\0\0\0", (b"", TruncatedMessage(None, 1, REST)), end=True),
    Case("int32_end_in_the_payload", "int32", b"\0\0\0\x09abcd", (TruncatedMessage(9, 4),), end=True),
    Case("int32_at_the_limit", "int32", b"\0\0\0\x05abcde", (b"abcde",), max_length=5),
    Case("int32_over_the_limit_before_any_payload", "int32", b"\0\0\0\x06", (MessageTooLong(5, 6),), max_length=5),
    Case("int32_largest_length_is_not_negative", "int32", b"\xff\xff\xff\xff", (MessageTooLong(2**20, 2**32 - 1),)),
    Case("int32_lengths_are_unsigned", "int32", b"\xff\xff\xff\xf6", (MessageTooLong(2**20, 2**32 - 10),)),
    Case("int32_each_byte_counts", "int32", b"\x01\x02\x03\x04", (MessageTooLong(2**20, 0x01020304),)),
    Case("int32_little_message", "int32:little", b"\x09\0\0\0abcdefghi", (b"abcdefghi",)),
    Case("int32_little_each_byte_counts", "int32:little", b"\1\2\3\4", (MessageTooLong(2**20, 0x04030201),)),
    Case("int32_little_end", "int32:little", b"\x09\0\0\0ab", (TruncatedMessage(9, 2),), end=True),
    Case("int32_skip", "int32", b"\0\0\0\x04four\0\0\0\x02ok",
         (MessageTooLong(3, 4), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("int16_message", "int16", b"\0\x05Hello\0\0", (b"Hello", b"")),
    Case("int16_two_bytes_count", "int16", b"\x01\x02", (MessageTooLong(5, 0x0102),), max_length=5),
    Case("int16_little_message", "int16:little", b"\x05\0Hello\0\0", (b"Hello", b"")),
    Case("int16_little_two_bytes_count", "int16:little", b"\x01\x02", (MessageTooLong(5, 0x0201),), max_length=5),
    Case("int16_end_in_the_length", "int16", b"\0", (TruncatedMessage(None, 1, REST),), end=True),
    Case("int8_message", "int8", b"\x05Hello\0\x01!", (b"Hello", b"", b"!")),
    Case("int8_little_is_the_same", "int8:little", b"\x05Hello", (b"Hello",)),
    Case("int8_largest_length", "int8", b"\xff" + 255 * b"x", (255 * b"x",)),
    Case("int8_over_the_limit", "int8", b"\x06", (MessageTooLong(5, 6),), max_length=5),
    Case("int8_skip", "int8", b"\x04four\x01a\xff" + 255 * b"x" + b"\0",
         (MessageTooLong(3, 4), b"a", MessageTooLong(3, 255), b""), max_length=3, on_bad_frame="skip"),
    Case("int8_end_in_a_skipped_payload", "int8", b"\x04fou",
         (MessageTooLong(3, 4),), max_length=3, on_bad_frame="skip", end=True),
)

VARINT = (
    Case("varint_message", "varint", b"\x0bHello World", (b"Hello World",)),
    Case("varint_empty_messages", "varint", b"\0\0", (b"", b""), end=True),
    Case("varint_of_two_bytes", "varint", b"\xac\x02" + 300 * b"x" + b"\x01y", (300 * b"x", b"y")),
    Case("varint_largest_of_one_byte", "varint", b"\x7f" + 127 * b"x", (127 * b"x",)),
    Case("varint_smallest_of_two_bytes", "varint", b"\x80\x01" + 128 * b"x", (128 * b"x",)),
    Case("varint_zero_in_two_bytes", "varint", b"\x80\x00", (MalformedHeader(b"\x80\x00", OVERLONG),)),
    Case("varint_eleven_in_three_bytes", "varint", b"\x8b\x80\0", (MalformedHeader(b"\x8b\x80\0", OVERLONG),)),
    Case("varint_without_end", "varint", 10 * b"\xff",
         (MalformedHeader(3 * b"\xff", "more bytes than the 3 that max_length (1048576) needs"),)),
    Case("varint_longer_than_the_limit_needs", "varint", b"\x01a\x80",
         (b"a", MalformedHeader(b"\x80", "more bytes than the 1 that max_length (12) needs")), max_length=12),
    Case("varint_at_the_limit", "varint", b"\x80\x01" + 128 * b"x", (128 * b"x",), max_length=128),
    Case("varint_over_the_limit", "varint", b"\x81\x01", (MessageTooLong(128, 129),), max_length=128),
    Case("varint_skip", "varint", b"\x04four\x02ok",
         (MessageTooLong(3, 4), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("varint_end_in_the_length", "varint", b"\x01a\x80", (b"a", TruncatedMessage(None, 1, REST)), end=True),
    Case("varint_end_in_the_payload", "varint", b"\x80\x01abc", (TruncatedMessage(128, 3),), end=True),
)

FIXED = (
    Case("fixed_messages", "fixed:3", b"abcdef", (b"abc", b"def"), end=True),
    Case("fixed_messages_of_one_byte", "fixed:1", b"abc", (b"a", b"b", b"c")),
    Case("fixed_waits_for_the_last_byte", "fixed:3", b"ab", ()),
    Case("fixed_end_inside_a_message", "fixed:3", b"abcd", (b"abc", TruncatedMessage(3, 1)), end=True),
    Case("fixed_at_the_limit", "fixed:3", b"abc", (b"abc",), max_length=3),
)

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

CASES = (*BUFFERED, *STANDARD, *WINDEV, *NETSTRING, *INTEGER, *VARINT, *FIXED, *ENVELOPE)
