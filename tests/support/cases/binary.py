"""int8, int16, int32, varint and fixed:N."""

from __future__ import annotations

from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.cases.case import REST, Case

OVERLONG = "longer than its number needs"

# fmt: off

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

# fmt: on
