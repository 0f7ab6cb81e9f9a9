"""What can be wrong with a frame or a message.

FramingError
 +-- MessageTooLong     longer than the framing's limit, received or to be sent
 +-- MalformedHeader    bytes that cannot be a header, or the mark after a payload
 +-- MalformedPayload   bytes between these that cannot be what was sent: an escape, a code
 +-- WrongCheck         a checksum that the bytes before it do not give
 +-- TruncatedMessage   the peer ended its stream inside a frame
 +-- InvalidMessage     a message that this framing cannot put on the wire

Each error says in one line which rule was broken and which setting decides it; the same facts are attributes. An
error does not depend on how the bytes were split into reads.
"""

from __future__ import annotations


class FramingError(Exception):
    """Bytes that are not a frame, or a message that cannot become one."""


class MessageTooLong(FramingError):
    """A message is longer than `max_length` allows.

    limit: the largest payload accepted, in bytes.
    length: the payload's length in bytes where it is known (a length prefix, or a message to be sent), else None.
    """

    def __init__(self, limit: int, length: int | None = None) -> None:
        super().__init__(limit, length)
        self.limit = limit
        self.length = length

    def __str__(self) -> str:
        size = "message" if self.length is None else f"message of {self.length} bytes"
        return f"{size} is longer than the limit of {self.limit} bytes (max_length)"


class MalformedHeader(FramingError):
    """The framing bytes themselves are wrong: a header, or the mark that must follow a payload.

    header: the bytes from the start of the header to the first one that breaks the rule.
    rule: the rule, in words.
    """

    def __init__(self, header: bytes, rule: str) -> None:
        super().__init__(header, rule)
        self.header = header
        self.rule = rule

    def __str__(self) -> str:
        return f"malformed header {self.header!r}: {self.rule}"


class MalformedPayload(FramingError):
    """The bytes of a frame cannot be those of a message: an escape, or a code, that its framing does not have.

    found: the bytes that break the rule.
    rule: the rule, in words.
    """

    def __init__(self, found: bytes, rule: str) -> None:
        super().__init__(found, rule)
        self.found = found
        self.rule = rule

    def __str__(self) -> str:
        return f"malformed payload {self.found!r}: {self.rule}"


class WrongCheck(FramingError):
    """A frame ends with another checksum than its bytes give.

    check: the name of the checksum.
    found: the checksum in the frame. expected: the one that its bytes give.
    """

    def __init__(self, check: str, found: bytes, expected: bytes) -> None:
        super().__init__(check, found, expected)
        self.check = check
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"wrong check {self.found!r}: the bytes of the frame give {self.expected!r} ({self.check})"


class TruncatedMessage(FramingError):
    """The stream ended inside a frame.

    expected: payload bytes announced by the header; None if no length was known.
    received: payload bytes that arrived; if `expected` is None, all bytes of the unfinished frame.
    missing: what should have come next, in words; "" if it was the rest of the payload.
    """

    def __init__(self, expected: int | None, received: int, missing: str = "") -> None:
        super().__init__(expected, received, missing)
        self.expected = expected
        self.received = received
        self.missing = missing

    def __str__(self) -> str:
        if self.expected is None:
            return f"stream ended inside a frame: {self.received} bytes arrived, then {self.missing} was missing"
        ending = f", then {self.missing} was missing" if self.missing else ""
        return f"stream ended inside a frame: header announced {self.expected} bytes, {self.received} arrived{ending}"


class InvalidMessage(FramingError):
    """A message that its receiver would misread, so it is not sent.

    rule: the rule it breaks, in words.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule
