"""Draws docs/frames.svg: `Hello World` in every framing, header, payload and trailer apart.

    python docs/frames.py            writes the picture
    python docs/frames.py --check    fails when the committed picture is not the one that the framings give

The framings are those of sockserve.framing.NAMES, each by an example that tests/support/cases has; the bytes are what
they send, and `sockserve inspect` takes them apart and draws them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE))

from sockserve.commands.inspect.picture import draw, row_of  # noqa: E402
from sockserve.framing import NAMES, parse  # noqa: E402
from sockserve.framing.errors import FramingError  # noqa: E402
from sockserve.inspection.frames import take_apart  # noqa: E402
from tests.support.cases import EXAMPLES  # noqa: E402

PICTURE = TREE / "docs/frames.svg"

INSTEAD = {
    "raw:N": ["raw:1024"],
    "length:W[:little][:inclusive][:at=N][:add=N]": [
        "length:3",
        "length:3:inclusive",
        "length:3:add=1",
        "length:2:at=4",
    ],
    "digits:N": ["digits:4"],
    "digits:N:inclusive": ["digits:4:inclusive"],
}
"""Other examples than those of the tests, which look at what is rare."""

MESSAGES = {
    "json": b'{"Hello": "World"}',
    "length:2:at=4": b"\1\2\3\4\0\x0bHello World",
    "mbap": b"\0\1\0\0\0\x0c\1Hello World",
    "tpkt": b"\3\0\0\x0fHello World",
}
"""Of framings that do not send just any bytes."""


def picture() -> str:
    rows = []
    for name in (name for form in NAMES for name in INSTEAD.get(form, [EXAMPLES[form]])):
        framing, said = parse(name), MESSAGES.get(name, b"Hello World")
        try:
            frame = framing.encode(said)
        except FramingError as error:
            sys.exit(f"docs/frames.py: MESSAGES has nothing for {name}: {error}")
        rows.append(row_of(name, take_apart(framing, frame, said)))
    return draw(rows, "Hello World in every framing")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw Hello World in every framing.")
    parser.add_argument("--check", action="store_true", help="only look whether docs/frames.svg is current")
    arguments = parser.parse_args()
    if not arguments.check:
        PICTURE.write_text(picture())
    elif not PICTURE.exists() or PICTURE.read_text() != picture():
        sys.exit("docs/frames.svg is not current: run python docs/frames.py")


if __name__ == "__main__":
    main()
