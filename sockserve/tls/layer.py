"""TLS below the protocols of a server: nothing owed is lost, and nobody is served before the handshake is done.

Twisted's own layer (twisted.protocols.tls) connects the wrapped protocol before the handshake, and takes the peer's
end of stream for the end of the connection. Here it is an end of one direction: RFC 8446 section 6.1.

It needs pyOpenSSL; only sockserve.server.sockets imports it, when a socket has TLS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from OpenSSL.SSL import Error, WantReadError, X509VerificationCodes, ZeroReturnError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from sockserve.addresses import format_address
from sockserve.connection.transports import IHalfCloseableTLS
from sockserve.tls.certificates import describe

if TYPE_CHECKING:
    from OpenSSL.crypto import X509
    from twisted.internet.interfaces import (
        IAddress,
        IDelayedCall,
        IOpenSSLServerConnectionCreator,
        IProtocolFactory,
        IReactorTime,
        ITransport,
    )
    from twisted.internet.tcp import Connection

log = Logger()

DEFAULT_HANDSHAKE_TIMEOUT = 10.0

# Bytes of one call of OpenSSL: a record at the most is read; what it has for the wire may be more.
_RECORD_SIZE = 1 << 14
_WIRE_SIZE = 1 << 16
_VERIFICATION = {
    code: name.removeprefix("ERR_").replace("_", " ").lower()
    for name, code in vars(X509VerificationCodes).items()
    if isinstance(code, int)
}

Report = Callable[[str, str, str], None]
"""Called with the name of the limit that closes a connection, the peer's address, and what happened."""


def _log(reason: str, peer: str, text: str) -> None:  # noqa: ARG001 - as Report
    log.warn("{peer}: {text}", peer=peer, text=text)


