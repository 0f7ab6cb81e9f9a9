"""windev and netstring."""

from __future__ import annotations

from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.cases.case import REST, Case

DIGITS = "a length is ASCII digits, then b'\\r\\n'"
COLON = "a length is ASCII digits, then b':'"
COMMA = "b',' must follow the payload"

# fmt: off

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

# fmt: on
