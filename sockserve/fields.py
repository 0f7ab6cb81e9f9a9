"""Settings as the fields of a frozen dataclass: what each accepts, its default and its help.

Wherever a setting comes from (a key of a TOML table, an option, an argument in Python), its field checks it and refuses
it in the same words. A class whose fields are settings calls `check_fields` in its __post_init__.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from sockserve.text import DURATION, SIZE, described, one_line, parse_duration, parse_size, shown, suggestion

T = TypeVar("T")

COUNTS = range(1, 10**9)


class SettingError(ValueError):
    """A value that a setting does not accept. str() is one line: the setting, what is wrong, and what is accepted.

    key: the name of the setting and the place in it: "listen[1].framing", "tls.certificate".
    reason: the line without the key.
    """

    def __init__(self, key: str, reason: object) -> None:
        self.key = key
        self.reason = one_line(reason)
        super().__init__(f"{key}: {self.reason}" if key else self.reason)


@dataclass(frozen=True, slots=True)
class Value:
    """A kind of value.

    accepted: what is accepted, in words, for messages.
    convert: turns a value, as TOML or Python has it, into the checked one. Raises TypeError for a wrong type, and for a
        wrong value ValueError with what is accepted.
    metavar: stands for the value in help; "": its option has no value, and sets it to true.
    from_text: turns text from a command line into what TOML would have; never fails.
    written: a value as help shows it.
    unit: of the checked value.
    repeatable: its option may be given several times; the values are collected in one list.
    """

    accepted: str
    convert: Callable[[Any], object]
    metavar: str
    from_text: Callable[[str], object] = str
    written: Callable[[Any], str] = str
    unit: str = ""
    repeatable: bool = False

    def check(self, name: str, value: object) -> object:
        """The checked value. Raises SettingError."""
        try:
            return self.convert(value)
        except TypeError:
            raise SettingError(name, f"found {described(value)}; accepted: {self.accepted}") from None
        except SettingError:
            raise
        except ValueError as error:
            raise SettingError(name, error) from error


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, kept in the metadata of its field.

    value: its kind of value. group: its heading in help. help: one sentence.
    default: None with `none` set: no value, and None may be given; None without: the setting is required.
    none: how help shows a default of None, such as "never".
    short: the letter of its option.
    whole: it belongs to the whole program, not to a named socket.
    datagrams: it applies to datagrams too.
    """

    value: Value
    group: str
    help: str
    default: object = None
    none: str = ""
    short: str = ""
    whole: bool = False
    datagrams: bool = False

    @property
    def default_text(self) -> str:
        """The default, as help and documents show it."""
        return self.none or self.value.written(self.default)


@dataclass(frozen=True, slots=True)
class Default:
    """Marks a value as not given."""

    value: object

    def __repr__(self) -> str:
        return repr(self.value)


def default(value: T) -> T:
    """A marker for the field of a setting, until `check_fields` replaces it by the default."""
    return cast("T", Default(value))


def setting(value: Value, group: str, help: str, default_value: T, **more: Any) -> T:  # noqa: A002, ANN401 - as Setting's
    """The field of a setting that has a default. more: other arguments of Setting."""
    about = Setting(value, group, help, default_value, **more)
    return field(default=default(default_value), metadata={"setting": about})


def setting_of(kind: type[Any], name: str) -> Any:  # noqa: ANN401 - of the type that it has there
    """The field of a setting that another class defines."""
    about = settings_of(kind)[name]
    return field(default=default(about.default), metadata={"setting": about})


def settings_of(kind: type[Any]) -> Mapping[str, Setting]:
    """The settings of a class by the names of their fields, in order."""
    return {each.name: each.metadata["setting"] for each in fields(kind) if "setting" in each.metadata}


def check_fields(instance: object) -> frozenset[str]:
    """Put the checked values into a frozen instance. Returns the names of those given. Raises SettingError."""
    given = set()
    for name, about in settings_of(instance.__class__).items():
        value = getattr(instance, name)
        if isinstance(value, Default) or (value is None and about.none):
            value = about.default
        else:
            value = about.value.check(name, value)
            # False, or a word such as "never", is the same as not giving the setting.
            if value is not None and value is not False:
                given.add(name)
        object.__setattr__(instance, name, value)
    return frozenset(given)


def from_table(kind: Callable[..., T], table: Mapping[str, object], names: Mapping[str, Setting], **more: object) -> T:
    """An instance with the values of a table, as TOML has them. Raises SettingError.

    names: the settings that the table may have. more: further arguments of `kind`.
    """
    for name in table:
        if name not in names:
            reason = f"unknown key; accepted: {', '.join(names)}{suggestion(name, names)}"
            raise SettingError(name if name.isprintable() else repr(name), reason)
    for name, about in names.items():
        if name not in table and about.default is None and not about.none:
            raise SettingError(name, f"found nothing; accepted: {about.value.accepted}")
    return kind(**table, **more)


# Kinds of values.


def of(*types: type) -> Callable[[object], Any]:
    """Accepts values of these types only."""

    def convert(value: object) -> object:
        # To Python, but not to users, true is a number.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError
        return value

    return convert


def choice(*names: str) -> Value:
    """One of these words."""
    accepted = ", ".join(names)

    def convert(value: object) -> object:
        text = of(str)(value)
        if text not in names:
            raise ValueError(f"{shown(text)} is unknown; accepted: {accepted}{suggestion(text, names)}")
        return text

    return Value(accepted, convert, "|".join(names))


def _count(value: object) -> object:
    if of(int)(value) not in COUNTS:
        raise ValueError(f"{shown(value)} is out of range; accepted: {COUNT.accepted}")
    return value


def _number(text: str) -> object:
    # Anything but a number stays text, and is refused as text.
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 16 else text


def _duration(value: object) -> float:
    return parse_duration(of(int, float, str)(value))


def _duration_or_never(value: object) -> float | None:
    if value is None or value == "never":
        return None
    return parse_duration(of(int, float, str)(value), DURATION_OR_NEVER.accepted)


def _size(value: object) -> int:
    return parse_size(of(int, str)(value))


def _size_text(size: int) -> str:
    for unit, letter in ((1024 * 1024, "M"), (1024, "k")):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


BOOLEAN = Value("true, false", of(bool), "", written=lambda value: str(value).lower())
COUNT = Value(f"a whole number from {COUNTS[0]} to {COUNTS[-1]}", _count, "N", _number)
DURATION_VALUE = Value(DURATION, _duration, "TIME", written=lambda value: f"{value:g}s", unit="seconds")
DURATION_OR_NEVER = Value(
    f"{DURATION}, or never", _duration_or_never, "TIME", written=lambda value: f"{value:g}s", unit="seconds"
)
SIZE_VALUE = Value(SIZE, _size, "SIZE", written=_size_text, unit="bytes")
PEM_FILE = Value("the name of a PEM file", of(str), "FILE")