@implementer(IHalfCloseableProtocol, IHalfCloseableTLS)
class TLSTransport(TLSMemoryBIOProtocol):
    """OpenSSL between a transport and the protocol of a server.

    The protocol is built and connected when the handshake is done. It is told of the peer's end of stream by
    readConnectionLost, if it provides IHalfCloseableProtocol, and what it writes after that is still sent; else the
    connection closes with everything written.

    truncated: the peer has ended its stream without saying so in TLS (close_notify): somebody on the way may have cut
        it short. The protocol has it as an end of stream, the log has a line, and the connection's end is a
        ConnectionLost.
    """

    factory: TLSFactory
    transport: Connection
    truncated = False

    _deadline: IDelayedCall | None = None
    # The peer has sent something.
    _begun = False
    # It was said why there is no connection.
    _reported = False
    # Why a certificate was refused.
    _refusal = ""
    _certificate: X509 | None = None
    # The protocol wants no data now; some is there.
    _paused = False
    _held = False
    # The transport's end of stream has come; the peer's end of stream has been told.
    _transport_ended = False
    _read_ended = False
    # Our close_notify is out.
    _write_ended = False
    _later: IDelayedCall | None = None

    def __init__(self, factory: TLSFactory) -> None:
        super().__init__(factory, cast("Any", None), _connectWrapped=False)

    def logPrefix(self) -> str:
        return cast("str", self.factory.logPrefix())

    # The handshake.

    def makeConnection(self, transport: ITransport) -> None:
        # What is above TLSMemoryBIOProtocol lends this object the interfaces of the transport, whatever they are.
        Protocol.makeConnection(self, transport)
        self._appSendBuffer: list[bytes] = []
        self.factory.registerProtocol(self)
        self._deadline = self.factory._clock.callLater(self.factory.handshake_timeout, self._too_late)
        self._tlsConnection = self.factory._creatorCallable(self)
        self._checkHandshakeStatus()

    def refused(self, certificate: X509, code: int) -> None:
        """OpenSSL does not accept the peer's certificate."""
        name = certificate.to_cryptography().subject.rfc4514_string()
        self._refusal = f": {_VERIFICATION.get(code, code)} ({name or 'a certificate without a name'})"

    def _checkHandshakeStatus(self) -> None:
        try:
            self._tlsConnection.do_handshake()
        except WantReadError:
            self._flushSendBIO()
        except Error as error:
            self._fail("tls", f"no agreement on TLS: {describe(error)}{self._refusal}")
            self._hang_up()
        else:
            self._flushSendBIO()
            if not self._aborted:
                self._connect()

    def _connect(self) -> None:
        wrapped = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if wrapped is None:
            self.forget()
            return
        self._stop_clock()
        self._certificate = self._tlsConnection.get_peer_certificate()
        self._handshakeDone = True
        self.wrappedProtocol = wrapped
        wrapped.makeConnection(self)

    def forget(self) -> None:
        """Abort the connection, if it is none yet, and say nothing of it."""
        if not self._handshakeDone:
            self._reported = True
            self.abortConnection()

    def _too_late(self) -> None:
        self._deadline = None
        seconds = self.factory.handshake_timeout
        self._fail("handshake_timeout", f"aborted, no TLS handshake within {seconds:g} seconds (handshake_timeout)")
        self.abortConnection()

    def _gone(self, text: str) -> None:
        """The peer has left in the handshake. One that has sent nothing is the look of a monitor: nothing is wrong."""
        if not self._begun:
            self._reported = True
        self._fail("tls", f"no agreement on TLS: {text}")

    def _fail(self, reason: str, text: str) -> None:
        """There will be no connection: say why, once."""
        self._lostTLSConnection = True
        if not self._reported:
            self._reported = True
            self.factory.report(reason, format_address(self.getPeer()), text)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        if self._lostTLSConnection or self._read_ended:
            # RFC 8446 section 6.1: what comes behind a close_notify is ignored.
            return
        self._begun = True
        self._tlsConnection.bio_write(data)
        if not self._handshakeDone:
            self._checkHandshakeStatus()
        if self._handshakeDone:
            self._deliver()

    def readConnectionLost(self) -> None:
        """The transport's end of stream."""
        self._transport_ended = True
        if self._handshakeDone:
            self._deliver()
        else:
            self._gone("the peer has ended its stream")
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._transport_ended:
            self.transport.resumeProducing()
        if self._held and self._later is None and not self._lostTLSConnection:
            # Not from here: who resumes does not expect data before this returns, and no transport does that.
            self._later = self.factory._clock.callLater(0, self._deliver_later)

    def _deliver_later(self) -> None:
        self._later = None
        self._deliver()

    def _deliver(self) -> None:
        """Hand on what was decrypted, as one piece; then the end of the stream, if it has come."""
        if self._read_ended or self._lostTLSConnection or self.disconnecting:
            return
        self._held = self._paused
        if self._paused:
            return
        chunks = []
        end: Callable[[], None] | None = None
        while end is None:
            try:
                chunks.append(self._tlsConnection.recv(_RECORD_SIZE))
            except WantReadError:
                if not self._transport_ended:
                    break
                end = self._truncate
            except ZeroReturnError:
                end = self._end
            except Error as error:
                self._reason = Failure(ConnectionLost(f"TLS failed: {describe(error)}"))
                end = self._break
        # OpenSSL may have something to say to what it has read.
        self._flushSendBIO()
        if chunks:
            self.wrappedProtocol.dataReceived(b"".join(chunks))
        if end is not None and not self.disconnecting:
            # Nobody is told of an end while he does not want to hear more.
            self._held = self._paused
            if not self._paused:
                end()

    def _end(self) -> None:
        self._read_ended = True
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.readConnectionLost()
        else:
            self.loseConnection()

    def _truncate(self) -> None:
        if not self._write_ended:
            # Whoever has had our close_notify often just closes.
            self.truncated = True
            self._reason = Failure(ConnectionLost("the peer has ended its stream without close_notify"))
            name = f"{self.factory.name} {format_address(self.getPeer())}".lstrip()
            log.info("{name}: its stream has ended without close_notify, it may be cut short", name=name)
        self._end()

    def _break(self) -> None:
        """The peer does not keep to TLS any more, or says that we do not."""
        assert self._reason is not None
        self._fail("tls", self._reason.value.args[0])
        self._hang_up()

    def _hang_up(self) -> None:
        """Close behind the alert that says why, soon."""
        self._flushSendBIO()
        self.transport.loseConnection()
        if self._deadline is None:
            self._deadline = self.factory._clock.callLater(self.factory.handshake_timeout, self._too_late)

    # Sending and closing.

    def write(self, data: bytes) -> None:
        if not self._write_ended:
            super().write(data)

    def loseWriteConnection(self) -> None:
        """Send close_notify behind what was written; reading goes on."""
        if not self._write_ended and not self._lostTLSConnection:
            self._end_writing()
            self.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """The transport has sent all, and its end of stream."""
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.writeConnectionLost()

    def stopProducing(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        self._aborted = self.disconnecting = True
        self.transport.abortConnection()

    def _shutdownTLS(self) -> None:
        """Called by loseConnection, or when the last producer has gone behind it."""
        if not self._write_ended and not self._lostTLSConnection:
            self._end_writing()
        self.transport.loseConnection()

    def _end_writing(self) -> None:
        self._write_ended = True
        # It has an error to raise where it has nothing to send any more.
        with contextlib.suppress(Error):
            self._tlsConnection.shutdown()
        self._flushSendBIO()

    def _flushSendBIO(self) -> None:
        """Write what OpenSSL has for the peer: all of it."""
        size = _WIRE_SIZE
        while size == _WIRE_SIZE:
            try:
                data = self._tlsConnection.bio_read(_WIRE_SIZE)
            except WantReadError:
                return
            size = len(data)
            self.transport.write(data)

    # The end.

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_clock()
        if self._later is not None:
            self._later.cancel()
        if not self._handshakeDone:
            self._gone(reason.getErrorMessage().rstrip("."))
        self._lostTLSConnection = True
        self.connected = False
        self.factory.unregisterProtocol(self)
        wrapped = self.wrappedProtocol
        if wrapped is not None:
            wrapped.connectionLost(self._reason or reason)
        # These refer to this one.
        self._tlsConnection = self.wrappedProtocol = cast("Any", None)

    def getPeerCertificate(self) -> X509 | None:
        """What the peer has shown; None: nothing. Known after the end of the connection too."""
        return self._certificate


class TLSFactory(TLSMemoryBIOFactory):
    """Puts TLS in front of another factory, whose protocols it builds when their handshakes are done.

    certificates: what makes OpenSSL's side of a connection, such as sockserve.tls.certificates.Certificates.
    wrapped: the factory.
    handshake_timeout: seconds; then the connection is aborted.
    report: called with the name of the limit ("tls", "handshake_timeout"), the peer's address and what happened, when
        there is no connection or TLS has failed in it. None: a warning in the log.
    name: of the named socket, for the log.
    """

    protocol = TLSTransport

    def __init__(
        self,
        certificates: IOpenSSLServerConnectionCreator,
        wrapped: IProtocolFactory,
        reactor: IReactorTime,
        *,
        handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
        report: Report | None = None,
        name: str = "",
    ) -> None:
        super().__init__(certificates, False, wrapped, reactor)
        self.handshake_timeout = handshake_timeout
        self.report = report or _log
        self.name = name

    def buildProtocol(self, addr: IAddress | None) -> TLSTransport:
        return TLSTransport(self)

    def stopFactory(self) -> None:
        """Nobody listens any more: whoever is still in his handshake is not served."""
        super().stopFactory()
        for transport in list(self.protocols):
            transport.forget()
