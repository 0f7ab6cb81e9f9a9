"""raw: what a read brings is a message."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.raw import Raw


class RawTests(SynchronousTestCase):
    def test_a_read_is_a_message(self) -> None:
        decoder = Raw().decoder()
        self.assertEqual(decoder.decode(b"Hello\r\nWorld"), [b"Hello\r\nWorld"])
        self.assertEqual(decoder.decode(b"!"), [b"!"])

    def test_no_bytes_are_no_message(self) -> None:
        self.assertEqual(Raw().decoder().decode(b""), [])

    def test_a_read_at_the_read_size_is_one_message(self) -> None:
        self.assertEqual(Raw(3).decoder().decode(b"abc"), [b"abc"])

    def test_a_longer_read_is_several_messages(self) -> None:
        self.assertEqual(Raw(3).decoder().decode(b"abcdefgh"), [b"abc", b"def", b"gh"])

    def test_a_read_over_max_length_is_several_messages(self) -> None:
        self.assertEqual(Raw(max_length=2).decoder().decode(b"abc"), [b"ab", b"c"])
        self.assertEqual(Raw(3, max_length=2).decoder().decode(b"abc"), [b"ab", b"c"])

    def test_a_message_may_be_longer_than_a_read(self) -> None:
        self.assertEqual(Raw(3).encode(b"abcd"), b"abcd")

    def test_nothing_is_ever_held_or_wrong(self) -> None:
        decoder = Raw().decoder()
        decoder.decode(b"abc")
        self.assertEqual((decoder.state, decoder.take(), decoder.skip(b"")), ("idle", b"", True))
        decoder.finish()

    def test_read_size_below_one_byte_is_refused(self) -> None:
        for size in (0, -1):
            error = self.assertRaises(ValueError, Raw, size)
            self.assertEqual(str(error), f"the read size of raw must be at least 1 byte, not {size}")

    def test_names(self) -> None:
        self.assertEqual((str(Raw()), str(Raw(5))), ("raw", "raw:5"))

    def test_take_gives_messages_back_as_they_were_cut(self) -> None:
        decoder = Raw(5).decoder()
        for call in (decoder.decode, decoder.scan):
            for messages, rest in ((0, b""), (1, b"kl"), (2, b"fghijkl")):
                call(b"abcdefghijkl")
                self.assertEqual((decoder.take(messages), decoder.take()), (rest, b""))
