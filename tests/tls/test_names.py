"""The name that a client asks for, read from the first bytes that it sends, whatever these are."""

from __future__ import annotations

import contextlib
import random
import ssl

from twisted.trial.unittest import SynchronousTestCase

from sockserve.tls.names import server_name


def hello(name: str | None) -> bytes:
    """The ClientHello of a client that asks for that name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


class ServerNameTests(SynchronousTestCase):
    def test_a_client_that_asks_and_one_that_does_not(self) -> None:
        self.assertEqual(server_name(hello("one.example")), "one.example")
        self.assertEqual(server_name(hello(None)), "")

    def test_in_any_number_of_reads_and_records(self) -> None:
        whole = hello("one.example")
        for end in range(len(whole)):
            self.assertIsNone(server_name(whole[:end]))
        body = whole[5:]
        for size in (1, 50):
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
            records = b"".join(whole[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)
            self.assertEqual(server_name(records), "one.example")

    def test_what_is_no_client_hello_is_left_to_openssl(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\1\2", b"\x15\x03\x01\0\2\1\0"):
            self.assertEqual(server_name(data), "")

    def test_damaged_bytes_are_never_an_error(self) -> None:
        choice = random.Random(1)
        whole = hello("one.example")
        for _ in range(5000):
            data = bytearray(whole)
            for _ in range(choice.randrange(1, 4)):
                data[choice.randrange(len(data))] = choice.randrange(256)
            self.assertIsInstance(server_name(bytes(data)), str | None)
