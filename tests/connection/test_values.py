"""What is known of a connection is a value; and what a protocol sends is bytes."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.factory import MessageFactory
from sockserve.connection.info import ConnectionInfo
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import parse
from sockserve.limits.access import Access
from sockserve.proxy.header import ClientTLS, Header
from sockserve.proxy.layer import ProxyInfo

ADDRESS = IPv4Address("TCP", "192.0.2.7", 4711)
HEADER = Header(
    size=300,
    version=2,
    source=ADDRESS,
    destination=UNIXAddress(b"/run/x.sock"),
    alpn=b"h2",
    authority="shop.example",
    unique_id=b"1",
    tls=ClientTLS(certificate=True, verified=True, version="TLSv1.3", client_certificate=b"der"),
    others=((0xE0, b"x"),),
)
INFO = ConnectionInfo(
    id=1,
    socket="orders",
    peer=ADDRESS,
    local=IPv6Address("TCP", "::1", 7000),
    framing=parse("windev", max_length=5),
    sending=parse("envelope:<:>"),
    certificate=None,
    connected=datetime.now(UTC),
    established=None,
    messages_received=1,
    messages_sent=2,
    bytes_received=3,
    bytes_sent=4,
    proxy=ProxyInfo(ADDRESS, HEADER),
)
ACCESS = Access((ip_network("10.0.0.0/8"),), (ip_network("::1"),))


class ValueTests(SynchronousTestCase):
    def test_they_are_copied_and_pickled(self) -> None:
        for value in (INFO, INFO.proxy, HEADER, HEADER.tls, ACCESS):
            for function in (copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))):
                self.assertEqual(function(value), value)

    def test_what_a_protocol_or_channel_is_to_send_is_bytes(self) -> None:
        for name in ("raw", "windev", "buffered", "fixed:5", "envelope:<:>"):
            protocol = MessageFactory(name, MessageProtocol).buildProtocol(ADDRESS)
            transport = StringTransport()
            protocol.makeConnection(transport)
            for wrong in cast("tuple[Any, ...]", (bytearray(b"hello"), memoryview(b"hello"), "hello", None)):
                self.assertRaises(TypeError, protocol.sendMessage, wrong)
                self.assertRaises(TypeError, protocol.sendMessages, [b"hello", wrong])
                self.assertRaises(TypeError, Channel(protocol).send, wrong)
            self.assertEqual(transport.value(), b"")
