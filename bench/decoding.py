"""What a frame costs in each framing, without a connection: microseconds of CPU time, the best of many rounds.

    python bench/decoding.py                     the form that is installed, and if that is compiled, the pure one too
    python bench/decoding.py --size 1024         longer messages

decode takes messages out of one read, scan finds the borders of their frames, encode_all makes the frames of a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import sockserve.framing
from sockserve.framing import compiled, parse

FRAMINGS = (
    *("raw", "windev", "standard", "buffered", "int8", "int16", "int32", "netstring", "varint"),
    *("fixed:{size}", "envelope:\\x02:\\x03"),
    *(f"envelope:\\x02:\\x03:{check}" for check in ("lrc", "sum", "astm", "crc16", "crc16-kermit", "crc32")),
    *("octets", "syslog", "length:4", "length:3", "length:8", "mbap", "tpkt", "digits:4"),
    *("lines", "mllp", "dle", "slip", "cobs", "content-length", "json"),
)
READ = 64 * 1024
WAYS = ("decode", "scan", "encode_all")


def best_of(rounds: int, run: Callable[[], object]) -> float:
    """Seconds of CPU time in the fastest round."""
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        run()
        best = min(best, time.thread_time() - start)
    return best


def json_message(size: int) -> bytes:
    """An object of that size as programs send them, with short names, texts, numbers and lists; spaces fill it up."""
    fields = [b'"id":1,"method":"set"', *(b'"p%d":[1,2.5,true,"x"]' % number for number in range(size // 20))]
    text = b""
    for field in fields:
        if len(text) + len(field) + 3 <= size:
            text += b"," + field
    return b"{" + text[1:].ljust(size - 2) + b"}"


MESSAGES: dict[str, Callable[[int], bytes]] = {
    "mbap": lambda size: b"\0\1\0\0" + (size - 6).to_bytes(2) + b"x" * (size - 6),
    "tpkt": lambda size: b"\3\0" + size.to_bytes(2) + b"x" * (size - 4),
    "json": json_message,
}
"""A message of that size, where not every one will do."""


def measure(size: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds per message for each framing, in the order of WAYS. One read has the messages that fit in 64 KiB."""
    figures = {}
    for form in FRAMINGS:
        framing = parse(form.format(size=size), max_length=max(size, 1024 * 1024))
        if size > framing.max_length:
            continue
        message = MESSAGES.get(form, lambda size: b"x" * size)(size)
        messages = [message] * max(1, READ // len(framing.encode(message)))
        wire = framing.encode_all(messages)
        decoder = framing.decoder()
        runs = (partial(decoder.decode, wire), partial(decoder.scan, wire), partial(framing.encode_all, messages))
        figures[str(framing)] = [1e6 * best_of(rounds, run) / len(messages) for run in runs]
    return figures


def measure_pure(arguments: list[str]) -> dict[str, list[float]]:
    """The same, measured in a process that finds only the sources."""
    package = Path(sockserve.framing.__file__).parent
    with tempfile.TemporaryDirectory(prefix="sockserve-") as folder:
        copy = Path(folder) / "sockserve/framing"
        copy.mkdir(parents=True)
        for source in package.glob("*.py"):
            shutil.copy(source, copy)
        shutil.copy(package.parent / "__init__.py", copy.parent)
        command = [sys.executable, __file__, "--json", *arguments]
        environment = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    document = json.loads(done.stdout)
    if document["form"] != "pure":
        raise SystemExit("the pure form was not found")
    figures: dict[str, list[float]] = document["us"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, metavar="BYTES", help="the size of a message (default 32)")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="the best of N rounds (default 200)")
    parser.add_argument("--json", action="store_true", help="measure only the installed form, and print JSON")
    options = parser.parse_args()
    form = "compiled" if compiled else "pure"
    figures = {form: measure(options.size, options.rounds)}
    if options.json:
        print(json.dumps({"form": form, "size": options.size, "us": figures[form]}))
        return
    if compiled:
        figures["pure"] = measure_pure([f"--size={options.size}", f"--rounds={options.rounds}"])
    print(f"CPU time in µs per message of {options.size} bytes, Python {platform.python_version()}")
    print(" " * 30 + "".join(f"{name:<33}" for name in figures))
    print(" " * 30 + "".join(f"{way:<11}" for _ in figures for way in WAYS))
    for framing in figures[form]:
        print(f"{framing:30}" + "".join(f"{us:<11.4f}" for name in figures for us in figures[name][framing]))


if __name__ == "__main__":
    main()
