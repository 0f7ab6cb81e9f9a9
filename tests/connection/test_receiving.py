"""A change of framing after any message of any read: not one byte is lost, and none is decoded twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, parse
from sockserve.framing.errors import FramingError
from sockserve.handlers.echo import Echo
from tests.support.cases import MANY, message_of
from tests.support.tolerant import Lines, Spaced
from tests.support.wire import splits

Stream = tuple[Framing, list[bytes], list[bytes]]
"""A framing, messages, and the frame of each as it comes."""


class Changing(MessageProtocol):
    """Changes its framing in the callback for message number `number`, the first one being 1."""

    def __init__(self, framing: Framing, number: int, new: str = "int8") -> None:
        self.framing = framing
        self.new = new
        self.number = number
        self.seen: list[bytes] = []

    def messageReceived(self, message: bytes) -> None:
        self.seen.append(message)
        if len(self.seen) == self.number:
            self.setFraming(self.new)


def connect(protocol: MessageProtocol) -> StringTransport:
    transport = StringTransport()
    protocol.makeConnection(transport)
    return transport


def streams() -> Iterator[Stream]:
    for name in MANY:
        if not name.startswith("raw"):
            messages = [message_of(name)] * 4
            framing = parse(name)
            yield framing, messages, [framing.encode(message) for message in messages]
    yield Lines(), [b"a", b"", b"", b"bc", b"d"], [b"a\r\n", b"\n", b"\r\n", b"bc\n", b"d\r\n"]
    yield Spaced(), [b"a", b"", b",b", b"cd", b""], [b"1a", b"\n0", b"2,,b", b" \n 2cd", b" 0"]


class IdleTests(SynchronousTestCase):
    def test_nothing_of_a_read_of_whole_frames_is_kept(self) -> None:
        for framing, _, frames in streams():
            connections = [Changing(framing, 0), Echo()]
            for protocol in connections:
                protocol.framing = framing
                connect(protocol)
                data = b"".join(frames)
                before = sys.getrefcount(data)
                protocol.dataReceived(data)
                protocol.transport.clear()
                self.assertEqual((sys.getrefcount(data), protocol.info.messages_received), (before, len(frames)))


class ChangeOfFramingTests(SynchronousTestCase):
    def test_after_each_message_in_every_split(self) -> None:
        new = b"\x02hi\x00\x01x"
        for framing, messages, frames in streams():
            for number in range(1, len(frames) + 1):
                for chunks in splits(b"".join(frames[:number]) + new):
                    protocol = Changing(framing, number)
                    connect(protocol)
                    for chunk in chunks:
                        protocol.dataReceived(chunk)
                    self.assertEqual(protocol.seen, [*messages[:number], b"hi", b"", b"x"], f"{framing}: {chunks}")
                    self.assertEqual(protocol.info.messages_received, number + 3)

    def test_after_each_message_the_frames_that_follow_are_bytes(self) -> None:
        for framing, messages, frames in streams():
            for number in range(1, len(frames) + 1):
                rest = b"".join(frames[number:])
                for chunks in splits(b"".join(frames)):
                    protocol = Changing(framing, number, "fixed:1")
                    connect(protocol)
                    for chunk in chunks:
                        protocol.dataReceived(chunk)
                    self.assertEqual(protocol.seen[:number], messages[:number])
                    self.assertEqual(b"".join(protocol.seen[number:]), rest, f"{framing}: {chunks}")

    def test_white_space_after_the_message_is_for_the_new_framing(self) -> None:
        protocol = Changing(Spaced(), 2)
        connect(protocol)
        protocol.dataReceived(b"1a 1b\n" + 10 * b"x" + b"\x01y")
        self.assertEqual(protocol.seen, [b"a", b"b", 10 * b"x", b"y"])

    def test_after_each_message_that_ends_a_read_with_a_frame_held_over_several(self) -> None:
        for framing in (parse("windev"), parse("int32"), parse("standard"), parse("envelope:<:>"), Lines()):
            long = framing.encode(200_000 * b"x")
            frames = [long, *(framing.encode(b"%d" % number) for number in range(5))]
            wire = b"".join(frames)
            for number in range(1, 7):
                rest = b"".join(frames[number:])
                protocol = Changing(framing, number, "fixed:1")
                connect(protocol)
                for start in range(0, len(wire), 60_000):
                    protocol.dataReceived(wire[start : start + 60_000])
                self.assertEqual(b"".join(protocol.seen[number:]), rest)

    def test_in_the_callback_for_a_bad_frame_that_is_skipped(self) -> None:
        class AtErrors(Changing):
            def framingFailed(self, error: FramingError) -> None:
                self.setFraming("int8")

        for chunks in splits(b"a\nlonger\r\n\x02hi"):
            protocol = AtErrors(Lines(max_length=3, on_bad_frame="skip"), 0)
            connect(protocol)
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(protocol.seen, [b"a", b"hi"])

    def test_while_paused_after_each_message(self) -> None:
        class Pausing(Changing):
            def messageReceived(self, message: bytes) -> None:
                self.seen.append(message)
                if len(self.seen) == self.number:
                    self.pauseProducing()

        for framing, messages, frames in streams():
            for number in range(1, len(frames) + 1):
                protocol = Pausing(framing, number)
                connect(protocol)
                protocol.dataReceived(b"".join(frames[:number]) + b"\x02h")
                protocol.dataReceived(b"i")
                protocol.setFraming("int8")
                protocol.resumeProducing()
                self.assertEqual(protocol.seen, [*messages[:number], b"hi"], str(framing))

    def test_at_every_message_of_a_read(self) -> None:
        class Alternating(Changing):
            def messageReceived(self, message: bytes) -> None:
                self.seen.append(message)
                self.setFraming(Spaced() if len(self.seen) % 2 else Lines())

        protocol = Alternating(Lines(), 0)
        connect(protocol)
        protocol.dataReceived(b"a\r\n 1ba\n\n1b" * 2000)
        self.assertEqual(protocol.seen, [b"a", b"b"] * 4000)


class OverrideTests(SynchronousTestCase):
    """messagesReceived is overridden, and hands on what it likes."""

    def seen(self, choose: Callable[[list[bytes]], list[bytes]], wire: bytes) -> list[bytes]:
        class Choosing(Changing):
            def messagesReceived(self, messages: list[bytes]) -> None:
                super().messagesReceived(choose(messages))

        protocol = Choosing(Lines(), 1)
        connect(protocol)
        protocol.dataReceived(wire)
        return protocol.seen

    def test_the_last_of_those_that_came(self) -> None:
        self.assertEqual(self.seen(list, b"a\n\x01b\n"), [b"a", b"b"])
        self.assertEqual(self.seen(lambda messages: [m for m in messages if m != b"x"], b"x\na\n\x01b\n"), [b"a", b"b"])

    def test_others_than_came_are_delivered_before_the_change(self) -> None:
        wire = b"a\nb\r\n\n\x01!"
        self.assertEqual(self.seen(lambda messages: [m for m in messages if m], wire), [b"a", b"b", b"!"])
        self.assertEqual(self.seen(lambda messages: [m.upper() for m in messages], wire), [b"A", b"B", b"", b"!"])


class EchoTests(SynchronousTestCase):
    def test_the_very_bytes_come_back(self) -> None:
        for framing, _, frames in streams():
            wire = b"".join(frames)
            for chunks in splits(wire):
                protocol = Echo()
                protocol.framing = framing
                transport = connect(protocol)
                for chunk in chunks:
                    protocol.dataReceived(chunk)
                value = transport.value()
                if isinstance(framing, Spaced):
                    # What is ignored between two messages need not come back.
                    value, wire = b"".join(value.split()), b"".join(wire.split())
                self.assertEqual(value, wire)

    def test_the_very_bytes_of_the_frame_that_a_change_waits_for(self) -> None:
        for chunks in splits(b"ne\n\x01a"):
            protocol = Echo()
            protocol.framing = Lines()
            transport = connect(protocol)
            protocol.dataReceived(b"li")
            protocol.setFraming("int8", outgoing=False)
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(transport.value(), b"line\na\r\n")
