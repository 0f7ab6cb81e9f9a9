"""How sockserve is built: by hatchling, with the path of a message compiled by mypyc where that can be done.

This is the build backend, which asks for mypyc only when a wheel is built and a C compiler is there, and the build hook
that compiles. Nothing here makes a build fail: where the package cannot be compiled, the wheel holds the Python files
alone, and one line on standard error says why. An editable install is never compiled, and needs hatchling only.

SOCKSERVE_PURE=1 in the environment forbids compiling.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling import build as hatchling
from hatchling.build import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
)
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

COMPILER = ["mypy>=2.4,<2.5", "setuptools>=80"]
"""What compiles. The same mypy checks the types."""

PYTHONS = range(11, 15)
"""The minor versions of Python 3 that these are known to have wheels for: nothing is ever built to build with."""

SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

_, target, *sources = sys.argv
options = ["--follow-imports=skip", "--ignore-missing-imports"]
modules = mypycify([*options, *sources], opt_level="3", debug_level="0", group_name="sockserve")
setup(name="sockserve", ext_modules=modules, script_args=["-q", "build_ext", "--build-lib", target])
"""
"""The library of all stands beside the package, sockserve__mypyc: mypyc derives the place of each module from its own.

Of other modules, Twisted's among them, nothing is assumed: so the result is the same whatever is installed here.
"""


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    required = hatchling.get_requires_for_build_wheel(config_settings)
    return required if obstacle() else [*required, *COMPILER]


def obstacle() -> str:
    """Why the package cannot be compiled here, in words; empty where nothing is known to be in the way."""
    if os.environ.get("SOCKSERVE_PURE", "0") not in ("", "0"):
        return "SOCKSERVE_PURE is set"
    if sys.implementation.name != "cpython" or sys.version_info.minor not in PYTHONS:
        return f"it is compiled for CPython 3.{PYTHONS[0]} to 3.{PYTHONS[-1]}"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are not installed"
    if sys.platform != "win32":
        # What setuptools will call. On Windows it looks in places of its own.
        command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        if shutil.which(shlex.split(command)[0]) is None:
            return f"there is no C compiler ({command})"
    return ""


class Compile(BuildHookInterface[Any]):
    """Puts the compiled modules beside their sources, which stay: for tracebacks, type checkers and readers."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        reason = obstacle() or self._compile(build_data)
        if reason:
            print(f"sockserve: nothing is compiled, {reason}; the pure form works the same", file=sys.stderr)

    def _compile(self, build_data: dict[str, Any]) -> str:
        """Add the compiled modules to the wheel. What is in the way, in words, or nothing."""
        if not all(map(importlib.util.find_spec, ("mypyc", "setuptools"))):
            return f"{' and '.join(COMPILER)} are not installed where it is built"
        # Kept until the wheel is written.
        self._work = tempfile.TemporaryDirectory(prefix="sockserve-")
        work = Path(self._work.name)
        root = Path(self.root)
        sources = sorted(
            str(path.relative_to(root)) for pattern in self.config["compiled"] for path in root.glob(pattern)
        )
        for source in sources:
            (work / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / source, work / source)
        # Empty ones: a package's own names modules that are not compiled, and so not here.
        for package in ("sockserve", "sockserve/connection", "sockserve/tls"):
            (work / package / "__init__.py").touch()
        target = work / "compiled"
        done = subprocess.run(
            [sys.executable, "-c", SETUP, target, *sources],
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        compiled = {str(path): str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
        if done.returncode or len(compiled) != len(sources) + 1:
            print(done.stdout, file=sys.stderr)
            return "the compiler failed"
        build_data["force_include"].update(compiled)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        return ""
