"""The other side of a connection: connect once and get a channel, or stay connected with a service."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.error import ConnectError, SSLError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IHandshakeListener, IProtocol, ISSLTransport, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from sockserve.connection.channel import Channel, Conversation, ConversationProtocol, ReadProtocol
from sockserve.connection.protocol import MessageFactory

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory, IReactorTime

    from sockserve.framing import Framing

log = Logger()

Endpoint = str | IStreamClientEndpoint
"""An endpoint string, or an endpoint."""

RetryPolicy = Callable[[int], float]
"""Seconds to wait, from the number of attempts that have failed in a row; see twisted.application.internet."""

DEFAULT_TIMEOUT = 30.0
DEFAULT_CLOSE_TIMEOUT = 10.0

ACCEPTED = "a Twisted client endpoint, such as tcp:localhost:27015, tls:example.org:7000 or unix:/run/x.sock"


def connect(
    endpoint: Endpoint,
    framing: Framing | str = "raw",
    *,
    timeout: float = DEFAULT_TIMEOUT,
    close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
    reactor: object = None,
) -> Deferred[Channel]:
    r"""Connect, and get a channel that can be read.

    endpoint: an endpoint string or an endpoint. Of a host with several addresses, IPv6 or IPv4, all are tried, one
        after the other. A colon in an address is written `\:`, as in r"tcp:\:\:1:27015".
    framing: a Framing or its name.
    timeout: seconds for the whole of it: the look-up of the name, all addresses, and the TLS handshake.
    close_timeout: seconds in which the peer has to take some of what it is owed when the channel closes.
    reactor: None: the global one.

    Raises ValueError at once, with one line, for an endpoint string or a framing that is none. The Deferred fails with
    twisted.internet.error.DNSLookupError or one of the errors under twisted.internet.error.ConnectError: TimeoutError
    when the time is over, SSLError when TLS was not agreed. Cancelled, it fails with CancelledError and leaves no
    connection behind.
    """
    reactor = _reactor(reactor)
    whole = _Whole(as_endpoint(endpoint, reactor), timeout, reactor)
    factory = MessageFactory(framing, ClientProtocol, close_timeout=close_timeout)

    def ready(protocol: IProtocol) -> Channel:
        assert isinstance(protocol, ClientProtocol)
        return Channel(protocol)

    return whole.connect(factory).addCallback(ready)


def disconnect(channel: Channel) -> Deferred[None]:
    """Close the channel that `connect` gave: send what is owed, then close. Fires when the connection is over.

    That is close_timeout seconds after the peer has taken something, at the latest. A program that ends right behind
    `channel.close()` would lose what is still owed.
    """
    protocol = channel._protocol
    if not isinstance(protocol, ClientProtocol):
        raise TypeError("only a channel that connect has given can be disconnected; all others are closed")
    protocol.loseConnection()
    return protocol.whenOver()


def reconnecting(
    endpoint: Endpoint,
    framing: Framing | str,
    conversation: Conversation,
    *,
    retry_policy: RetryPolicy | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
    log_traffic: bool = False,
    reactor: object = None,
) -> ClientService:
    """A service that keeps a connection for as long as it runs, and runs `conversation(channel)` on each.

    The end of the conversation closes its connection, and another one is made; when the connection is lost, the
    conversation's read or write raises, as elsewhere. Stopping the service sends what is owed and closes.

    endpoint, framing, close_timeout, reactor: as of `connect`.
    timeout: seconds for each attempt; one that fails is logged in one line.
    retry_policy: seconds before the next attempt; None: from one second on, by steps to one minute.
    log_traffic: log the number of bytes of every read and write.

    Raises ValueError for an endpoint string or a framing that is none.
    """
    reactor = _reactor(reactor)
    whole = _Whole(as_endpoint(endpoint, reactor), timeout, reactor, description=str(endpoint))
    return _Reconnecting(whole, framing, conversation, retry_policy, close_timeout, log_traffic, reactor)


def as_endpoint(endpoint: Endpoint, reactor: object) -> IStreamClientEndpoint:
    """A client endpoint given as a value or as a string. Raises ValueError, in one line, for a string that is none.

    Twisted's own `tcp:` tries one IPv4 address; here it tries every address of the host.
    """
    if not isinstance(endpoint, str):
        return endpoint
    try:
        kind, *arguments = _parts(endpoint)
        if kind == "tcp":
            return _tcp(arguments, reactor)
        return cast("IStreamClientEndpoint", clientFromString(reactor, endpoint))
    except Exception as error:  # Twisted's endpoint parsers raise what they like
        reason = " ".join(str(error).split())
        raise ValueError(f"{endpoint!r}: {reason}; accepted: {ACCEPTED}") from None


_PART = re.compile(r"((?:[^:\\]|\\.)*)(?::|\Z)", re.DOTALL)
_OPTION = re.compile(r"((?:[^=\\]|\\.)*)=(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _parts(text: str) -> list[str]:
    """The parts of an endpoint string, as they are written."""
    parts = []
    start = 0
    while match := _PART.match(text, start):
        parts.append(match[1])
        if match.end() == len(text) and not match[0].endswith(":"):
            return parts
        start = match.end()
    raise ValueError("a backslash must stand before another character")


def _tcp(arguments: list[str], reactor: object) -> HostnameEndpoint:
    """`tcp:HOST:PORT`, with timeout=SECONDS and bindAddress=ADDRESS behind it if wished."""
    options: dict[str, str] = {}
    places = ["host", "port"]
    for argument in arguments:
        if match := _OPTION.fullmatch(argument):
            name, value = match[1], match[2]
            if name in places:
                places.remove(name)
            elif name not in ("timeout", "bindAddress"):
                raise ValueError(f"tcp has no option {name!r}: there are host, port, timeout and bindAddress")
        elif places:
            name, value = places.pop(0), argument
        else:
            raise ValueError(f"{argument!r} is too much: there are a host and a port")
        options[name] = _ESCAPED.sub(r"\1", value)
    if places or not options["host"]:
        raise ValueError("a host and a port are missing" if len(places) > 1 else "a host or a port is missing")
    port = int(options["port"]) if re.fullmatch(r"[0-9]{1,5}", options["port"], re.ASCII) else 0
    if not 1 <= port <= 65535:
        raise ValueError(f"the port is a number from 1 to 65535, not {options['port']!r}")
    timeout = float(options.get("timeout", DEFAULT_TIMEOUT))
    bind = (options["bindAddress"], 0) if "bindAddress" in options else None
    return HostnameEndpoint(reactor, options["host"], port, timeout, bind)


def _reactor(reactor: object) -> IReactorTime:
    if reactor is None:
        from twisted.internet import reactor
    return cast("IReactorTime", reactor)


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
        if ISSLTransport.providedBy(self.transport):
            self._listen_to_handshake()
        else:
            self.ready.callback(self)

    def _listen_to_handshake(self) -> None:
        # Not for the whole class: in front of a protocol that provides this, Twisted's endpoints hide that it provides
        # IHalfCloseableProtocol. The other one here is what the endpoint has put in front of this.
        for listener in (self, getattr(self.transport, "wrappedProtocol", None)):
            if isinstance(listener, Protocol):
                alsoProvides(listener, IHandshakeListener)

    def handshakeCompleted(self) -> None:
        if not self.ready.called:
            self.ready.callback(self)

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
    match getattr(reason.value, "args", ()):
        case ([*errors],) if errors and all(isinstance(error, tuple) for error in errors):
            # OpenSSL's list of (library, function, reason).
            text = ", ".join(str(error[-1]) for error in errors)
        case _:
            text = " ".join((reason.getErrorMessage() or repr(reason.value)).split()).removesuffix(".")
    return f"no agreement on TLS: {text}"


@implementer(IStreamClientEndpoint)
class _Whole:
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
                    log.warn("no connection to {to}: {error}", to=self._description, error=result.getErrorMessage())
                done.errback(result)
            else:
                done.callback(cast("IProtocol", result))

        done: Deferred[IProtocol] = Deferred(cancel)
        attempt = self._endpoint.connect(protocolFactory).addCallback(_until_ready)
        attempt.addTimeout(self._timeout, self._clock, _too_late)
        attempt.addBoth(finish)
        return done


def _until_ready(protocol: IProtocol) -> IProtocol | Deferred[IProtocol]:
    # What a service connects begins by itself when it is ready.
    return cast("Deferred[IProtocol]", protocol.ready) if isinstance(protocol, ClientProtocol) else protocol


def _too_late(result: object, seconds: float) -> object:
    if isinstance(result, Failure):
        raise ConnectTimeout(string=f"no connection within {seconds:g} seconds")
    return result


class _ReconnectingProtocol(ClientProtocol, ConversationProtocol):
    """One connection of a service: its conversation begins when it is ready."""

    def __init__(self, conversation: Conversation) -> None:
        ClientProtocol.__init__(self)
        ConversationProtocol.__init__(self, self._begin)
        self._conversation = conversation

    async def _begin(self, channel: Channel) -> None:
        try:
            await self.ready
        except (ConnectError, CancelledError) as error:
            log.warn("{peer}: {error}", peer=self.peer, error=error)
        else:
            await self._conversation(channel)


class _Reconnecting(ClientService):
    """Closes as a channel does: what is owed is sent, as long as the peer takes it."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        framing: Framing | str,
        conversation: Conversation,
        retry_policy: RetryPolicy | None,
        close_timeout: float,
        log_traffic: bool,
        reactor: IReactorTime,
    ) -> None:
        self._conversation = conversation
        self._current: _ReconnectingProtocol | None = None
        factory = MessageFactory(framing, self._make, close_timeout=close_timeout, log_traffic=log_traffic)
        super().__init__(endpoint, factory, retry_policy, reactor)

    def _make(self) -> _ReconnectingProtocol:
        self._current = _ReconnectingProtocol(self._conversation)
        return self._current

    def stopService(self) -> Deferred[None]:
        current = self._current
        if current is None or not current.started:
            return super().stopService()
        Service.stopService(self)
        over = current.whenOver()
        current.loseConnection()
        return over.addCallback(self._stop)

    def _stop(self, _: object) -> Deferred[None] | None:
        """The connection is over: make no other, unless the service was started again."""
        return None if self.running else maybeDeferred(super().stopService)
