"""The line of the first bad frame of a connection: the bytes, and what they may be instead."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sockserve.server.sockets import SocketServer
from tests.support.processes import ROOT
from tests.support.sockets import LOCAL, SocketCase


class EvidenceTests(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    async def said(self, framing: str, data: bytes, **options: Any) -> list[str]:  # noqa: ANN401 - as SocketServer
        """The lines that a client causes which sends that and ends its stream, without its address."""
        server = self.serve(SocketServer("orders", LOCAL, framing, **options))
        client = await self.client(server)
        client.send(data)
        client.end()
        await client.lost
        return [line.split(": ", 1)[1] for line in self.logged("orders 127.0.0.1")]

    async def test_the_line_shows_the_bytes_before_and_of_the_bad_frame(self) -> None:
        (line,) = await self.said("windev", b"2\r\nok+5\r\nhello")
        self.assertEqual(
            line,
            r"malformed header b'+': a length is ASCII digits, then b'\r\n'; closing; "
            "bytes 32 0d 0a 6f 6b | 2b 35 0d 0a 68 65 6c 6c 6f",
        )

    async def test_a_framing_that_fits_is_named_with_what_it_finds(self) -> None:
        (line,) = await self.said("netstring", b"11\r\nHello World2\r\nok")
        self.assertTrue(line.endswith(" 6f 6b; these bytes fit windev: header 11, CR LF"), line)

    async def test_each_pair_of_usual_framings(self) -> None:
        sent = {
            "windev": b"5\r\nhello6\r\nworld!",
            "netstring": b"5:hello,6:world!,",
            "int16": b"\0\5hello\0\6world!",
            "int32": b"\0\0\0\5hello\0\0\0\6world!",
            "buffered": b"hello\r\nworld!\r\n",
            "envelope:\\x02:\\x03": b"\2hello\3\2world!\3",
        }
        for own in ("windev", "netstring", "standard"):
            for other, data in sent.items():
                if own == other:
                    continue
                self.lines.clear()
                (line,) = await self.said(own, data)
                self.assertIn(f"; these bytes fit {other}: ", line, own)

    async def test_a_header_is_enough_where_it_says_how_long_the_message_is(self) -> None:
        (line,) = await self.said("netstring", b"1500\r\n" + b"x" * 80)
        self.assertTrue(line.endswith(" ...; these bytes fit windev: header for 1500 bytes"), line)

    async def test_a_message_that_is_only_too_long_fits_no_other_framing(self) -> None:
        (line,) = await self.said("windev", b"11\r\n", max_length=10)
        self.assertTrue(line.endswith("(max_length); closing; bytes 31 31 0d 0a"), line)

    async def test_bytes_that_say_nothing_have_no_hint(self) -> None:
        (line,) = await self.said("windev", b"hello")
        self.assertTrue(line.endswith("; closing; bytes 68 65 6c 6c 6f"), line)

    async def test_only_the_first_bad_frame_of_a_connection_shows_them(self) -> None:
        first, second = await self.said("buffered", b"long\r\nlong\r\nok\r\n", on_bad_frame="skip", max_length=2)
        self.assertIn("skipping it; bytes 6c 6f 6e 67 0d 0a", first)
        self.assertEqual(second, "1 more bad frames skipped")

    async def test_programs_have_the_same_as_attributes(self) -> None:
        await self.said("netstring", b"2:ok,11\r\nHello World")
        (event,) = [event for event in self.events if event.get("event_name") == "sockserve.frame.bad"]
        attributes = event["attributes"]
        self.assertEqual(attributes["sockserve.frame.error"], "MalformedHeader")
        self.assertEqual(attributes["sockserve.frame.framing"], "netstring")
        self.assertEqual(bytes.fromhex(attributes["sockserve.frame.before"]), b"2:ok,")
        self.assertEqual(bytes.fromhex(attributes["sockserve.frame.bytes"]), b"11\r\nHello World")
        self.assertEqual(attributes["sockserve.frame.fits"], "windev")

    async def test_a_flood_is_not_looked_at(self) -> None:
        from sockserve.inspection import hints

        server = self.serve(SocketServer("orders", LOCAL, "netstring"))
        hints.other_framing.cache_clear()
        for number in range(30):
            client = await self.client(server)
            client.send(b"%d\r\nHello" % (number + 100))
            await client.lost
        self.assertLess(hints.other_framing.cache_info().misses, 20)


class CostTests(SynchronousTestCase):
    def test_good_traffic_does_not_load_it(self) -> None:
        program = (
            "import sys\n"
            "from twisted.internet.testing import StringTransport\n"
            "from sockserve import MessageProtocol, SocketServer\n"
            "class Echo(MessageProtocol):\n"
            "    framing = 'windev'\n"
            "    def messageReceived(self, message): self.sendMessage(message)\n"
            "protocol, transport = Echo(), StringTransport()\n"
            "protocol.makeConnection(transport)\n"
            "protocol.dataReceived(b'2\\r\\nok')\n"
            "assert transport.value() == b'2\\r\\nok'\n"
            "print([name for name in sys.modules if name.startswith('sockserve.inspection')])\n"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "[]\n")
