"""Any bytes start with one PROXY header or with none, however they are cut, and 4096 of them are enough to tell.

An input is what a connection brings.
"""

from __future__ import annotations

from collections.abc import Iterator

from sockserve.proxy.binary import MAX_SIZE
from sockserve.proxy.header import Header, HeaderError
from sockserve.proxy.parsing import parse
from tests.proxy.test_parser import BAD, GOOD


def seeds() -> Iterator[bytes]:
    for data, _ in (*GOOD.values(), *BAD.values()):
        yield data


def check(data: bytes) -> None:
    whole = _outcome(data)
    if whole is None:
        assert len(data) < MAX_SIZE
        assert _outcome(data + bytes(MAX_SIZE)) is not None
    elif isinstance(whole, str):
        assert len(whole.splitlines()) == 1, whole
    else:
        assert whole.size <= min(len(data), MAX_SIZE)
        # What comes after a header is not looked at.
        assert _outcome(data[: whole.size]) == whole
    for count in range(len(data)):
        part = _outcome(data[:count])
        if part is not None:
            assert part == whole, (count, part, whole)
            assert isinstance(part, str) or part.size == count
            return


def _outcome(data: bytes) -> Header | str | None:
    try:
        return parse(data)
    except HeaderError as error:
        return str(error)
