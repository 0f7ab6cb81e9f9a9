"""windev, netstring and octets: the payload's length in bytes as ASCII digits, a mark, then the payload.

    11\\r\\nHello World      windev: CR LF after the digits, nothing after the payload
    11:Hello World,        netstring: a colon after the digits, a comma after the payload
    11 Hello World         octets: a space after the digits, nothing after the payload

Origins: windev is the default transmission mode of PC SOFT's WINDEV sockets (page 3070001 of its documentation, which
shows ten bytes, `HelloWorld`, with a count of eleven; here the count is exactly the number of payload bytes).
netstring is D. J. Bernstein's, https://cr.yp.to/proto/netstrings.txt, and Twisted's NetstringReceiver.
octets is the octet counting of syslog: RFC 6587 section 3.4.1 over TCP, RFC 5425 section 4.3 over TLS. A syslog message
is never empty, so MSG-LEN is not 0 there; as a framing of any messages, this one accepts and sends empty ones.

There are 1 to len(str(max_length)) digits, without leading zeros, sign or space.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sockserve.framing.decoder import FrameDecoder
from sockserve.framing.errors import MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.form import compiled
from sockserve.framing.prefixed import SHORT, PrefixedFraming

ZERO: Final = 0x30


@dataclass(frozen=True, slots=True)
class DecimalFraming(PrefixedFraming):
    # Payload lengths by their headers: a look-up is faster than reading digits, unless that is compiled.
    lengths: dict[bytes, int] = field(default_factory=dict, init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Windev(DecimalFraming):
    """`11\\r\\nHello World`."""

    def __str__(self) -> str:
        return "windev"

    def decoder(self) -> DecimalDecoder:
        return DecimalDecoder(self, mark=b"\r\n", trailer=b"")

    def _header(self, length: int) -> bytes:
        return b"%d\r\n" % length


@dataclass(frozen=True, slots=True)
class Netstring(DecimalFraming):
    """`11:Hello World,`."""

    def __str__(self) -> str:
        return "netstring"

    def decoder(self) -> DecimalDecoder:
        return DecimalDecoder(self, mark=b":", trailer=b",")

    def _header(self, length: int) -> bytes:
        return b"%d:" % length

    def _trailer(self) -> bytes:
        return b","


@dataclass(frozen=True, slots=True)
class Octets(DecimalFraming):
    """`11 Hello World`."""

    def __str__(self) -> str:
        return "octets"

    def decoder(self) -> DecimalDecoder:
        return DecimalDecoder(self, mark=b" ", trailer=b"")

    def _header(self, length: int) -> bytes:
        return b"%d " % length


class DecimalDecoder(FrameDecoder):
    """mark: the one or two bytes after the digits. trailer: the byte after the payload, or none."""

    def __init__(self, framing: DecimalFraming, mark: bytes, trailer: bytes) -> None:
        super().__init__(framing)
        self._digits = len(str(self._limit))
        self._mark = mark
        self._trailer = trailer
        self._lengths = None if compiled else framing.lengths

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        count = 0
        size = len(data)
        limit = self._limit
        digits = self._digits
        first, last = self._mark[0], self._mark[-1]
        mark_size = len(self._mark)
        trailer_size = len(self._trailer)
        lengths = self._lengths
        # Bytes of the previous header: the next one is probably as long.
        width = 0
        start = 0
        while start < size:
            payload = start + width
            length = -1 if lengths is None or payload > size else lengths.get(data[start:payload], -1)
            if length < 0:
                length = 0
                at = start
                stop = min(size, start + digits)
                while at < stop:
                    digit = data[at] - ZERO
                    if digit < 0 or digit > 9:
                        break
                    length = length * 10 + digit
                    at += 1
                payload = at + mark_size
                if (
                    payload > size
                    or data[at] != first
                    or data[payload - 1] != last
                    or at == start
                    or (data[start] == ZERO and at > start + 1)
                ):
                    self._error = self._malformed(data[start : start + digits + mark_size])
                    self._needed = size - start + 1
                    break
                if length > limit:
                    self._error = MessageTooLong(limit, length)
                    self._bad_length = payload + length + trailer_size - start
                    break
                if lengths is not None and length < SHORT:
                    lengths[data[start:payload]] = length
                    width = payload - start
            stop = payload + length
            end = stop + trailer_size
            if end > size:
                self._needed = end - start
                break
            if trailer_size and data[stop] != self._trailer[0]:
                self._error = self._bad_trailer(data[stop:end])
                break
            if messages is not None:
                messages.append(data[payload:stop])
            count += 1
            start = end
        return start, count

    def _malformed(self, header: bytes) -> MalformedHeader | None:
        """The first thing wrong with a header, byte by byte, or None when it only needs more bytes."""
        at = 0
        while at < len(header) and header[at : at + 1].isdigit():
            if at == self._digits:
                rule = f"more digits than the {at} that max_length ({self._limit}) needs"
                return MalformedHeader(header[: at + 1], rule)
            if at == 1 and header[0] == ZERO:
                return MalformedHeader(header[:2], "leading zero")
            at += 1
        for offset, byte in enumerate(header[at:]):
            if not at or byte != self._mark[offset]:
                return MalformedHeader(header[: at + offset + 1], f"a length is ASCII digits, then {self._mark!r}")
        return None

    def _payload_start(self, frame: bytes | bytearray) -> int:
        return frame.index(self._mark) + len(self._mark)

    def _truncated(self, held: bytes) -> TruncatedMessage:
        header, mark, payload = held.partition(self._mark)
        if not mark:
            return TruncatedMessage(None, len(held), "the rest of the header")
        return self._cut_off(int(header), len(payload))

    def _cut_off(self, expected: int, received: int) -> TruncatedMessage:
        return TruncatedMessage(expected, received, "the comma" if received == expected else "")
