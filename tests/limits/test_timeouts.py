"""idle_timeout and frame_timeout on a clock that the test turns."""

from __future__ import annotations

import contextlib
import gc
import weakref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.limits.timeouts import watch_of
from tests.connection.test_protocol import CountingTransport


class Transport(CountingTransport):
    """Holds bytes back, as Twisted's own do."""

    dataBuffer = b""


class Connection(MessageProtocol):
    """Remembers its messages, and which limits were exceeded."""

    def __init__(
        self,
        clock: Clock,
        framing: str,
        idle: float | None,
        frame: float | None,
        send: float | None = None,
        age: float | None = None,
    ) -> None:
        self.framing = framing
        self.options = ConnectionOptions(
            reactor=clock, idle_timeout=idle, frame_timeout=frame, send_timeout=send, max_connection_age=age
        )
        self.seen: list[bytes] = []
        self.limits: list[str] = []
        self.options.events.listen(lambda event: self.limits.append(event.limit))

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)


class TimeoutTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def connected(
        self,
        framing: str = "windev",
        idle: float | None = None,
        frame: float | None = None,
        send: float | None = None,
        age: float | None = None,
    ) -> tuple[Connection, Transport]:
        transport = Transport()
        connection = Connection(self.clock, framing, idle, frame, send, age)
        connection.makeConnection(transport)
        return connection, transport

    def wait(self, seconds: float) -> None:
        """Turn the clock by small steps, as a reactor that is not busy does."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def test_a_silent_peer_is_closed(self) -> None:
        connection, transport = self.connected(idle=10)
        self.wait(9.9)
        self.assertEqual(connection.limits, [])
        self.wait(2)
        self.assertEqual(connection.limits, ["idle_timeout"])
        self.assertTrue(transport.disconnecting)

    def test_a_connection_ends_when_it_is_old_whatever_it_does(self) -> None:
        connection, transport = self.connected(age=20)
        for _ in range(17):
            connection.dataReceived(b"1\r\na")
            connection.sendMessage(b"b")
            self.wait(1)
        self.assertEqual(connection.limits, [])
        self.wait(5)
        self.assertEqual((connection.limits, connection.seen), (["max_connection_age"], [b"a"] * 17))
        self.assertTrue(transport.disconnecting)

    def test_the_end_of_an_old_connection_waits_for_the_end_of_a_frame(self) -> None:
        connection, transport = self.connected(age=20)
        connection.dataReceived(b"3\r\nab")
        self.wait(60)
        self.assertEqual((connection.limits, transport.disconnecting), ([], False))
        connection.dataReceived(b"c")
        self.wait(2)
        self.assertEqual((connection.limits, connection.seen), (["max_connection_age"], [b"abc"]))
        self.assertTrue(transport.disconnecting)

    def test_connections_that_came_together_do_not_all_go_together(self) -> None:
        transports = [self.connected(age=1000)[1] for _ in range(50)]
        self.clock.pump([1] * 950)
        self.assertIn(sum(each.disconnecting for each in transports), range(5, 46))
        self.clock.pump([1] * 60)
        self.assertTrue(all(each.disconnecting for each in transports))

    def test_every_byte_that_comes_begins_the_time_again(self) -> None:
        connection, _ = self.connected(idle=10)
        for _ in range(5):
            connection.dataReceived(b"1")
            self.wait(8)
        self.assertEqual(connection.limits, [])

    def test_what_the_peer_takes_counts_as_well(self) -> None:
        connection, _ = self.connected(idle=10)
        for _ in range(5):
            connection.sendMessage(b"news")
            self.wait(8)
        self.assertEqual(connection.limits, [])

    def test_what_it_does_not_take_does_not_count(self) -> None:
        connection, transport = self.connected(idle=10)
        transport.dataBuffer = b"".join([b"4\r\nnews"] * 100)
        connection._engine.sending.bytes_sent = len(transport.dataBuffer)
        self.wait(12)
        self.assertEqual(connection.limits, ["idle_timeout"])

    def test_a_slow_reader_is_not_idle(self) -> None:
        connection, transport = self.connected(idle=10)
        connection._engine.sending.bytes_sent = 1000
        for left in range(1000, 900, -20):
            transport.dataBuffer = bytes(left)
            self.wait(8)
        self.assertEqual(connection.limits, [])

    def test_a_frame_that_takes_too_long_ends_the_messages(self) -> None:
        connection, transport = self.connected(frame=10)
        connection.dataReceived(b"1\r\na5\r\n")
        for byte in (b"1", b"2", b"3"):
            self.wait(3)
            connection.dataReceived(byte)
        self.assertEqual(connection.limits, [])
        self.wait(3)
        self.assertEqual(connection.limits, ["frame_timeout"])
        self.assertEqual(connection.seen, [b"a"])
        self.assertTrue(transport.disconnecting)

    def test_after_a_late_frame_the_connection_may_still_be_idle(self) -> None:
        """What answers the messages before it may never be done."""

        class Waiting(Connection):
            def messagesEnded(self) -> None:
                pass

        connection = Waiting(self.clock, "windev", 30, 10)
        connection.makeConnection(Transport())
        connection.dataReceived(b"1\r\na5\r\n")
        self.wait(50)
        self.assertEqual(connection.limits, ["frame_timeout", "idle_timeout", "close_timeout"])
        self.assertEqual(self.clock.getDelayedCalls()[1:], [])

    def test_the_time_of_a_frame_begins_with_its_own_first_byte(self) -> None:
        connection, _ = self.connected(frame=10)
        connection.dataReceived(b"5\r\n")
        for _ in range(5):
            self.wait(8)
            connection.dataReceived(b"12345" + b"5\r\n")
        self.assertEqual((connection.limits, len(connection.seen)), ([], 5))

    def test_between_frames_no_frame_is_late(self) -> None:
        connection, _ = self.connected(frame=10)
        connection.dataReceived(b"1\r\na")
        self.wait(100)
        self.assertEqual(connection.limits, [])

    def test_raw_has_no_frames(self) -> None:
        connection, _ = self.connected("raw", frame=10)
        connection.dataReceived(b"a")
        self.wait(100)
        self.assertEqual(connection.limits, [])

    def test_while_we_do_not_read_the_frame_is_not_late(self) -> None:
        connection, _ = self.connected(frame=10)
        connection.dataReceived(b"5\r\n")
        connection.pauseProducing()
        self.wait(100)
        connection.resumeProducing()
        self.wait(9)
        self.assertEqual(connection.limits, [])
        self.wait(3)
        self.assertEqual(connection.limits, ["frame_timeout"])

    def test_a_jump_of_the_clock_does_not_use_up_the_time(self) -> None:
        connection, _ = self.connected(idle=10)
        self.clock.advance(3600)
        self.wait(5)
        self.assertEqual(connection.limits, [])
        self.wait(8)
        self.assertEqual(connection.limits, ["idle_timeout"])

    def test_what_came_while_the_process_stood_still_is_read_before_anyone_is_told(self) -> None:
        for frame, idle in ((None, 10), (10, None)):
            connection, _ = self.connected(idle=idle, frame=frame)
            connection.dataReceived(b"5\r\nhel")
            self.wait(9.9)
            # The timer that was due runs first, and then the socket is read.
            self.clock.callLater(1.05, connection.dataReceived, b"lo")
            self.clock.advance(3)
            self.wait(1)
            self.assertEqual((connection.seen, connection.limits), ([b"hello"], []))
            connection.abortConnection()
            connection.connectionLost()

    def test_short_limits_are_looked_at_more_often(self) -> None:
        connection, _ = self.connected(idle=0.8)
        self.connected(idle=100)
        self.wait(0.7)
        self.assertEqual(connection.limits, [])
        self.wait(0.3)
        self.assertEqual(connection.limits, ["idle_timeout"])

    def test_without_connections_nothing_is_left_on_the_clock(self) -> None:
        connections = [self.connected(idle=10)[0] for _ in range(3)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for connection in connections:
            connection.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_peer_that_takes_nothing_of_what_waits_for_it_is_aborted(self) -> None:
        connection, transport = self.connected(send=10)
        transport.dataBuffer = bytes(1000)
        connection.sendMessage(b"news")
        self.wait(9)
        self.assertFalse(transport.disconnected)
        self.wait(2)
        self.assertEqual(connection.limits, ["send_timeout"])
        self.assertTrue(transport.disconnected)

    def test_one_that_takes_some_of_it_now_and_then_is_left_to_read(self) -> None:
        connection, transport = self.connected(send=10)
        connection._engine.sending.bytes_sent = 1000
        transport.dataBuffer = bytes(1000)
        connection.sendMessage(b"")
        for left in range(1000, 0, -100):
            transport.dataBuffer = bytes(left)
            self.wait(8)
        self.assertEqual(connection.limits, [])

    def test_one_that_talks_and_takes_nothing_is_aborted_all_the_same(self) -> None:
        connection, transport = self.connected(send=10, idle=10)
        transport.dataBuffer = bytes(1000)
        connection.sendMessage(b"news")
        for _ in range(3):
            self.wait(4)
            connection.dataReceived(b"1\r\na")
        self.assertEqual(connection.limits, ["send_timeout"])

    def test_what_was_taken_is_not_looked_at_until_more_is_sent(self) -> None:
        connection, transport = self.connected(send=10)
        for _ in range(2):
            connection.sendMessage(b"news")
            self.wait(2)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        transport.dataBuffer = bytes(1000)
        connection.sendMessage(b"news")
        self.wait(12)
        self.assertEqual(connection.limits, ["send_timeout"])

    def test_a_connection_that_has_left_is_forgotten(self) -> None:
        first, second = (self.connected(idle=10)[0] for _ in range(2))
        watch_of(self.clock).leave(first._engine.timing)
        watch_of(self.clock).leave(first._engine.timing)
        self.wait(12)
        self.assertEqual((first.limits, second.limits), ([], ["idle_timeout"]))

    def test_one_that_fails_when_its_time_is_over_stops_nobody_elses(self) -> None:
        class Failing(Connection):
            def loseConnection(self) -> None:
                raise LookupError

        Failing(self.clock, "raw", 10, None).makeConnection(Transport())
        connection, _ = self.connected(idle=10)
        with contextlib.suppress(LookupError):
            self.wait(12)
        self.wait(2)
        self.assertEqual(connection.limits, ["idle_timeout"])

    def test_who_is_closed_for_another_ones_time_is_not_closed_again(self) -> None:
        class Taking(Connection):
            other: Connection

            def loseConnection(self) -> None:
                super().loseConnection()
                self.other.loseConnection()

        taking = Taking(self.clock, "raw", 10, None)
        taking.makeConnection(Transport())
        taking.other, _ = self.connected(idle=10)
        self.wait(12)
        self.assertEqual((taking.limits, taking.other.limits), (["idle_timeout"], []))

    def test_a_clock_that_nobody_needs_is_forgotten(self) -> None:
        connection = self.connected(idle=10)[0]
        self.wait(12)
        connection.connectionLost()
        clock = weakref.ref(self.clock)
        del self.clock, connection
        gc.collect()
        self.assertIsNone(clock())
