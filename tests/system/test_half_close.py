"""The end of the peer's stream through everything: what is owed comes back whole behind it.

One real server with every layer and every limit; each way in gets the Winsock sample's client many times, and one that
sends 24 MB and reads late. HALF_CLOSES in the environment says how many times.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from tests.support.authority import Authority
from tests.support.tls_peer import TLS1_2, TLS1_3, Peer
from tests.support.twistd import PATIENCE, running

MESSAGE = b"this is a test"
COUNT = int(os.environ.get("HALF_CLOSES", "50"))
MUCH = os.urandom(1_000_000) * 24

PROXY1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 7000\r\n"
PROXY2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H4s4sHH", 12, bytes([192, 0, 2, 7]), bytes(4), 4711, 7000)

# Not for the clients of unix sockets, which have no addresses.
BY_ADDRESS = """
    max_connections_per_peer = 1000
    allow = ["127.0.0.0/8", "192.0.2.0/24"]
    deny = "203.0.113.0/24"
    """
LIMITS = """
    max_connections = 1000
    idle_timeout = "10min"
    frame_timeout = "10min"
    close_timeout = "1min"
    """


def slow(message: bytes, _channel: Channel) -> bytes:
    """A handler that blocks, in the server's process."""
    time.sleep(0.02)
    return message.upper()


class Plain:
    """A client of TCP or a unix socket, with the same methods as a Peer of TLS."""

    def __init__(self, address: str, preface: bytes = b"") -> None:
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(address.removeprefix("unix:"))
        else:
            self.socket = socket.create_connection(where(address), PATIENCE)
        self.socket.sendall(preface)

    def send(self, data: bytes, *, end: bool = False) -> None:
        self.socket.sendall(data)
        if end:
            self.socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        parts = []
        while data := self.socket.recv(1 << 20):
            parts.append(data)
        return b"".join(parts)


def where(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class HalfCloseTests(SynchronousTestCase):
    def setUp(self) -> None:
        stack = ExitStack()
        self.addCleanup(stack.close)
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        authority = Authority(str(folder / "ca"))
        tls = f'\n[socket.NAME.tls]\ncertificate = "{authority.server}"\nkey = "{authority.server}"\n'
        sockets = {
            "tcp": "",
            "unix": "",
            "proxy": "proxy_protocol = true",
            "tls": tls,
            "proxy_tls": f"proxy_protocol = true\n{tls}",
            "forward": f'handler = "forward:unix:{folder}/unix,raw"',
            "threads": 'framing = "windev"\nhandler = "tests.system.test_half_close:slow"\nthreads = true',
        }
        text = ""
        for name, settings in sockets.items():
            listen = f"unix:{folder}/unix" if name == "unix" else "tcp:0:interface=127.0.0.1"
            limits = LIMITS if name == "unix" else LIMITS + BY_ADDRESS
            text += f'[socket.{name}]\nlisten = "{listen}"\n{limits}\n{settings.replace("NAME", name)}\n'
        (folder / "all.toml").write_text(text)
        self.server = stack.enter_context(running("--config", str(folder / "all.toml"), listen=len(sockets)))
        self.addresses = dict(re.findall(r"(\w+) listens on (\S+)", "".join(self.server.lines)))

    def ways(self) -> dict[str, Callable[[], Plain | Peer]]:
        at = self.addresses
        return {
            "tcp": lambda: Plain(at["tcp"]),
            "unix": lambda: Plain(at["unix"]),
            "PROXY v1": lambda: Plain(at["proxy"], PROXY1),
            "PROXY v2": lambda: Plain(at["proxy"], PROXY2),
            "TLS 1.2": lambda: Peer(where(at["tls"]), TLS1_2),
            "TLS 1.3": lambda: Peer(where(at["tls"]), TLS1_3),
            "PROXY v2, TLS 1.3": lambda: Peer(where(at["proxy_tls"]), TLS1_3, preface=PROXY2),
            "forward": lambda: Plain(at["forward"]),
        }

    def sample(self, way: Callable[[], Plain | Peer]) -> bytes:
        client = way()
        with client.socket:
            client.send(MESSAGE, end=True)
            return client.rest()

    def late(self, way: Callable[[], Plain | Peer]) -> bytes:
        """Send much; read when the server does not take more, or has it all."""
        client = way()
        with client.socket:
            data = client.seal(MUCH, end=True) if isinstance(client, Peer) else MUCH
            # The kernel's time limit: with one of Python's, send would wait.
            client.socket.settimeout(None)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
            stalled = Event()

            def send() -> None:
                view = memoryview(data)
                sent = 0
                while sent < len(view):
                    try:
                        sent += client.socket.send(view[sent:], socket.MSG_DONTWAIT)
                    except BlockingIOError:
                        stalled.set()
                        client.socket.sendall(view[sent:])
                        break
                if isinstance(client, Plain):
                    client.socket.shutdown(socket.SHUT_WR)
                stalled.set()

            sender = Thread(target=send)
            sender.start()
            stalled.wait(PATIENCE)
            answer = client.rest()
            sender.join(PATIENCE)
            return answer

    def test_the_clients_of_the_winsock_sample_have_their_14_bytes(self) -> None:
        for name, way in self.ways().items():
            answers = [self.sample(way) for _ in range(COUNT)]
            self.assertEqual(answers, [MESSAGE] * COUNT, name)

    def test_24_megabytes_come_back_to_one_who_reads_late(self) -> None:
        for name, way in self.ways().items():
            answer = self.late(way)
            self.assertEqual(len(answer), len(MUCH), name)
            self.assertTrue(answer == MUCH, name)

    def test_answers_that_are_still_computed_when_the_end_arrives(self) -> None:
        client = Plain(self.addresses["threads"])
        with client.socket:
            client.send(b"".join(b"2\r\n%c%c" % (97 + n % 26, 97 + n // 26) for n in range(50)), end=True)
            expected = b"".join(b"2\r\n%c%c" % (65 + n % 26, 65 + n // 26) for n in range(50))
            self.assertEqual(client.rest(), expected)
