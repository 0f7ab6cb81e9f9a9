"""The twistd plugin is found, costs nothing until it is chosen, and leaves Twisted's own packages alone."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]

LIST_PLUGINS = """
import sys
from twisted.application.reactors import getReactorTypes
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

assert "sockserve" in [plugin.tapname for plugin in getPlugins(IServiceMaker)]
assert "uvloop" in [plugin.shortName for plugin in getReactorTypes()]
print(sorted(name for name in sys.modules if name.startswith(("sockserve", "uvloop"))))
"""
WITHOUT_UVLOOP = """
import sys

sys.modules["uvloop"] = None
sys.argv[0] = {name!r}
{program}
"""
MISSING = "uvloop is not installed: pip install 'sockserve[uvloop]', on Linux or macOS with CPython"


class PluginTests(SynchronousTestCase):
    def test_listed_once(self) -> None:
        names = [plugin.tapname for plugin in getPlugins(IServiceMaker)]
        self.assertEqual(names.count("sockserve"), 1)

    def test_listing_plugins_imports_nothing_of_sockserve(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", LIST_PLUGINS], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))

    def test_who_asks_for_uvloop_without_it_learns_how_to_install_it(self) -> None:
        for name in ("twistd", "trial"):
            status, lines = without_uvloop(name, "--reactor=uvloop")
            (line,) = [line for line in lines if "cannot be used" in line]
            self.assertNotEqual(status, 0)
            self.assertTrue(line.endswith(f"The specified reactor cannot be used, failed with error: {MISSING}."), line)
            _, lines = without_uvloop(name, "--help-reactors")
            (line,) = [line for line in lines if "!uvloop" in line]
            self.assertTrue(line.endswith(f" ({MISSING})"), line)

    def test_a_program_gets_an_import_error(self) -> None:
        status, lines = without_uvloop("program", program="from sockserve.reactor import install")
        self.assertEqual((status, lines[-1]), (1, f"ImportError: {MISSING}"))

    def test_no_init_file_that_would_replace_the_one_of_twisted(self) -> None:
        for name in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            self.assertFalse((ROOT / name).exists(), name)

    def test_plugin_file_stays_tiny(self) -> None:
        for name in ("sockserve_plugin", "sockserve_reactor"):
            lines = inspect.getsource(import_module(f"twisted.plugins.{name}")).splitlines()
            self.assertLessEqual(len(lines), 10)


def without_uvloop(name: str, *options: str, program: str = "") -> tuple[int, list[str]]:
    """Run a program of Twisted's, or another one, where uvloop is not installed; its status, and what it prints."""
    text = WITHOUT_UVLOOP.format(name=name, program=program or f"from twisted.scripts.{name} import run; run()")
    done = subprocess.run(
        [sys.executable, "-c", text, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()
