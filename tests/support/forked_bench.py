"""`sockserve` whose `bench` forks its processes. The real one starts new interpreters, which import all of it again.

For the zygote: `sys.executable -m tests.support.forked_bench bench ENDPOINT ...`
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any
from unittest.mock import patch

import twisted.internet

from sockserve.commands.bench import crew
from sockserve.commands.main import main


def forget_reactor() -> None:
    """The parent has checked the endpoint with its own; two processes must not share one."""
    del sys.modules["twisted.internet.reactor"]
    del twisted.internet.reactor


def run() -> None:
    os.register_at_fork(after_in_child=forget_reactor)
    context: Any = multiprocessing.get_context("fork")
    with patch.object(crew, "get_context", lambda _: context):
        sys.exit(main())


if __name__ == "__main__":
    run()
