"""The form that this package was installed in: compiled by mypyc, or the Python files as they are. Both do the same."""

from __future__ import annotations

from types import FunctionType


def _function() -> None:
    """A function is an object of this type only where it was not compiled."""


compiled = not isinstance(_function, FunctionType)
"""In Python files every operation has its price, in compiled ones every call: a loop may choose its way by this."""
