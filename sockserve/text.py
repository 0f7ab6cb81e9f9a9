"""Text written and read by people: sizes and times, values in messages, suggestions for misspelt names, and what a peer
sends or is called, made safe for a line of a log."""

from __future__ import annotations

import datetime as dt
import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping

SIZE = "a size in bytes, 1 or more, such as 4096, 64k or 16M"
DURATION = "a time, more than 0, such as 10s, 500ms, 2min or 1.5 (seconds)"

_SIZE = re.compile(r"([0-9]{1,15}) ?(k|M|)", re.ASCII)
_UNITS = {"": 1, "k": 1024, "M": 1024 * 1024}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1, "": 1, "min": 60}
_FOREVER = 1e9

PRINTABLE = 200
"""The most characters of a peer's text that a line of the log shows."""
_CUT = "…"


def parse_size(value: str | int, accepted: str = SIZE) -> int:
    """A size in bytes: a whole number, at least 1; in text, k (1024) or M (1024 * 1024) may follow it.

    accepted: what is accepted, in words, for the message. Raises ValueError.
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        size = int(match[1]) * _UNITS[match[2]] if match else 0
    else:
        size = value if value < 10**18 else 0
    if size < 1:
        raise ValueError(f"{shown(value)} is not a size; accepted: {accepted}")
    return size


def parse_duration(value: str | float, accepted: str = DURATION) -> float:
    """A time in seconds: a number above 0; in text, ms, s or min may follow it.

    Zero is refused: to some it means "at once", to others "never". accepted: what is accepted, in words, for the
    message. Raises ValueError.
    """
    seconds = 0.0
    if not isinstance(value, str):
        seconds = value if value < _FOREVER else 0.0
    elif match := _DURATION.fullmatch(value):
        seconds = float(match[1]) * _SECONDS[match[2]]
    if not seconds > 0:
        raise ValueError(f"{shown(value)} is not a time; accepted: {accepted}")
    return float(seconds)


def suggestion(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'NAME'?)`, to follow "unknown" in a message; "" if no name is similar."""
    near = difflib.get_close_matches(name, names, 1, 0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""


def printable(said: bytes | str | object, limit: int = PRINTABLE) -> str:
    """What a peer says or is called, for one line of a log or an error.

    said: bytes, read as UTF-8; text; or an object, such as an error, whose str() is used.
    limit: the most characters that the result may have; longer text is cut, and ends with an ellipsis.

    Characters that are not printable, such as line breaks and the marks that change the direction of text, and bytes
    that are not UTF-8, become Python's escapes. Text that is printable and short enough is returned unchanged.
    """
    if isinstance(said, bytes):
        # A character has at most four bytes.
        text = said[: 4 * limit + 4].decode(errors="backslashreplace")
    else:
        text = said if isinstance(said, str) else str(said)
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - len(_CUT)] + _CUT


def one_line(error: object) -> str:
    """The text of an error or another object, in one line."""
    return " ".join(str(error).split())


def reason_of(error: BaseException) -> str:
    """The message of an exception in one line, or else the name of its type."""
    return one_line(error) or type(error).__name__


def typed_reason(error: BaseException) -> str:
    """The type of an exception and its message in one line, for one that nobody expects."""
    return one_line(f"{type(error).__name__}: {error}")


def openssl_reasons(error: object) -> str:
    """What pyOpenSSL says, in one line: its reasons, without the names of functions; "" for another error."""
    # A list of (library, function, reason).
    match getattr(error, "args", ()):
        case [list() as reasons, *_] if all(isinstance(reason, tuple) for reason in reasons):
            return ", ".join(str(reason) for *_, reason in reasons)
    return ""


def shown(value: object) -> str:
    """A value as messages show it: shortened, in one line."""
    try:
        return one_line(reprlib.repr(value))
    except ValueError:
        # Python refuses to write a whole number of more than some thousand digits.
        return "a number of very many digits"


def reactor_name(reactor: object) -> str:
    """What `twistd --reactor` calls a reactor: epoll, asyncio, uvloop; of any other class, the name in short."""
    return re.sub("(Selector)?Reactor$", "", type(reactor).__name__).lower()


def described(value: object) -> str:
    """The type of a value of a wrong type, in the words of TOML and Python, with the value where it is short."""
    match value:
        case None:
            return "None"
        case bool():
            return f"a boolean, {str(value).lower()}"
        case str():
            return f"a string, {shown(value)}"
        case int():
            return f"an integer, {shown(value)}"
        case float():
            return f"a float, {shown(value)}"
        case bytes() | bytearray():
            return f"bytes, {shown(value)}"
        case dt.date() | dt.time():
            return f"a date or time, {value}"
        case list() | tuple() | set() | frozenset():
            return "a list"
        case Mapping():
            return "a table"
        case type():
            return f"the class {value.__name__}"
    kind, name = type(value).__name__, getattr(value, "__name__", "")
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    return f"{article} {kind}" + (f", {name}" if isinstance(name, str) and name else "")
