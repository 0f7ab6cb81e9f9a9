"""What is sent in a framing: good messages, and bytes that are no frame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from sockserve.commands.program import around_text, end_mark, not_in_text
from sockserve.framing import Framing
from sockserve.framing.content_length import MAX_HEADERS, ContentLength
from sockserve.framing.decimal import Netstring, Windev
from sockserve.framing.delimited import Standard
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import FramingError
from sockserve.framing.fixed import Fixed
from sockserve.framing.integer import Integer
from sockserve.framing.json import DEEPEST, Json
from sockserve.framing.raw import Raw
from sockserve.framing.varint import Varint, encode_number

SAMPLE = b"this is a test"
"""The message of the Winsock sample's client."""

# Empty, one byte, what looks like a mark, all byte values.
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
    bytes(range(128)),
    bytes(range(128, 256)),
    bytes(range(256)),
)

PIECE = 64 * 1024

_LENGTH = b"Content-Length: %d\r\n\r\n"


class NotApplicable(Exception):
    """The trial has no meaning in this framing, or cannot be done over this transport: why."""


def sample(framing: Framing) -> bytes:
    """One small message, 14 bytes where that is possible. Raises ValueError if the framing carries none of ours."""
    fitted = filter(None, (_fitted(framing, text) for text in (SAMPLE, b"0", b"x", b"\x80")))
    found = next(fitted, None)
    if found is None:
        raise ValueError(f"{framing} cannot carry {SAMPLE!r}, nor a single byte, which check sends")
    return found


def good_messages(framing: Framing) -> list[bytes]:
    """Small messages of all kinds that the framing can carry."""
    messages = [_fitted(framing, candidate) for candidate in CANDIDATES]
    if isinstance(framing, Fixed):
        messages += [_fitted(framing, bytes(range(at, min(at + framing.size, 256)))) for at in range(0, 256, 128)]
    able = [message for message in messages if message is not None and (message or not isinstance(framing, Raw))]
    return list(dict.fromkeys(able))


def longest(framing: Framing) -> bytes:
    """A message as long as the limit allows."""
    return _pattern(framing, framing.size if isinstance(framing, Fixed) else framing.max_length)


