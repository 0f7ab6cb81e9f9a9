"""lines, mllp, envelope:START:END:CHECK, dle, slip and cobs."""

from __future__ import annotations

from sockserve.framing.errors import MalformedHeader, MalformedPayload, MessageTooLong, TruncatedMessage, WrongCheck
from tests.support.cases.case import Case

NO_LF = "the line end b'\\n'"
NO_VT = "a message starts with b'\\x0b'"
NO_STX = "a message starts with b'\\x02'"
NO_ETX = "the end mark b'\\x03'"
NO_FS = "the end mark b'\\x1c\\r'"
NO_DLE_STX = "a message starts with b'\\x10\\x02'"
NO_DLE_ETX = "the end mark b'\\x10\\x03'"
DLE_RULE = "a message ends with b'\\x10\\x03', and has b'\\x10\\x10'"
SLIP_RULE = "b'\\xdb' is followed by b'\\xdc' or b'\\xdd'"
NO_END = "the byte b'\\xc0' that ends it"
NO_ZERO = "the zero byte that ends it"
TOO_EARLY = "a block has 2 bytes, and a zero byte comes after 1"
ASTM = "envelope:\\x02:\\x03:astm"
SUM = "envelope:<:>:sum"
LONG = bytes(range(1, 256))

# fmt: off

LINES = (
    Case("lines_end_in_lf_or_crlf", "lines", b"a\nb\r\n\r\n\nc\r\r\n", (b"a", b"b", b"", b"", b"c\r"), end=True),
    Case("lines_lf_understands_the_same", "lines:lf", b"a\nb\r\n\r\n\nc\r\r\n", (b"a", b"b", b"", b"", b"c\r")),
    Case("lines_all_with_crlf", "lines", b"a\r\nb\rc\r\n\r\n", (b"a", b"b\rc", b"")),
    Case("lines_end_inside_one", "lines", b"a\n\r", (b"a", TruncatedMessage(None, 1, NO_LF)), end=True),
    Case("lines_at_the_limit", "lines", b"abc\nabc\r\n\nabc\r\n", (b"abc", b"abc", b"", b"abc"), max_length=3),
    Case("lines_a_cr_at_the_limit_is_data", "lines", b"ab\r\r\n", (b"ab\r",), max_length=3),
    Case("lines_a_cr_over_the_limit_waits", "lines", b"abc\r", (), max_length=3),
    Case("lines_over_the_limit", "lines", b"abc\nabcd\n", (b"abc", MessageTooLong(3)), max_length=3),
    Case("lines_over_the_limit_with_a_cr", "lines", b"abcd\r\n", (MessageTooLong(3),), max_length=3),
    Case("lines_two_crs_over_the_limit", "lines", b"\nabc\r\rx", (b"", MessageTooLong(3)), max_length=3),
    Case("lines_a_cr_over_the_limit_breaks_off", "lines", b"abc\rx\n", (MessageTooLong(3),), max_length=3),
    Case("lines_skip_goes_on_after_each_long_one", "lines", b"a\nlong\r\nb\r\nlonger\nc\n",
         (b"a", MessageTooLong(3), b"b", MessageTooLong(3), b"c"), max_length=3, on_bad_frame="skip"),
)

