"""Receives HL7 messages over TLS, prints who each is about, and acknowledges it.

Run it as: python hl7_receiver.py tcp:2575:interface=127.0.0.1 server.pem
server.pem has the server's key and certificate.

A message without a patient is rejected (AR), one that cannot be handled has an error (AE), all others are accepted
(AA); the acknowledgments are made from what each message says in its MSH segment.
"""

import sys

from sockserve import Channel, Refused, SocketServer, run
from sockserve.tls.certificates import TLSConfig


def received(message: bytes, channel: Channel) -> None:
    """Print the patient's identifier and name."""
    for segment in message.split(b"\r"):
        fields = segment.split(message[3:4])
        if fields[0] == b"PID":
            print(fields[3].decode(), fields[5].decode(), flush=True)
            return
    raise Refused("no patient")


if __name__ == "__main__":
    tls = TLSConfig(certificate=sys.argv[2])
    run(SocketServer("hl7", sys.argv[1], handler="hl7:__main__:received", tls=tls))
