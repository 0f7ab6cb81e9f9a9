"""What a connection says and ignores by itself: a greeting, heartbeats, and messages that are not delivered."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.fields import SettingError
from sockserve.handlers.discard import Discard
from sockserve.handlers.echo import Echo
from sockserve.server.settings import SocketSettings
from tests.connection.test_protocol import PEER, CountingTransport, lose


class Collecting(MessageProtocol):
    def connectionMade(self) -> None:
        self.messages: list[bytes] = []

    def messageReceived(self, message: bytes) -> None:
        self.messages.append(message)
        if message == b"raw":
            self.setFraming("raw")
        elif message == b"pause":
            self.pauseProducing()


class SayingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def connect(self, kind: type[MessageProtocol] = Collecting, framing: str = "int8", **options: Any) -> Any:  # noqa: ANN401
        protocol = MessageFactory(framing, kind, reactor=self.clock, **options).buildProtocol(PEER)
        self.transport = CountingTransport()
        protocol.makeConnection(self.transport)
        return protocol

    def test_a_greeting_comes_first(self) -> None:
        self.connect(Echo, greeting="HI").dataReceived(b"\x01a")
        self.assertEqual(self.transport.value(), b"\x02HI\x01a")

    def test_heartbeats_until_the_connection_closes(self) -> None:
        protocol = self.connect(Echo, heartbeat=b"!", heartbeat_every=10)
        self.clock.pump([5] * 5)
        self.assertEqual(self.transport.value(), b"\x01!" * 2)
        lose(protocol)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_heartbeats_do_not_keep_an_idle_connection(self) -> None:
        protocol = self.connect(Echo, heartbeat=b"!", heartbeat_every=1, idle_timeout=5)
        self.clock.pump([0.5] * 20)
        self.assertTrue(protocol.closing)

    def test_an_ignored_message_is_a_sign_of_life(self) -> None:
        protocol = self.connect(idle_timeout=5, ignore="!")
        for _ in range(4):
            protocol.dataReceived(b"\x01!")
            self.clock.pump([0.5] * 6)
        self.assertEqual((protocol.closing, protocol.messages), (False, []))
        self.clock.pump([0.5] * 14)
        self.assertTrue(protocol.closing)

    def test_what_is_ignored_moves_no_border(self) -> None:
        stream = b"\x01a\x01!\x03raw\x01!\x01b"
        for cut in range(len(stream) + 1):
            protocol = self.connect(ignore=["!"])
            protocol.dataReceived(stream[:cut])
            protocol.dataReceived(stream[cut:])
            self.assertEqual(protocol.messages[:2], [b"a", b"raw"][: len(protocol.messages)])
            self.assertEqual(b"".join(protocol.messages[2:]), b"\x01!\x01b")
            self.assertEqual(protocol._engine.receiving.ignored, 1)

    def test_what_is_ignored_waits_its_turn(self) -> None:
        protocol = self.connect(ignore=["!"])
        protocol.dataReceived(b"\x01!\x05pause\x01!\x01b\x01!")
        self.assertEqual((protocol.messages, protocol._engine.traffic.messages_ignored), ([b"pause"], 1))
        self.assertEqual(protocol._engine.traffic.messages_received, 2)
        protocol.resumeProducing()
        self.assertEqual((protocol.messages, protocol._engine.traffic.messages_ignored), ([b"pause", b"b"], 3))

    def test_those_that_take_all_at_once_or_frames(self) -> None:
        for kind, sent in ((Echo, b"\x01a\x01b"), (Discard, b"")):
            protocol = self.connect(kind, ignore=["!"])
            protocol.dataReceived(b"\x01a\x01!\x01b\x01!")
            protocol.dataReceived(b"\x01!")
            self.assertEqual(self.transport.value(), sent)
            self.assertEqual((protocol.info.messages_received, protocol._engine.traffic.messages_ignored), (5, 3))

    def test_what_does_not_go_together(self) -> None:
        for settings, line in (
            ({"heartbeat": "x"}, "heartbeat: heartbeat_every is not set; accepted: both of them"),
            ({"heartbeat_every": "1s"}, "heartbeat_every: heartbeat is not set; accepted: both of them"),
            ({"greeting": "\\x"}, r"greeting: bad escape '\\x'"),
            ({"ignore": [1]}, "ignore: found an integer, 1 in a list"),
        ):
            for made in (ConnectionOptions, lambda **each: SocketSettings("x", "tcp:1", **each)):
                error = self.assertRaises(SettingError, made, **settings)
                self.assertTrue(str(error).startswith(line), str(error))

    def test_a_message_that_the_framing_cannot_carry(self) -> None:
        for settings, words in (
            ({"greeting": "a\\r\\nb", "framing": "buffered"}, "greeting: "),
            ({"greeting": "", "framing": "raw"}, "greeting: an empty message would send nothing"),
            ({"greeting": "hello", "framing": "eof"}, "greeting: framing eof: it carries one message"),
            ({"ignore": ["abc"], "framing": "fixed:2"}, "ignore: "),
            ({"heartbeat": "long", "heartbeat_every": 1, "framing": "int8", "max_length": 3}, "heartbeat: "),
        ):
            error = self.assertRaises(SettingError, SocketSettings, "x", connect="tcp:scale:1", **settings)
            self.assertTrue(str(error).startswith(words), str(error))
            self.assertIn("accepted: ", str(error))

    def test_connect_and_what_is_for_clients_that_come(self) -> None:
        for settings, line in (
            ({"listen": "tcp:1"}, "connect: listen is set too; accepted: one of the two"),
            ({"max_connections": 1}, "max_connections: with connect no clients come; accepted: with listen"),
            ({"allow": "::1"}, "allow: with connect no clients come"),
            ({"proxy_protocol": True}, "proxy_protocol: with connect no clients come"),
            ({"connect": "udp:1"}, "connect: 'udp:1': "),
            ({"connect": 5}, "connect: found an integer, 5; accepted: a Twisted client endpoint"),
        ):
            error = self.assertRaises(SettingError, SocketSettings, "x", **{"connect": "tcp:scale:1", **settings})
            self.assertTrue(str(error).startswith(line), str(error))
        error = self.assertRaises(SettingError, SocketSettings, "x", "tcp:1", connect_timeout=5)
        self.assertEqual(str(error), "connect_timeout: connect is not set; accepted: both of them")
