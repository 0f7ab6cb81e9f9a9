"""Every public name with its types, as a user's type checker sees them. Read by mypy, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from ipaddress import ip_network
from typing import Any, assert_type

from twisted.application.internet import ClientService
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory

from sockserve import __version__
from sockserve.addresses import format_address
from sockserve.client.connecting import connect, disconnect
from sockserve.client.endpoints import as_endpoint
from sockserve.client.reconnecting import reconnecting
from sockserve.commands.main import main
from sockserve.connection.channel import Channel, ChannelClosed, ReadProtocol, ReadTimeout
from sockserve.connection.conversation import ConversationProtocol
from sockserve.connection.factory import MessageFactory
from sockserve.connection.info import ConnectionInfo
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Decoder, Framing, parse
from sockserve.framing.decimal import Netstring, Windev
from sockserve.framing.decoder import State
from sockserve.framing.delimited import Buffered, Standard
from sockserve.framing.envelope import Envelope
from sockserve.framing.errors import FramingError, InvalidMessage, MalformedHeader, MessageTooLong, TruncatedMessage
from sockserve.framing.fixed import Fixed
from sockserve.framing.integer import Integer
from sockserve.framing.raw import Raw
from sockserve.framing.varint import Varint
from sockserve.handlers.echo import Echo
from sockserve.proxy.header import ClientTLS, Header
from sockserve.proxy.layer import ProxyInfo
from sockserve.proxy.parsing import parse as parse_header
from sockserve.server.server import Server
from sockserve.server.sockets import Listen, SocketServer
from sockserve.text import parse_duration, parse_size
from sockserve.tls.x509 import Certificate

assert_type(__version__, str)


def framings(framing: Framing, decoder: Decoder) -> None:
    assert_type(parse("windev"), Framing)
    assert_type(parse("windev", max_length=10, on_bad_frame="skip"), Framing)
    each: list[Framing] = [
        Raw(),
        Raw(read_size=512),
        Windev(),
        Netstring(),
        Standard(b"<EOF>"),
        Buffered(b"\r\n"),
        Integer(4, "little", max_length=10),
        Varint(),
        Fixed(10),
        Envelope(b"\x02", b"\x03"),
    ]
    assert_type(each[0].encode(b""), bytes)
    assert_type(framing.encode_all([b""]), bytes)
    assert_type(framing.max_length, int)
    assert_type(framing.decoder(), Decoder)
    assert_type(decoder.decode(b""), list[bytes])
    assert_type(decoder.scan(b""), tuple[bytes, int])
    assert_type(decoder.pending, int)
    assert_type(decoder.state, State)
    assert_type(decoder.take(), bytes)
    assert_type(decoder.take(1), bytes)
    assert_type(decoder.skip(b""), bool)
    decoder.finish()


def errors(long: MessageTooLong, header: MalformedHeader, cut: TruncatedMessage, invalid: InvalidMessage) -> None:
    family: list[FramingError] = [long, header, cut, invalid]
    assert_type(family, list[FramingError])
    assert_type(long.limit, int)
    assert_type(long.length, int | None)
    assert_type(header.header, bytes)
    assert_type(header.rule, str)
    assert_type(cut.expected, int | None)
    assert_type(cut.received, int)
    assert_type(invalid.rule, str)


class Upper(MessageProtocol):
    framing = "windev"

    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message.upper())


def protocols(protocol: MessageProtocol) -> None:
    assert_type(MessageFactory("windev", Upper, close_timeout=3, log_traffic=True), MessageFactory)
    assert_type(MessageFactory(Windev(), Echo).buildProtocol(None), MessageProtocol)
    assert_type(Factory.forProtocol(Upper), Factory[Upper])
    protocol.sendMessages([b"", b""])
    protocol.setFraming("raw", incoming=False)
    protocol.endMessages()
    protocol.loseConnection()
    protocol.abortConnection()
    protocol.holdReading("mine")
    protocol.releaseReading("mine")
    assert_type(protocol.peer, str)
    assert_type(protocol.info, ConnectionInfo)
    assert_type(protocol.whenWritable(), Deferred[None])


def infos(info: ConnectionInfo) -> None:
    assert_type(info.id, int)
    assert_type(info.socket, str)
    assert_type(info.peer, IAddress)
    assert_type(info.local, IAddress)
    assert_type(info.framing, Framing)
    assert_type(info.sending, Framing)
    assert_type(info.certificate, Certificate | None)
    assert_type(info.connected, datetime)
    assert_type(info.established, datetime | None)
    assert_type(info.messages_received + info.messages_sent + info.bytes_received + info.bytes_sent, int)
    assert_type(format_address(info.peer), str)
    assert_type(info.proxy, ProxyInfo | None)
    assert_type(parse_header(b""), Header | None)
    if info.proxy is not None:
        assert_type(info.proxy.address, IAddress)
        assert_type(info.proxy.header.authority, str | None)
        assert_type(info.proxy.header.tls, ClientTLS | None)


async def channels(channel: Channel, read: ReadProtocol) -> None:
    async for message in channel:
        assert_type(message, bytes)
    try:
        assert_type(await channel.read(timeout=1.5), bytes)
    except ReadTimeout as late:
        assert_type(late.seconds, float)
    except ChannelClosed:
        return
    await channel.write(b"")
    channel.send(b"")
    channel.set_framing(parse("raw"), outgoing=False)
    channel.end()
    channel.close()
    channel.abort()
    assert_type(channel.id, int)
    assert_type(channel.closed, bool)
    assert_type(channel.info, ConnectionInfo)
    assert_type(read.read(), Deferred[bytes])


async def talk(channel: Channel) -> None:
    await channel.write(b"")


def plain(message: bytes, channel: Channel) -> bytes | None:
    return message if channel.id else None


async def coroutine(message: bytes, channel: Channel) -> bytes:
    await channel.write(message)
    return message


def deferred(message: bytes, channel: Channel) -> Deferred[bytes | None]:
    channel.send(message)
    return Deferred()


def servers(endpoint: IStreamServerEndpoint) -> None:
    """Each form of a handler, of a conversation and of what is listened on."""
    functions: list[Callable[[bytes, Channel], bytes | Awaitable[bytes | None] | None]] = [plain, coroutine, deferred]
    talks: Callable[[Channel], Coroutine[Any, Any, object]] = talk
    socket = SocketServer("a", endpoint, parse("raw"), functions[0], threads=True, max_pending=3)
    SocketServer("b", ["tcp:0", endpoint, Listen("tcp:0", "windev")], handler="relay")
    SocketServer("c", "tcp:0", "windev", deferred, max_connections=3, when_full="refuse", drain_timeout=1)
    SocketServer("d", "tcp:0", conversation=talks, close_timeout=1.5, log_traffic=True)
    SocketServer("e", "tcp:0", proxy_protocol=True, proxy_from=["::1", ip_network("10.0.0.0/8")], handshake_timeout=3)
    SocketServer("f", "tcp:0", handler=Upper, idle_timeout="5min", frame_timeout=2.5, max_length="64k", allow="::1")
    SocketServer("g", {"endpoint": "tcp:0", "framing": "windev"}, tls={"certificate": "server.pem"})
    ConversationProtocol(talk)
    assert_type(socket.channel(3), Channel | None)
    assert_type(socket.channels, dict[int, Channel])
    assert_type(socket.ports, list[IListeningPort])
    assert_type(socket.stopService(), Deferred[None])
    server = Server([socket])
    server.add(socket)
    assert_type(server.sockets, dict[str, SocketServer])
    assert_type(server.remove("a"), Deferred[None])
    service: IService = server
    assert_type(service, IService)


async def clients(endpoint: IStreamClientEndpoint) -> None:
    assert_type(connect("tcp:localhost:7000"), Deferred[Channel])
    assert_type(await connect(endpoint, parse("windev"), timeout=3, close_timeout=0.5), Channel)
    assert_type(disconnect(await connect(endpoint, "windev", reactor=None)), Deferred[None])
    assert_type(as_endpoint("tcp:localhost:7000", None), IStreamClientEndpoint)
    service = reconnecting("tcp:localhost:7000", "windev", talk, retry_policy=lambda attempts: attempts * 1.5)
    assert_type(service, ClientService)


def settings() -> None:
    assert_type(parse_size("64k"), int)
    assert_type(parse_duration("1.5s"), float)
    assert_type(main(["send", "--help"]), int)
