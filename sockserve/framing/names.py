"""The names of framings: those of this package, from a table of kinds, and users' own, as MODULE:NAME."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.checked import CheckedEnvelope
from sockserve.framing.cobs import Cobs
from sockserve.framing.content_length import ContentLength
from sockserve.framing.contract import Framing
from sockserve.framing.decimal import Netstring, Octets, Windev
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.digits import Digits
from sockserve.framing.dle import Dle
from sockserve.framing.envelope import Envelope
from sockserve.framing.eof import Eof
from sockserve.framing.escapes import unescape
from sockserve.framing.fixed import Fixed
from sockserve.framing.form import need
from sockserve.framing.integer import Integer
from sockserve.framing.json import Json
from sockserve.framing.length import Length, LengthAt, Mbap, Tpkt
from sockserve.framing.lines import Lines
from sockserve.framing.mllp import Mllp
from sockserve.framing.raw import Raw
from sockserve.framing.slip import Slip
from sockserve.framing.syslog import Syslog
from sockserve.framing.varint import Varint

Make = Callable[..., Framing]
"""A framing's class with its arguments: called with max_length and on_bad_frame; may raise ValueError."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of framing.

    forms: how its names are written.
    plain: makes the framing if the name is the kind alone; None: an argument is required.
    argument: called with the text after the colon, returns what makes the framing, raises ValueError; None: no argument
        is accepted.
    """

    forms: tuple[str, ...]
    plain: Make | None = None
    argument: Callable[[str], Make] | None = None

    def make(self, argument: str | None) -> Make:
        """What makes the framing. argument: the text after the colon; None: there is no colon. Raises ValueError."""
        if argument is None:
            if self.plain is None:
                raise ValueError("incomplete")
            return self.plain
        if self.argument is None:
            raise ValueError(f"unexpected {argument!r}")
        return self.argument(argument)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{what}, not {text!r}")
    return int(text)


def _sized(framing: Make) -> Callable[[str], Make]:
    """For the N of a name."""
    return lambda text: partial(framing, _number(text, "N is a number of bytes"))


def _delimited(framing: Make) -> Callable[[str], Make]:
    """For the DELIM of a name."""
    return lambda text: partial(framing, unescape(text))


def _integer(size: int) -> Kind:
    name = f"int{8 * size}"

    def argument(text: str) -> Make:
        if text != "little":
            raise ValueError(f"unexpected {text!r}")
        return partial(Integer, size, "little")

    return Kind((name, f"{name}:little"), partial(Integer, size), argument)


def _length(text: str) -> Make:
    width, *options = text.split(":")
    given: dict[str, Any] = {"width": _number(width, "W is 1, 2, 3, 4 or 8")}
    for option in options:
        word, equals, number = option.partition("=")
        value: object
        if option == "little":
            word = "byteorder"
            value = "little"
        elif option == "inclusive":
            value = True
        elif equals and word == "at":
            value = _number(number, "N in at=N is a number of bytes")
        elif equals and word == "add":
            count = _number(number.removeprefix("-"), "N in add=N is a number of bytes, perhaps with a minus")
            value = -count if number.startswith("-") else count
        else:
            raise ValueError(f"unexpected {option!r}")
        if word in given:
            raise ValueError(f"{option!r} is one too many")
        given[word] = value
    return partial(LengthAt if "at" in given else Length, **given)


def _digits(text: str) -> Make:
    number, colon, word = text.partition(":")
    if colon and word != "inclusive":
        raise ValueError(f"unexpected {word!r}")
    return partial(Digits, _number(number, "N is a number of digits"), bool(colon))


def _lines(text: str) -> Make:
    if text != "lf":
        raise ValueError(f"unexpected {text!r}")
    return partial(Lines, True)


def _envelope(text: str) -> Make:
    start, *rest = text.split(":")
    match rest:
        case [end]:
            return partial(Envelope, unescape(start), unescape(end))
        case [end, check]:
            return partial(CheckedEnvelope, unescape(start), unescape(end), check)
    raise ValueError("START, END and CHECK are separated by one colon each; write a colon in them as \\x3a")


TABLE = {
    "raw": Kind(("raw", "raw:N"), Raw, _sized(Raw)),
    "windev": Kind(("windev",), Windev),
    "standard": Kind(("standard", "standard:DELIM"), Standard, _delimited(Standard)),
    "buffered": Kind(("buffered", "buffered:DELIM"), Buffered, _delimited(Buffered)),
    "int8": _integer(1),
    "int16": _integer(2),
    "int32": _integer(4),
    "netstring": Kind(("netstring",), Netstring),
    "varint": Kind(("varint",), Varint),
    "fixed": Kind(("fixed:N",), None, _sized(Fixed)),
    "envelope": Kind(("envelope:START:END", "envelope:START:END:CHECK"), None, _envelope),
    "octets": Kind(("octets",), Octets),
    "syslog": Kind(("syslog",), Syslog),
    "length": Kind(("length:W[:little][:inclusive][:at=N][:add=N]",), None, _length),
    "mbap": Kind(("mbap",), Mbap),
    "tpkt": Kind(("tpkt",), Tpkt),
    "digits": Kind(("digits:N", "digits:N:inclusive"), None, _digits),
    "eof": Kind(("eof",), Eof),
    "lines": Kind(("lines", "lines:lf"), Lines, _lines),
    "mllp": Kind(("mllp",), Mllp),
    "dle": Kind(("dle",), Dle),
    "slip": Kind(("slip",), Slip),
    "cobs": Kind(("cobs",), Cobs),
    "content-length": Kind(("content-length",), ContentLength),
    "json": Kind(("json",), Json),
}
"""Every kind of framing that this package has."""

KINDS = tuple(TABLE)

NAMES = tuple(form for kind in TABLE.values() for form in kind.forms)
"""The names of this package's framings. N is a number of bytes, or of digits; W is 1, 2, 3, 4 or 8, and what stands in
brackets may be left out; DELIM, START and END are bytes, written with Python's escapes; CHECK is the name of a
checksum, see `sockserve.framing.checks`."""

ACCEPTED = (*NAMES, "MODULE:NAME")
"""What `parse` accepts. MODULE:NAME is a framing of your own: a Framing, or a callable that returns one."""


def parse(name: str, *, max_length: int | None = None, on_bad_frame: OnBadFrame | None = None) -> Framing:
    """The framing with that name, as on the command line and in configuration files.

    name: one of ACCEPTED, with bytes written like "standard:\\r\\n".
    max_length: the largest payload in bytes, lowered to what the framing's length field can express; None: 1 MiB.
    on_bad_frame: "close" or "skip"; None: "close".
    A framing of your own has its own max_length and on_bad_frame, and accepts neither. Its module is imported, and what
    it names may be called: for a name that a peer has sent, use `as_framing`.

    Raises ValueError with one line that says what is accepted; TypeError for values of other types.
    """
    need(str, name, "the name of a framing")
    kind, colon, argument = name.partition(":")
    if kind not in TABLE:
        return without_limits(_own(name), name, max_length, on_bad_frame)
    try:
        return TABLE[kind].make(argument if colon else None)(
            max_length=DEFAULT_MAX_LENGTH if max_length is None else max_length, on_bad_frame=on_bad_frame or "close"
        )
    except ValueError as error:
        raise ValueError(f"framing {name!r}: {error}; accepted: {', '.join(TABLE[kind].forms)}") from None


def without_limits(framing: Framing, name: str, max_length: object, on_bad_frame: object) -> Framing:
    """The framing, which has its own limits. Raises ValueError if others are given."""
    for setting, value in (("max_length", max_length), ("on_bad_frame", on_bad_frame)):
        if value is not None:
            own = getattr(framing, setting)
            raise ValueError(f"framing {name!r} has its own {setting}, {own}; accepted: this framing without {setting}")
    return framing


def _own(name: str) -> Framing:
    """The framing that MODULE:NAME names. Raises ValueError, also for a name of any other form."""
    module_name, colon, path = name.partition(":")
    hint = _hint(module_name)
    accepted = f"accepted: {', '.join(ACCEPTED)}"
    dotted = all(part.isidentifier() for part in f"{module_name}.{path}".split("."))
    if not (colon and dotted):
        raise ValueError(f"unknown framing {name!r}{hint}; {accepted}")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if hint and isinstance(error, ModuleNotFoundError):
            raise ValueError(f"unknown framing {name!r}{hint}; {accepted}") from None
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"framing {name!r}: cannot import {module_name}: {reason}; {accepted}") from error
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ValueError(f"framing {name!r}: {module_name} has no {path}; {accepted}")
        found = getattr(found, attribute)
    if callable(found) and (isinstance(found, type) or not is_framing(found)):
        try:
            found = found()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"framing {name!r}: calling it without arguments fails: {reason}; {accepted}") from error
    if not is_framing(found):
        raise ValueError(f"framing {name!r} is of type {type(found).__name__}, not a framing; {accepted}")
    return cast("Framing", found)


def is_framing(value: object) -> bool:
    """Whether the value has the methods and attributes of a Framing."""
    names = ("max_length", "on_bad_frame", "encode", "encode_all", "decoder")
    return not isinstance(value, type) and all(hasattr(value, name) for name in names)


@lru_cache(maxsize=64)
def _parsed(name: str) -> Framing:
    kind = name.partition(":")[0]
    if kind not in TABLE:
        raise ValueError(f"unknown framing {name!r}{_hint(kind)}; accepted: {', '.join(NAMES)}")
    return parse(name)


def as_framing(framing: Framing | str) -> Framing:
    """A framing given as a value, or by one of NAMES. Raises ValueError for anything else.

    The name may come from a peer, so nothing is imported here: for MODULE:NAME use `parse`.
    """
    if isinstance(framing, str):
        return _parsed(framing)
    if not is_framing(framing):
        raise ValueError(f"{framing!r} is not a framing; accepted: a Framing, or one of {', '.join(NAMES)}")
    return framing


def _hint(kind: str) -> str:
    near = difflib.get_close_matches(kind, KINDS, 1, 0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""
