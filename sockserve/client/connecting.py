"""The other side of a connection: connect once and get a channel, or stay connected with a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import SSLError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from sockserve.client.endpoints import ClientEndpoint, as_endpoint, as_reactor
from sockserve.connection.channel import Channel, ReadProtocol
from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import DEFAULT_CLOSE_TIMEOUT, DEFAULT_MAX_QUEUED
from sockserve.connection.protocol import MessageProtocol
from sockserve.text import one_line, openssl_reasons
from sockserve.tls.client import DEFAULT_TIMEOUT
from sockserve.tls.foreign import ForeignTransport
from sockserve.tls.pyopenssl import unnamed

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime

    from sockserve.framing import Framing

log = Logger()


def connect(
    endpoint: ClientEndpoint,
    framing: Framing | str = "raw",
    *,
    timeout: float = DEFAULT_TIMEOUT,
    close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
    max_queued: int = DEFAULT_MAX_QUEUED,
    reactor: object = None,
) -> Deferred[Channel]:
    r"""Connect, and get a channel that can be read.

    endpoint: an endpoint string or an endpoint. Of a host with several addresses, IPv6 or IPv4, all are tried, one
        after the other. A colon in an address is written `\:`, as in r"tcp:\:\:1:27015".
    framing: a Framing or its name.
    timeout: seconds in all: the look-up of the name, all addresses, and the TLS handshake.
    close_timeout: seconds in which the peer has to take some of what it is owed when the channel closes.
    max_queued: bytes that may wait for a peer that does not read, before `Channel.send` raises QueueFull.
    reactor: None: the global one.

    Raises ValueError at once, with one line, for an endpoint string or a framing that is none. The Deferred fails with
    twisted.internet.error.DNSLookupError or one of the errors under twisted.internet.error.ConnectError: TimeoutError
    when the time is over, SSLError when TLS was not agreed. Cancelled, it fails with CancelledError and leaves no
    connection behind.
    """
    reactor = as_reactor(reactor)
    whole = TimedEndpoint(as_endpoint(endpoint, reactor), timeout, reactor)
    factory = ClientFactory(framing, ClientProtocol, close_timeout=close_timeout, max_queued=max_queued)
    return whole.connect(factory).addCallback(lambda _: Channel(factory.latest))


def disconnect(channel: Channel) -> Deferred[None]:
    """Close the channel that `connect` gave: send what is owed, then close. Fires when the connection is over.

    That is close_timeout seconds after the peer has taken something, at the latest. A program that ends right after
    `channel.close()` would lose what is still owed.
    """
    protocol = channel._protocol
    if not isinstance(protocol, ClientProtocol):
        raise TypeError("only a channel that connect has given can be disconnected; all others are closed")
    protocol.loseConnection()
    return protocol.whenOver()


class ClientFactory(MessageFactory):
    """Makes ClientProtocols, and knows the last one: an endpoint may give a wrapper of it.

    latest: the protocol of the connection that was made last.
    """

    latest: ClientProtocol

    def buildProtocol(self, addr: IAddress | None) -> MessageProtocol:
        protocol = super().buildProtocol(addr)
        assert isinstance(protocol, ClientProtocol)
        self.latest = protocol
        return protocol


class ClientProtocol(ReadProtocol):
    """Ready when the connection is there, and over TLS when both sides have agreed on it."""

    def __init__(self) -> None:
        # Fires when it can be used, or fails.
        self.ready: Deferred[ClientProtocol] = Deferred(lambda _: self.abortConnection())
        self._over = False
        self._waiting: list[Deferred[None]] = []

    def whenOver(self) -> Deferred[None]:
        """Fires when the connection is over."""
        if self._over:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def connectionMade(self) -> None:
        super().connectionMade()
        if isinstance(self.transport, ForeignTransport):
            self._listen_to_handshake()
        else:
            self.ready.callback(self)

    def _listen_to_handshake(self) -> None:
        # Not for the whole class: Twisted's endpoints wrap a protocol that provides this, and so hide that it provides
        # IHalfCloseableProtocol. The other one here is the wrapper of the endpoint.
        for listener in (self, getattr(self.transport, "wrappedProtocol", None)):
            if isinstance(listener, Protocol):
                alsoProvides(listener, IHandshakeListener)

    def handshakeCompleted(self) -> None:
        if self.ready.called:
            return
        if problem := unnamed(cast("Any", self.transport).getHandle()):
            self.ready.errback(SSLError(string=f"no agreement on TLS: {problem}"))
            self.abortConnection()
        else:
            self.ready.callback(self)

    def _connectionNotStarted(self, failure: Failure) -> None:
        if not self.ready.called:
            self.ready.errback(failure)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._over = True
        if not self.ready.called:
            self.ready.errback(SSLError(string=_handshake_error(reason)))
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


def _handshake_error(reason: Failure) -> str:
    """Why TLS was not agreed, in one line."""
    text = openssl_reasons(reason.value) or one_line(reason.getErrorMessage() or repr(reason.value)).removesuffix(".")
    return f"no agreement on TLS: {text}"


@implementer(IStreamClientEndpoint)
class TimedEndpoint:
    """Connects through another endpoint: the whole of it takes `timeout` seconds at the most.

    description: for the log, which gets each failure in one line; None: nothing is logged.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, timeout: float, clock: IReactorTime, description: str | None = None
    ) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._clock = clock
        self._description = description

    def __repr__(self) -> str:
        return self._description or repr(self._endpoint)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's name
        # Twisted's endpoints answer a cancellation in several ways; this Deferred always with CancelledError.
        cancelled = False

        def cancel(_: object) -> None:
            nonlocal cancelled
            cancelled = True
            attempt.cancel()

        def finish(result: object) -> None:
            if cancelled:
                if not isinstance(result, Failure):
                    cast("ReadProtocol", result).transport.abortConnection()
            elif isinstance(result, Failure):
                if self._description is not None:
                    error = result.getErrorMessage()
                    log.warn(
                        "no connection to {to}: {error}",
                        to=self._description,
                        error=error,
                        event_name="sockserve.client.failed",
                        attributes={"sockserve.client.target": self._description, "exception.message": error},
                    )
                done.errback(result)
            else:
                done.callback(cast("IProtocol", result))

        done: Deferred[IProtocol] = Deferred(cancel)
        attempt = self._endpoint.connect(protocolFactory)
        if isinstance(protocolFactory, ClientFactory):
            # What a service connects begins by itself when it is ready.
            attempt.addCallback(lambda _: protocolFactory.latest.ready)
        attempt.addTimeout(self._timeout, self._clock, _too_late)
        attempt.addBoth(finish)
        return done


def _too_late(result: object, seconds: float) -> object:
    if isinstance(result, Failure):
        raise ConnectTimeout(string=f"no connection within {seconds:g} seconds")
    return result
