"""The floors of the house: imports go down, and the ground floor needs nothing but Python.

Imports are read from the source, those for type checkers and those inside functions included.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import sockserve

PACKAGE = Path(sockserve.__file__).parent
ROOT = PACKAGE.parent
PLUGINS = [ROOT / f"twisted/plugins/sockserve_{name}.py" for name in ("plugin", "reactor")]
TREE = Path(__file__).parents[1]
SOURCES = sorted(PACKAGE.rglob("*.py"))

FLOORS = {
    "framing": 0,
    "text": 0,
    "sockets": 0,
    "reactor": 0,
    "addresses": 1,
    "inspection": 1,
    "fields": 2,
    "limits": 3,
    "proxy": 4,
    "tls": 4,
    "connection": 5,
    "client": 6,
    "redis": 6,
    "handlers": 7,
    "server": 8,
    "admin": 9,
    "config": 9,
    "workers": 10,
    "service": 11,
    "commands": 11,
    "__main__": 12,
    "testing": 12,
    "pytest_plugin": 13,
}
"""The floor of each module or package in sockserve/. A module imports from lower floors and from itself only.

docs/rooms.py draws them; run it when they change.
"""


def imports(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of all that `nodes` of a module in `package` import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


TYPES_ONLY = ("mypy_extensions.i64",)
"""What only the compiler needs: nothing imports it when the program runs."""


def home(name: str) -> str:
    """The module or package in sockserve/ that holds the dotted `name`; "" for sockserve/__init__.py itself."""
    part = [*name.split("."), ""][1]
    return part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file() else ""


def dotted(path: Path) -> str:
    """The name that a file of the package is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def wrong_imports(path: Path, source: str) -> list[str]:
    """One line for each import in the file that goes up, or to a neighbour; the ground floor knows Python only."""
    name = path.relative_to(ROOT)
    own = home(dotted(path))
    if not own:
        # The face of the whole: it loads what it names when that is used.
        return []
    package = ".".join(name.parts[:-1])
    problems = []
    for line, target in imports(ast.walk(ast.parse(source)), package):
        top = target.partition(".")[0]
        if top != "sockserve":
            if own == "framing" and top not in sys.stdlib_module_names and target not in TYPES_ONLY:
                problems.append(f"{name}:{line} imports {target}; framing needs the standard library only")
            continue
        other = home(target)
        if not other and own != "framing":
            continue
        if other != own and (own not in FLOORS or other not in FLOORS or FLOORS[other] >= FLOORS[own]):
            problems.append(f"{name}:{line} imports {target}, which is not on a lower floor")
    return problems


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """All of a module that runs when it is imported."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from outside_functions(child)


def early_reactors(path: Path, source: str) -> list[str]:
    """One line for each import of the reactor that happens when the file is imported."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports the reactor at module level"
        for line, target in imports(outside_functions(ast.parse(source)), "")
        if f"{target}.".startswith("twisted.internet.reactor.")
    ]


def run_python(program: str) -> str:
    """What the program prints, in a process of its own."""
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout


