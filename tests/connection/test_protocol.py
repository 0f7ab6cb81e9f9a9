"""MessageProtocol, MessageFactory and Echo on a transport in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.engine import Engine
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong, TruncatedMessage
from sockserve.handlers.echo import Echo
from tests.support.wire import splits

PEER = IPv4Address("TCP", "192.0.2.7", 4711)


class Recorder(MessageProtocol):
    """Remembers its messages and errors; runs a reaction for the messages that have one."""

    def __init__(self, framing: Framing | str = "windev", **reactions: Callable[[Recorder], object]) -> None:
        self.framing = framing
        self.reactions = reactions
        self.seen: list[bytes] = []
        self.errors: list[FramingError] = []
        self.clock = Clock()
        self.options = replace(self.options, reactor=self.clock)

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        reaction = self.reactions.get(message.decode("latin-1"))
        if reaction is not None:
            reaction(self)

    def framingFailed(self, error: FramingError) -> None:
        self.errors.append(error)


class Waiting:
    """A gate that keeps everyone waiting."""

    def enter(self, connection: Engine) -> bool:
        return False

    def take(self, connection: Engine) -> None:
        pass

    def established(self, connection: Engine) -> None:
        pass

    def flushed(self, connection: Engine) -> None:
        pass

    def leave(self, connection: Engine) -> None:
        pass

    def go(self, connection: Engine) -> None:
        pass

    def count(self, limit: str) -> None:
        pass


class LostWhileAnsweringTests(SynchronousTestCase):
    """The connection is lost after the messages have ended, while answers are still being computed."""

    def seen(self, *, framing: str = "windev", data: bytes, drain: bool = False) -> list[str]:
        seen: list[str] = []

        class Computing(MessageProtocol):
            def messageReceived(self, message: bytes) -> None:
                seen.append(f"message {message!r}")

            def framingFailed(self, error: FramingError) -> None:
                seen.append(type(error).__name__)

            def messagesEnded(self) -> None:
                seen.append("ended")

        protocol = Computing()
        protocol.framing = framing
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(data)
        if drain:
            protocol.drain()
        protocol.connectionLost(Failure(ConnectionLost()))
        return seen

    def test_a_bad_frame_is_reported_once(self) -> None:
        self.assertEqual(self.seen(data=b"2\r\nokXX\r\n"), ["message b'ok'", "MalformedHeader", "ended"])

    def test_the_part_of_a_frame_that_a_drain_left_is_no_bad_frame(self) -> None:
        self.assertEqual(self.seen(data=b"2\r\nok5\r\nhe", drain=True), ["message b'ok'", "ended"])

    def test_a_frame_that_the_loss_cut_off_is_reported_before_the_end(self) -> None:
        self.assertEqual(self.seen(data=b"2\r\nok5\r\nhe"), ["message b'ok'", "TruncatedMessage", "ended"])


class CountingTransport(StringTransport):
    """Counts writes, and is slow when asked: then it holds its producer back at each write.

    then: called at the next write, after it.
    """

    slow = False
    then: Callable[[], object] | None = None
    producer: IPushProducer
    # What waits while it is slow.
    dataBuffer = b""

    def __init__(self) -> None:
        super().__init__(peerAddress=PEER)
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)
        if self.slow:
            self.dataBuffer += data
            self.producer.pauseProducing()
        then, self.then = self.then, None
        if then is not None:
            then()

    def take(self) -> None:
        """The peer reads all that waits."""
        self.dataBuffer = b""
        self.producer.resumeProducing()


P = TypeVar("P", bound=MessageProtocol)


def connect(protocol: P) -> tuple[P, CountingTransport]:
    """`protocol` on a new transport."""
    transport = CountingTransport()
    if protocol.options.reactor is None:
        # A close deadline in the real reactor would outlive the test.
        protocol.options = replace(protocol.options, reactor=Clock())
    protocol.makeConnection(transport)
    return protocol, transport


def lose(protocol: MessageProtocol) -> None:
    protocol.connectionLost(Failure(ConnectionLost()))


class ReceivingTests(SynchronousTestCase):
    def test_messages_arrive_in_order_however_they_are_split(self) -> None:
        for chunks in splits(b"3\r\none0\r\n5\r\nthree"):
            protocol, _ = connect(Recorder())
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(protocol.seen, [b"one", b"", b"three"])

    def test_a_batch_can_be_taken_whole(self) -> None:
        class Batches(MessageProtocol):
            framing = "buffered"

            def __init__(self) -> None:
                self.batches: list[list[bytes]] = []

            def messagesReceived(self, messages: list[bytes]) -> None:
                self.batches.append(messages)

        protocol, _ = connect(Batches())
        protocol.dataReceived(b"a\r\nb\r\nc")
        protocol.dataReceived(b"\r\n")
        self.assertEqual(protocol.batches, [[b"a", b"b"], [b"c"]])

    def test_a_batch_handed_on_in_parts_keeps_its_order_across_a_pause(self) -> None:
        class Halves(Recorder):
            def messagesReceived(self, messages: list[bytes]) -> None:
                super().messagesReceived(messages[:2])
                super().messagesReceived(messages[2:])

        protocol, _ = connect(Halves("buffered", a=Recorder.pauseProducing))
        protocol.dataReceived(b"a\r\nb\r\nc\r\nd\r\n")
        self.assertEqual(protocol.seen, [b"a"])
        protocol.resumeProducing()
        self.assertEqual(protocol.seen, [b"a", b"b", b"c", b"d"])

    def test_a_batch_handed_on_one_by_one_during_a_pause_costs_no_more_than_its_size(self) -> None:
        class Single(Recorder):
            def messagesReceived(self, messages: list[bytes]) -> None:
                for message in messages:
                    super().messagesReceived([message])

        protocol, _ = connect(Single("buffered", a=Recorder.pauseProducing))
        protocol.dataReceived(b"a\r\n" + b"b\r\n" * 20_000)
        protocol.resumeProducing()
        self.assertEqual(len(protocol.seen), 20_001)

    def test_a_class_that_forgets_messageReceived_is_told_so(self) -> None:
        class Forgetful(MessageProtocol):
            framing = "windev"

        protocol, transport = connect(Forgetful())
        protocol.dataReceived(b"1\r\na")
        (failure,) = self.flushLoggedErrors(NotImplementedError)
        self.assertIn("Forgetful must override messageReceived", str(failure.value))
        self.assertTrue(transport.disconnecting)

    def test_an_exception_in_the_callback_closes_after_the_answers_before_it(self) -> None:
        class Fragile(Recorder):
            def messageReceived(self, message: bytes) -> None:
                self.sendMessage(b"%d" % (1000 // int(message)))

        protocol, transport = connect(Fragile("buffered"))
        protocol.dataReceived(b"5\r\n0\r\n2\r\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(transport.value(), b"200\r\n")
        self.assertTrue(transport.disconnecting)


class PausingTests(SynchronousTestCase):
    def test_pause_in_the_callback_stops_after_that_message(self) -> None:
        for chunks in splits(b"1\r\na1\r\nb1\r\nc"):
            protocol, transport = connect(Recorder(b=Recorder.pauseProducing))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(protocol.seen, [b"a", b"b"])
            self.assertEqual(transport.producerState, "paused")
            protocol.resumeProducing()
            self.assertEqual(protocol.seen, [b"a", b"b", b"c"])
            self.assertEqual(transport.producerState, "producing")

    def test_pause_and_resume_in_one_callback_delivers_nothing_twice(self) -> None:
        def hesitate(protocol: Recorder) -> None:
            protocol.pauseProducing()
            protocol.resumeProducing()

        protocol, transport = connect(Recorder(a=hesitate, b=hesitate))
        protocol.dataReceived(b"1\r\na1\r\nb1\r\nc")
        self.assertEqual(protocol.seen, [b"a", b"b", b"c"])
        self.assertEqual(transport.producerState, "producing")

    def test_pause_at_every_message_of_a_read(self) -> None:
        count = 2000
        protocol, _ = connect(Recorder("buffered", x=Recorder.pauseProducing))
        protocol.dataReceived(b"x\r\n" * count)
        for number in range(1, count + 1):
            self.assertEqual(len(protocol.seen), number)
            protocol.resumeProducing()

    def test_a_resume_while_the_peer_does_not_read_waits_for_the_peer(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.pauseProducing()
        transport.producer.pauseProducing()
        protocol.resumeProducing()
        self.assertEqual(transport.producerState, "paused")
        transport.producer.resumeProducing()
        self.assertEqual(transport.producerState, "producing")

    def test_a_stream_that_ends_during_a_pause_ends_after_the_resume(self) -> None:
        protocol, transport = connect(Recorder(a=Recorder.pauseProducing))
        protocol.dataReceived(b"1\r\na1\r\nb")
        protocol.readConnectionLost()
        self.assertEqual(protocol.seen, [b"a"])
        self.assertEqual(transport.disconnecting, False)
        protocol.resumeProducing()
        self.assertEqual(protocol.seen, [b"a", b"b"])
        self.assertEqual(transport.disconnecting, True)


class ChangeOfFramingTests(SynchronousTestCase):
    def test_it_takes_effect_at_the_next_byte_of_the_same_read(self) -> None:
        for chunks in splits(b"4\r\nbinx\x00\x00\x00\x02hi"):
            protocol, _ = connect(Recorder(binx=lambda protocol: protocol.setFraming("int32")))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(protocol.seen, [b"binx", b"hi"])

    def test_to_raw_the_rest_of_the_read_is_one_message(self) -> None:
        protocol, _ = connect(Recorder("buffered", DATA=lambda protocol: protocol.setFraming("raw")))
        rest = bytes(range(256)) * 200
        protocol.dataReceived(b"DATA\r\n" + rest)
        self.assertEqual(protocol.seen, [b"DATA", rest])

    def test_bytes_that_look_like_the_old_framing_are_not_decoded_twice(self) -> None:
        protocol, _ = connect(Recorder("buffered", a=lambda protocol: protocol.setFraming("fixed:4")))
        protocol.dataReceived(b"a\r\nb\r\nc\r\nd\r\n!!")
        self.assertEqual(protocol.seen, [b"a", b"b\r\nc", b"\r\nd\r"])

    def test_at_every_message_of_a_read(self) -> None:
        class Alternating(Recorder):
            def messageReceived(self, message: bytes) -> None:
                super().messageReceived(message)
                self.setFraming("netstring" if len(self.seen) % 2 else "int8")

        protocol, _ = connect(Alternating("int8"))
        protocol.dataReceived(b"\x01a1:b," * 5000)
        self.assertEqual(protocol.seen, [b"a", b"b"] * 5000)

    def test_outside_the_callback_it_waits_for_the_end_of_the_frame(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.dataReceived(b"3\r\na")
        protocol.setFraming("netstring")
        protocol.sendMessage(b"now")
        protocol.dataReceived(b"bc2:de,")
        self.assertEqual(protocol.seen, [b"abc", b"de"])
        self.assertEqual(transport.value(), b"3:now,")

    def test_outside_the_callback_between_frames_it_takes_effect_at_once(self) -> None:
        protocol, _ = connect(Recorder())
        protocol.dataReceived(b"1\r\na")
        protocol.setFraming("netstring")
        protocol.dataReceived(b"2:de,")
        self.assertEqual(protocol.seen, [b"a", b"de"])

    def test_while_paused_in_the_callback_it_takes_effect_after_that_message(self) -> None:
        protocol, _ = connect(Recorder(a=Recorder.pauseProducing))
        protocol.dataReceived(b"1\r\na2:de,3:f")
        protocol.setFraming("netstring")
        protocol.resumeProducing()
        protocol.dataReceived(b"gh,")
        self.assertEqual(protocol.seen, [b"a", b"de", b"fgh"])

    def test_one_direction_only(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.setFraming("netstring", incoming=False)
        protocol.dataReceived(b"1\r\na")
        protocol.sendMessage(b"x")
        protocol.setFraming("int8", outgoing=False)
        protocol.dataReceived(b"\x01b")
        protocol.sendMessage(b"y")
        self.assertEqual(protocol.seen, [b"a", b"b"])
        self.assertEqual(transport.value(), b"1:x,1:y,")

    def test_after_a_bad_frame_that_is_being_skipped(self) -> None:
        framing = parse("buffered", max_length=3, on_bad_frame="skip")
        for chunks in splits(b"far too long\r\n2:ok,"):
            protocol, _ = connect(Recorder(framing))
            protocol.dataReceived(b"long")
            protocol.setFraming("netstring")
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual((protocol.seen, len(protocol.errors)), ([b"ok"], 1))

    def test_an_unknown_name_changes_nothing(self) -> None:
        protocol, _ = connect(Recorder())
        with self.assertRaises(ValueError):
            protocol.setFraming("windef")
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(protocol.seen, [b"a"])

    def test_a_batch_taken_whole_changes_after_the_batch(self) -> None:
        class Batches(MessageProtocol):
            framing = "buffered"
            seen: tuple[list[bytes], ...] = ()

            def messagesReceived(self, messages: list[bytes]) -> None:
                self.seen += (messages,)
                self.setFraming("int8")

        protocol, _ = connect(Batches())
        protocol.dataReceived(b"a\r\nb\r\n\x01")
        protocol.dataReceived(b"c")
        self.assertEqual(protocol.seen, ([b"a", b"b"], [b"c"]))


class BadFrameTests(SynchronousTestCase):
    def test_close_delivers_what_was_good_flushes_and_closes(self) -> None:
        for chunks in splits(b"2\r\nok-1\r\n2\r\nno"):
            protocol, transport = connect(Recorder(ok=lambda protocol: protocol.sendMessage(b"fine")))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual((protocol.seen, len(protocol.errors)), ([b"ok"], 1))
            self.assertEqual(transport.value(), b"4\r\nfine")
            self.assertTrue(transport.disconnecting)

    def test_skip_reports_once_and_goes_on(self) -> None:
        for chunks in splits(b"ok\r\nmuch too long\r\nyes\r\n"):
            protocol, transport = connect(Recorder(parse("buffered", max_length=5, on_bad_frame="skip")))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(protocol.seen, [b"ok", b"yes"])
            self.assertEqual([type(error) for error in protocol.errors], [MessageTooLong])
            self.assertFalse(transport.disconnecting)

    def test_an_answer_to_a_bad_frame_is_sent_before_the_close(self) -> None:
        class Polite(Recorder):
            def framingFailed(self, error: FramingError) -> None:
                self.sendMessage(b"sorry")

        protocol, transport = connect(Polite())
        protocol.dataReceived(b"x")
        self.assertEqual(transport.value(), b"5\r\nsorry")
        self.assertTrue(transport.disconnecting)

    def test_the_log_line_names_the_peer_the_limit_and_its_option(self) -> None:
        class Silent(MessageProtocol):
            framing = parse("windev", max_length=10)

        with capturedLogs() as events:
            protocol, _ = connect(Silent())
            protocol.dataReceived(b"11\r\n")
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "192.0.2.7:4711: message of 11 bytes is longer than the limit of 10 bytes (max_length); closing; "
                "bytes 31 31 0d 0a"
            ],
        )

    def test_many_bad_frames_in_one_read_are_two_lines_in_the_log(self) -> None:
        class Silent(MessageProtocol):
            framing = parse("buffered", max_length=3, on_bad_frame="skip")

        with capturedLogs() as events:
            protocol, _ = connect(Silent())
            protocol.dataReceived(b"much too long\r\n" * 1000)
            protocol.dataReceived(b"long\r\n")
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "192.0.2.7:4711: message is longer than the limit of 3 bytes (max_length); skipping it; "
                "bytes 6d 75 63 68 20 74 6f 6f 20 6c 6f 6e 67 0d 0a 6d 75 63 68 20 74 6f 6f 20 ...",
                "192.0.2.7:4711: 999 more bad frames skipped",
                "192.0.2.7:4711: message is longer than the limit of 3 bytes (max_length); skipping it",
            ],
        )

    def test_the_end_of_the_stream_inside_a_frame_is_reported(self) -> None:
        for end in (MessageProtocol.readConnectionLost, lose):
            protocol, _ = connect(Recorder())
            protocol.dataReceived(b"11\r\nHelloWorld")
            end(protocol)
            (error,) = protocol.errors
            assert isinstance(error, TruncatedMessage)
            self.assertEqual((error.expected, error.received), (11, 10))

    def test_an_end_between_frames_is_no_error(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.dataReceived(b"1\r\na")
        protocol.readConnectionLost()
        self.assertEqual(protocol.errors, [])
        self.assertTrue(transport.disconnecting)


class SendingTests(SynchronousTestCase):
    def test_answers_to_one_read_leave_as_one_write(self) -> None:
        class Upper(MessageProtocol):
            framing = "windev"

            def messageReceived(self, message: bytes) -> None:
                self.sendMessage(message.upper())

        protocol, transport = connect(Upper())
        protocol.dataReceived(b"1\r\na2\r\nbc0\r\n")
        self.assertEqual(transport.value(), b"1\r\nA2\r\nBC0\r\n")
        self.assertEqual(transport.writes, 1)

    def test_outside_a_read_a_message_leaves_at_once(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.sendMessage(b"a")
        protocol.sendMessages([b"b", b"c"])
        self.assertEqual(transport.value(), b"1\r\na1\r\nb1\r\nc")

    def test_what_the_framing_cannot_carry_raises_and_writes_nothing(self) -> None:
        protocol, transport = connect(Recorder(parse("buffered", max_length=5)))
        with self.assertRaises(MessageTooLong):
            protocol.sendMessage(b"123456")
        with self.assertRaises(InvalidMessage):
            protocol.sendMessages([b"fine", b"a\r\nb"])
        self.assertEqual(transport.value(), b"")

    def test_answers_larger_than_a_batch_do_not_wait_for_the_end_of_the_read(self) -> None:
        """A peer that does not read holds up the answers to its own read, not our memory."""

        class Generous(Recorder):
            def messageReceived(self, message: bytes) -> None:
                super().messageReceived(message)
                self.sendMessage(bytes(100_000))

        protocol, transport = connect(Generous("buffered"))
        transport.slow = True
        protocol.dataReceived(b"\r\n" * 1000)
        self.assertLess(len(transport.value()), 1_000_000)
        self.assertLess(len(protocol.seen), 10)
        transport.slow = False
        transport.producer.resumeProducing()
        self.assertEqual(len(protocol.seen), 1000)

    def test_what_is_sent_while_the_answers_leave_leaves_too(self) -> None:
        class Complaining(Recorder):
            def writingPaused(self) -> None:
                super().writingPaused()
                self.sendMessage(b"slow")

        protocol, transport = connect(Complaining(a=lambda recorder: recorder.sendMessage(b"A")))
        transport.slow = True
        protocol.dataReceived(b"1\r\na")
        self.assertEqual(transport.value(), b"1\r\nA4\r\nslow")

    def test_nothing_is_sent_once_the_connection_is_closing(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.loseConnection()
        protocol.sendMessage(b"late")
        lose(protocol)
        protocol.sendMessage(b"later")
        self.assertEqual(transport.value(), b"")


class ClosingTests(SynchronousTestCase):
    def test_an_unfinished_frame_at_the_end_of_stream_is_reported_when_a_drain_follows_it(self) -> None:
        protocol, transport = connect(Recorder())
        protocol.dataReceived(b"5\r\nab")
        protocol.pauseProducing()
        protocol.readConnectionLost()
        protocol.drain()
        protocol.resumeProducing()
        (error,) = protocol.errors
        assert isinstance(error, TruncatedMessage)
        self.assertEqual((error.expected, error.received), (5, 2))
        self.assertTrue(transport.disconnecting)

    def test_close_in_the_callback_stops_delivery_and_flushes(self) -> None:
        def bye(protocol: Recorder) -> None:
            protocol.sendMessage(b"bye")
            protocol.loseConnection()

        for chunks in splits(b"1\r\na4\r\nquit1\r\nb"):
            protocol, transport = connect(Recorder(quit=bye))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(protocol.seen, [b"a", b"quit"])
            self.assertEqual(transport.value(), b"3\r\nbye")
            self.assertTrue(transport.disconnecting)

    def test_closing_the_transport_in_the_callback_does_the_same(self) -> None:
        protocol, transport = connect(Recorder(quit=lambda protocol: protocol.transport.loseConnection()))
        protocol.dataReceived(b"1\r\na4\r\nquit1\r\nb")
        self.assertEqual(protocol.seen, [b"a", b"quit"])
        self.assertTrue(transport.disconnecting)

    def test_a_close_that_takes_longer_than_close_timeout_is_an_abort(self) -> None:
        class Impatient(Recorder):
            options = ConnectionOptions(close_timeout=3.0)

        protocol, transport = connect(Impatient())
        protocol.loseConnection()
        states = []
        for tenths in (29, 1):
            protocol.clock.pump([0.1] * tenths)
            states.append(transport.disconnected)
        self.assertEqual(states, [False, True])

    def test_the_time_in_which_the_process_stood_still_does_not_count_for_close_timeout(self) -> None:
        class Impatient(Recorder):
            options = ConnectionOptions(close_timeout=3.0)

        protocol, transport = connect(Impatient())
        protocol.loseConnection()
        protocol.clock.advance(60)
        protocol.clock.pump([0.1] * 25)
        self.assertFalse(transport.disconnected)
        protocol.clock.pump([0.1] * 5)
        self.assertTrue(transport.disconnected)

    def test_the_deadline_is_gone_with_the_connection(self) -> None:
        protocol, _ = connect(Recorder())
        protocol.loseConnection()
        lose(protocol)
        self.assertEqual(protocol.clock.getDelayedCalls(), [])

    def test_abort_drops_what_is_owed(self) -> None:
        def leave(protocol: Recorder) -> None:
            protocol.sendMessage(b"never sent")
            protocol.abortConnection()

        protocol, transport = connect(Recorder(a=leave))
        protocol.dataReceived(b"1\r\na1\r\nb")
        self.assertEqual((protocol.seen, transport.value()), ([b"a"], b""))
        self.assertTrue(transport.disconnected)

    def test_a_subclass_may_send_more_after_the_peer_has_ended(self) -> None:
        class Late(Recorder):
            ended = 0

            def messagesEnded(self) -> None:
                self.ended += 1

        protocol, transport = connect(Late())
        protocol.readConnectionLost()
        self.assertEqual(transport.disconnecting, False)
        protocol.pauseProducing()
        protocol.resumeProducing()
        protocol.sendMessage(b"late")
        protocol.loseConnection()
        self.assertEqual(protocol.ended, 1)
        self.assertEqual(transport.value(), b"4\r\nlate")
        self.assertTrue(transport.disconnecting)

    def test_an_exception_at_the_end_of_the_stream_closes_all_the_same(self) -> None:
        class Broken(Recorder):
            def messagesEnded(self) -> None:
                raise LookupError

        protocol, transport = connect(Broken())
        protocol.readConnectionLost()
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertTrue(transport.disconnecting)

    def test_it_tells_twisted_that_it_can_half_close(self) -> None:
        self.assertTrue(IHalfCloseableProtocol.providedBy(Recorder()))


class FactoryTests(SynchronousTestCase):
    def test_it_gives_its_framing_to_every_protocol(self) -> None:
        factory = MessageFactory("netstring", Recorder, close_timeout=1.5)
        protocol, transport = connect(factory.buildProtocol(None))
        protocol.sendMessage(b"a")
        self.assertEqual(transport.value(), b"1:a,")
        self.assertIs(protocol.factory, factory)
        self.assertEqual(protocol.options.close_timeout, 1.5)

    def test_an_unknown_framing_is_refused_when_the_factory_is_made(self) -> None:
        with self.assertRaises(ValueError):
            MessageFactory("nonsense", Recorder)

    def test_a_class_with_its_own_framing_works_in_any_factory(self) -> None:
        class Upper(MessageProtocol):
            framing = "windev"

            def messageReceived(self, message: bytes) -> None:
                self.sendMessage(message.upper())

        built = Factory.forProtocol(Upper).buildProtocol(None)
        assert isinstance(built, Upper)
        protocol, transport = connect(built)
        protocol.dataReceived(b"2\r\nhi")
        self.assertEqual(transport.value(), b"2\r\nHI")


class EchoTests(SynchronousTestCase):
    def test_every_message_comes_back_in_one_write_a_read(self) -> None:
        for name in ("raw", "windev", "standard", "buffered", "int32", "netstring", "varint", "envelope:<:>"):
            framing = parse(name)
            wire = framing.encode_all([b"a", b"", b"cde"])
            for chunks in splits(wire):
                protocol, transport = connect(MessageFactory(framing, Echo).buildProtocol(None))
                for chunk in chunks:
                    protocol.dataReceived(chunk)
                self.assertEqual(transport.value(), wire)
                self.assertLessEqual(transport.writes, len(chunks))

    def test_from_one_framing_to_another(self) -> None:
        protocol, transport = connect(MessageFactory("windev", Echo).buildProtocol(None))
        protocol.dataReceived(b"1\r\na")
        protocol.setFraming("int8", incoming=False)
        protocol.dataReceived(b"1\r\nb1\r\nc")
        protocol.setFraming("int8", outgoing=False)
        protocol.dataReceived(b"\x01d")
        self.assertEqual(transport.value(), b"1\r\na\x01b\x01c\x01d")
        info = protocol.info
        self.assertEqual((info.messages_received, info.messages_sent), (4, 4))

    def test_a_change_after_half_a_frame(self) -> None:
        protocol, transport = connect(MessageFactory("windev", Echo).buildProtocol(None))
        protocol.dataReceived(b"1\r\na2\r\nb")
        protocol.setFraming("int8")
        protocol.dataReceived(b"c\x01d")
        self.assertEqual(transport.value(), b"1\r\na\x02bc\x01d")

    def test_good_frames_before_a_bad_one_come_back(self) -> None:
        protocol, transport = connect(MessageFactory("windev", Echo).buildProtocol(None))
        protocol.dataReceived(b"1\r\na1\r\nbx")
        self.assertEqual(transport.value(), b"1\r\na1\r\nb")
        self.assertTrue(protocol.closing)

    def test_a_subclass_may_look_at_the_messages(self) -> None:
        class Looking(Echo):
            seen: tuple[bytes, ...] = ()

            def messagesReceived(self, messages: list[bytes]) -> None:
                self.seen += tuple(messages)
                super().messagesReceived(messages)

        protocol, transport = connect(MessageFactory("windev", Looking).buildProtocol(None))
        protocol.dataReceived(b"1\r\na1\r\nb")
        assert isinstance(protocol, Looking)
        self.assertEqual((protocol.seen, transport.value()), ((b"a", b"b"), b"1\r\na1\r\nb"))


class EarlyTests(SynchronousTestCase):
    """Bytes that a layer beneath has read before the gate lets the connection start."""

    def waiting(self, **reactions: Callable[[Recorder], object]) -> Recorder:
        protocol = Recorder("windev", **reactions)
        protocol.options = replace(protocol.options, gate=Waiting())
        protocol.makeConnection(CountingTransport())
        return protocol

    def test_they_are_delivered_when_it_starts(self) -> None:
        protocol = self.waiting()
        for data in (b"1\r\na1", b"\r\nb1\r"):
            protocol.dataReceived(data)
        self.assertEqual(protocol.seen, [])
        protocol._engine.start()
        self.assertEqual(protocol.seen, [b"a", b"b"])
        protocol.dataReceived(b"\nc")
        self.assertEqual(protocol.seen, [b"a", b"b", b"c"])
        self.assertEqual(protocol.info.bytes_received, 12)

    def test_what_they_hold_up_stays_held_up(self) -> None:
        protocol = self.waiting(a=lambda protocol: protocol.pauseProducing())
        protocol.dataReceived(b"1\r\na1\r\nb")
        protocol._engine.start()
        self.assertEqual(protocol.seen, [b"a"])
        self.assertEqual(protocol.transport.producerState, "paused")
        protocol.resumeProducing()
        self.assertEqual(protocol.seen, [b"a", b"b"])
