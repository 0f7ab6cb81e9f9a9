"""Peers that no one here wrote: socat, and Twisted's own receivers, on real sockets.

socat must be installed (`apt-get install socat`): without it its tests are skipped, and fail where CI is set.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast
from unittest import SkipTest

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.error import CannotListenError, ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import (
    Int8StringReceiver,
    Int16StringReceiver,
    Int32StringReceiver,
    LineReceiver,
    NetstringReceiver,
)
from twisted.trial.unittest import TestCase

from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.handlers.echo import Echo

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort
    from twisted.python.failure import Failure

LOCAL = "tcp:0:interface=127.0.0.1"


class Watched(Protocol):
    """gone: fires when the connection is lost."""

    transport: Any

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.gone.callback(None)


P = TypeVar("P", bound=Watched)


class PeerTestCase(TestCase):
    """Servers in this process, which leave nothing open behind a test."""

    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = cast("Any", reactor)
        # Of the servers.
        self.connections: list[Watched] = []

    async def listen(self, factory: Factory[Any], where: str = LOCAL) -> IListeningPort:
        port: IListeningPort = await serverFromString(self.reactor, where).listen(factory)
        self.addCleanup(self.connections_closed)
        self.addCleanup(port.stopListening)
        return port

    async def listen_tcp(self, factory: Factory[Any]) -> int:
        return int((await self.listen(factory)).getHost().port)  # type: ignore[attr-defined]

    def kept(self, protocol: Callable[[], P]) -> Callable[[], P]:
        """`protocol`, with each one that is made kept in `connections`."""

        def make() -> P:
            made = protocol()
            self.connections.append(made)
            return made

        return make

    def connections_closed(self) -> Deferred[list[None]]:
        """Abort the connections that a failed test has left."""
        for connection in self.connections:
            if not connection.gone.called:
                connection.transport.abortConnection()
        return gatherResults([connection.gone for connection in self.connections])


# socat.


class EchoServer(Watched, Echo):
    pass


class UpperServer(Watched, MessageProtocol):
    """Answers in upper case, and keeps what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[bytes] = []

    def messageReceived(self, message: bytes) -> None:
        self.received.append(message)
        self.sendMessage(message.upper())


class Socat(ProcessProtocol):
    """A run of socat. output: what it wrote, once it has ended well. port: where it listens, once it said so."""

    transport: Any

    def __init__(self) -> None:
        self._out = bytearray()
        self._err = bytearray()
        self.output: Deferred[bytes] = Deferred()
        self.port: Deferred[int] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self._out += data

    def errReceived(self, data: bytes) -> None:
        self._err += data
        listening = re.search(rb"listening on AF=2 127\.0\.0\.1:(\d+)", self._err)
        if listening and not self.port.called:
            self.port.callback(int(listening[1]))

    def processEnded(self, reason: Failure) -> None:
        self.gone.callback(None)
        if reason.check(ProcessDone):
            self.output.callback(bytes(self._out))
        else:
            self.output.errback(RuntimeError(f"{reason.value}: {self._err.decode(errors='replace')}"))

    def kill(self) -> Deferred[None]:
        if not self.gone.called:
            self.output.addErrback(lambda _: None)
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
        return self.gone