def pieces(framing: Framing) -> Iterator[bytes]:
    """Without end: pieces of about 64 KiB, each of whole frames, none like the one before."""
    size = framing.size if isinstance(framing, Fixed) else min(framing.max_length, PIECE // 4)
    before, behind = around_text(framing)
    size -= len(before + behind)
    pool = _text(framing, 2 * max(size, PIECE // 4))
    # Most framings add a byte at least.
    messages = -(-PIECE // (size + 1))
    for number in count():
        starts = ((number * 7919 + at * size) % (len(pool) - size) for at in range(messages))
        yield framing.encode_all([before + pool[start : start + size] + behind for start in starts])


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
    over = framing.max_length + 1
    match framing:
        case ContentLength():
            return [_LENGTH % over, _LENGTH % 10**17, _LENGTH % 10**20, b"X: " + b"x" * MAX_HEADERS]
        case Windev() | Netstring():
            mark = b"\r\n" if isinstance(framing, Windev) else b":"
            digits = len(str(framing.max_length))
            return [b"%d%b" % (over, mark), b"9" * (digits + 1) + mark, b"1" * 1000, b"9" * 20 + mark]
        case Varint():
            groups = len(encode_number(framing.max_length))
            return [encode_number(over), b"\xff" * groups + b"\x01", b"\xff" * 1000]
        case Integer():
            largest = 256**framing.size - 1
            if over > largest:
                raise NotApplicable("every length that its field can hold is allowed")
            return [number.to_bytes(framing.size, framing.byteorder) for number in dict.fromkeys((over, largest))]
        case _:
            raise NotApplicable(f"{_kind(framing)} has no length in front")


def long_messages(framing: Framing) -> list[bytes]:
    """Messages of one byte too many, all of it sent, and delimiters that never come."""
    over = framing.max_length + 1
    payload = _pattern(framing, over)
    match framing:
        case Raw() | Fixed():
            raise NotApplicable(f"{_kind(framing)} has no message that is too long")
        case ContentLength():
            return [_LENGTH % over + payload]
        case Json():
            return [payload, payload[:-2] + _text(framing, PIECE)]
        case Windev():
            return [b"%d\r\n%b" % (over, payload)]
        case Netstring():
            return [b"%d:%b," % (over, payload)]
        case Varint():
            return [encode_number(over) + payload]
        case Integer():
            if over > 256**framing.size - 1:
                raise NotApplicable("every length that its field can hold is allowed")
            return [over.to_bytes(framing.size, framing.byteorder) + payload]
        case Standard() | Envelope():
            start = framing.start if isinstance(framing, Envelope) else b""
            return [start + payload + end_mark(framing), start + payload + _pattern(framing, PIECE)]
        case _:
            raise NotApplicable(f"{_kind(framing)} is not known here")


def bad_headers(framing: Framing) -> list[bytes]:
    """Headers, and marks after a payload, that break a rule of the framing."""
    match framing:
        case ContentLength():
            lengths = (b"", b"+5", b"-5", b"05", b"5, 5", b"0x5", b"1_0", b"five", b"5\r\nContent-Length: 5")
            bad = [b"Content-Length: %b\r\n\r\nhello" % length for length in lengths]
            return [
                *bad,
                b"\r\nhello",
                b"X: y\r\n\r\nhello",
                b"Content-Length: 5\n\nhello",
                b"Content-Length : 5\r\n\r\n",
            ]
        case Json():
            return [b"5 ", b'"hello"', b"null", b"]", b"[}", b'{"a": 1]', b"[" * (DEEPEST + 1)]
        case Windev() | Netstring():
            mark = b"\r\n" if isinstance(framing, Windev) else b":"
            tail = b"" if isinstance(framing, Windev) else b","
            lengths = (b"", b"+5", b"-5", b" 5", b"05", b"5 ", b"0x5", b"1_0", b"five")
            bad = [length + mark + b"hello" + tail for length in lengths]
            if isinstance(framing, Windev):
                return [*bad, b"5\nhello", b"5\rhello", b"5\n\rhello"]
            return [*bad, b"5;hello,", b"5:hello;", b"5:hello\n"]
        case Varint():
            return [b"\x85\x00hello", b"\x80\x00", b"\x85\x80\x00hello"]
        case Envelope(start=start, end=end):
            filler = bytes(byte for byte in range(256) if byte not in start + end)[:1]
            return [filler + b"hello" + end, start[:-1] + filler + b"hello" + end]
        case Integer():
            raise NotApplicable("every header is a length")
        case _:
            raise NotApplicable(f"{_kind(framing)} has no header")


def garbage(random: Random) -> bytes:
    """Up to 4 KiB of anything, but no white space first: a framing may ignore it, and an echo give it back."""
    return random.randbytes(random.randint(1, 4096)).lstrip() or b"\x00"


def _fitted(framing: Framing, text: bytes) -> bytes | None:
    """`text` as a message of this framing: without its marks, and cut to the limit. None: it cannot be one."""
    if isinstance(framing, Fixed):
        text = text * (framing.size // len(text) + 1) if text else bytes(framing.size)
        return text[: framing.size]
    mark = end_mark(framing)
    while mark and mark in text:
        text = text.replace(mark, b"")
    start, end = around_text(framing)
    if start:
        text = text.translate(None, not_in_text(framing))
    text = start + text[: framing.max_length - len(start + end)] + end
    try:
        framing.encode(text)
    except FramingError:
        return None
    return text


def _pattern(framing: Framing, length: int) -> bytes:
    """A message of this many bytes, with no mark in them, that hardly repeat."""
    start, end = around_text(framing)
    return start + _text(framing, length - len(start + end)) + end


def _text(framing: Framing, length: int) -> bytes:
    """The same without what has to be around it."""
    unit = Random(7).randbytes(8191).translate(None, not_in_text(framing))  # noqa: S311 - any bytes will do
    return (unit * (length // len(unit) + 1))[:length]


def _kind(framing: Framing) -> str:
    return str(framing).partition(":")[0]
