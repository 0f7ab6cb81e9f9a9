"""octets, syslog, length:W, mbap, tpkt and digits:N."""

from __future__ import annotations

from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.cases.case import REST, Case

SPACE = "a length is ASCII digits, then b' '"
NO_LF = "the line feed"
FOUR = "a length is 4 ASCII digits"
PROTOCOL = "the third and fourth byte, the protocol, are 0 for Modbus"
VERSION = "the first byte, the version of TPKT, is 3"
# A Modbus request and its answer: function 3, read three holding registers from 107 on.
READ = bytes.fromhex("000100000006 1103006b0003")
REGISTERS = bytes.fromhex("000100000009 110306ae4156524340")
# An S7 connection request, in TPKT.
S7 = bytes.fromhex("0300001611e00000000100c0010ac1020100c2020102")
# Diameter: a Device-Watchdog-Request without AVPs. DICOM: the start of an A-ASSOCIATE-RQ. OPC UA: Hello. BSON: {} and
# {"a": 1}.
WATCHDOG = bytes.fromhex("01000014 80000118 00000000 00000001 00000002")
ASSOCIATE = bytes.fromhex("0100 00000002 0001")
HELLO = b"HELF" + (32).to_bytes(4, "little") + bytes.fromhex("00000000 00000100 00000100 00000000 00000000 ffffffff")
BSON = (bytes.fromhex("05000000 00"), bytes.fromhex("0c000000 10 6100 01000000 00"))


def small(header: int, length: int) -> str:
    return f"a frame has at least the {header} bytes of its header, and this one would have {length}"


# fmt: off