class SocatTests(PeerTestCase):
    def start(self, *arguments: str) -> Socat:
        program = shutil.which("socat")
        if program is None:
            missing = "socat is not installed, and this test needs it: apt-get install socat"
            if "CI" in os.environ:
                self.fail(missing)
            raise SkipTest(missing)
        socat = Socat()
        self.reactor.spawnProcess(socat, program, [program, *arguments], env=os.environ)
        self.addCleanup(socat.kill)
        return socat

    async def pipe(self, data: bytes, address: str) -> bytes:
        """What comes out of `socat -t10 - ADDRESS` with `data` piped in."""
        socat = self.start("-t10", "-", address)
        socat.transport.write(data)
        socat.transport.closeStdin()
        return await socat.output

    def echo(self, framing: str = "raw") -> MessageFactory:
        return MessageFactory(framing, self.kept(EchoServer))

    async def test_bytes_piped_through_come_back_whole_behind_the_half_close(self) -> None:
        port = await self.listen_tcp(self.echo())
        for data in (b"", b"x", b"this is a test", Random(1).randbytes(3_000_000)):
            self.assertEqual(await self.pipe(data, f"TCP:127.0.0.1:{port}"), data)
        self.assertEqual(len(self.connections), 4)
        await gatherResults([connection.gone for connection in self.connections])

    async def test_lines_of_a_unix_text_file_arrive_as_messages(self) -> None:
        port = await self.listen_tcp(MessageFactory("buffered", self.kept(UpperServer)))
        output = await self.pipe(b"one\n\ntwo words\nthree\n", f"TCP:127.0.0.1:{port},crlf")
        self.assertEqual(output, b"ONE\n\nTWO WORDS\nTHREE\n")
        (server,) = self.connections
        self.assertEqual(cast("UpperServer", server).received, [b"one", b"", b"two words", b"three"])

    async def test_a_frame_written_by_hand(self) -> None:
        for framing, frame, answer in (
            ("windev", b"11\r\nHello World0\r\n", b"11\r\nHELLO WORLD0\r\n"),
            ("standard", b"Hello<EOF><EOF>", b"HELLO<EOF><EOF>"),
            ("netstring", b"5:hello,0:,", b"5:HELLO,0:,"),
            ("varint", b"\x05hello\0", b"\x05HELLO\0"),
            ("envelope:\\x02:\\x03", b"\x02hello\x03\x02\x03", b"\x02HELLO\x03\x02\x03"),
        ):
            port = await self.listen_tcp(MessageFactory(framing, self.kept(UpperServer)))
            self.assertEqual(await self.pipe(frame, f"TCP:127.0.0.1:{port}"), answer)

    async def test_over_a_unix_socket(self) -> None:
        # Not mktemp(): the path of a unix socket may have about 100 bytes.
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        path = directory / "echo.sock"
        await self.listen(self.echo(), f"unix:{path}")
        data = Random(2).randbytes(1_000_000)
        self.assertEqual(await self.pipe(data, f"UNIX-CONNECT:{path}"), data)

    async def test_over_ipv6(self) -> None:
        try:
            port = await self.listen(self.echo(), "tcp:0:interface=\\:\\:1")
        except CannotListenError as error:
            raise SkipTest(f"this machine has no IPv6: {error}") from None
        data = Random(3).randbytes(1_000_000)
        number = port.getHost().port  # type: ignore[attr-defined]
        self.assertEqual(await self.pipe(data, f"TCP6:[::1]:{number}"), data)

    async def test_socat_as_the_server(self) -> None:
        socat = self.start("-d", "-d", "-t10", "TCP-LISTEN:0,bind=127.0.0.1", "PIPE")
        port = await socat.port
        messages = some_messages(seed=4, largest=3000)
        client = MessageClient(len(messages))
        client.framing = "windev"
        await connectProtocol(clientFromString(self.reactor, f"tcp:127.0.0.1:{port}"), client)
        client.sendMessages(messages)
        self.assertEqual(await client.complete, messages)
        client.loseConnection()
        await client.gone
        await socat.output


# Twisted's receivers.