MLLP = (
    Case("mllp_frames", "mllp", b"\x0bMSH|a\r\x1c\r\x0b\x1c\r", (b"MSH|a\r", b"")),
    Case("mllp_line_ends_between_two_frames", "mllp", b"\n\x0ba\x1c\r\n\x0bb\x1c\r\r\n\r\n\x0bc\x1c\r\r",
         (b"a", b"b", b"c"), end=True),
    Case("mllp_a_frame_inside", "mllp", b"\x0ba\x0bb\x1c\r", (b"a\x0bb",)),
    Case("mllp_anything_else_between_two_frames", "mllp", b"\x0ba\x1c\r\n x\x0bb\x1c\r",
         (b"a", MalformedHeader(b" ", NO_VT))),
    Case("mllp_skip_goes_on_at_the_next_start", "mllp", b"x\x0ba\x1c\r\n?\n\x0bb\x1c\r",
         (MalformedHeader(b"x", NO_VT), b"a", MalformedHeader(b"?", NO_VT), b"b"), max_length=3, on_bad_frame="skip"),
    Case("mllp_skip_goes_on_after_a_long_message", "mllp", b"\n\x0blong\x1c\r\n\x0bok\x1c\r",
         (MessageTooLong(3), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("mllp_end_inside", "mllp", b"\r\n\x0bab\x1c", (TruncatedMessage(None, 4, NO_FS),), end=True),
    Case("mllp_end_after_ignored_bytes", "mllp", b"\r\n\n", (), end=True),
)

CHECKED = (
    Case("astm_frame", ASTM, b"\x024L|1|N\r\x0307\r\n", (b"4L|1|N\r",)),
    Case("astm_frames", ASTM, b"\x02a\x0364\r\n\x02\x0303\r\n\x02a\x0364\r\n", (b"a", b"", b"a"), end=True),
    Case("astm_wrong_digits", ASTM, b"\x02a\x0364\r\n\x02b\x0364\r\n",
         (b"a", WrongCheck("astm", b"64\r\n", b"65\r\n"))),
    Case("astm_digits_in_lower_case", ASTM, b"\x02g\x036a\r\n", (WrongCheck("astm", b"6a\r\n", b"6A\r\n"),)),
    Case("astm_no_line_end", ASTM, b"\x02a\x0364\x02b\x03", (WrongCheck("astm", b"64\x02b", b"64\r\n"),)),
    Case("astm_skip_goes_on_after_the_frame", ASTM, b"\x02a\x0300\r\n\x02a\x0364\r\n\x02b\x0364\r\n",
         (WrongCheck("astm", b"00\r\n", b"64\r\n"), b"a", WrongCheck("astm", b"64\r\n", b"65\r\n")),
         max_length=3, on_bad_frame="skip"),
    Case("astm_end_inside_the_check", ASTM, b"\x02a\x0364\r",
         (TruncatedMessage(None, 6, "the rest of the check (astm)"),), end=True),
    Case("astm_end_inside_the_message", ASTM, b"\x02a", (TruncatedMessage(None, 2, NO_ETX),), end=True),
    Case("astm_garbage", ASTM, b"\x05\x02a\x0364\r\n\x04", (MalformedHeader(b"\x05", NO_STX),)),
    Case("astm_skips_garbage", ASTM, b"\x05\x02a\x0364\r\n\x04\x02a\x0364\r\n",
         (MalformedHeader(b"\x05", NO_STX), b"a", MalformedHeader(b"\x04", NO_STX), b"a"),
         max_length=3, on_bad_frame="skip"),
    Case("sum_frames", SUM, b"<a>\x9f<>>", (b"a", b""), end=True),
    Case("sum_looks_like_a_mark", SUM, b"<\xfe>\x3c<\x00>>", (b"\xfe", b"\0")),
    Case("sum_over_the_limit", SUM, b"<abcd>", (MessageTooLong(3),), max_length=3),
    Case("sum_over_the_limit_unfinished", SUM, b"<abcd", (MessageTooLong(3),), max_length=3),
    Case("sum_skips_a_long_message_with_its_check", SUM, b"<abcd>><a>\x9f", (MessageTooLong(3), b"a"),
         max_length=3, on_bad_frame="skip"),
    Case("sum_end_in_the_check_of_a_skipped_message", SUM, b"<abcd>", (MessageTooLong(3),),
         max_length=3, on_bad_frame="skip", end=True),
    Case("longer_start_mark", "envelope:<<:>:sum", b"<<a>\x9f<<a>\x9f<", (b"a", b"a",
         TruncatedMessage(None, 1, "the rest of the start mark b'<<'")), end=True),
    Case("longer_start_mark_breaks_off", "envelope:<<:>:sum", b"<<a>\x9f<b>x",
         (b"a", MalformedHeader(b"<b", "a message starts with b'<<'"))),
    Case("lrc_frame", "envelope:\\x02:\\x03:lrc", b"\x02123\x033", (b"123",)),
    Case("crc_in_both_orders", "envelope:<:>:crc16-modbus", b"<123456789>\x8b\x06", (b"123456789",)),
    Case("crc_with_the_most_significant_byte_first", "envelope:<:>:crc16-modbus-big", b"<123456789>\x06\x8b",
         (b"123456789",)),
    Case("crc_as_digits", "envelope:<:>:crc16-modbus-hex", b"<123456789>068B", (b"123456789",)),
    Case("crc_wrong_in_its_second_byte", "envelope:<:>:crc16-modbus", b"<123456789>\x8b\x07",
         (WrongCheck("crc16-modbus", b"\x8b\x07", b"\x8b\x06"),)),
)

DLE = (
    Case("dle_frames", "dle", b"\x10\x02a\x10\x03\x10\x02\x10\x03\x10\x02\x02\x03\x10\x03", (b"a", b"", b"\x02\x03")),
    Case("dle_doubled", "dle", b"\x10\x02\x10\x10\x10\x03\x10\x02a\x10\x10\x10\x10\x03\x10\x03",
         (b"\x10", b"a\x10\x10\x03")),
    Case("dle_doubled_before_zero", "dle", b"\x10\x02\x10\x10\x00\x10\x03", (b"\x10\x00",)),
    Case("dle_needless_escape", "dle", b"\x10\x02a\x10\x03\x10\x02b\x10c\x10\x03",
         (b"a", MalformedPayload(b"\x10c", DLE_RULE))),
    Case("dle_needless_escape_of_zero", "dle", b"\x10\x02\x10\x10\x10\x00\x10\x03",
         (MalformedPayload(b"\x10\x00", DLE_RULE),)),
    Case("dle_garbage", "dle", b"x\x10\x02a\x10\x03", (MalformedHeader(b"x", NO_DLE_STX),)),
    Case("dle_start_mark_breaks_off", "dle", b"\x10\x02a\x10\x03\x10\x10\x02",
         (b"a", MalformedHeader(b"\x10\x10", NO_DLE_STX))),
    Case("dle_at_the_limit", "dle", b"\x10\x02\x10\x10\x10\x10\x10\x10\x10\x03\x10\x02abc\x10\x03",
         (b"\x10\x10\x10", b"abc"), max_length=3),
    Case("dle_half_a_dle_at_the_limit_waits", "dle", b"\x10\x02abc\x10", (), max_length=3),
    Case("dle_over_the_limit", "dle", b"\x10\x02abc\x10\x10", (MessageTooLong(3),), max_length=3),
    Case("dle_over_the_limit_complete", "dle", b"\x10\x02abcd\x10\x03", (MessageTooLong(3),), max_length=3),
    Case("dle_too_long_before_it_is_bad", "dle", b"\x10\x02abcd\x10x", (MessageTooLong(3),), max_length=3),
    Case("dle_bad_before_it_is_too_long", "dle", b"\x10\x02abc\x10xd",
         (MalformedPayload(b"\x10x", DLE_RULE),), max_length=3),
    Case("dle_skip_goes_on_after_a_long_message", "dle",
         b"\x10\x02lo\x10\x10\x03ng\x10\x03\x10\x02ok\x10\x03\x10\x02lo\x10\x10\x02ng\x10\x02ok\x10\x03",
         (MessageTooLong(3), b"ok", MessageTooLong(3), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("dle_skip_goes_on_at_the_next_start", "dle",
         b"a\x10\x10\x02\x10\x03b\x10\x02ok\x10\x03\x10\x02b\x10x\x10\x10\x02\x10\x03\x10\x02c\x10\x02ok\x10\x03",
         (MalformedHeader(b"a", NO_DLE_STX), b"ok", MalformedPayload(b"\x10x", DLE_RULE),
          MalformedPayload(b"\x10\x02", DLE_RULE), b"ok"), max_length=3, on_bad_frame="skip"),
    Case("dle_end_in_the_start_mark", "dle", b"\x10",
         (TruncatedMessage(None, 1, "the rest of the start mark b'\\x10\\x02'"),), end=True),
    Case("dle_end_inside", "dle", b"\x10\x02a\x10\x03\x10\x02a\x10", (b"a", TruncatedMessage(None, 4, NO_DLE_ETX)),
         end=True),
    Case("dle_end_in_skipped_garbage", "dle", b"a\x10", (MalformedHeader(b"a", NO_DLE_STX),),
         max_length=3, on_bad_frame="skip", end=True),
)

SLIP = (
    Case("slip_frames", "slip", b"a\xc0bc\xc0", (b"a", b"bc"), end=True),
    Case("slip_ends_on_both_sides", "slip", b"\xc0a\xc0\xc0bc\xc0\xc0\xc0\xc0d\xc0\xc0", (b"a", b"bc", b"d"), end=True),
    Case("slip_escapes", "slip", b"\xdb\xdc\xc0\xdb\xdd\xdc\xdb\xdd\xdd\xdb\xdc\xc0\xc0a\xc0",
         (b"\xc0", b"\xdb\xdc\xdb\xdd\xc0", b"a")),
    Case("slip_bad_escape", "slip", b"a\xc0\xdb\xdcb\xdbc\xc0d\xc0", (b"a", MalformedPayload(b"\xdbc", SLIP_RULE))),
    Case("slip_ends_before_a_bad_escape", "slip", b"\xc0\xc0a\xc0\xc0\xdbx\xc0",
         (b"a", MalformedPayload(b"\xdbx", SLIP_RULE))),
    Case("slip_escape_at_the_end", "slip", b"a\xdb\xc0", (MalformedPayload(b"\xdb\xc0", SLIP_RULE),)),
    Case("slip_at_the_limit", "slip", b"abc\xc0\xdb\xdc\xdb\xdc\xdb\xdd\xc0", (b"abc", b"\xc0\xc0\xdb"), max_length=3),
    Case("slip_half_an_escape_over_the_limit_waits", "slip", b"abc\xdb", (), max_length=3),
    Case("slip_over_the_limit", "slip", b"a\xc0abc\xdb\xdc", (b"a", MessageTooLong(3)), max_length=3),
    Case("slip_over_the_limit_complete", "slip", b"abcd\xc0", (MessageTooLong(3),), max_length=3),
    Case("slip_nothing_but_esc", "slip", b"a\xc0" + b"\xdb" * 9, (b"a", MessageTooLong(3)), max_length=3),
    Case("slip_skip_goes_on_after_the_bad_frame", "slip",
         b"long\xc0\xc0ok\xc0\xdbx\xc0\xc0a\xc0\xdb\xddlon\xdb\xddg\xc0b\xc0",
         (MessageTooLong(3), b"ok", MalformedPayload(b"\xdbx", SLIP_RULE), b"a", MessageTooLong(3), b"b"),
         max_length=3, on_bad_frame="skip"),
    Case("slip_end_inside", "slip", b"\xc0\xc0a\xdb", (TruncatedMessage(None, 2, NO_END),), end=True),
    Case("slip_nothing_but_ends", "slip", b"\xc0\xc0\xc0", (), end=True),
    Case("slip_end_in_a_skipped_message", "slip", b"long", (MessageTooLong(3),),
         max_length=3, on_bad_frame="skip", end=True),
)

COBS = (
    Case("cobs_frames", "cobs",
         b"\x01\x01\0\x01\x01\x01\0\x01\x02\x11\x01\0\x03\x11\x22\x02\x33\0\x05\x11\x22\x33\x44\0",
         (b"\0", b"\0\0", b"\0\x11\0", b"\x11\x22\0\x33", b"\x11\x22\x33\x44")),
    Case("cobs_empty_messages", "cobs", b"\x01\0\x01\0", (b"", b""), end=True),
    Case("cobs_zero_bytes_between_two_frames", "cobs", b"\0\x02a\0\0\0\x02b\0\0", (b"a", b"b"), end=True),
    Case("cobs_a_full_block_at_the_end", "cobs", b"\xff" + LONG[:254] + b"\0", (LONG[:254],)),
    Case("cobs_a_full_block_and_an_empty_one", "cobs", b"\xff" + LONG[:254] + b"\x01\0", (LONG[:254],)),
    Case("cobs_a_full_block_and_a_zero", "cobs", b"\xff" + LONG[:254] + b"\x01\x01\0", (LONG[:254] + b"\0",)),
    Case("cobs_a_full_block_and_a_byte", "cobs", b"\xff" + LONG[:254] + b"\x02\xff\0", (LONG,)),
    Case("cobs_a_block_that_ends_too_early", "cobs", b"\x02a\0\x03a\0b\0",
         (b"a", MalformedPayload(b"\x03", TOO_EARLY))),
    Case("cobs_a_second_block_that_ends_too_early", "cobs", b"\x02a\x02\0\x01\0",
         (MalformedPayload(b"\x02", "a block has 1 bytes, and a zero byte comes after 0"),)),
    Case("cobs_a_zero_byte_where_the_chain_goes_on", "cobs", b"\x02a\0\x04a\0\x02b\0\0",
         (b"a", MalformedPayload(b"\x04", "a block has 3 bytes, and a zero byte comes after 1"))),
    Case("cobs_a_zero_byte_where_a_frame_could_end", "cobs", b"\0\x02a\0\x04a\0\x02\0",
         (b"a", MalformedPayload(b"\x04", "a block has 3 bytes, and a zero byte comes after 1"))),
    Case("cobs_at_the_limit", "cobs", b"\x04abc\0\x01\x01\x01\x01\0\x02a\x02b\0", (b"abc", b"\0\0\0", b"a\0b"),
         max_length=3),
    Case("cobs_over_the_limit", "cobs", b"\x01\0\x05abcd", (b"", MessageTooLong(3)), max_length=3),
    Case("cobs_over_the_limit_complete", "cobs", b"\x05abcd\0", (MessageTooLong(3),), max_length=3),
    Case("cobs_over_the_limit_in_blocks", "cobs", b"\x03ab\x02c\0", (MessageTooLong(3),), max_length=3),
    Case("cobs_over_the_limit_with_the_last_byte", "cobs", b"\xff" + LONG[:254] + b"\x02a\0", (MessageTooLong(254),),
         max_length=254),
    Case("cobs_over_the_limit_without_a_full_block", "cobs", b"\xfe" + LONG[:253] + b"\x02a\0", (MessageTooLong(254),),
         max_length=254),
    Case("cobs_skip_goes_on_after_the_bad_frame", "cobs", b"\x05long\0\x03ok\0\x03a\0\0\x02a\0",
         (MessageTooLong(3), b"ok", MalformedPayload(b"\x03", TOO_EARLY), b"a"),
         max_length=3, on_bad_frame="skip"),
    Case("cobs_end_inside", "cobs", b"\0\x03a", (TruncatedMessage(None, 2, NO_ZERO),), end=True),
)

MARKS = (*LINES, *MLLP, *CHECKED, *DLE, *SLIP, *COBS)

# fmt: on
