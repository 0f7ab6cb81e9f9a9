"""Any text is the name of a framing or leads to a ValueError of one line, and a framing's own name gives it again.

An input is the name in UTF-8; bytes that are not valid UTF-8 are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from sockserve.framing import NAMES, as_framing, parse
from tests.support.cases import CASES, EXAMPLES


def seeds() -> Iterator[bytes]:
    """Examples of all forms, and a few wrong names."""
    for name in {*NAMES, *EXAMPLES.values(), *(case.framing for case in CASES)}:
        yield name.encode()
    yield from (b"windef", b"standard:\\q", b"standard:\\400", b"fixed:0", b"fixed:2000000", b"envelope:a:b:c", b"raw:")


def check(data: bytes) -> None:
    name = data.decode(errors="ignore")
    try:
        # Not with parse, which would import what the fuzzer writes.
        framing = as_framing(name)
    except ValueError as error:
        line = str(error)
        assert len(line.splitlines()) == 1, line
        assert "accepted: " in line, line
        return
    assert parse(str(framing)) == framing
    assert str(parse(str(framing))) == str(framing)
