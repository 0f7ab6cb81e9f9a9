"""Two ends of TLS, joined in memory, against a model: whatever happens in whatever order, each byte arrives once."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sockserve.tls.certificates import TLSConfig
from sockserve.tls.client import ClientTLS
from sockserve.tls.session import StandardSession
from sockserve.tls.transport import TLSTransport
from tests.support.authority import Authority


@implementer(IHalfCloseableDescriptor)
class Pipe:
    """The transport below one end: keeps what was written until it is moved, in pieces, to the other end."""

    disconnecting = False

    def __init__(self) -> None:
        self.sent = b""
        self.reading = True
        self.ended = self.end_told = False
        self.other: TLSTransport

    def write(self, data: bytes) -> None:
        assert not self.ended, "written after the end of the stream"
        self.sent += data

    def loseWriteConnection(self) -> None:
        self.ended = True

    loseConnection = loseWriteConnection

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def getPeer(self) -> str:
        return "peer"

    def readConnectionLost(self, reason: Failure) -> None:
        """Of the interface; nobody calls it."""

    def writeConnectionLost(self, reason: Failure) -> None:
        """The same."""


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """sent, received: what should arrive, and what has. ended: the peer's end of stream was told."""

    transport: TLSTransport

    def __init__(self) -> None:
        self.sent = b""
        self.received = b""
        self.ended = 0
        self.done = self.paused = False

    def write(self, data: bytes) -> None:
        if not self.done:
            self.sent += data
            self.transport.write(data)

    def end(self) -> None:
        if not self.done:
            self.done = True
            self.transport.loseWriteConnection()

    def pause(self) -> None:
        self.paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.paused = False
        self.transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        assert not self.paused, "delivered while paused"
        assert not self.ended, "delivered after the end"
        self.received += data

    def readConnectionLost(self) -> None:
        assert not self.paused, "told of the end while paused"
        self.ended += 1

    def writeConnectionLost(self) -> None:
        pass


class ModelTests(SynchronousTestCase):
    def setUp(self) -> None:
        authority = Authority(self.mktemp())
        self.server = TLSConfig(certificate=str(authority.server)).read()
        self.client = ClientTLS(roots=str(authority.ca)).read()

    def test_any_order_of_events(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.client.maximum_version = version
            for seed in range(150):
                self.run_one(random.Random(seed), f"{version.name}, seed {seed}")

    def run_one(self, choice: random.Random, what: str) -> None:
        clock = Clock()
        ends = (End(), End())
        pipes = (Pipe(), Pipe())
        sessions = (
            StandardSession(self.server, server_side=True),
            StandardSession(self.client, server_side=False, server_hostname="localhost"),
        )

        def opener(end: End) -> Callable[[TLSTransport], None]:
            # Half of them are there before the handshake, as with startTLS.
            return lambda tls: None if tls.wrappedProtocol else tls.connect(end)

        layers = []
        for end, session in zip(ends, sessions, strict=True):
            tls = TLSTransport(session, clock, opener(end), lambda _, limit, text: self.fail(f"{what}: {limit} {text}"))
            if choice.random() < 0.5:
                tls.wrappedProtocol = end
                end.transport = tls
            layers.append(tls)
        for pipe, tls, other in zip(pipes, layers, reversed(layers), strict=True):
            pipe.other = other
            tls.makeConnection(pipe)

        def move(pipe: Pipe, pipe_of_reader: Pipe, most: int) -> bool:
            """Let some bytes through, or the end."""
            if not pipe_of_reader.reading or pipe.end_told:
                return False
            piece, pipe.sent = pipe.sent[:most], pipe.sent[most:]
            if piece:
                pipe.other.dataReceived(piece)
            elif pipe.ended:
                pipe.end_told = True
                pipe.other.readConnectionLost()
            return bool(piece) or pipe.end_told

        for _ in range(choice.randrange(5, 60)):
            at = choice.randrange(2)
            end, event = ends[at], choice.random()
            if event < 0.4:
                move(pipes[at], pipes[1 - at], choice.choice((1, 7, 100, 5000, 1 << 16)))
            elif not hasattr(end, "transport") or end.transport is None:
                continue
            elif event < 0.7:
                end.write(choice.randbytes(choice.choice((1, 10, 1000, 20_000, 70_000))))
            elif event < 0.8:
                end.pause()
            elif event < 0.93:
                end.resume()
            elif event < 0.96:
                clock.advance(0)
            else:
                end.end()
        while True:
            moved = [move(pipes[0], pipes[1], 1 << 16), move(pipes[1], pipes[0], 1 << 16)]
            for end in ends:
                if end.transport is not None:
                    end.resume()
                    end.end()
            clock.advance(0)
            if not any(moved) and all(pipe.end_told for pipe in pipes):
                break
        for mine, theirs in (ends, reversed(ends)):
            self.assertTrue(mine.received == theirs.sent, what)
            self.assertEqual(mine.ended, 1, what)
        for tls in layers:
            self.assertFalse(tls.truncated, what)
            self.assertEqual((tls.unsent, tls.unread), (0, 0), what)
            tls.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(clock.getDelayedCalls(), [])
