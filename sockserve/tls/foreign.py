"""Transports with Twisted's own TLS: what they tell, and what can be mended of them from outside.

A program may bring them: `connect(wrapClientTLS(...))`, or an application of Twisted that listens with TLS.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import (
    IPushProducer,
    ISSLTransport,
)
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import directlyProvides, implementer, providedBy

from sockserve.tls.pyopenssl import der_of, info_of
from sockserve.tls.session import TLSInfo
from sockserve.tls.transport import IHalfCloseableTLS, TLSTransport
from sockserve.tls.x509 import Certificate

# What OpenSSL calls the state of a session whose handshake is done.
_DONE = b"SSL negotiation finished successfully"


def peer_certificate(transport: object) -> Certificate | None:
    """What the peer of a transport has shown in TLS; None: nothing, or it cannot be read."""
    if not ISSLTransport.providedBy(transport):
        return None
    try:
        shown: Any = transport.getPeerCertificate()
    except AttributeError:
        # Twisted's forgets it when the connection is lost.
        return None
    if shown is None or isinstance(shown, Certificate):
        return shown
    try:
        return Certificate.from_der(der_of(shown))
    except ValueError:
        return None


def agreed(transport: object) -> TLSInfo | None:
    """What was agreed on in the TLS of a transport; None: there is none, or its handshake is not done."""
    if not ISSLTransport.providedBy(transport):
        return None
    info = getattr(transport, "info", None)
    if isinstance(info, TLSInfo):
        return info
    handle: Any = getattr(transport, "getHandle", lambda: None)()
    return info_of(handle)


def handshaking(transport: object) -> bool:
    """Whether a transport has Twisted's TLS, and its handshake is not done: it must be read, or nothing is written."""
    if not ISSLTransport.providedBy(transport) or IHalfCloseableTLS.providedBy(transport):
        return False
    state = getattr(cast("Any", transport).getHandle(), "get_state_string", lambda: _DONE)()
    return bool(state != _DONE)


def mended(transport: Any) -> Any:  # noqa: ANN401 - any transport
    """What a protocol has for its transport: this one, or, with Twisted's TLS, a ForeignTransport around it."""
    foreign = ISSLTransport.providedBy(transport) and isinstance(transport, ProtocolWrapper)
    return ForeignTransport(transport) if foreign and not isinstance(transport, TLSTransport) else transport


class ForeignTransport:
    """A transport with Twisted's TLS, and what can be mended from outside. It cannot half-close.

    When the peer has ended its stream, Twisted drops without a word what is written, as long as a producer is
    registered; and our own end waits for the peer's, which it does not see while reading is paused.
    """

    disconnecting: bool | int = False

    def __init__(self, transport: Any) -> None:  # noqa: ANN401 - twisted.protocols.tls has no annotations
        directlyProvides(self, providedBy(transport))
        self._tls = transport
        self._producer: Any = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever that transport has
        return getattr(self._tls, name)

    @property
    def ended(self) -> bool:
        """The connection closes, and that was not us."""
        return bool(self._tls.transport.disconnecting) and not self.disconnecting

    def write(self, data: bytes) -> None:
        if not self.ended:
            self._tls.write(data)
        elif self._producer is not None:
            # A writer waits for room, and so for the loss of the connection.
            self._producer.pauseProducing()

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._tls.loseConnection()
            self._tls.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401 - IPushProducer, IPullProducer
        self._producer = producer
        self._tls.registerProducer(_Producer(self, producer) if streaming else producer, streaming)

    def unregisterProducer(self) -> None:
        self._producer = None
        self._tls.unregisterProducer()


@implementer(IPushProducer)
class _Producer:
    """Stands between the transport and its producer: with a producer that has more to send, it would not close."""

    def __init__(self, transport: ForeignTransport, producer: Any) -> None:  # noqa: ANN401 - IPushProducer
        self._transport = transport
        self._producer = producer

    def pauseProducing(self) -> None:
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        if self._transport.ended:
            self._transport.unregisterProducer()
        else:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()
