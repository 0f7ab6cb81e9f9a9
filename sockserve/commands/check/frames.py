"""What is sent in a framing: good messages, and bytes that are no frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import count
from random import Random
from typing import Any

from sockserve.commands.messages import Shape
from sockserve.framing import Framing
from sockserve.framing.checked import CheckedEnvelope
from sockserve.framing.checks import CHECKS
from sockserve.framing.cobs import Cobs
from sockserve.framing.content_length import MAX_HEADERS, ContentLength
from sockserve.framing.decimal import Netstring, Octets, Windev
from sockserve.framing.digits import Digits
from sockserve.framing.dle import DLE, Dle
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import FramingError, MalformedHeader
from sockserve.framing.fixed import Fixed
from sockserve.framing.integer import Integer
from sockserve.framing.json import DEEPEST, Json
from sockserve.framing.length import Length, WholeFraming
from sockserve.framing.prefixed import PrefixedFraming
from sockserve.framing.raw import Raw
from sockserve.framing.slip import END, ESC, Slip
from sockserve.framing.varint import Varint, encode_number

SAMPLE = b"this is a test"
"""The message of the Winsock sample's client."""

# Empty, one byte, what looks like a mark or an escape, all byte values.
CANDIDATES = (
    b"Hello World",
    b"",
    b"x",
    b"\r",
    b"\n",
    b"5\r\n",
    b"5:",
    b"<EOF",
    b"<",
    b"\x00\x00",
    DLE + DLE + b"\x03",
    ESC + END,
    bytes(range(128)),
    bytes(range(128, 256)),
    bytes(range(256)),
)

PIECE = 64 * 1024

# Bytes: a limit that no server has, of 18 digits.
_NO_LIMIT = 10**17
_LENGTH = b"Content-Length: %d\r\n\r\n"

# After the digits, and after the payload.
_MARKS = {"windev": (b"\r\n", b""), "netstring": (b":", b","), "octets": (b" ", b""), "syslog": (b" ", b"")}


class NotApplicable(Exception):
    """The trial has no meaning in this framing, or cannot be done over this transport: why."""


def sample(framing: Framing) -> bytes:
    """One small message, with a text of 14 bytes where that is possible. Raises ValueError if the framing carries none
    of ours."""
    shape = Shape.of(framing)
    found = next(filter(None, map(shape.fitted, (SAMPLE, b"0", b"x", b"\x80"))), None)
    if found is None:
        raise ValueError(f"{framing} cannot carry {SAMPLE!r}, nor a single byte, which check sends")
    return found


def good_messages(framing: Framing) -> list[bytes]:
    """Small messages of all kinds that the framing can carry."""
    shape = Shape.of(framing)
    messages = [shape.fitted(candidate) for candidate in CANDIDATES]
    if isinstance(framing, Fixed):
        messages += [shape.fitted(bytes(range(at, min(at + framing.size, 256)))) for at in range(0, 256, 128)]
    able = [message for message in messages if message is not None and (message or not isinstance(framing, Raw))]
    return list(dict.fromkeys(able))


def longest(framing: Framing) -> bytes:
    """A message as long as the limit allows."""
    shape = Shape.of(framing)
    return shape.pattern(shape.most)


