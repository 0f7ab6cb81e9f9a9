"""For pytest only; trial does not read this."""

from __future__ import annotations

import os
from functools import partial

import pytest
import pytest_twisted
from twisted.application.reactors import installReactor
from twisted.trial.unittest import SynchronousTestCase


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Run on the reactor that REACTOR names, if it does; pytest-twisted's own option knows two of them."""
    if name := os.environ.get("REACTOR"):
        install = partial(pytest_twisted._install_reactor, partial(installReactor, name), object)
        pytest_twisted.reactor_installers[name] = install
        config.option.reactor = name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run trial's test classes first.

    pytest-twisted starts the reactor for the first function test and keeps it running. A trial TestCase that waits for
    the reactor behind that would find it running, and fail as dirty.
    """
    items.sort(key=lambda item: not _is_trial(item))


def _is_trial(item: pytest.Item) -> bool:
    owner = getattr(item, "cls", None)
    return owner is not None and issubclass(owner, SynchronousTestCase)
