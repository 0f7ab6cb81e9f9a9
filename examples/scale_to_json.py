r"""A scale behind a serial device server, as lines of JSON: each client of the second port gets every weight, and asks
for the last one with any line.

The scale sends STX, a status and a weight, ETX, such as `\x02ST,+0012.50kg\x03`; ST: it stands still, US: it does not.
"""

import json
import re
import sys
from contextlib import suppress

from sockserve import Channel, QueueFull, Refused, SocketServer, run

SCALE, LINES = (*sys.argv[1:3], "tcp:4001:interface=127.0.0.1", "tcp:4002:interface=127.0.0.1")[:2]
WEIGHT = re.compile(rb"(ST|US),([+-]\d+\.\d+)(kg|g|lb)")

last = b"null"


def weighed(message: bytes, channel: Channel) -> None:
    global last  # noqa: PLW0603 - all of the program's state
    found = WEIGHT.fullmatch(message)
    if found is None:
        raise Refused(f"{message!r} is no weight")
    stable, weight, unit = found[1] == b"ST", float(found[2]), found[3].decode()
    last = json.dumps({"stable": stable, "weight": weight, "unit": unit}).encode()
    for client in lines.channels.values():
        with suppress(QueueFull):  # one who does not read misses some
            client.send(last)


def asked(message: bytes, channel: Channel) -> bytes:
    return last


lines = SocketServer("lines", LINES, r"buffered:\n", asked)
scale = SocketServer("scale", SCALE, r"envelope:\x02:\x03", weighed, max_length=100)

if __name__ == "__main__":
    run(scale, lines)
