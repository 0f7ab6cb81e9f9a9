"""The form in which this package was installed: compiled by mypyc, or plain Python files. Both behave the same."""

from __future__ import annotations

from types import FunctionType


def _function() -> None:
    """A function is an object of this type only where it was not compiled."""


compiled = not isinstance(_function, FunctionType)
"""Python files pay for every operation, compiled ones for every call: a loop may choose its way by this."""


def need(kind: type, value: object, what: str) -> None:
    """Raise TypeError unless the value is of that type, as compiled code does by itself where a type is declared."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be {kind.__name__}, not {type(value).__name__}")


def need_bytes(value: object, what: str) -> None:
    """The same for bytes."""
    need(bytes, value, what)


def need_messages(messages: list[bytes]) -> None:
    """The same for many messages."""
    # In Python, one look at all types is faster than a loop.
    if compiled or set(map(type, messages)) != {bytes}:
        for message in messages:
            need_bytes(message, "a message")
