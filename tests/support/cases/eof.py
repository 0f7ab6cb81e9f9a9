"""eof."""

from __future__ import annotations

from sockserve.framing.errors import MessageTooLong
from tests.support.cases.case import Case

# fmt: off

EOF = (
    Case("eof_message", "eof", b"Hello World", (b"Hello World",), end=True),
    Case("eof_is_not_there_yet", "eof", b"Hello World\r\n", ()),
    Case("eof_every_byte_is_data", "eof", b"\x00\r\n5:<EOF>\xff", (b"\x00\r\n5:<EOF>\xff",), end=True),
    Case("eof_of_an_empty_stream", "eof", b"", (), end=True),
    Case("eof_at_the_limit", "eof", b"abc", (b"abc",), max_length=3, end=True),
    Case("eof_over_the_limit", "eof", b"abcd", (MessageTooLong(3),), max_length=3),
    Case("eof_over_the_limit_has_no_end", "eof", b"abcdef", (MessageTooLong(3),), max_length=3, on_bad_frame="skip",
         end=True),
)

# fmt: on
