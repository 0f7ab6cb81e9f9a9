"""content-length and json."""

from __future__ import annotations

from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from tests.support.cases.case import Case

LENGTH = b"Content-Length: "
NO_HEADER = "a header is a name, a colon and a value"
CR_LF = "a header ends in CR LF"
CONTROL = "a header ends in CR LF, and has no control characters"
DIGITS = "Content-Length is ASCII digits"

# fmt: off

CONTENT_LENGTH = (
    Case("headers_then_message", "content-length", b"Content-Length: 11\r\n\r\nHello World", (b"Hello World",)),
    Case("headers_and_messages_in_a_row", "content-length", LENGTH + b"1\r\n\r\na" + LENGTH + b"0\r\n\r\n"
         + LENGTH + b"2\r\n\r\nbc", (b"a", b"", b"bc"), end=True),
    Case("headers_in_any_case_and_order", "content-length",
         b"content-type: application/vscode-jsonrpc; charset=utf-8\r\nCONTENT-LENGTH:2\r\n\r\nok"
         b"Content-Length: \t 2\t \r\nContent-Type:\r\n\r\nok", (b"ok", b"ok")),
    Case("headers_may_have_any_text", "content-length", b"X: \xc3\xa9 : Content-Length: 5\r\n" + LENGTH
         + b"2\r\n\r\nok", (b"ok",)),
    Case("no_content_length", "content-length", b"Content-Type: json\r\n\r\nok",
         (MalformedHeader(b"\r\n", "no Content-Length"),)),
    Case("no_headers", "content-length", b"\r\nok", (MalformedHeader(b"\r\n", "no Content-Length"),)),
    Case("no_headers_before_the_message", "content-length", b'{"id": 1}', (MalformedHeader(b"{", NO_HEADER),)),
    Case("a_request_line", "content-length", b"POST / HTTP/1.1\r\n", (MalformedHeader(b"POST ", NO_HEADER),)),
    Case("no_name", "content-length", b": 5\r\n", (MalformedHeader(b":", NO_HEADER),)),
    Case("no_colon", "content-length", LENGTH + b"1\r\nabc\r\n\r\n", (MalformedHeader(b"abc\r", NO_HEADER),)),
    Case("space_before_the_colon", "content-length", b"Content-Length : 2\r\n\r\nok",
         (MalformedHeader(b"Content-Length ", NO_HEADER),)),
    Case("header_that_goes_on_in_the_next_line", "content-length", b"X: a\r\n b\r\n",
         (MalformedHeader(b" ", NO_HEADER),)),
    Case("name_beyond_ascii", "content-length", b"X\xe9: a\r\n", (MalformedHeader(b"X\xe9", NO_HEADER),)),
    Case("header_ends_in_a_bare_lf", "content-length", LENGTH + b"2\n\nok",
         (MalformedHeader(LENGTH + b"2\n", CONTROL),)),
    Case("header_ends_in_a_bare_cr", "content-length", LENGTH + b"2\r\rok",
         (MalformedHeader(LENGTH + b"2\r\r", CR_LF),)),
    Case("empty_line_is_a_bare_cr", "content-length", LENGTH + b"2\r\n\rok", (MalformedHeader(b"\ro", CR_LF),)),
    Case("nul_in_a_header", "content-length", b"X: a\x00", (MalformedHeader(b"X: a\x00", CONTROL),)),
    Case("delete_in_a_header", "content-length", b"X: a\x7f", (MalformedHeader(b"X: a\x7f", CONTROL),)),
    Case("content_length_twice", "content-length", LENGTH + b"2\r\ncontent-length: 2\r\n\r\nok",
         (MalformedHeader(b"content-length: 2\r\n", "Content-Length is there twice"),)),
    *(Case(f"content_length_{name}", "content-length", LENGTH + value + b"\r\n\r\n",
           (MalformedHeader(LENGTH + value + b"\r\n", rule),))
      for name, value, rule in (
          ("plus", b"+2", DIGITS), ("minus", b"-2", DIGITS), ("empty", b"", DIGITS), ("two", b"2, 2", DIGITS),
          ("underscore", b"1_0", DIGITS), ("hexadecimal", b"0x2", DIGITS), ("superscript", b"\xb2", DIGITS),
          ("leading_zero", b"02", "leading zero"), ("two_zeros", b"00", "leading zero"),
          ("endless_digits", b"9" * 19, "Content-Length has more than 18 digits"))),
    Case("message_of_many_digits", "content-length", LENGTH + b"10\r\n\r\n0123456789" + LENGTH + b"1\r\n\r\n-",
         (b"0123456789", b"-")),
    Case("message_at_the_limit", "content-length", LENGTH + b"3\r\n\r\nabc", (b"abc",), max_length=3),
    Case("message_over_the_limit", "content-length", LENGTH + b"1\r\n\r\na" + LENGTH + b"4\r\n\r\n",
         (b"a", MessageTooLong(3, 4)), max_length=3),
    Case("message_far_over_the_limit", "content-length", LENGTH + b"9" * 18 + b"\r\n\r\n",
         (MessageTooLong(3, 10**18 - 1),), max_length=3),
    Case("skip_a_message_after_headers", "content-length", LENGTH + b"4\r\nX: y\r\n\r\nlong" + LENGTH + b"2\r\n\r\nok"
         + b"X: y\r\n" + LENGTH + b"5\r\n\r\nlong!" + b"X: y\r\n" + LENGTH + b"2\r\n\r\nok",
         (MessageTooLong(3, 4), b"ok", MessageTooLong(3, 5), b"ok"), max_length=3, on_bad_frame="skip", end=True),
    Case("skip_stops_at_a_wrong_header", "content-length", b"X\r\n\r\n" + LENGTH + b"2\r\n\r\nok",
         (MalformedHeader(b"X\r", NO_HEADER),), on_bad_frame="skip"),
    Case("end_in_the_headers", "content-length", LENGTH + b"2\r\n",
         (TruncatedMessage(None, 19, "the rest of the headers"),), end=True),
    Case("end_in_the_message_after_headers", "content-length", b"X: y\r\n" + LENGTH + b"5\r\n\r\nhel",
         (TruncatedMessage(5, 3),), end=True),
    Case("end_behind_the_headers", "content-length", LENGTH + b"5\r\n\r\n", (TruncatedMessage(5, 0),), end=True),
)