class LayeringTests(SynchronousTestCase):
    def test_every_module_has_a_floor(self) -> None:
        for path in SOURCES:
            name = home(dotted(path))
            self.assertIn(name, {"", *FLOORS}, f"{path.relative_to(ROOT)}: put {name!r} on a floor in FLOORS")

    def test_imports_go_down_only(self) -> None:
        problems = [line for path in SOURCES for line in wrong_imports(path, path.read_text())]
        self.assertEqual(problems, [], "\n".join(problems))

    def test_no_module_imports_the_reactor_when_it_is_imported(self) -> None:
        sources = [*SOURCES, *PLUGINS]
        problems = [line for path in sources for line in early_reactors(path, path.read_text())]
        self.assertEqual(problems, [], "\n".join(problems))

    def test_the_package_and_its_framings_load_neither_twisted_nor_zope(self) -> None:
        for module in ("sockserve", "sockserve.framing"):
            program = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
            loaded = run_python(program).split()
            self.assertIn(module, loaded)
            self.assertEqual({name.partition(".")[0] for name in loaded} & {"twisted", "zope"}, set())

    def test_public_names_are_loaded_on_first_use(self) -> None:
        program = (
            "import sys, sockserve\n"
            "assert not set(sockserve.__all__) & set(vars(sockserve))\n"
            "assert set(sockserve.__all__) <= set(dir(sockserve))\n"
            "for name in sockserve.__all__: getattr(sockserve, name)\n"
            "assert set(sockserve.__all__) <= set(vars(sockserve))\n"
            "from sockserve import *\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
            "print(*sockserve.__all__)"
        )
        names = (
            "Channel MessageFactory MessageProtocol QueueFull Refused Server SocketServer"
            " connect disconnect reconnecting run"
        )
        self.assertEqual(run_python(program).strip(), names)

    def test_a_name_that_the_package_has_not_is_an_attribute_error(self) -> None:
        with self.assertRaisesRegex(AttributeError, "module 'sockserve' has no attribute 'Servant'"):
            sockserve.Servant  # noqa: B018

    def test_the_init_of_a_room_is_its_face_and_has_no_code(self) -> None:
        allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign)
        for path in PACKAGE.rglob("*/__init__.py"):
            face = ast.parse(path.read_text())
            self.assertTrue(ast.get_docstring(face), path)
            self.assertEqual([type(node) for node in face.body if not isinstance(node, allowed)], [], path)

    def test_the_picture_of_the_rooms_is_current(self) -> None:
        command = [sys.executable, str(TREE / "docs/rooms.py"), "--check", str(PACKAGE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_no_init_file_hides_twisted(self) -> None:
        for folder in ("twisted", "twisted/plugins"):
            path = TREE / folder / "__init__.py"
            self.assertFalse(path.exists(), f"{path.relative_to(TREE)} would replace Twisted's own on install")


class CheckTests(SynchronousTestCase):
    """The checks above see what they are for."""

    def test_an_import_that_goes_up_is_named_with_its_line(self) -> None:
        source = "import os\nif TYPE_CHECKING:\n    from sockserve.server.sockets import SocketServer\n"
        (problem,) = wrong_imports(PACKAGE / "text.py", source)
        self.assertEqual(
            problem, "sockserve/text.py:3 imports sockserve.server.sockets.SocketServer, which is not on a lower floor"
        )

    def test_each_way_to_write_an_import_is_seen(self) -> None:
        for source in (
            "import sockserve.server.sockets",
            "from sockserve import server",
            "from sockserve.server.sockets import SocketServer",
            "from .server import SocketServer",
            "from . import server",
            "def late():\n    import sockserve.server.sockets as s",
        ):
            self.assertEqual(len(wrong_imports(PACKAGE / "text.py", source)), 1, source)

    def test_a_relative_import_inside_a_package_is_resolved(self) -> None:
        path = PACKAGE / "framing" / "raw.py"
        self.assertEqual(wrong_imports(path, "from .bounds import BoundedFraming"), [])
        self.assertEqual(len(wrong_imports(path, "from ..protocol import Echo")), 1)

    def test_good_imports_pass(self) -> None:
        source = "from sockserve import __version__\nfrom sockserve.framing import parse\nimport twisted.internet\n"
        self.assertEqual(wrong_imports(PACKAGE / "server.py", source), [])

    def test_the_ground_floor_imports_no_other_package(self) -> None:
        (problem,) = wrong_imports(PACKAGE / "framing" / "raw.py", "import re\nimport twisted.logger\n")
        expected = "sockserve/framing/raw.py:2 imports twisted.logger; framing needs the standard library only"
        self.assertEqual(problem, expected)

    def test_a_reactor_at_module_level_is_named_with_its_line(self) -> None:
        for statement in ("from twisted.internet import reactor", "import twisted.internet.reactor"):
            for source in (f"x = 1\n{statement}", f"try:\n    {statement}\nfinally:\n    pass"):
                (problem,) = early_reactors(PACKAGE / "server.py", source)
                self.assertEqual(problem, "sockserve/server.py:2 imports the reactor at module level")

    def test_a_reactor_inside_a_function_is_late_enough(self) -> None:
        source = "def run():\n    from twisted.internet import reactor"
        self.assertEqual(early_reactors(PACKAGE / "server.py", source), [])