class Client(Watched):
    """complete: fires with the messages received once they are as many as expected."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._expected = expected
        self._received: list[bytes] = []
        self.complete: Deferred[list[bytes]] = Deferred()

    def keep(self, message: bytes) -> None:
        self._received.append(message)
        if len(self._received) == self._expected:
            self.complete.callback(self._received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if not self.complete.called:
            self.complete.errback(reason)


class MessageClient(Client, MessageProtocol):
    def messageReceived(self, message: bytes) -> None:
        self.keep(message)


class Int8Client(Client, Int8StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.keep(string)


class Int16Client(Client, Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.keep(string)


class Int32Client(Client, Int32StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.keep(string)


class NetstringClient(Client, NetstringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.keep(string)


class LineClient(Client, LineReceiver):
    def lineReceived(self, line: bytes) -> None:
        self.keep(line)


class Int8Echo(Watched, Int8StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Int16Echo(Watched, Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Int32Echo(Watched, Int32StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class NetstringEcho(Watched, NetstringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class LineEcho(Watched, LineReceiver):
    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)


def some_messages(seed: int, largest: int, without: bytes | None = None) -> list[bytes]:
    """Hundreds of random messages: empty, tiny, middling, and a few of the largest size."""
    random = Random(seed)
    sizes = [0, largest, 0, 0]
    for limit in (3, 20, 300, 3000):
        sizes += [random.randint(0, min(limit, largest)) for _ in range(100)]
    sizes += [largest, largest - 1, 1]
    messages = [random.randbytes(size) for size in sizes]
    if without is not None:
        messages = [message.replace(without, b"." * len(without)) for message in messages]
    return messages


def send_all(sender: Protocol, messages: list[bytes]) -> None:
    """Send by the method that the class has for one message."""
    for message in messages:
        if isinstance(sender, MessageProtocol):
            sender.sendMessage(message)
        elif isinstance(sender, LineReceiver):
            sender.sendLine(message)
        else:
            assert isinstance(sender, (Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, NetstringReceiver))
            sender.sendString(message)


def odd_pieces(data: bytes, seed: int) -> Iterator[bytes]:
    random = Random(seed)
    at = 0
    while at < len(data):
        size = random.choice((1, 2, 3, 5, 11, 97, 1021, 4099))
        yield data[at : at + size]
        at += size


class ReceiverTestCase(PeerTestCase):
    async def converse(self, factory: Factory[Any], make: Callable[[int], Client], messages: list[bytes]) -> None:
        """Get all messages back from an echo server, sent one behind the other, and in odd pieces."""
        port = await self.listen_tcp(factory)
        for in_pieces in (False, True):
            client = make(len(messages))
            await connectProtocol(clientFromString(self.reactor, f"tcp:127.0.0.1:{port}"), client)
            if in_pieces:
                await self.write_in_pieces(client, make, messages)
            else:
                send_all(client, messages)
            received = await client.complete
            # As one comparison, without a difference of megabytes in the report.
            self.assertTrue(received == messages, "other messages came back than were sent")
            client.transport.loseConnection()
            await client.gone
        self.assertEqual(len(self.connections), 2)
        await gatherResults([connection.gone for connection in self.connections])

    async def write_in_pieces(self, client: Client, make: Callable[[int], Client], messages: list[bytes]) -> None:
        """Write what `client` would, cut anew, each piece in a turn of the reactor and a segment of its own."""
        recorder = make(0)
        recorder.makeConnection(StringTransport())
        send_all(recorder, messages)
        client.transport.setTcpNoDelay(True)
        for piece in odd_pieces(recorder.transport.value(), seed=len(messages)):
            client.transport.write(piece)
            await deferLater(self.reactor, 0)


class TwistedClientTests(ReceiverTestCase):
    """Twisted's receivers as clients of Echo."""

    async def check(self, framing: str, client: Callable[[int], Client], messages: list[bytes]) -> None:
        await self.converse(MessageFactory(framing, self.kept(EchoServer)), client, messages)

    async def test_int8_string_receiver(self) -> None:
        await self.check("int8", Int8Client, some_messages(11, 255))

    async def test_int16_string_receiver(self) -> None:
        await self.check("int16", Int16Client, some_messages(12, 65535))

    async def test_int32_string_receiver(self) -> None:
        await self.check("int32", Int32Client, some_messages(13, Int32StringReceiver.MAX_LENGTH))

    async def test_netstring_receiver(self) -> None:
        await self.check("netstring", NetstringClient, some_messages(14, NetstringReceiver.MAX_LENGTH))

    async def test_line_receiver(self) -> None:
        await self.check("buffered", LineClient, some_messages(15, LineReceiver.MAX_LENGTH, without=b"\r\n"))


class TwistedServerTests(ReceiverTestCase):
    """MessageProtocol as a client of servers that Twisted's receivers make."""

    async def check(self, framing: str, server: Callable[[], Watched], messages: list[bytes]) -> None:
        def client(expected: int) -> MessageClient:
            made = MessageClient(expected)
            made.framing = framing
            return made

        factory = Factory.forProtocol(cast("type[Protocol]", self.kept(server)))
        await self.converse(factory, client, messages)

    async def test_int8_string_receiver(self) -> None:
        await self.check("int8", Int8Echo, some_messages(21, 255))

    async def test_int16_string_receiver(self) -> None:
        await self.check("int16", Int16Echo, some_messages(22, 65535))

    async def test_int32_string_receiver(self) -> None:
        await self.check("int32", Int32Echo, some_messages(23, Int32StringReceiver.MAX_LENGTH))

    async def test_netstring_receiver(self) -> None:
        await self.check("netstring", NetstringEcho, some_messages(24, NetstringReceiver.MAX_LENGTH))

    async def test_line_receiver(self) -> None:
        await self.check("buffered", LineEcho, some_messages(25, LineReceiver.MAX_LENGTH, without=b"\r\n"))
