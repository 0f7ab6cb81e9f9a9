"""The sending direction: messages gathered to one write."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import InvalidMessage, MessageTooLong


class EncoderTests(SynchronousTestCase):
    def test_all_that_was_added_is_taken_at_once(self) -> None:
        encoder = Encoder(parse("windev"))
        self.assertEqual(
            [encoder.add(b"a"), encoder.add_all([b"", b"bc"]), encoder.add_frames(b"1\r\nd", 1)], [4, 12, 16]
        )
        self.assertEqual((encoder.size, encoder.count), (16, 4))
        self.assertEqual(encoder.take(), b"1\r\na0\r\n2\r\nbc1\r\nd")
        self.assertEqual((encoder.take(), encoder.size, encoder.count), (b"", 0, 4))

    def test_frames_alone_are_not_copied(self) -> None:
        encoder = Encoder(parse("windev"))
        frames = b"1\r\na1\r\nb"
        encoder.add_frames(frames, 2)
        self.assertIs(encoder.take(), frames)

    def test_the_framing_may_change_between_two_messages(self) -> None:
        encoder = Encoder(parse("windev"))
        encoder.add(b"a")
        encoder.framing = parse("int8")
        self.assertEqual(encoder.framing, parse("int8"))
        encoder.add(b"b")
        self.assertEqual(encoder.take(), b"1\r\na\x01b")

    def test_what_cannot_be_sent_leaves_nothing_behind(self) -> None:
        encoder = Encoder(parse("standard", max_length=10))
        encoder.add(b"a")
        with self.assertRaises(MessageTooLong):
            encoder.add(b"more than ten")
        with self.assertRaises(InvalidMessage):
            encoder.add_all([b"b", b"c<EOF>"])
        self.assertEqual((encoder.take(), encoder.count), (b"a<EOF>", 1))

    def test_an_empty_raw_message_is_nothing_on_the_wire(self) -> None:
        encoder = Encoder(parse("raw"))
        self.assertEqual((encoder.add(b""), encoder.add_frames(b"", 0), encoder.count), (0, 0, 1))
        self.assertEqual(encoder.take(), b"")

    def test_behind_the_end_nothing_is_taken(self) -> None:
        encoder = Encoder(parse("windev"))
        encoder.add(b"a")
        encoder.close()
        encoder.add(b"b")
        encoder.add_all([b"c"])
        self.assertEqual((encoder.take(), encoder.count), (b"1\r\na", 1))
