"""What the tests start runs the reactor of the tests."""

from __future__ import annotations

import json
import socket

from twisted.trial.unittest import TestCase

from tests.support import reactor
from tests.support.twistd import PATIENCE, running


def answer(_message: bytes, _channel: object) -> bytes:
    return reactor.module().encode()


class ReactorTests(TestCase):
    def test_twistd_and_its_workers_run_the_reactor_of_the_tests(self) -> None:
        for options in ((), ("--workers", "1")):
            handler = ("--handler", f"{__name__}:answer", "--framing", "raw")
            with (
                self.subTest(options),
                running("--listen", "tcp:0:interface=127.0.0.1", *handler, *options) as server,
                socket.create_connection(server.address, PATIENCE) as client,
            ):
                client.sendall(b"?")
                self.assertEqual(client.recv(1000).decode(), reactor.module())
                server.wait_for(f", reactor {reactor.name()}")

    def test_json_has_its_name_as_an_attribute(self) -> None:
        with running("--listen", "tcp:0:interface=127.0.0.1", "--log-format", "json") as server:
            record = json.loads(server.wait_for("sockserve.program.started"))
        self.assertEqual(record["attributes"]["sockserve.reactor.name"], reactor.name())
