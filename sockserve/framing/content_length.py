"""content-length: headers as in HTTP, of which one says the payload's length in bytes, an empty line, the payload.

    Content-Length: 11\\r\\n\\r\\nHello World

Origin: the base protocol of the Language Server Protocol,
https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#baseProtocol, which the
Debug Adapter Protocol and many users of JSON-RPC share. This form is sent.

Understood are other headers too, such as Content-Type, in any order, names in any case, and spaces or tabs around a
value. A header ends in CR LF and has no control characters; there is no space before its colon, and none continues on
the next line. What says where a message ends is strict, so that no two readers can differ: Content-Length is there
exactly once, as ASCII digits without a sign or leading zeros. All headers of a message, with the empty line, take at
most MAX_HEADERS bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockserve.framing.decimal import ZERO, DecimalFraming
from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.form import compiled
from sockserve.framing.prefixed import SHORT

if TYPE_CHECKING:
    # An int for Python, a machine word where this is compiled.
    from mypy_extensions import i64

MAX_HEADERS: Final = 4096
"""Bytes."""

# More digits are no length of anything, and would take long to read.
_MAX_DIGITS: Final = 18

# Bytes of a wrong header that an error shows: the last ones.
_SHOWN: Final = 64

_NAME: Final = b"Content-Length: "
_END: Final = b"\r\n\r\n"
_TAB: Final = 0x09
_LF: Final = 0x0A
_CR: Final = 0x0D
_SPACE: Final = 0x20
_COLON: Final = 0x3A
_DELETE: Final = 0x7F

# 1 for the bytes that the name of a header may have: RFC 9110, section 5.6.2.
_IN_NAME: Final = bytes(chr(byte).isalnum() or byte in b"!#$%&'*+-.^_`|~" for byte in range(128)) + bytes(128)


@dataclass(frozen=True, slots=True)
class ContentLength(DecimalFraming):
    """`Content-Length: 11\\r\\n\\r\\nHello World`."""

    def __str__(self) -> str:
        return "content-length"

    def _header(self, length: int) -> bytes:
        return b"%b%d%b" % (_NAME, length, _END)

    def decoder(self) -> ContentLengthDecoder:
        return ContentLengthDecoder(self)


class ContentLengthDecoder(FrameDecoder):
    """Headers as we send them are read at once, or looked up where that is faster. Others are read bytewise."""

    def __init__(self, framing: ContentLength) -> None:
        super().__init__(framing)
        self._lengths = None if compiled else framing.lengths
        self._width = 0
        self._begin()

    def _begin(self) -> None:
        """The headers of a frame are to be read."""
        # How far they have been, where the last line begins, the place of its colon or -1, and the length or -1.
        self._at = 0
        self._line = 0
        self._colon = -1
        self._announced = -1

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        self._needed = 0
        self._begin()
        count = 0
        size = len(data)
        # Bytes of the headers before: the next ones are probably as long.
        self._width = 0
        start = 0
        while start < size:
            length = self._usual(data, start)
            if length < 0:
                end = data.find(_END, start, start + MAX_HEADERS)
                headers = data[start : end + len(_END) if end >= 0 else start + MAX_HEADERS]
                if not self._read(headers):
                    break
                length = self._announced
                self._begin()
                self._width = len(headers)
                if self._lengths is not None and length < SHORT and headers == b"%b%d%b" % (_NAME, length, _END):
                    self._lengths[headers] = length
            payload = start + self._width
            stop = payload + length
            if length > self._limit:
                self._error = MessageTooLong(self._limit, length)
                self._bad_length = stop - start
                break
            if stop > size:
                self._needed = stop - start
                break
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = stop
        return start, count

    def _usual(self, data: bytes, start: int) -> int:
        """The length in the headers at `start`, of which _width is set; -1: they are not as we send them."""
        lengths = self._lengths
        if lengths is not None:
            end = start + self._width
            return lengths.get(data[start:end], -1) if end <= len(data) else -1
        size: i64 = len(data)
        at: i64 = start
        digits: i64 = at + len(_NAME)
        if digits + 1 + len(_END) > size:
            return -1
        name: i64 = 0
        while at < digits:
            if data[at] != _NAME[name]:
                return -1
            at += 1
            name += 1
        length: i64 = 0
        # More of them could be more than a word holds.
        last: i64 = min(size, digits + _MAX_DIGITS)
        while at < last:
            digit: i64 = data[at] - ZERO
            if digit < 0 or digit > 9:
                break
            length = length * 10 + digit
            at += 1
        width: i64 = at - digits
        if width < 1 or at + len(_END) > size or (width > 1 and data[digits] == ZERO):
            return -1
        if data[at] != _CR or data[at + 1] != _LF or data[at + 2] != _CR or data[at + 3] != _LF:
            return -1
        self._width = at + len(_END) - start
        return length

    def _read(self, headers: bytes) -> bool:
        """Read on in what has come of a frame's headers. True: they end there, and are right.

        False: more have to come, or they are wrong, which is an error then.
        """
        size = len(headers)
        in_name = _IN_NAME
        at = self._at
        while at < size:
            byte = headers[at]
            if self._colon < 0 and not (byte == _CR and at == self._line):
                if byte == _COLON and at > self._line:
                    self._colon = at
                elif not in_name[byte]:
                    return self._refuse(headers, at, "a header is a name, a colon and a value")
            elif byte == _CR:
                if at + 1 == size:
                    break
                at += 1
                if headers[at] != _LF:
                    return self._refuse(headers, at, "a header ends in CR LF")
                if self._colon < 0:
                    return self._announced >= 0 or self._refuse(headers, at, "no Content-Length")
                if headers[self._line : self._colon].lower() == b"content-length":
                    rule = self._count(headers[self._colon + 1 : at - 1].strip(b" \t"))
                    if rule:
                        return self._refuse(headers, at, rule)
                self._line = at + 1
                self._colon = -1
            elif (byte < _SPACE and byte != _TAB) or byte == _DELETE:
                return self._refuse(headers, at, "a header ends in CR LF, and has no control characters")
            at += 1
        self._at = at
        if size == MAX_HEADERS:
            self._refuse(headers, size, f"the headers of a message take more than {MAX_HEADERS} bytes")
        return False

    def _count(self, value: bytes) -> str:
        """Take the value of Content-Length; the rule that it breaks, or ""."""
        if self._announced >= 0:
            return "Content-Length is there twice"
        if not value.isdigit():
            return "Content-Length is ASCII digits"
        if len(value) > 1 and value[0] == ZERO:
            return "leading zero"
        if len(value) > _MAX_DIGITS:
            return f"Content-Length has more than {_MAX_DIGITS} digits"
        self._announced = int(value)
        return ""

    def _refuse(self, headers: bytes, at: int, rule: str) -> bool:
        self._error = MalformedHeader(headers[max(self._line, at + 1 - _SHOWN) : at + 1], rule)
        return False

    def _ready(self) -> bool:
        held = self._held
        if not self._needed:
            # They are bounded, and so is what this takes.
            if not self._read(bytes(memoryview(held)[:MAX_HEADERS])):
                return False
            length, payload = self._announced, self._payload_start(held)
            self._begin()
            if length > self._limit:
                self._error = MessageTooLong(self._limit, length)
                self._bad_length = payload + length
                return False
            self._needed = payload + length
        return len(held) >= self._needed

    def _payload_start(self, frame: bytes | bytearray) -> int:
        return frame.index(_END) + len(_END)

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if not self._needed:
            return TruncatedMessage(None, len(held), "the rest of the headers")
        start = self._payload_start(held)
        return TruncatedMessage(self._needed - start, len(held) - start)
