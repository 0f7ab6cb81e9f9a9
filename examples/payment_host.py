"""A payment host to test terminals with: approves amounts up to 50.00, and declines others.

Run it as: python payment_host.py tcp:8583:interface=127.0.0.1

Each message has four digits in front that say how long it is (`digits:4`). Here it is "0200", the number of the
terminal (8 digits) and the amount in cents (12 digits), in a form as ISO 8583 has it. The answer is "0210", the same
two, and two digits: "00" for approved, "51" for declined.
"""

import re
import sys

from sockserve import Channel, Refused, SocketServer, run

REQUEST = re.compile(rb"0200(\d{8})(\d{12})")
LIMIT = 50_00


def authorize(message: bytes, channel: Channel) -> bytes:
    """The answer to one request."""
    request = REQUEST.fullmatch(message)
    if request is None:
        raise Refused("not a request for an authorisation")
    terminal, amount = request.groups()
    code = b"00" if int(amount) <= LIMIT else b"51"
    return b"0210" + terminal + amount + code


run(SocketServer("payments", sys.argv[1], "digits:4", authorize, max_length=9999))
