"""Programs that some tests need and that are installed apart, such as haproxy."""

from __future__ import annotations

import os
import shutil
from unittest import SkipTest


def installed(program: str, package: str = "") -> str:
    """The path of a program. Raises SkipTest if it is not there, and an error where CI is set.

    package: Debian's name for what has it, where that is another one.
    """
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None:
        missing = f"{program} is not installed, and this test needs it: apt-get install {package or program}"
        if "CI" in os.environ:
            raise AssertionError(missing)
        raise SkipTest(missing)
    return found
