"""The commands of `sockserve`, without processes of their own."""

from __future__ import annotations

import contextlib
import io
import logging
import sys

from sockserve.commands.main import main


def outcome(*arguments: str) -> tuple[object, str, str]:
    """Exit status, standard output and standard error of a command that ends before the reactor runs.

    A task that another test has left behind may be collected meanwhile. What asyncio has to say about that is not among
    the command's errors.
    """
    output, errors = io.StringIO(), io.StringIO()
    log, elsewhere = logging.getLogger("asyncio"), logging.StreamHandler(sys.stderr)
    log.addHandler(elsewhere)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main(arguments)
    except SystemExit as end:
        return end.code, output.getvalue(), errors.getvalue()
    finally:
        log.removeHandler(elsewhere)
    raise AssertionError(f"sockserve {' '.join(arguments)} has not ended")
