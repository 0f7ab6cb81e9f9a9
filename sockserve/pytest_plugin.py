"""Fixtures for pytest: servers on free ports, which end with the test.

pytest loads this wherever sockserve is installed. Nothing is loaded, of sockserve or of Twisted, until a test uses a
fixture. When that test fails, the report has the log of its servers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sockserve.testing.local import LocalServer
    from sockserve.testing.process import ServerProcess
    from sockserve.testing.served import Served

_SERVERS: pytest.StashKey[list[Served]] = pytest.StashKey()


@pytest.fixture
def sockserve_process(request: pytest.FixtureRequest) -> Generator[Callable[..., ServerProcess], None, None]:
    """Call it to start a server in a process of its own, for tests that block; see sockserve.testing.ServerProcess.

    The server stops after the test, which fails if the server, or something in it, has failed.
    """
    from sockserve.testing.process import ServerProcess

    with ExitStack() as servers:

        def start(**settings: object) -> ServerProcess:
            server = ServerProcess(**settings)  # type: ignore[arg-type] # it checks them
            servers.callback(server.stop)
            _remember(request, server)
            return server

        yield start


@pytest.fixture
def sockserve_server(request: pytest.FixtureRequest) -> Generator[Callable[..., LocalServer], None, None]:
    """Call it to start a server in the reactor of pytest-twisted; see sockserve.testing.LocalServer.

    The server stops after the test, which fails if the server, or something in it, has failed.
    """
    from pytest_twisted import blockon

    from sockserve.testing.local import LocalServer

    with ExitStack() as servers:

        def start(**settings: object) -> LocalServer:
            server = LocalServer(**settings)  # type: ignore[arg-type] # it checks them
            servers.callback(lambda: blockon(server.stop()))
            _remember(request, server)
            return server.start()

        yield start


def _remember(request: pytest.FixtureRequest, server: Served) -> None:
    request.node.stash.setdefault(_SERVERS, []).append(server)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [("log of the server", server.log) for server in item.stash.get(_SERVERS, [])]
    return report
