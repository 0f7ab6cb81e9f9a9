"""Sphinx: the Markdown pages here, and the reference from the docstrings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sockserve

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "sockserve"
project_copyright = "2026, the sockserve authors"
author = "The sockserve authors"
release = version = sockserve.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
# The second is a part of reactor.md.
exclude_patterns = ["_build", "reactor-tests.md"]
myst_heading_anchors = 3

smartquotes = False

html_theme = "furo"
html_title = f"sockserve {release}"
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_maximum_signature_line_length = 88

FIELD = re.compile(r"([a-z_]+(?:, [a-z_]+)*): ")


def to_rst(text: str) -> str:
    """Words of a docstring as reStructuredText, which gives backslashes, stars and single backticks another sense."""
    code = text.split("`")
    words = [re.sub(r"([\\*_|<>])", r"\\\1", part) for part in code[::2]]
    parts = [f"``{part}``" for part in code[1::2]]
    return "".join(part for pair in zip(words, [*parts, ""], strict=False) for part in pair)


def paragraph_to_rst(lines: list[str]) -> list[str]:
    """A paragraph, a list of parameters (`name: what it is`), or a picture: indented lines, or a tree."""
    if any(line.startswith((" ", "+--")) for line in lines):
        return ["::", "", *("    " + line for line in lines)]
    if not FIELD.match(lines[0]):
        return [to_rst(line) for line in lines]
    items: list[str] = []
    for line in lines:
        field = FIELD.match(line)
        if field:
            names = ", ".join(f"**{to_rst(name)}**" for name in field[1].split(", "))
            items.append(f"* {names}: {to_rst(line[field.end() :])}")
        else:
            items.append(f"  {to_rst(line)}")
    return items


def docstring_to_rst(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    text = "\n".join(lines).strip("\n")
    paragraphs = [paragraph_to_rst(block.split("\n")) for block in re.split(r"\n{2,}", text) if block]
    lines[:] = [line for paragraph in paragraphs for line in [*paragraph, ""]]


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", docstring_to_rst)
