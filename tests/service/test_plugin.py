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
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

assert "sockserve" in [plugin.tapname for plugin in getPlugins(IServiceMaker)]
print(sorted(name for name in sys.modules if name.startswith("sockserve")))
"""


class PluginTests(SynchronousTestCase):
    def test_listed_once(self) -> None:
        names = [plugin.tapname for plugin in getPlugins(IServiceMaker)]
        self.assertEqual(names.count("sockserve"), 1)

    def test_listing_plugins_imports_nothing_of_sockserve(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", LIST_PLUGINS], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))

    def test_no_init_file_that_would_replace_the_one_of_twisted(self) -> None:
        for name in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            self.assertFalse((ROOT / name).exists(), name)

    def test_plugin_file_stays_tiny(self) -> None:
        lines = inspect.getsource(import_module("twisted.plugins.sockserve_plugin")).splitlines()
        self.assertLessEqual(len(lines), 10)
