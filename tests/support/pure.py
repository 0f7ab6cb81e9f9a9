"""The framings in their pure form, beside the installed ones: to compare the two."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import sockserve.framing

NAME = "pure_framing"


def pure_framing() -> ModuleType:
    """A package like sockserve.framing, from its Python files, whichever form is installed. It is loaded once."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    assert sockserve.framing.__file__ is not None
    sources = sorted(Path(sockserve.framing.__file__).parent.glob("*.py"))
    with TemporaryDirectory() as folder:
        package = Path(folder, NAME)
        package.mkdir()
        for source in sources:
            # Its modules import each other.
            text = source.read_text().replace("from sockserve.framing", f"from {NAME}")
            (package / source.name).write_text(text)
        sys.path.insert(0, folder)
        try:
            for source in sources:
                import_module(NAME if source.stem == "__init__" else f"{NAME}.{source.stem}")
        finally:
            sys.path.remove(folder)
    pure = sys.modules[NAME]
    assert pure.compiled is False
    return pure
