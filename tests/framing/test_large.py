"""Large messages: in many reads of any size they come out the same, and are copied once at most."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import Framing, parse
from sockserve.framing.bounds import OnBadFrame
from sockserve.framing.encoder import Encoder
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, TruncatedMessage
from tests.support.wire import Written, described, events

KIB = 1024
MIB = 1024 * KIB

MEASURED = (
    *("int32", "int32:little", "windev", "netstring", "varint"),
    *("octets", "syslog", "length:4:inclusive", "digits:8"),
)
"""Framings that tell a length first."""
ALL = (*MEASURED, "standard", "standard:aa", "envelope:<:>", "fixed:50000")
SIZES = (0, 1, 100, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB - 4, 64 * KIB, 200 * KIB)


def framing_of(name: str, on_bad_frame: OnBadFrame = "close") -> Framing:
    return parse(name, max_length=10 * MIB, on_bad_frame=on_bad_frame)


def payload(size: int, seed: int = 0) -> bytes:
    """Bytes that differ from place to place, with none that the delimiters above contain."""
    return random.Random(seed).randbytes(size).translate(None, b"aE<>\r").ljust(size, b".")


def cut(data: bytes, chance: random.Random, *sizes: int) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = chance.choice(sizes)
        yield data[at : at + size]
        at += size


class ReadTests(SynchronousTestCase):
    def test_reads_of_any_size_give_the_same_messages_and_frames(self) -> None:
        for name in ALL:
            framing = framing_of(name)
            for seed in range(12):
                chance = random.Random(f"{name} {seed}")
                sizes = [chance.choice(SIZES) for _ in range(6)] if name != "fixed:50000" else [50_000] * 6
                messages = [payload(size, seed) for size in sizes]
                wire = framing.encode_all(messages)
                reads = [*cut(wire, chance, 1, 5, 4 * KIB, 16 * KIB, 20 * KIB, 64 * KIB, 100 * KIB)]
                self.assertEqual(events(framing, reads, end=True), messages, name)

    def test_a_change_of_framing_finds_every_byte(self) -> None:
        for name in ALL:
            framing = framing_of(name)
            message = payload(50_000)
            frame = framing.encode(message)
            for cuts in ((30_000, 10_000), (20_000, 20_000, 100), (5, 40_000), (10, 20, 45_000, 3)):
                decoder = framing.decoder()
                held = b""
                for count in cuts:
                    self.assertEqual(decoder.decode(frame[len(held) : len(held) + count]), [])
                    held = frame[: len(held) + count]
                self.assertEqual((decoder.pending, decoder.state), (len(held), "partial"), name)
                self.assertEqual((decoder.take(), decoder.take()), (held, b""), name)
                self.assertEqual((decoder.pending, decoder.state), (0, "idle"), name)
                for back in range(3):
                    decoder.decode(frame[:40_000])
                    self.assertEqual(len(decoder.decode(frame[40_000:] + 2 * frame + frame[:30_000])), 3)
                    self.assertEqual(decoder.take(back), back * frame + frame[:30_000], name)

    def test_the_end_of_the_stream_tells_what_has_come(self) -> None:
        for name in MEASURED:
            decoder = framing_of(name).decoder()
            frame = framing_of(name).encode(payload(100_000))
            start = frame.index(payload(100)[:20])
            decoder.decode(frame[: start + 30_000])
            decoder.decode(frame[start + 30_000 : start + 60_000])
            error = self.assertRaises(TruncatedMessage, decoder.finish)
            self.assertEqual((error.expected, error.received), (100_000, 60_000), name)

    def test_a_wrong_byte_after_a_long_payload(self) -> None:
        framing = framing_of("netstring")
        wire = framing.encode(b"ok") + framing.encode(payload(50_000))[:-1] + b"x" + framing.encode(b"more")
        expected = events(framing, [wire])
        self.assertEqual((expected[0], expected[1][0]), (b"ok", MalformedHeader.__name__))
        for size in (4 * KIB, 20 * KIB, 40 * KIB, len(wire) - 8, len(wire) - 9):
            self.assertEqual(events(framing, cut(wire, random.Random(0), size)), expected)

    def test_bad_frames_among_long_ones(self) -> None:
        for name in MEASURED:
            framing = parse(name, max_length=50_000, on_bad_frame="skip")
            good = [payload(50_000), b"", payload(40_000), payload(16 * KIB)]
            bad = framing_of(name).encode(payload(70_000))
            wire = bad.join(map(framing.encode, good)) + bad
            expected = events(framing, [wire])
            self.assertEqual([each for each in expected if isinstance(each, bytes)], good, name)
            for seed in range(6):
                reads = cut(wire, random.Random(seed), 1000, 16 * KIB, 30 * KIB, 64 * KIB)
                self.assertEqual(events(framing, reads), expected, name)

    def test_a_decoder_says_how_much_of_a_long_frame_is_missing(self) -> None:
        for name in MEASURED:
            framing = parse(name, max_length=MIB)
            frame = framing.encode(payload(100_000))
            decoder = framing.decoder()
            decoder.decode(frame[:20_000])
            self.assertEqual(decoder.missing, len(frame) - 20_000, name)  # type: ignore[attr-defined]
            decoder.decode(frame[20_000:20_001])
            self.assertEqual(decoder.missing, len(frame) - 20_001, name)  # type: ignore[attr-defined]
            decoder.decode(frame[20_001:] + frame[:100])
            self.assertEqual(decoder.missing, 0, name)  # type: ignore[attr-defined]


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)

    def test_a_message_is_put_together_once(self) -> None:
        for name in MEASURED:
            framing = framing_of(name)
            decoder = framing.decoder()
            reads = [*cut(framing.encode(bytes(4 * MIB)), random.Random(0), 64 * KIB)]
            for read in reads[:-1]:
                decoder.decode(read)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            messages = decoder.decode(reads[-1])
            self.assertLess(tracemalloc.get_traced_memory()[1] - before, 4 * MIB + 64 * KIB, name)
            del messages, read, reads
            self.assertLess(tracemalloc.get_traced_memory()[0] - before, 64 * KIB, name)

    def test_many_small_reads_take_little_more_than_their_bytes(self) -> None:
        framing = framing_of("int32")
        decoder = framing.decoder()
        frame = framing.encode(bytes(MIB))
        before = tracemalloc.get_traced_memory()[0]
        decoder.decode(frame[: 20 * KIB])
        for at in range(20 * KIB, 100 * KIB, 4):
            decoder.decode(frame[at : at + 4])
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 150 * KIB)

    def test_large_reads_are_kept_as_they_are(self) -> None:
        for name in MEASURED:
            framing = framing_of(name)
            decoder = framing.decoder()
            frame = framing.encode(bytes(MIB))
            reads = [frame[start : start + 64 * KIB] for start in range(0, 512 * KIB, 64 * KIB)]
            before = tracemalloc.get_traced_memory()[0]
            for read in reads:
                decoder.decode(read)
            self.assertLess(tracemalloc.get_traced_memory()[0] - before, 4 * KIB, name)


class SendTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.written = Written()

    def encoder(self, framing: Framing, batch: int = 0) -> Encoder:
        encoder = Encoder(framing, self.written)
        encoder.batch = batch
        return encoder

    def test_a_large_message_is_a_piece_of_its_own(self) -> None:
        message = payload(100_000)
        for name in (*MEASURED, "standard", "buffered"):
            framing = framing_of(name)
            for send in ("send", "send_all"):
                encoder = self.encoder(framing)
                getattr(encoder, send)(message if send == "send" else [message])
                (pieces,) = self.written.pieces
                self.assertTrue(any(piece is message for piece in pieces), name)
                self.assertEqual((b"".join(pieces), encoder.count), (framing.encode(message), 1), name)
                self.assertEqual(self.written, pieces)
                self.written = Written()

    def test_a_message_without_framing_bytes_is_written_as_it_is(self) -> None:
        message = payload(50_000)
        for name in ("raw", "fixed:50000"):
            self.encoder(framing_of(name)).send(message)
            self.assertIs(self.written.pop(), message)

    def test_large_and_small_messages_keep_their_order(self) -> None:
        for name in (*MEASURED, "standard", "standard:aa", "envelope:<:>", "raw"):
            framing = framing_of(name)
            messages = [payload(size, size) for size in (1, 100_000, 2, 3, 20_000, 16 * KIB, 16 * KIB + 1, 5)]
            for batch in (0, 64 * KIB, MIB):
                written = Written()
                encoder = Encoder(framing, written)
                encoder.batch = batch
                for message in messages:
                    encoder.send(message)
                encoder.answer_all(messages[1:])
                encoder.flush()
                self.assertEqual(b"".join(written), framing.encode_all(messages + messages[1:]), name)
                self.assertEqual((encoder.count, encoder.size), (2 * len(messages) - 1, 0), name)

    def test_what_cannot_be_sent_leaves_nothing(self) -> None:
        message = payload(50_000)
        for name, wrong in (("standard", b"<EOF>" + message), ("standard", message + b"<EOF>"), ("int8", message)):
            framing = parse(name)
            encoder = self.encoder(framing, 1000)
            for send in (encoder.send, lambda message, encoder=encoder: encoder.answer_all([b"ok", message])):
                error = self.assertRaises(FramingError, send, wrong)
                self.assertEqual(described(error), described(self.assertRaises(FramingError, framing.encode, wrong)))
            with self.assertRaises(FramingError):
                encoder.answer_all([wrong, b"ok"])
            encoder.flush()
        encoder = self.encoder(framing_of("standard"))
        with self.assertRaises(InvalidMessage):
            encoder.answer_all([message, b"<EOF>"])
        self.assertEqual((self.written, encoder.count), ([], 0))
