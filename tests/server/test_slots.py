"""Listening sockets for several processes: opened by one, and kept."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import TestCase

from sockserve.addresses import format_address
from sockserve.server.endpoints import slots_of
from sockserve.server.slots import Slot, address_of


class SlotTests(TestCase):
    def open(self, endpoint: str, count: int = 1) -> list[Slot]:
        slots = slots_of(reactor, endpoint)
        opened: list[Slot] = []
        for _ in range(count):
            opened.append(slots.open(opened))
            self.addCleanup(opened[-1].close)
        return opened

    def address(self, slot: Slot) -> tuple[str, int]:
        host, _, port = format_address(address_of(slot)).rpartition(":")
        return host, int(port)

    def test_port_0_is_one_port_for_all(self) -> None:
        for endpoint in ("tcp:0:interface=127.0.0.1", "udp:0"):
            slots = self.open(endpoint, 3)
            self.assertEqual(len({self.address(slot) for slot in slots}), 1)
            self.assertEqual(len({slot.fileno() for slot in slots}), 3)

    def test_a_port_of_another_program_is_refused_whether_it_would_share_it_or_not(self) -> None:
        for shares in (False, True):
            for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
                with socket.socket(type=kind) as other:
                    if shares:
                        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    other.bind(("127.0.0.1", 0))
                    if kind is socket.SOCK_STREAM:
                        other.listen()
                    endpoint = f"{name}:{other.getsockname()[1]}:interface=127.0.0.1"
                    with self.assertRaises(CannotListenError) as raised:
                        self.open(endpoint)
                    self.assertIn("Address already in use", str(raised.exception))

    def test_a_port_that_is_open_gets_more(self) -> None:
        first = self.open("tcp:0:interface=127.0.0.1", 2)
        host, port = self.address(first[0])
        more = slots_of(reactor, f"tcp:{port}:interface={host}").open(first)
        self.addCleanup(more.close)
        self.assertEqual(self.address(more), (host, port))

    def test_what_waits_in_a_slot_is_there_for_whoever_serves_it_next(self) -> None:
        (slot,) = self.open("tcp:0:interface=127.0.0.1")
        with socket.create_connection(self.address(slot)) as client:
            client.sendall(b"hi")
            for served in range(2):
                # A worker has a copy, and the first one dies with it.
                with socket.socket(fileno=os.dup(slot.fileno())) as copy:
                    if served:
                        copy.setblocking(True)
                        accepted, _ = copy.accept()
                        with accepted:
                            self.assertEqual(accepted.recv(10), b"hi")

    def test_a_unix_socket_is_one_for_all_and_its_file_goes_at_the_end(self) -> Deferred[None]:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = Path(folder, "x")
        slots = slots_of(reactor, f"unix:{path}:mode=600")
        self.assertTrue(slots.shared)
        slot = slots.open([])
        self.assertEqual(format_address(address_of(slot)), f"unix:{path}")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        closed = cast("Deferred[None]", slot.close())
        return closed.addCallback(lambda _: self.assertFalse(path.exists()))

    def test_what_was_inherited_stays_open(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            slots = slots_of(reactor, f"fd:{listening.fileno()}")
            self.assertTrue(slots.shared)
            slot = slots.open([])
            self.assertEqual(self.address(slot), listening.getsockname())
            slot.close()
            socket.create_connection(listening.getsockname()).close()

    def test_endpoints_with_the_same_address_have_the_same_key(self) -> None:
        def key(endpoint: str) -> object:
            return slots_of(reactor, endpoint).key

        self.assertEqual(key("tcp:7000"), key("tcp:7000:backlog=100"))
        self.assertEqual(key("ssl:7000"), key("tcp:7000"))
        self.assertNotEqual(key("tcp:7000"), key("tcp:7001"))
        self.assertNotEqual(key("tcp:7000"), key("udp:7000"))
        self.assertEqual(key("tcp:0"), key("tcp:0"))
        self.assertNotEqual(key("tcp:0"), key("tcp:0:interface=127.0.0.1"))
