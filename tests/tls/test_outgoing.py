"""What leaves through TLS, with a session in memory: a peer that does not read, and what TLS itself says to it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.options import ConnectionOptions
from sockserve.handlers.echo import Echo
from sockserve.tls.outgoing import records
from sockserve.tls.session import TLSInfo
from sockserve.tls.transport import TLSTransport

ANSWER = b"u" * 27


def record(data: bytes) -> bytes:
    return b"\x17\3\3" + len(data).to_bytes(2, "big") + data


class Plain:
    """A session that encrypts nothing, and is fed a record at a time. U is a key update, which it answers; what it is
    fed else it gives back."""

    expects_certificate = False
    info = TLSInfo("TLSv1.3", "", None)

    def __init__(self) -> None:
        self._incoming = b""
        self._outgoing = b""
        self.shaken = True

    @property
    def pending(self) -> int:
        return len(self._outgoing)

    def feed(self, data: bytes) -> None:
        self._outgoing += ANSWER * data.count(b"U")
        self._incoming += data[5:].replace(b"U", b"")

    def output(self) -> bytes:
        data, self._outgoing = self._outgoing, b""
        return data

    def handshake(self) -> bool:
        return self.shaken

    def read(self, pieces: list[bytes], count: int | None) -> bool:
        if self._incoming:
            pieces.append(self._incoming)
            self._incoming = b""
        return False

    def write(self, data: bytes | memoryview) -> None:
        self._outgoing += data

    def end(self) -> None:
        self._outgoing += b"end"

    def certificate(self) -> bytes | None:
        return None


class Counting(StringTransport):
    """Counts the writes."""

    disconnecting = False
    writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)


class OutgoingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.session = Plain()
        self.below = Counting()
        self.protocol = Echo()
        self.protocol.framing = "buffered"
        self.protocol.options = ConnectionOptions(reactor=Clock())
        self.tls = TLSTransport(
            self.session, Clock(), lambda tls: tls.connect(self.protocol), lambda *failed: self.fail(failed[2])
        )

    def test_key_updates_whose_answers_are_not_read_are_not_read_on(self) -> None:
        """Whether or not the peer has sent data first."""
        self.tls.makeConnection(self.below)
        self.tls.dataReceived(record(b"U" * 100))
        self.assertEqual(self.below.value(), ANSWER * 100)
        self.below.clear()
        below = self.below.producer
        assert below is not None
        below.pauseProducing()
        updates = 0
        while self.below.producerState == "producing" and updates < 1 << 20:
            self.tls.dataReceived(record(b"U" * 100))
            updates += 100
        self.assertLess(len(self.below.value()), 1 << 15)
        # The program does not make it read on, the peer does.
        self.protocol.holdReading("test")
        self.protocol.releaseReading("test")
        self.assertEqual(self.below.producerState, "paused")
        below.resumeProducing()
        self.assertEqual(self.below.producerState, "producing")

    def test_the_answers_to_one_read_leave_as_one_write_in_the_same_turn(self) -> None:
        self.tls.makeConnection(self.below)
        self.tls.dataReceived(record(b"1\r\n2\r\n" + b"U" + b"3\r\n"))
        self.assertEqual((self.below.value(), self.below.writes), (ANSWER + b"1\r\n2\r\n3\r\n", 2))

    def test_a_long_answer_leaves_as_one_write_whether_joined_or_not(self) -> None:
        self.tls.makeConnection(self.below)
        self.tls.write(b"x" * 65_540)
        self.assertEqual((len(self.below.value()), self.below.writes), (65_540, 1))
        self.below.clear()
        self.tls.writeSequence([b"head", b"y" * 65_536, b"", b"z"])
        self.assertEqual(self.below.value(), b"head" + b"y" * 65_536 + b"z")
        self.assertEqual(self.below.writes, 2)

    def test_pieces_are_joined_only_where_a_record_is(self) -> None:
        long = b"".join(n.to_bytes(4, "big") for n in range(10_000))
        for pieces in (
            [],
            [b""],
            [long],
            [b"head", long],
            [long, b"tail"],
            [long[:16_384]] * 3,
            [b"%d" % n for n in range(9999)],
        ):
            made = list(records(pieces))
            self.assertEqual(b"".join(made), b"".join(pieces))
            self.assertTrue(all(len(each) == 16_384 for each in made[:-1]), [len(each) for each in made])
        self.assertIs(next(records([long])).obj, long)

    def test_what_waits_for_the_handshake_pauses_its_producer_and_is_counted(self) -> None:
        self.session.shaken = False
        self.tls.wrappedProtocol = self.protocol
        self.tls._opened = lambda _: None
        self.tls.makeConnection(self.below)
        self.protocol.makeConnection(self.tls)
        for _ in range(9):
            self.protocol.sendMessage(b"x" * 9998)
        self.assertEqual((self.below.value(), self.tls.unsent), (b"", 90_000))
        self.assertFalse(self.protocol.whenWritable().called)
        self.session.shaken = True
        self.tls.dataReceived(b"")
        self.assertEqual(len(self.below.value()), 90_000)
        self.assertTrue(self.protocol.whenWritable().called)

    def test_bytes_that_wait_for_somebody_who_does_not_want_them_are_counted(self) -> None:
        self.tls.makeConnection(self.below)
        self.tls.pauseProducing()
        self.tls.dataReceived(b"12345")
        self.assertEqual((self.below.producerState, self.tls.unread), ("paused", 5))
