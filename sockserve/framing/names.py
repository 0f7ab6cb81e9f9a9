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
from sockserve.framing.contract import Framing
from sockserve.framing.decimal import Netstring, Windev
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.dle import Dle
from sockserve.framing.envelope import Envelope
from sockserve.framing.escapes import unescape
from sockserve.framing.fixed import Fixed
from sockserve.framing.form import need
from sockserve.framing.integer import Integer
from sockserve.framing.lines import Lines
from sockserve.framing.mllp import Mllp
from sockserve.framing.raw import Raw
from sockserve.framing.slip import Slip
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


def _sized(framing: Make) -> Callable[[str], Make]:
    """For the N of a name."""

    def argument(text: str) -> Make:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ValueError(f"N is a number of bytes, not {text!r}")
        return partial(framing, int(text))

    return argument


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
    "lines": Kind(("lines", "lines:lf"), Lines, _lines),
    "mllp": Kind(("mllp",), Mllp),
    "dle": Kind(("dle",), Dle),
    "slip": Kind(("slip",), Slip),
    "cobs": Kind(("cobs",), Cobs),
}
"""Every kind of framing that this package has."""

KINDS = tuple(TABLE)

NAMES = tuple(form for kind in TABLE.values() for form in kind.forms)
"""The names of this package's framings. N is a number of bytes; DELIM, START and END are bytes, written with Python's
escapes; CHECK is the name of a checksum, see `sockserve.framing.checks`."""

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
