"""A message through `forward` that is larger than what the process may take for it."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests.support.twistd import PATIENCE, running

MIB = 1 << 20
SIZE = int(os.environ.get("LARGE_MIB", "128")) * MIB
"""Bytes of the message."""
BLOCK = os.urandom(MIB)
HEADERS = {"int32": SIZE.to_bytes(4, "big"), "windev": b"%d\r\n" % SIZE}
ALLOWED = 2 * MIB
"""What the process may grow by."""


def send(address: tuple[str, int], header: bytes) -> bytes:
    """Send the message, and return the answer."""
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(header)
        for _ in range(SIZE // MIB):
            client.sendall(BLOCK)
        client.shutdown(socket.SHUT_WR)
        return client.recv(100)


def receive(listener: socket.socket, piece: int) -> str:
    """Take one connection to its end, in such pieces. Returns the digest of what came."""
    peer, _ = listener.accept()
    peer.settimeout(PATIENCE)
    digest = hashlib.sha1(usedforsecurity=False)
    with peer:
        while data := peer.recv(piece):
            digest.update(data)
        peer.sendall(b"\0\0\0\2ok")
    return digest.hexdigest()


@skipUnless(sys.platform == "linux", "reads /proc")
class ForwardTests(SynchronousTestCase):
    def crosses(self, framing: str, answer: bytes, *, slow: bool = False) -> None:
        expected = hashlib.sha1(HEADERS["int32"], usedforsecurity=False)
        for _ in range(SIZE // MIB):
            expected.update(BLOCK)
        with socket.socket() as listener, ThreadPoolExecutor(1) as thread:
            if slow:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            options = ("--listen", "tcp:0:interface=127.0.0.1", "--framing", framing)
            limits = ("--max-length", str(SIZE), "--memory-budget", str(SIZE))
            with running(*options, *limits, "--handler", f"forward:tcp:127.0.0.1:{port},int32", fresh=True) as server:
                received = thread.submit(receive, listener, 4096 if slow else MIB)
                before = server.resident()
                self.assertEqual(send(server.address, HEADERS[framing]), answer)
                self.assertEqual(received.result(PATIENCE), expected.hexdigest())
                self.assertLess(server.peak() - before, ALLOWED)

    def test_from_int32_to_int32(self) -> None:
        self.crosses("int32", b"\0\0\0\2ok")

    def test_from_windev_to_int32(self) -> None:
        self.crosses("windev", b"2\r\nok")

    def test_to_a_target_that_reads_slowly(self) -> None:
        self.crosses("int32", b"\0\0\0\2ok", slow=True)