def pieces(framing: Framing) -> Iterator[bytes]:
    """Without end: pieces of about 64 KiB, each of whole frames, none like the one before."""
    shape = Shape.of(framing)
    size = min(shape.most, max(shape.least, PIECE // 4))
    text = size - shape.around
    pool = shape.text(2 * max(text, PIECE // 4))
    # Most framings add a byte at least.
    messages = -(-PIECE // (size + 1))
    for number in count():
        starts = ((number * 7919 + at * text) % (len(pool) - text) for at in range(messages))
        yield framing.encode_all([shape.message(pool[start : start + text]) for start in starts])


def cuts(framing: Framing) -> list[bytes]:
    """Every start of a frame that is not a whole one; of a long frame, some."""
    if isinstance(framing, Raw):
        raise NotApplicable("raw has no frames")
    frame = framing.encode(sample(framing))
    if len(frame) == 1:
        raise NotApplicable("every byte is a message")
    step = -(-(len(frame) - 1) // 24)
    return [frame[:at] for at in range(1, len(frame), step)]


def long_headers(framing: Framing) -> list[bytes]:
    """Headers that announce more than the limit, or that are longer than any good one."""
    headers = _announcing(framing)
    match framing:
        case ContentLength():
            return [*headers, _LENGTH % 10**20, b"X: " + b"x" * MAX_HEADERS]
        case Windev() | Netstring() | Octets():
            mark, _ = _MARKS[_kind(framing)]
            digits = len(str(framing.max_length))
            return [*headers, b"9" * (digits + 1) + mark, b"1" * 1000, b"9" * 20 + mark]
        case Varint():
            groups = len(encode_number(framing.max_length))
            return [*headers, b"\xff" * groups + b"\x01", b"\xff" * 1000]
        case _:
            return headers


def long_messages(framing: Framing) -> list[bytes]:
    """Messages of one byte too many, all of it sent, and longer ones, whose last byte never comes."""
    if isinstance(framing, Raw | Fixed):
        raise NotApplicable(f"{_kind(framing)} has no message that is too long")
    shape = Shape.of(_beyond(framing))
    over = framing.max_length + 1
    try:
        frame, longer = (
            shape.framing.encode(shape.pattern(length)) for length in (over, min(over + PIECE, shape.most))
        )
    except FramingError as problem:
        raise NotApplicable(f"{_kind(framing)} is not known here: {problem}") from None
    return [frame, longer[:-1]]


def bad_headers(framing: Framing) -> list[bytes]:
    """Headers, and marks after a payload, that break a rule of the framing."""
    match framing:
        case ContentLength():
            values = (b"", b"+5", b"-5", b"05", b"5, 5", b"0x5", b"1_0", b"five", b"5\r\nContent-Length: 5")
            bad = [b"Content-Length: %b\r\n\r\nhello" % value for value in values]
            return [
                *bad,
                b"\r\nhello",
                b"X: y\r\n\r\nhello",
                b"Content-Length: 5\n\nhello",
                b"Content-Length : 5\r\n\r\n",
            ]
        case Json():
            return [b"5 ", b'"hello"', b"null", b"]", b"[}", b'{"a": 1]', b"[" * (DEEPEST + 1)]
        case Windev() | Netstring() | Octets():
            mark, tail = _MARKS[_kind(framing)]
            lengths = (b"", b"+5", b"-5", b" 5", b"05", b"0x5", b"1_0", b"five")
            bad = [length + mark + b"hello" + tail for length in lengths]
            match framing:
                case Windev():
                    return [*bad, b"5 \r\nhello", b"5\nhello", b"5\rhello", b"5\n\rhello"]
                case Netstring():
                    return [*bad, b"5 :hello,", b"5;hello,", b"5:hello;", b"5:hello\n"]
                case _:
                    return [*bad, b"5\thello", b"5\nhello"]
        case Digits(digits=digits):
            wrong = (b"+", b"-", b" ", b"x", b"\r\n")
            bad = [(each + b"5").rjust(digits, b"0") + b"hello" for each in wrong]
            return [*bad, *([b"0" * digits + b"hello"] if framing.inclusive else [])]
        case Varint():
            return [b"\x85\x00hello", b"\x80\x00", b"\x85\x80\x00hello"]
        case Envelope(start=start, end=end) | CheckedEnvelope(start=start, end=end):
            filler = bytes(byte for byte in range(256) if byte not in start + end)[:1]
            bad = [filler + b"hello" + end, start[:-1] + filler + b"hello" + end]
            if isinstance(framing, CheckedEnvelope):
                frame = framing.encode(sample(framing))
                at = len(frame) - CHECKS[framing.check].width
                bad.append(frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
            return bad
        case Dle():
            return [b"hello\x10\x03", b"\x10\x03", b"\x10\x02he\x10llo\x10\x03", b"\x10\x02\x10\x02hello\x10\x03"]
        case Slip():
            return [b"he\xdbllo\xc0", b"hello\xdb\xc0", b"\xdb\xdb\xdchello\xc0"]
        case Cobs():
            return [b"\x07hello\0", b"\xffhello\0", b"\x03he\x05llo\0"]
        case Integer(size=size) | Length(width=size):
            return _refused(framing, [bytes(size) + b"hello"])
        case WholeFraming(length_field=field):
            zeros = bytes(field.header())
            marked = zeros[: field.mark_at] + field.mark + zeros[field.mark_at + len(field.mark) :]
            good = framing.encode(sample(framing))
            return _refused(framing, [marked, *(zeros[:at] + b"\xa5" + good[at + 1 :] for at in range(field.at))])
        case _:
            raise NotApplicable(f"{_kind(framing)} has no header")


def garbage(random: Random) -> bytes:
    """Up to 4 KiB of anything."""
    return random.randbytes(random.randint(1, 4096))


def changed(framing: Framing, **changes: object) -> Framing:
    """The same framing with other limits; one of the user's own that has no such fields stays as it is."""
    value: Any = framing
    able = changes.keys() <= {each.name for each in fields(value) if each.init} if is_dataclass(value) else False
    return replace(value, **changes) if able else framing


def _beyond(framing: Framing) -> Framing:
    """The same without the limit. Raises NotApplicable if it has no longer messages then."""
    beyond = changed(framing, max_length=_NO_LIMIT)
    if beyond.max_length <= framing.max_length:
        raise NotApplicable("every length that it can express is allowed")
    return beyond


def _announcing(framing: Framing) -> list[bytes]:
    """Headers of messages over the limit: by one byte, and by as many as they can express."""
    if not isinstance(framing, PrefixedFraming | WholeFraming):
        raise NotApplicable(f"{_kind(framing)} has no length in front")
    beyond = _beyond(framing)
    shape = Shape.of(beyond)
    lengths = dict.fromkeys((framing.max_length + 1, shape.most))
    around = [beyond.around(each) if isinstance(beyond, PrefixedFraming) else shape.parts(each) for each in lengths]
    return [each[0] for each in around if each is not None]


def _refused(framing: Framing, frames: list[bytes]) -> list[bytes]:
    """Those of them whose header is wrong, and not only too long."""
    refused = []
    for frame in frames:
        try:
            framing.decoder().decode(frame)
        except MalformedHeader:
            refused.append(frame)
        except FramingError:
            pass
    if not refused:
        raise NotApplicable("every header is a length")
    return refused


def _kind(framing: Framing) -> str:
    return str(framing).partition(":")[0]
