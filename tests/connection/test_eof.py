"""eof: the end of the stream is the end of a message. What that means for a connection, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import ChannelClosed, ReadProtocol
from sockserve.connection.conversation import ConversationProtocol
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, parse
from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.decoder import State
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong, TruncatedMessage
from sockserve.handlers.discard import Discard
from sockserve.handlers.echo import Echo
from sockserve.handlers.function import Answering
from sockserve.handlers.relay import Relay

CUT = "stream ended inside a frame: 5 bytes arrived, then the end of the stream was missing"


class Recorder(MessageProtocol):
    """act: what to do in the callback of a message."""

    def __init__(self, act: Callable[[Recorder], object] = lambda _: None, framing: Framing | str = "eof") -> None:
        self.framing = framing
        self.seen: list[bytes | str] = []
        self.act = act

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        self.act(self)

    def framingFailed(self, error: FramingError) -> None:
        self.seen.append(str(error))

    def messagesEnded(self) -> None:
        self.seen.append("end")
        super().messagesEnded()


def connected(protocol: MessageProtocol, framing: str = "") -> MessageProtocol:
    protocol.framing = framing or protocol.framing
    protocol.options = ConnectionOptions(reactor=Clock())
    protocol.makeConnection(StringTransport())
    return protocol


def lose(protocol: MessageProtocol, reason: Exception) -> None:
    protocol.connectionLost(Failure(reason))


def sent(protocol: MessageProtocol) -> bytes:
    data: bytes = protocol.transport.value()
    return data


class ReceivedTests(SynchronousTestCase):
    def test_the_end_of_the_stream_delivers_the_message(self) -> None:
        protocol = Recorder()
        connected(protocol)
        for read in (b"Hello", b" ", b"World"):
            protocol.dataReceived(read)
            self.assertEqual(protocol.seen, [])
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [b"Hello World", "end"])
        self.assertEqual((protocol.info.messages_received, protocol.info.established is not None), (1, True))
        self.assertTrue(protocol.transport.disconnecting)

    def test_an_empty_stream_is_no_message(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.readConnectionLost()
        self.assertEqual((protocol.seen, protocol.info.established), (["end"], None))

    def test_a_connection_that_closes_has_an_end(self) -> None:
        """As over a transport that does not tell the end of the stream by itself."""
        protocol = Recorder()
        connected(protocol)
        protocol.dataReceived(b"Hello")
        lose(protocol, ConnectionDone())
        self.assertEqual(protocol.seen, [b"Hello", "end"])

    def test_a_connection_that_is_lost_has_none(self) -> None:
        for hold in (False, True):
            protocol = Recorder()
            connected(protocol)
            if hold:
                protocol.pauseProducing()
            protocol.dataReceived(b"Hello")
            lose(protocol, ConnectionLost())
            self.assertEqual(protocol.seen, [CUT, "end"])

    def test_what_ended_before_it_was_lost_is_whole(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.pauseProducing()
        protocol.dataReceived(b"Hello")
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [])
        lose(protocol, ConnectionLost())
        self.assertEqual(protocol.seen, [b"Hello", "end"])

    def test_an_end_that_somebody_may_have_made_up_is_none(self) -> None:
        """Over TLS, without close_notify."""
        protocol = Recorder()
        connected(protocol)
        protocol.transport.unsaid = True
        protocol.dataReceived(b"Hello")
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [CUT, "end"])

    def test_a_message_waits_while_reading_is_held(self) -> None:
        protocol = Recorder(lambda protocol: protocol.pauseProducing())
        connected(protocol)
        protocol.pauseProducing()
        protocol.dataReceived(b"Hello")
        protocol.readConnectionLost()
        protocol.resumeProducing()
        self.assertEqual(protocol.seen, [b"Hello"])
        protocol.resumeProducing()
        self.assertEqual(protocol.seen, [b"Hello", "end"])

    def test_a_drain_completes_no_message(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.dataReceived(b"Hello")
        protocol.drain()
        self.assertEqual(protocol.seen, ["end"])

    def test_a_message_that_is_too_long_is_refused_while_it_comes(self) -> None:
        for policy in ("close", "skip"):
            protocol = Recorder()
            protocol.framing = parse("eof", max_length=20_000, on_bad_frame=policy)
            connected(protocol)
            for size in (19_000, 1000, 1):
                self.assertEqual(protocol.seen, [])
                protocol.dataReceived(size * b"x")
            self.assertEqual(protocol.seen, [str(MessageTooLong(20_000)), "end"])

    def test_what_is_not_delivered_any_more(self) -> None:
        for close in (MessageProtocol.loseConnection, MessageProtocol.abortConnection):
            protocol = Recorder()
            connected(protocol)
            protocol.dataReceived(b"Hello")
            close(protocol)
            protocol.readConnectionLost()
            lose(protocol, ConnectionLost())
            self.assertEqual(protocol.seen, [])


class ChangeTests(SynchronousTestCase):
    def test_to_eof_at_a_message(self) -> None:
        """What follows that message, also in the same read, is one message."""
        protocol = Recorder(lambda protocol: protocol.setFraming("eof"), "windev")
        connected(protocol)
        protocol.dataReceived(b"2\r\nok3\r\nHel")
        protocol.dataReceived(b"lo")
        self.assertEqual(protocol.seen, [b"ok"])
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [b"ok", b"3\r\nHello", "end"])

    def test_from_eof_it_waits_for_the_end(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.dataReceived(b"Hello")
        protocol.setFraming("windev")
        protocol.dataReceived(b"2\r\nok")
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [b"Hello2\r\nok", "end"])
        self.assertEqual(str(protocol.info.framing), "windev")

    def test_from_eof_before_its_first_byte(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.setFraming("windev")
        protocol.dataReceived(b"2\r\nok")
        self.assertEqual(protocol.seen, [b"ok"])

    def test_one_direction_only(self) -> None:
        protocol = Recorder(lambda protocol: protocol.sendMessages([b"a", b"b"]))
        connected(protocol)
        protocol.setFraming("windev", incoming=False)
        protocol.dataReceived(b"Hello")
        protocol.readConnectionLost()
        self.assertEqual((protocol.seen, sent(protocol)), ([b"Hello", "end"], b"1\r\na1\r\nb"))


class SentTests(SynchronousTestCase):
    def test_our_stream_ends_after_the_message(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.sendMessage(b"Hello")
        self.assertTrue(protocol.sendingEnded)
        self.assertFalse(protocol.closing)
        error = self.assertRaises(InvalidMessage, protocol.sendMessage, b"again")
        self.assertEqual(str(error), "eof carries one message in each direction, and ours was sent")
        protocol.dataReceived(b"answer")
        protocol.readConnectionLost()
        self.assertEqual((protocol.seen, sent(protocol)), ([b"answer", "end"], b"Hello"))

    def test_after_it_is_closed_nothing_is_said(self) -> None:
        protocol = Recorder()
        connected(protocol)
        protocol.sendMessage(b"Hello")
        protocol.loseConnection()
        protocol.sendMessage(b"again")
        self.assertEqual(sent(protocol), b"Hello")


class HandlerTests(SynchronousTestCase):
    def answered(self, protocol: MessageProtocol) -> bytes:
        connected(protocol, "eof")
        protocol.dataReceived(b"Hel")
        protocol.dataReceived(b"lo")
        protocol.readConnectionLost()
        return sent(protocol)

    def test_each_kind_of_handler_answers_before_the_end(self) -> None:
        async def later(message: bytes, _: object) -> bytes:
            return message.upper()

        self.assertEqual(self.answered(Echo()), b"Hello")
        self.assertEqual(self.answered(Discard()), b"")
        self.assertEqual(self.answered(Answering(lambda message, _: message.upper())), b"HELLO")
        self.assertEqual(self.answered(Answering(later)), b"HELLO")

    def test_an_answer_that_takes_long(self) -> None:
        answer: Deferred[bytes] = Deferred()
        protocol = Answering(lambda *_: answer)
        self.assertEqual(self.answered(protocol), b"")
        self.assertFalse(protocol.closing)
        answer.callback(b"late")
        self.assertEqual((sent(protocol), protocol.closing), (b"late", True))

    def test_an_answer_to_a_connection_that_is_lost_meanwhile(self) -> None:
        answer: Deferred[bytes] = Deferred()
        protocol = Answering(lambda *_: answer)
        self.answered(protocol)
        lose(protocol, ConnectionLost())
        self.assertEqual(sent(protocol), b"")

    def test_a_conversation(self) -> None:
        seen: list[object] = []

        async def talk(channel: object) -> None:
            async for message in channel:  # type: ignore[attr-defined]
                seen.append(message)
                await channel.write(message * 2)  # type: ignore[attr-defined]
                try:
                    await channel.write(b"again")  # type: ignore[attr-defined]
                except ChannelClosed as error:
                    seen.append(str(error))

        self.assertEqual(self.answered(ConversationProtocol(talk)), b"HelloHello")
        self.assertEqual(seen, [b"Hello", "nothing can be written: this side has ended or closed the connection"])

    def test_a_read_that_waits_and_one_that_comes_later(self) -> None:
        for early in (True, False):
            protocol = ReadProtocol()
            connected(protocol, "eof")
            read = protocol.read() if early else None
            protocol.dataReceived(b"Hello")
            protocol.readConnectionLost()
            self.assertEqual(self.successResultOf(read or protocol.read()), b"Hello")
            self.failureResultOf(protocol.read(), ChannelClosed)

    def test_a_read_of_what_is_lost(self) -> None:
        protocol = ReadProtocol()
        connected(protocol, "eof")
        read = protocol.read()
        protocol.dataReceived(b"Hello")
        lose(protocol, ConnectionLost())
        self.assertEqual(str(self.failureResultOf(read, TruncatedMessage).value), CUT)
        self.failureResultOf(protocol.read(), ConnectionLost)

    def test_a_relay_gives_each_client_one_message(self) -> None:
        relay = Relay()
        first, second, other = relay.client(), relay.client(), relay.client()
        connected(first, "windev")
        connected(second, "eof")
        connected(other, "windev")
        first.dataReceived(b"2\r\nok4\r\nmore")
        self.assertEqual((sent(second), sent(other)), (b"ok", b"2\r\nok4\r\nmore"))
        second.dataReceived(b"Hello")
        second.readConnectionLost()
        self.assertEqual(sent(first), b"5\r\nHello")


class OwnFramingTests(SynchronousTestCase):
    """A framing whose decoder completes several messages at the end: the last line may lack its line end."""

    def test_all_are_delivered_and_may_be_held_up(self) -> None:
        protocol = Recorder(lambda protocol: protocol.pauseProducing(), Pairs())
        connected(protocol)
        protocol.dataReceived(b"abcd")
        protocol.readConnectionLost()
        for count in (1, 2):
            self.assertEqual(protocol.seen, [b"ab", b"cd"][:count])
            protocol.resumeProducing()
        self.assertEqual(protocol.seen, [b"ab", b"cd", "end"])

    def test_they_stay_when_the_framing_changes(self) -> None:
        protocol = Recorder(lambda protocol: protocol.setFraming("windev"), Pairs())
        connected(protocol)
        protocol.dataReceived(b"abcdef")
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [b"ab", b"cd", b"ef", "end"])


class Pairs:
    """Two bytes are a message, when the stream has ended."""

    max_length = 100
    on_bad_frame: OnBadFrame = "close"

    def encode(self, message: bytes) -> bytes:
        return message

    def encode_all(self, messages: Iterable[bytes]) -> bytes:
        return b"".join(messages)

    def decoder(self) -> PairsDecoder:
        return PairsDecoder()


class PairsDecoder:
    def __init__(self) -> None:
        self.state: State = "idle"
        self._held = b""

    @property
    def pending(self) -> int:
        return len(self._held)

    def decode(self, data: bytes) -> list[bytes]:
        self._held += data
        self.state = "partial" if self._held else "idle"
        return []

    def scan(self, data: bytes) -> tuple[bytes, int]:
        self.decode(data)
        return b"", 0

    def finish(self) -> list[bytes]:
        held = self.take()
        return [held[at : at + 2] for at in range(0, len(held), 2)]

    def take(self, messages: int = 0) -> bytes:
        held, self._held = self._held, b""
        self.state = "idle"
        return held

    def skip(self, data: bytes) -> bool:
        return True
