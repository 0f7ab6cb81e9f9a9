"""eof by itself; what it means for a connection is in tests/connection/test_eof.py."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.eof import Eof, EofDecoder
from sockserve.framing.errors import InvalidMessage, MessageTooLong

KIB = 1024


class EofTests(SynchronousTestCase):
    def decoder(self, max_length: int = 1024 * KIB) -> EofDecoder:
        decoder = Eof(max_length=max_length).decoder()
        assert isinstance(decoder, EofDecoder)
        return decoder

    def test_a_message_in_reads_of_any_size(self) -> None:
        message = bytes(range(256)) * 800
        for size in (1000, 16 * KIB, 70 * KIB):
            decoder = self.decoder()
            for at in range(0, len(message), size):
                self.assertEqual(decoder.decode(message[at : at + size]), [])
                self.assertEqual((decoder.state, decoder.under_way), ("partial", -1))
            self.assertEqual(decoder.pending, len(message))
            self.assertEqual((decoder.finish(), decoder.finish()), ([message], None))
            self.assertEqual((decoder.state, decoder.pending), ("idle", 0))

    def test_it_is_taken_back_until_the_end(self) -> None:
        decoder = self.decoder()
        decoder.decode(40 * KIB * b"x")
        decoder.decode(b"y")
        self.assertEqual((decoder.take(), decoder.finish()), (40 * KIB * b"x" + b"y", None))

    def test_over_the_limit_in_reads_of_any_size(self) -> None:
        for reads in ((50,), (20, 20, 1), (39, 2), (20, 30)):
            decoder = self.decoder(40 * KIB)
            for read in reads[:-1]:
                self.assertEqual(decoder.decode(read * KIB * b"x"), [])
            error = self.assertRaises(MessageTooLong, decoder.decode, reads[-1] * KIB * b"x")
            self.assertEqual((error.limit, decoder.state, decoder.pending), (40 * KIB, "failed", 0))
            self.assertEqual(decoder.evidence, (b"", b"x" * 64))
            self.assertIs(self.assertRaises(MessageTooLong, decoder.finish), error)

    def test_one_message_and_no_empty_one(self) -> None:
        framing = Eof(max_length=5)
        self.assertEqual(
            (framing.encode(b"12345"), framing.encode_all([b"1"]), framing.encode_all([])), (b"12345", b"1", b"")
        )
        self.assertRaises(InvalidMessage, framing.encode_all, [b"1", b"2"])
        self.assertRaises(InvalidMessage, framing.encode, b"")
        self.assertRaises(MessageTooLong, framing.encode, b"123456")
        self.assertIsNone(framing.around(5))
        self.assertTrue(framing.ends_stream)
