"""The form that this package was installed in: compiled by mypyc, or the Python files as they are. Both do the same."""

from __future__ import annotations

from types import FunctionType


def _function() -> None:
    """A function is an object of this type only where it was not compiled."""


compiled = not isinstance(_function, FunctionType)
"""In Python files every operation has its price, in compiled ones every call: a loop may choose its way by this."""


def need(kind: type, value: object, what: str) -> None:
    """Raises TypeError for a value of another type, as compiled code does by itself where a type is declared."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} is {kind.__name__}, not {type(value).__name__}")


def need_bytes(value: object, what: str) -> None:
    """The same for bytes."""
    need(bytes, value, what)


def need_messages(messages: list[bytes]) -> None:
    """The same for many messages. One look at their types is faster, where that is Python."""
    if compiled or set(map(type, messages)) != {bytes}:
        for message in messages:
            need_bytes(message, "a message")