FIRST = "a message is an object or an array, and starts with { or ["

JSON = (
    Case("json_object", "json", b'{"Hello": "World"}', (b'{"Hello": "World"}',)),
    Case("json_back_to_back", "json", b'{}[]{"a":[1,{}]}', (b"{}", b"[]", b'{"a":[1,{}]}'), end=True),
    Case("json_white_space_between", "json", b' \t\r\n{}\n[ ] \r\n', (b"{}", b"[ ]"), end=True),
    Case("json_white_space_only", "json", b" \r\n\t", (), end=True),
    Case("json_brackets_in_strings", "json", b'{"}": "]{"}["[\\"]"]', (b'{"}": "]{"}', b'["[\\"]"]')),
    Case("json_backslashes_before_a_quote", "json", b'["\\\\"]["\\\\\\"]"]["\\\\\\\\"]',
         (b'["\\\\"]', b'["\\\\\\"]"]', b'["\\\\\\\\"]')),
    Case("json_long_strings", "json", b'["' + b"x" * 40 + b'\\"]' + b"y" * 20 + b'"][""]',
         (b'["' + b"x" * 40 + b'\\"]' + b"y" * 20 + b'"]', b'[""]')),
    Case("json_is_not_validated", "json", b"{nonsense, 5 [}", (MalformedHeader(b"{nonsense, 5 [}",
         "} stands where ] is due"),)),
    Case("json_wrong_bracket", "json", b'[1]{"a": [1, 2}}', (b"[1]", MalformedHeader(b'{"a": [1, 2}',
         "} stands where ] is due"))),
    Case("json_wrong_square_bracket", "json", b'{"a": 1]', (MalformedHeader(b'{"a": 1]', "] stands where } is due"),)),
    Case("json_wrong_bracket_far_in", "json", b"[" + b" " * 100 + b"}", (MalformedHeader(b" " * 31 + b"}",
         "} stands where ] is due"),)),
    *(Case(f"json_starts_with_{name}", "json", b"{} " + text, (b"{}", MalformedHeader(text[:1], FIRST)))
      for name, text in (("a_number", b"5 "), ("a_string", b'"a"'), ("a_literal", b"null"), ("a_comma", b",{}"),
                         ("a_bracket", b"]"), ("a_byte_order_mark", b"\xef\xbb\xbf{}"), ("nul", b"\x00"),
                         ("other_white_space", b"\x0c{}"))),
    Case("json_at_the_limit", "json", b" [1] [2]", (b"[1]", b"[2]"), max_length=3),
    Case("json_over_the_limit", "json", b"[1][123", (b"[1]", MessageTooLong(3)), max_length=3),
    Case("json_over_the_limit_by_its_bracket", "json", b"[12]", (MessageTooLong(3),), max_length=3),
    Case("json_too_long_comes_before_wrong", "json", b"[12}", (MessageTooLong(3),), max_length=3),
    Case("json_wrong_comes_before_too_long", "json", b"[1}4", (MalformedHeader(b"[1}", "} stands where ] is due"),),
         max_length=3),
    Case("json_skip_goes_on_after_the_last_bracket", "json", b'[1] {"a":"]}\\"}"}\n[2][1,2,[3]][3]',
         (b"[1]", MessageTooLong(4), b"[2]", MessageTooLong(4), b"[3]"), max_length=4, on_bad_frame="skip", end=True),
    Case("json_skip_only_counts_brackets", "json", b"[{[[}}}][2]", (MessageTooLong(4), b"[2]"), max_length=4,
         on_bad_frame="skip"),
    Case("json_skip_stops_at_a_wrong_bracket", "json", b"[}[1]", (MalformedHeader(b"[}", "} stands where ] is due"),),
         on_bad_frame="skip"),
    Case("json_end_in_a_skipped_one", "json", b"[12345", (MessageTooLong(4),), max_length=4, on_bad_frame="skip",
         end=True),
    Case("json_end_inside", "json", b'{"a": [1', (TruncatedMessage(None, 8, "the closing }"),), end=True),
    Case("json_end_inside_a_string", "json", b'["a\\', (TruncatedMessage(None, 4, "the closing ]"),), end=True),
)

# fmt: on
