"""Handlers and conversations by their names."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.conversation import ConversationProtocol
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.discard import Discard
from sockserve.handlers.echo import Echo
from sockserve.handlers.forward import Bridged
from sockserve.handlers.function import Answering
from sockserve.handlers.names import NAMES, ProtocolFactory, as_conversation, as_handler, load
from sockserve.handlers.relay import RelayProtocol
from tests.connection.test_protocol import connect

MODULE = """
import asyncio

def shout(message, channel):
    return message.upper()

async def talk(channel):
    async for message in channel:
        await channel.write(message[::-1])

class Shop:
    @staticmethod
    def sell(message, channel):
        return b"sold"

price = 5
"""


def maker(handler: object) -> ProtocolFactory:
    """What makes the protocols of a named socket."""
    return as_handler(handler).make(reactor, 100, False)


def talking(conversation: object) -> ProtocolFactory:
    return as_conversation(conversation).make(reactor, 100, False)


class NameTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "named_handlers.py").write_text(MODULE)
        (folder / "broken_handlers.py").write_text("import nothing_of_that_name\n")
        (folder / "crooked_handlers.py").write_text("def :\n")
        sys.path.insert(0, str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        self.addCleanup(sys.modules.pop, "named_handlers", None)

    def talked(self, protocol: MessageProtocol, wire: bytes) -> bytes:
        protocol.framing = "buffered"
        _, transport = connect(protocol)
        protocol.dataReceived(wire)
        protocol.readConnectionLost()
        self.assertTrue(transport.disconnecting)
        return bytes(transport.value())

    def test_every_name_makes_its_protocol(self) -> None:
        names = {
            "echo": Echo,
            "discard": Discard,
            "relay": RelayProtocol,
            "forward:tcp:backend:9000,int32": Bridged,
            "named_handlers:shout": Answering,
        }
        for name, protocol in names.items():
            make = maker(name)
            self.assertIsInstance(make(), protocol)
            self.assertIsNot(make(), make())
        self.assertIsInstance(talking("named_handlers:talk")(), ConversationProtocol)

    def test_what_they_answer(self) -> None:
        self.assertEqual(self.talked(maker("echo")(), b"a\r\nb\r\n"), b"a\r\nb\r\n")
        self.assertEqual(self.talked(maker("discard")(), b"a\r\nb\r\n"), b"")
        self.assertEqual(self.talked(maker("named_handlers:shout")(), b"a\r\nb\r\n"), b"A\r\nB\r\n")
        self.assertEqual(self.talked(maker("named_handlers:Shop.sell")(), b"a\r\n"), b"sold\r\n")
        self.assertEqual(self.talked(talking("named_handlers:talk")(), b"ab\r\nc\r\n"), b"ba\r\nc\r\n")

    def test_discard_counts_what_it_drops(self) -> None:
        protocol = maker("discard")()
        self.talked(protocol, b"a\r\nb\r\n")
        self.assertEqual((protocol.info.messages_received, protocol.info.bytes_received), (2, 6))

    def test_the_clients_of_one_relay_meet_and_those_of_another_do_not(self) -> None:
        make, other = maker("relay"), maker("relay")
        transports = []
        protocols = [make(), make(), other()]
        for protocol in protocols:
            protocol.framing = "buffered"
            transports.append(connect(protocol)[1])
        protocols[0].dataReceived(b"a\r\n")
        self.assertEqual([transport.value() for transport in transports], [b"", b"a\r\n", b""])

    def test_a_name_that_is_not_there_is_one_line_that_says_why(self) -> None:
        wrong = {
            "ecko": "did you mean 'echo'",
            "": "accepted: echo, discard, relay",
            "named_handlers": "MODULE:CALLABLE",
            "named_handlers:": "MODULE:CALLABLE",
            ":shout": "MODULE:CALLABLE",
            "named_handlers:whisper": "named_handlers has no whisper",
            "named_handlers:Shop.buy": "named_handlers has no Shop.buy",
            "named_handlers:price": "is an integer, 5, not a callable",
            "no_such_module:answer": "cannot import no_such_module",
            "broken_handlers:answer": "nothing_of_that_name",
            "crooked_handlers:answer": "SyntaxError",
            ".relative:answer": "cannot import .relative",
            "a..b:c": "cannot import a..b",
        }
        for name, part in wrong.items():
            with self.assertRaises(ValueError) as caught:
                maker(name)
            text = str(caught.exception)
            self.assertIn(part, text)
            self.assertNotIn("\n", text)

    def test_load_gives_the_callable(self) -> None:
        self.assertEqual(load("named_handlers:Shop.sell", NAMES)(b"", None), b"sold")
