"""A connection in memory ends, waits and is lost as one of TCP does."""

from __future__ import annotations

from functools import partial

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableDescriptor, IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from sockserve import Channel, MessageFactory, MessageProtocol
from sockserve.connection.conversation import ConversationProtocol
from sockserve.connection.failures import QueueFull
from sockserve.framing.errors import TruncatedMessage
from sockserve.handlers.echo import Echo
from sockserve.testing import MemoryTransport, Pair, Recorder


class Plain(Protocol):
    """Knows no half-closed connections."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class Deaf(Recorder):
    """Reads nothing."""

    def connectionMade(self) -> None:
        self.pauseProducing()


class PairTests(SynchronousTestCase):
    def pair(self, server: type[MessageProtocol] = Echo, read_size: int = 65536, **options: object) -> Pair:
        return Pair(
            MessageFactory("windev", Recorder), MessageFactory("windev", server, **options), read_size=read_size
        )

    def test_the_transport_has_what_its_interfaces_say(self) -> None:
        for interface in (ITransport, IConsumer, IHalfCloseableDescriptor, IPushProducer):
            verifyObject(interface, self.pair().client_transport)

    def test_answers_reach_a_client_that_has_ended_its_stream(self) -> None:
        for size in (1, 3, 65536):
            pair = self.pair(read_size=size)
            pair.client.sendMessages([b"one", b"", b"x" * 1000])
            pair.client.endMessages()
            self.assertEqual(pair.client.messages, [])
            pair.flush()
            self.assertEqual((pair.client.messages, pair.client.ended), ([b"one", b"", b"x" * 1000], True))
            assert pair.client.reason is not None
            pair.client.reason.trap(ConnectionDone)
            self.assertFalse(pair.server_transport.connected)

    def test_a_stream_that_ends_inside_a_frame_is_reported(self) -> None:
        pair = self.pair(Recorder)
        pair.client_transport.write(b"5\r\nab")
        pair.client_transport.loseWriteConnection()
        pair.flush()
        assert isinstance(pair.server, Recorder)
        self.assertEqual(str(pair.server.errors[0]), str(TruncatedMessage(5, 2)))

    def test_a_peer_that_does_not_read_pauses_the_other_side(self) -> None:
        pair = self.pair(max_queued=200_000)
        pair.client.pauseProducing()
        pair.flush()
        for _ in range(300):
            pair.client.sendMessage(bytes(1000))
            pair.flush()
        self.assertFalse(pair.server_transport.reading)
        self.assertGreater(pair.server.queued, 64 * 1024)
        self.assertGreater(pair.client.queued, 64 * 1024)
        self.assertRaises(QueueFull, pair.server.sendMessage, bytes(200_000))
        pair.client.resumeProducing()
        pair.flush()
        self.assertEqual(len(pair.client.messages), 300)
        self.assertEqual((pair.server.queued, pair.client.queued, pair.server_transport.reading), (0, 0, True))

    def test_time_passes_when_the_test_says_so(self) -> None:
        pair = self.pair(Recorder, idle_timeout=60)
        pair.advance(55)
        self.assertFalse(pair.client.ended)
        pair.advance(10)
        self.assertTrue(pair.client.ended)

    def test_a_peer_that_takes_nothing_of_what_it_is_owed_is_aborted(self) -> None:
        pair = Pair(MessageFactory("windev", Deaf), MessageFactory("windev", Recorder))
        pair.server.sendMessage(bytes(1000))
        pair.server.loseConnection()
        pair.advance(9)
        self.assertTrue(pair.server_transport.connected)
        pair.advance(3)
        self.assertFalse(pair.server_transport.connected)
        assert pair.client.reason is not None
        pair.client.reason.trap(ConnectionLost)

    def test_an_abort_is_a_reset_for_the_other_side(self) -> None:
        for _ in range(2):
            pair = self.pair(Recorder)
            pair.client.sendMessage(b"lost")
            pair.client.abortConnection()
            pair.flush()
            assert pair.client.reason is not None
            pair.client.reason.trap(ConnectionAborted)
            self.assertIsInstance(pair.server.lossReason, ConnectionLost)

    def test_a_reset_follows_the_end_of_the_stream(self) -> None:
        pair = Pair(MessageFactory("windev", Deaf), MessageFactory("windev", Recorder))
        pair.client.endMessages()
        pair.server.holdReading("nothing")
        pair.flush()
        pair.client.abortConnection()
        pair.flush()
        self.assertFalse(pair.server_transport.connected)

    def test_a_plain_protocol_is_lost_at_the_end_of_the_stream(self) -> None:
        pair = Pair(Plain(), Factory.forProtocol(Plain))
        pair.client_transport.writeSequence([b"a", b"b"])
        pair.client_transport.loseConnection()
        pair.flush()
        self.assertEqual(pair.server.received, b"ab")
        assert pair.server.reason is not None
        pair.server.reason.trap(ConnectionDone)
        self.assertRaises(TypeError, pair.client_transport.write, "text")

    def test_what_is_sent_to_somebody_who_is_gone_is_answered_by_a_reset(self) -> None:
        pair = Pair(MessageFactory("windev", Recorder), Plain())
        pair.client.holdReading("nothing")
        pair.flush()
        pair.server_transport.loseConnection()
        pair.flush()
        pair.client.sendMessage(b"too late")
        pair.flush()
        self.assertIsInstance(pair.client.lossReason, ConnectionLost)

    def test_a_pull_producer_is_asked_for_more_when_all_is_taken(self) -> None:
        class Source:
            left = 3

            def resumeProducing(self) -> None:
                if self.left:
                    self.left -= 1
                    transport.write(b"x")
                else:
                    transport.unregisterProducer()
                    transport.loseConnection()

            def stopProducing(self) -> None:
                """There is no more."""

        pair = Pair(Plain(), Plain())
        transport: MemoryTransport = pair.client_transport
        transport.registerProducer(Source(), False)
        self.assertRaises(RuntimeError, transport.registerProducer, Source(), False)
        pair.flush()
        self.assertEqual((pair.server.received, transport.connected), (b"xxx", False))

    def test_two_that_never_stop_are_noticed(self) -> None:
        pair = Pair(MessageFactory("int8", Echo), MessageFactory("int8", Echo))
        pair.client.sendMessage(b"ping")
        self.assertIn("still talk", str(self.assertRaises(AssertionError, pair.flush, 100)))

    def test_a_conversation(self) -> None:
        async def talk(channel: Channel) -> None:
            await channel.write(b"name?")
            name = await channel.read(timeout=30)
            async for message in channel:
                await channel.write(name + b": " + message)

        pair = Pair(
            MessageFactory("buffered", Recorder), MessageFactory("buffered", partial(ConversationProtocol, talk))
        )
        pair.client.sendMessages([b"Ann", b"hello"])
        pair.client.endMessages()
        pair.flush()
        self.assertEqual((pair.client.messages, pair.client.ended), ([b"name?", b"Ann: hello"], True))
