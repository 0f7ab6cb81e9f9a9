"""The PROXY protocol, versions 1 and 2: the client's address, which a proxy sends before what the client sends.

ProxyFactory wraps the factory of a listening endpoint. It reads the header, and then takes itself out of the way: what
comes after the header, the end of the stream and the loss of the connection go from the transport to the wrapped
protocol directly. The transport then has the client's address, so that all above it does too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger

from sockserve.addresses import Network, address_attributes, format_address, host_of, is_in, parse_network
from sockserve.limits.arrivals import DEFAULT_HANDSHAKE_TIMEOUT, Arrivals
from sockserve.limits.deadlines import Deadline
from sockserve.limits.events import Report
from sockserve.proxy.header import Header, HeaderError
from sockserve.proxy.parsing import parse
from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
    from twisted.internet.tcp import Connection
    from twisted.python.failure import Failure

log = Logger()

LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1"))


@dataclass(frozen=True, slots=True)
class ProxyInfo:
    """What is known of the proxy of a connection. address: its own. header: what it has told."""

    address: IAddress
    header: Header

    def tell(self, transport: Connection) -> None:
        """Give a transport the attribute `proxy`, and the addresses in the header, where that has any."""
        attributes: dict[str, object] = {"proxy": self}
        source, destination = self.header.source, self.header.destination
        if source is not None:
            attributes.update(getPeer=lambda: source, getHost=lambda: destination)
        vars(transport).update(attributes)


def warn(reason: str, peer: str, text: str) -> None:
    """Report in the log."""
    log.warn(
        "{peer}: {text}",
        peer=peer,
        text=text,
        event_name="sockserve.connection.limit",
        attributes={"sockserve.limit": reason, **address_attributes(peer)},
    )


class ProxyFactory(Factory["HeaderProtocol"]):
    """Lets the wrapped factory build a protocol once the PROXY header of a connection is complete.

    It has to be the outermost one of a tcp or unix endpoint: beneath TLS. A unix socket's peers are trusted: who may
    open it is a matter of its file's mode.

    factory: what is wrapped; its buildProtocol gets the client's address.
    proxies: the networks that may connect. Who else does is refused at once.
    timeout: seconds for the header to come; those in which this process stood still do not count.
    report: called once for each connection that ends here with something wrong. Reasons are "proxy_from",
        "handshake_timeout" and "proxy_protocol". One that ends without a byte is the look of a monitor, and nothing
        is wrong.
    reactor: None: the global one.
    arrivals: what bounds the headers that are under way, see sockserve.limits.arrivals; whose it is ends them. None:
        they end when the port closes.

    A transport that has passed here has an attribute `proxy`, a ProxyInfo; its getPeer and getHost are the addresses
    in the header, where that has any.
    """

    noisy = False

    def __init__(
        self,
        factory: IProtocolFactory,
        proxies: Iterable[Network] = LOOPBACK,
        timeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
        report: Report = warn,
        reactor: IReactorTime | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = cast("IReactorTime", installed)
        self.factory = factory
        self.timeout = timeout
        self.report = report
        self.reactor = reactor
        self.arrivals = Arrivals() if arrivals is None else arrivals
        self._alone = arrivals is None
        self._proxies = tuple(proxies)

    def startFactory(self) -> None:
        self.factory.doStart()

    def stopFactory(self) -> None:
        if self._alone:
            self.arrivals.forget()
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> HeaderProtocol | None:
        if not self._trusts(addr):
            self.report("proxy_from", format_address(addr), "refused, it is none of the proxies (proxy_from)")
            return None
        return HeaderProtocol(self)

    def _trusts(self, address: IAddress | None) -> bool:
        host = host_of(address)
        if host is None:
            return isinstance(address, UNIXAddress)
        return is_in(host, self._proxies)


class HeaderProtocol(Protocol):
    """Reads the PROXY header of one connection, and makes way for the protocol that it wraps."""

    transport: Connection

    def __init__(self, proxy: ProxyFactory) -> None:
        self._proxy = proxy
        self._data = bytearray()
        self._waiting = False

    def connectionMade(self) -> None:
        self._address = self.transport.getPeer()
        self._deadline = Deadline(self._proxy.reactor, self._proxy.timeout, self._late)
        self._waiting = True
        # The client's address is not known yet.
        self._proxy.arrivals.enter(self)
        if getattr(self.transport, "protocol", None) is not self:
            self._refuse("proxy_protocol", "closed, its endpoint has TLS beneath the PROXY header (proxy_protocol)")

    def dataReceived(self, data: bytes) -> None:
        if not self._waiting:
            return
        self._data += data
        try:
            header = parse(self._data)
        except HeaderError as error:
            self._refuse("proxy_protocol", f"closed, bad PROXY header: {printable(error)} (proxy_protocol)")
        else:
            if header is not None:
                self._make_way(header)
            else:
                self._proxy.arrivals.grow(len(data), self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._leave() and self._data:
            count = len(self._data)
            self._report("proxy_protocol", f"it ended inside its PROXY header, {count} bytes came (proxy_protocol)")

    # What bounds it; see sockserve.limits.

    @property
    def held(self) -> int:
        return len(self._data)

    def hold_reading(self, reason: str) -> None:
        self.transport.pauseProducing()

    def release_reading(self, reason: str) -> None:
        self.transport.resumeProducing()

    def abort_for(self, limit: str, text: str) -> None:
        self._refuse(limit, text)

    def forget(self) -> None:
        """Close the connection, whatever has come."""
        self._leave()
        self._data = self._data[:0]
        self.transport.abortConnection()

    def _make_way(self, header: Header) -> None:
        self._leave()
        transport = self.transport
        ProxyInfo(self._address, header).tell(transport)
        protocol = self._proxy.factory.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.abortConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        rest = bytes(self._data[header.size :])
        if rest and not transport.disconnecting:
            protocol.dataReceived(rest)

    def _late(self) -> None:
        seconds = self._proxy.timeout
        text = f"aborted, no whole PROXY header within {seconds:g} seconds (handshake_timeout)"
        self._refuse("handshake_timeout", text)

    def _refuse(self, reason: str, text: str) -> None:
        self.forget()
        self._report(reason, text)

    def _report(self, reason: str, text: str) -> None:
        self._proxy.report(reason, format_address(self._address), text)

    def _leave(self) -> bool:
        """Stop waiting for a header. False: that was over."""
        if not self._waiting:
            return False
        self._waiting = False
        self._proxy.arrivals.leave(self)
        self._deadline.cancel()
        return True
