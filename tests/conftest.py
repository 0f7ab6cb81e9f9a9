"""For pytest only; trial does not read this."""

from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run trial's test classes first.

    pytest-twisted starts the reactor for the first function test and keeps it running. A trial TestCase that waits for
    the reactor behind that would find it running, and fail as dirty.
    """
    items.sort(key=lambda item: not _is_trial(item))


def _is_trial(item: pytest.Item) -> bool:
    owner = getattr(item, "cls", None)
    return owner is not None and issubclass(owner, SynchronousTestCase)
