"""The sending direction: messages gathered to one write."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import parse
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import FramingError, InvalidMessage, MessageTooLong
from tests.support.wire import Written


class EncoderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.written = Written()

    def encoder(self, name: str, batch: int = 1000) -> Encoder:
        encoder = Encoder(parse(name, max_length=10), self.written)
        encoder.batch = batch
        return encoder

    def test_all_that_waits_is_one_write(self) -> None:
        encoder = self.encoder("windev")
        encoder.send(b"a")
        encoder.send_all([b"", b"bc"])
        encoder.send_frames(b"1\r\nd", 1)
        self.assertEqual((encoder.count, self.written), (4, []))
        self.assertGreater(encoder.size, 0)
        encoder.flush()
        encoder.flush()
        self.assertEqual((encoder.size, encoder.count, self.written), (0, 4, [b"1\r\na0\r\n2\r\nbc1\r\nd"]))

    def test_more_than_a_batch_does_not_wait(self) -> None:
        encoder = self.encoder("windev", 8)
        encoder.send(b"a")
        encoder.send(b"bc")
        self.assertEqual(self.written, [])
        encoder.send(b"defg")
        encoder.send_frames(b"1\r\nh1\r\ni", 2)
        self.assertEqual(self.written, [b"1\r\na2\r\nbc4\r\ndefg"])
        encoder.flush()
        encoder.batch = 0
        encoder.send(b"")
        self.assertEqual(self.written[-1], b"0\r\n")

    def test_frames_alone_are_not_copied(self) -> None:
        frames = b"1\r\na1\r\nb"
        self.encoder("windev", 0).send_frames(frames, 2)
        self.assertIs(self.written[0], frames)

    def test_messages_and_frames_keep_their_order(self) -> None:
        for name in ("windev", "standard", "standard:aa", "envelope:<:>", "raw", "fixed:1"):
            encoder = self.encoder(name)
            framing = encoder.framing
            encoder.send(b"1")
            encoder.send_frames(framing.encode(b"2"), 1)
            encoder.send(b"3")
            encoder.send_all([b"4", b"5"])
            encoder.send(b"6")
            encoder.flush()
            self.assertEqual(self.written.pop(), framing.encode_all([b"1", b"2", b"3", b"4", b"5", b"6"]))

    def test_the_framing_may_change_between_two_messages(self) -> None:
        encoder = self.encoder("windev")
        encoder.send(b"a")
        encoder.framing = parse("int8")
        self.assertEqual(encoder.framing, parse("int8"))
        encoder.send(b"b")
        encoder.flush()
        self.assertEqual(self.written, [b"1\r\na\x01b"])

    def test_what_cannot_be_sent_leaves_nothing(self) -> None:
        encoder = self.encoder("standard")
        encoder.send(b"a")
        with self.assertRaises(MessageTooLong):
            encoder.send(b"more than ten")
        with self.assertRaises(InvalidMessage):
            encoder.send_all([b"b", b"c<EOF>"])
        encoder.flush()
        self.assertEqual((self.written, encoder.count), ([b"a<EOF>"], 1))

    def test_an_empty_raw_message_is_nothing_on_the_wire(self) -> None:
        encoder = self.encoder("raw", 0)
        encoder.send(b"")
        encoder.send_frames(b"", 0)
        encoder.flush()
        self.assertEqual((self.written, encoder.count), ([], 1))

    def test_what_is_dropped_is_not_sent(self) -> None:
        encoder = self.encoder("windev")
        encoder.send(b"a")
        encoder.drop()
        encoder.flush()
        self.assertEqual((self.written, encoder.size), ([], 0))

    def test_eof_ends_the_stream_after_one_message(self) -> None:
        ways = {
            "send": lambda encoder, message: encoder.send(message),
            "all": lambda encoder, message: encoder.send_all([message]),
            "answer": lambda encoder, message: encoder.answer_all([message]),
            "frames": lambda encoder, message: encoder.send_frames(message, 1),
            "shared": lambda encoder, message: encoder.send_all([message], lambda *_: message),
        }
        for batch in (0, 1 << 20):
            for way, send in ways.items():
                for message in (b"answer", 50_000 * b"x"):
                    self.written = Written()
                    encoder = self.encoder("windev", batch)
                    encoder.send(b"a")
                    encoder.framing = parse("eof")
                    encoder.answer_all([])
                    self.assertFalse(self.written.ended)
                    send(encoder, message)
                    self.assertEqual((b"".join(self.written), self.written.ended), (b"1\r\na" + message, True), way)
                    for second in (*ways.values(), lambda encoder, message: encoder.open(len(message))):
                        error = self.assertRaises(InvalidMessage, second, encoder, message)
                        self.assertIn("eof carries one message in each direction", str(error))
                    encoder.answer_all([])
                    encoder.framing = parse("int8")
                    error = self.assertRaises(InvalidMessage, encoder.send, b"a")
                    self.assertIn("eof carries one message in each direction", str(error))
                    encoder.framing = parse("eof")
                    encoder.close()
                    send(encoder, b"no more")
                    self.assertEqual((len(b"".join(self.written)), encoder.count), (4 + len(message), 2))

    def test_eof_carries_one_message_and_no_empty_one(self) -> None:
        encoder = self.encoder("eof")
        for wrong in ([b"a", b"b"], [b""], [b"more than ten"]):
            self.assertRaises(FramingError, encoder.send_all, wrong)
        self.assertRaises(InvalidMessage, encoder.send, b"")
        self.assertFalse(encoder.open(5))
        self.assertEqual((self.written, self.written.ended, encoder.count), ([], False, 0))

    def test_after_the_end_nothing_is_sent(self) -> None:
        encoder = self.encoder("windev")
        encoder.send(b"a")
        encoder.close()
        encoder.send(b"b")
        encoder.send_all([b"c"])
        encoder.flush()
        self.assertEqual((self.written, encoder.count), ([b"1\r\na"], 1))

    def test_a_check_refuses_messages_one_by_one_and_together(self) -> None:
        def check(size: int) -> None:
            if size > 3:
                raise OverflowError

        encoder = self.encoder("windev")
        encoder.check(check)
        encoder.send(b"abc")
        encoder.send_all([b"d", b"ef"])
        self.assertRaises(OverflowError, encoder.send, b"abcd")
        self.assertRaises(OverflowError, encoder.send_all, [b"ab", b"cd"])
        encoder.check(None)
        encoder.send(b"abcd")
        encoder.flush()
        self.assertEqual((b"".join(self.written), encoder.count), (b"3\r\nabc1\r\nd2\r\nef4\r\nabcd", 4))

    def test_messages_whose_frames_somebody_else_makes(self) -> None:
        encoder = self.encoder("windev")
        encoder.send(b"a")
        encoder.send_all([b"b", b"c"], lambda framing, messages: framing.encode_all(messages))
        encoder.flush()
        self.assertEqual((b"".join(self.written), encoder.count), (b"1\r\na1\r\nb1\r\nc", 3))

    def test_large_frames_that_others_are_sent_too_are_written_as_such(self) -> None:
        frames = b"1\r\na" * 5000
        messages = [b"a"] * 5000
        encoder = self.encoder("windev", 0)
        encoder.send_all(messages, lambda _framing, _messages: frames)
        self.assertIs(self.written.shared[0], frames)
        # Here they have to wait behind others.
        encoder.batch = 1 << 20
        encoder.send(b"b")
        encoder.send_all(messages, lambda _framing, _messages: frames)
        encoder.flush()
        encoder.close()
        encoder.send_all(messages, lambda _framing, _messages: frames)
        self.assertEqual((encoder.count, len(self.written.shared)), (10_001, 1))
        self.assertEqual(b"".join(self.written), frames + b"1\r\nb" + frames)

    def test_what_is_not_bytes_is_refused_at_once(self) -> None:
        for name in (
            "windev",
            "int8",
            "varint",
            "netstring",
            "standard",
            "standard:aa",
            "envelope:<:>",
            "raw",
            "fixed:1",
        ):
            encoder = self.encoder(name)
            encoder.send(b"1")
            wrong: Any
            for wrong in ("2", None, bytearray(b"2")):
                with self.assertRaises(TypeError):
                    encoder.send(wrong)
            for wrong in ("2", None):
                with self.assertRaises(TypeError):
                    encoder.send_all([b"2", wrong])
            encoder.flush()
            self.assertEqual((self.written.pop(), encoder.count), (encoder.framing.encode(b"1"), 1))