OCTETS = (
    Case("octets_message", "octets", b"11 Hello World", (b"Hello World",)),
    Case("octets_messages_in_a_row", "octets", b"8 <13>line9 <13>line\n1 a", (b"<13>line", b"<13>line\n", b"a")),
    Case("octets_empty_messages", "octets", b"0 0 1  ", (b"", b"", b" "), end=True),
    Case("octets_payload_looks_like_frames", "octets", b"6 3 abc\n", (b"3 abc\n",)),
    Case("octets_leading_zero", "octets", b"011 Hello World", (MalformedHeader(b"01", "leading zero"),)),
    Case("octets_sign", "octets", b"1 a+1 a", (b"a", MalformedHeader(b"+", SPACE))),
    Case("octets_two_spaces_are_a_space_and_a_message", "octets", b"1  a", (b" ", MalformedHeader(b"a", SPACE))),
    Case("octets_space_first", "octets", b" 1 a", (MalformedHeader(b" ", SPACE),)),
    Case("octets_tab", "octets", b"1\ta", (MalformedHeader(b"1\t", SPACE),)),
    Case("octets_line", "octets", b"<13>line\n", (MalformedHeader(b"<", SPACE),)),
    Case("octets_line_feed_after_a_message", "octets", b"1 a\n1 b", (b"a", MalformedHeader(b"\n", SPACE))),
    Case("octets_at_the_limit", "octets", b"3 abc", (b"abc",), max_length=3),
    Case("octets_over_the_limit", "octets", b"4 ", (MessageTooLong(3, 4),), max_length=3),
    Case("octets_digits_without_end", "octets", b"1111",
         (MalformedHeader(b"11", "more digits than the 1 that max_length (3) needs"),), max_length=3),
    Case("octets_skip", "octets", b"4 four2 ok", (MessageTooLong(3, 4), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("octets_end_in_the_length", "octets", b"1 a12", (b"a", TruncatedMessage(None, 2, REST)), end=True),
    Case("octets_end_in_the_payload", "octets", b"12 abc", (TruncatedMessage(12, 3),), end=True),
)

SYSLOG = (
    Case("syslog_counted", "syslog", b"8 <13>line9 <13>line\n0 ", (b"<13>line", b"<13>line\n", b"")),
    Case("syslog_counted_from_zero", "syslog", b"0 1 a", (b"", b"a")),
    Case("syslog_lines", "syslog", b"<13>one\n<13>two\n", (b"<13>one", b"<13>two")),
    Case("syslog_cr_before_lf_is_not_part_of_the_message", "syslog", b"<13>one\r\n<13>two\n\r\n<13>a\r\r\n",
         (b"<13>one", b"<13>two", b"", b"<13>a\r")),
    Case("syslog_empty_lines", "syslog", b"\n\na\n", (b"", b"", b"a")),
    Case("syslog_lines_with_a_cr", "syslog", b"a\rb\n\rc\n", (b"a\rb", b"\rc")),
    Case("syslog_later_lines_may_start_with_a_digit", "syslog", b"<13>one\n5 <13>two\n1 a\n",
         (b"<13>one", b"5 <13>two", b"1 a")),
    Case("syslog_a_first_space_means_lines", "syslog", b" 1 a\n", (b" 1 a",)),
    Case("syslog_counted_messages_stay_counted", "syslog", b"1 a<13>one\n",
         (b"a", MalformedHeader(b"<", SPACE))),
    Case("syslog_line_at_the_limit", "syslog", b"abc\nabc\r\nab\r\n", (b"abc", b"abc", b"ab"), max_length=3),
    Case("syslog_line_over_the_limit", "syslog", b"a\nabcd", (b"a", MessageTooLong(3)), max_length=3),
    Case("syslog_line_with_a_cr_over_the_limit", "syslog", b"abc\rd", (MessageTooLong(3),), max_length=3),
    Case("syslog_line_with_two_crs_over_the_limit", "syslog", b"abc\r\r\n", (MessageTooLong(3),), max_length=3),
    Case("syslog_line_at_the_limit_waits", "syslog", b"abc", (), max_length=3),
    Case("syslog_line_at_the_limit_with_its_cr_waits", "syslog", b"abc\r", (), max_length=3),
    Case("syslog_skip_in_lines", "syslog", b"four\nok\nlong\r\n\nfives",
         (MessageTooLong(3), b"ok", MessageTooLong(3), b"", MessageTooLong(3)),
         max_length=3, on_bad_frame="skip", end=True),
    Case("syslog_skip_in_lines_does_not_decide_again", "syslog", b"four\n1 a\n", (MessageTooLong(3), b"1 a"),
         max_length=3, on_bad_frame="skip"),
    Case("syslog_skip_in_counted_messages", "syslog", b"4 four2 ok", (MessageTooLong(3, 4), b"ok"),
         max_length=3, on_bad_frame="skip"),
    Case("syslog_end_in_a_line", "syslog", b"a\nbc", (b"a", TruncatedMessage(None, 2, NO_LF)), end=True),
    Case("syslog_end_after_a_cr", "syslog", b"\r", (TruncatedMessage(None, 1, NO_LF),), end=True),
    Case("syslog_end_in_a_counted_message", "syslog", b"3 a", (TruncatedMessage(3, 1),), end=True),
)

LENGTH = (
    Case("length_4_is_int32", "length:4", b"\0\0\0\x0bHello World\0\0\0\0", (b"Hello World", b"")),
    Case("length_1", "length:1", b"\x05Hello\0\xff" + 255 * b"x", (b"Hello", b"", 255 * b"x")),
    Case("length_2_little", "length:2:little", b"\5\0Hello\0\1", (b"Hello",)),
    Case("length_3", "length:3", b"\0\0\x05Hello\0\1\0" + 256 * b"x", (b"Hello", 256 * b"x")),
    Case("length_3_each_byte_counts", "length:3", b"\1\2\3", (MessageTooLong(9, 0x010203),), max_length=9),
    Case("length_3_little", "length:3:little", b"\1\2\3", (MessageTooLong(9, 0x030201),), max_length=9),
    Case("length_8", "length:8", b"\0\0\0\0\0\0\0\x02ok", (b"ok",)),
    Case("length_8_is_unsigned", "length:8", 8 * b"\xff", (MessageTooLong(2**20, 2**64 - 1),)),
    Case("length_8_little", "length:8:little", b"\2\0\0\0\0\0\0\0ok\0\0\0\0\0\0\0\x80",
         (b"ok", MessageTooLong(2**20, 2**63))),
    Case("length_inclusive", "length:2:inclusive", b"\0\x07Hello\0\2", (b"Hello", b"")),
    Case("length_inclusive_too_small", "length:2:inclusive", b"\0\2\0\1", (b"", MalformedHeader(b"\0\1", small(2, 1)))),
    Case("length_add", "length:1:add=2", b"\0ab\x01cde", (b"ab", b"cde")),
    Case("length_add_negative", "length:1:add=-3", b"\3\4a", (b"", b"a")),
    Case("length_add_negative_too_small", "length:1:add=-3", b"\2", (MalformedHeader(b"\2", small(1, 0)),)),
    Case("length_inclusive_with_add", "length:1:inclusive:add=1", b"\0\1a", (b"", b"a")),
    Case("length_skip", "length:1:inclusive", b"\5four\3ok",
         (MessageTooLong(3, 4), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("length_skip_ends_at_one_too_small", "length:1:inclusive", b"\0\2a",
         (MalformedHeader(b"\0", small(1, 0)),), on_bad_frame="skip"),
    Case("length_end_in_the_length", "length:3", b"\0\0", (TruncatedMessage(None, 2, REST),), end=True),
    Case("length_end_in_the_payload", "length:2:inclusive", b"\0\6ab", (TruncatedMessage(4, 2),), end=True),
    Case("length_at_0", "length:4:little:inclusive:at=0", b"".join(BSON), BSON, end=True),
    Case("length_of_diameter", "length:3:inclusive:at=1", 2 * WATCHDOG, (WATCHDOG, WATCHDOG), end=True),
    Case("length_of_dicom", "length:4:at=2", 2 * ASSOCIATE, (ASSOCIATE, ASSOCIATE), end=True),
    Case("length_of_opc_ua", "length:4:little:inclusive:at=4", 2 * HELLO, (HELLO, HELLO), end=True),
    Case("length_at_with_no_payload", "length:1:at=1", b"a\0b\0", (b"a\0", b"b\0")),
    Case("length_at_with_add", "length:1:at=1:add=2", b"a\0xxb\1yyy", (b"a\0xx", b"b\1yyy")),
    Case("length_at_too_small", "length:1:inclusive:at=1", b"a\2b\1", (b"a\2", MalformedHeader(b"b\1", small(2, 1)))),
    Case("length_at_the_limit_with_its_header", "length:1:at=1", b"a\1b", (b"a\1b",), max_length=3),
    Case("length_at_over_the_limit", "length:1:at=1", b"a\2", (MessageTooLong(3, 4),), max_length=3),
    Case("length_at_skip", "length:1:at=1", b"a\2bbc\1d",
         (MessageTooLong(3, 4), b"c\1d"), max_length=3, on_bad_frame="skip"),
    Case("length_at_end_in_the_header", "length:2:at=4", b"abcde", (TruncatedMessage(None, 5, REST),), end=True),
    Case("length_at_end_in_the_payload", "length:1:at=1", b"a\5bc", (TruncatedMessage(7, 4),), end=True),
)

MBAP = (
    Case("mbap_request_and_answer", "mbap", READ + REGISTERS, (READ, REGISTERS), end=True),
    Case("mbap_other_protocol", "mbap", READ + b"\0\2\0\1\0\6xxxxxx",
         (READ, MalformedHeader(b"\0\2\0\1", PROTOCOL))),
    Case("mbap_protocol_in_the_high_byte", "mbap", b"\0\2\1\0\0\6", (MalformedHeader(b"\0\2\1", PROTOCOL),)),
    Case("mbap_protocol_comes_before_the_length", "mbap", b"\0\2\0\1\xff\xff",
         (MalformedHeader(b"\0\2\0\1", PROTOCOL),), max_length=260, on_bad_frame="skip"),
    Case("mbap_over_the_limit", "mbap", b"\0\2\0\0\0\xff", (MessageTooLong(260, 261),), max_length=260),
    Case("mbap_skip", "mbap", b"\0\2\0\0\0\7abcdefg" + READ, (MessageTooLong(12, 13), READ),
         max_length=12, on_bad_frame="skip"),
    Case("mbap_end_in_the_header", "mbap", READ[:5], (TruncatedMessage(None, 5, REST),), end=True),
    Case("mbap_end_in_the_message", "mbap", READ[:8], (TruncatedMessage(12, 8),), end=True),
)

TPKT = (
    Case("tpkt_packets", "tpkt", S7 + b"\3\0\0\4" + S7, (S7, b"\3\0\0\4", S7), end=True),
    Case("tpkt_reserved_byte_may_be_anything", "tpkt", b"\3\xff\0\4", (b"\3\xff\0\4",)),
    Case("tpkt_other_version", "tpkt", S7 + b"\2\0\0\4", (S7, MalformedHeader(b"\2", VERSION))),
    Case("tpkt_too_small", "tpkt", b"\3\0\0\3", (MalformedHeader(b"\3\0\0\3", small(4, 3)),)),
    Case("tpkt_over_the_limit", "tpkt", b"\3\0\0\5", (MessageTooLong(4, 5),), max_length=4),
    Case("tpkt_end_in_the_header", "tpkt", b"\3\0\0", (TruncatedMessage(None, 3, REST),), end=True),
)

DIGITS = (
    Case("digits_message", "digits:4", b"0011Hello World", (b"Hello World",)),
    Case("digits_messages_in_a_row", "digits:2", b"02ab0003abc", (b"ab", b"", b"abc"), end=True),
    Case("digits_inclusive", "digits:4:inclusive", b"0015Hello World0004", (b"Hello World", b"")),
    Case("digits_inclusive_too_small", "digits:4:inclusive", b"00040003",
         (b"", MalformedHeader(b"0003", "the length counts its 4 digits too"))),
    Case("digits_sign", "digits:4", b"+011", (MalformedHeader(b"+", FOUR),)),
    Case("digits_space", "digits:4", b"0001a  11", (b"a", MalformedHeader(b" ", FOUR))),
    Case("digits_too_few", "digits:4", b"001\r\n", (MalformedHeader(b"001\r", FOUR),)),
    Case("digits_hexadecimal", "digits:4", b"000b", (MalformedHeader(b"000b", FOUR),)),
    Case("digits_that_are_not_ascii", "digits:4", b"\xd9\xa1", (MalformedHeader(b"\xd9", FOUR),)),
    Case("digits_at_the_limit", "digits:3", b"005abcde", (b"abcde",), max_length=5),
    Case("digits_over_the_limit", "digits:3", b"006", (MessageTooLong(5, 6),), max_length=5),
    Case("digits_inclusive_over_the_limit", "digits:3:inclusive", b"009", (MessageTooLong(5, 6),), max_length=5),
    Case("digits_many", "digits:18", b"000000000000000001a" + 18 * b"9",
         (b"a", MessageTooLong(2**20, 10**18 - 1))),
    Case("digits_skip", "digits:1", b"4four2ok", (MessageTooLong(3, 4), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("digits_skip_ends_at_a_bad_header", "digits:4", b"x10001a", (MalformedHeader(b"x", FOUR),),
         on_bad_frame="skip"),
    Case("digits_end_in_the_length", "digits:4", b"0001a00", (b"a", TruncatedMessage(None, 2, REST)), end=True),
    Case("digits_end_in_the_payload", "digits:4:inclusive", b"0009ab", (TruncatedMessage(5, 2),), end=True),
)

# fmt: on
