"""The settings of a named socket, each once: its type, default, unit, what it accepts, and its help.

From these fields come the keys of a [socket.NAME] table, the options of twistd and their help, the arguments of
SocketServer, and docs/settings.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from twisted.internet.interfaces import IStreamServerEndpoint

from sockserve.addresses import Network, as_network
from sockserve.connection.conversation import Conversation
from sockserve.connection.protocol import MessageProtocol
from sockserve.fields import (
    BOOLEAN,
    COUNT,
    DURATION_OR_NEVER,
    DURATION_VALUE,
    SIZE_VALUE,
    Setting,
    SettingError,
    Value,
    check_fields,
    choice,
    default,
    from_table,
    of,
    setting,
    settings_of,
)
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.framing import Framing, parse
from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.names import is_framing, without_limits
from sockserve.framing.raw import Raw
from sockserve.handlers.function import DEFAULT_MAX_PENDING, Function
from sockserve.handlers.names import CONVERSATION, Handler, as_conversation, as_handler, is_coroutine_handler
from sockserve.handlers.names import NAMES as HANDLERS
from sockserve.limits.admission import WhenFull
from sockserve.proxy.layer import DEFAULT_TIMEOUT
from sockserve.server.endpoints import ENDPOINT, Opening, ServerEndpoint, opening
from sockserve.text import described
from sockserve.tls.certificates import CertificateError, Certificates, TLSConfig

T = TypeVar("T")

Networks = str | Network | Iterable[str | Network]
"""Networks, as text such as "10.0.0.0/8" or from `ipaddress`."""

Duration = str | float
"""Seconds, or text with a unit such as "5min"."""

Size = str | int
"""Bytes, or text with a unit such as "64k"."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An endpoint with a framing of its own, beside others of the same named socket. None: the socket's."""

    endpoint: ServerEndpoint
    framing: Framing | str | None = None


@dataclass(frozen=True, slots=True)
class Listening:
    """An endpoint of a named socket, checked, with its framing."""

    opening: Opening
    framing: Framing


# Kinds of values that only a named socket has.


def _name(value: object) -> object:
    name = of(str)(value)
    if not name.strip() or not name.isprintable():
        raise ValueError(f"{name!r} is no name for a socket; accepted: {NAME.accepted}")
    return name


def _networks(value: object) -> tuple[Network, ...]:
    if isinstance(value, str) or hasattr(value, "network_address"):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray | Mapping):
        raise TypeError
    networks = list(value)
    for network in networks:
        if not (isinstance(network, str) or hasattr(network, "network_address")):
            raise ValueError(f"found {described(network)} in a list; accepted: {NETWORKS.accepted}")
    if not networks:
        # Some would mean "all" by it, others "none".
        raise ValueError(f"an empty list names nobody; accepted: {NETWORKS.accepted}")
    return tuple(map(as_network, networks))


def _listen(value: object) -> tuple[tuple[str, Listen], ...]:
    """Each endpoint, after the path to it."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping | Listen)
    items = list(cast("Iterable[object]", value)) if several else [value]
    if not items or value in ("", {}):
        raise ValueError(f"found an empty value; accepted: {LISTEN.accepted}")
    places = [f"listen[{number}]" if several else "listen" for number in range(len(items))]
    return tuple((where, _entry(item, where)) for where, item in zip(places, items, strict=True))


def _entry(item: object, where: str) -> Listen:
    if not isinstance(item, Mapping):
        entry = item if isinstance(item, Listen) else Listen(cast("ServerEndpoint", item))
        if not (isinstance(entry.endpoint, str) or IStreamServerEndpoint.providedBy(entry.endpoint)):
            raise SettingError(where, f"found {described(entry.endpoint)}; accepted: {LISTEN.accepted}")
        return entry
    names = settings_of(_Table)
    try:
        table = from_table(_Table, item, names)
    except SettingError as error:
        if error.key == "endpoint" and "endpoint" not in item:
            raise SettingError(where, f"has no endpoint; accepted: {ENDPOINT}") from None
        raise SettingError(f"{where}.{error.key}", error.reason) from None
    return Listen(table.endpoint, table.framing)


def _handler(value: object) -> object:
    return value if isinstance(value, str) or callable(value) else of(str)(value)


def _framing(value: object) -> object:
    return value if is_framing(value) else of(str)(value)


def _tls(value: object) -> TLSConfig:
    if not isinstance(value, Mapping):
        return cast("TLSConfig", of(TLSConfig)(value))
    names = settings_of(TLSConfig)
    if "certificate" not in value and not set(value) - set(names):
        raise SettingError("tls", f"has no certificate; accepted: {names['certificate'].value.accepted}")
    try:
        return from_table(TLSConfig, value, names)
    except SettingError as error:
        raise SettingError(f"tls.{error.key}", error.reason) from None


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


NAME = Value("text of printable characters", _name, "NAME")
ENDPOINT_VALUE = Value(ENDPOINT, of(str), "ENDPOINT")
LISTEN = Value(
    f"{ENDPOINT}; a table {{ endpoint = ..., framing = ... }}; or a list of these",
    _listen,
    "ENDPOINT",
    lambda text: [text],
    repeatable=True,
)
FRAMING = Value(f"one of {', '.join(FRAMINGS)}", _framing, "NAME")
HANDLER = Value(", ".join(HANDLERS), _handler, "NAME")
CONVERSATION_VALUE = Value(CONVERSATION, _handler, "MODULE:CALLABLE")
NETWORKS = Value(
    "an address or a network, such as 10.0.0.0/8 or ::1, or a list of these (separated by commas in an option)",
    _networks,
    "NETWORKS",
    _parts,
    repeatable=True,
)
TLS = Value("a table [socket.NAME.tls] with certificate in it, or a TLSConfig", _tls, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """An endpoint with a framing of its own, as a table has it."""

    endpoint: str = field(metadata={"setting": Setting(ENDPOINT_VALUE, "Listening", "Where to listen.")})
    framing: str | None = setting(FRAMING, "Listening", "Its framing.", None, none="that of the socket")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """The settings of a named socket, checked: nothing is opened, the files and modules that they name are read.

    docs/settings.md tells each. Whatever is given is put into its checked form: seconds, bytes, tuples of networks.
    Raises SettingError, a ValueError of one line that begins with the setting.

    answers, listens, certificates: what the handler or conversation, the endpoints and the TLS have become.
    given: the names of those that were given.
    """

    name: str = field(kw_only=False, metadata={"setting": Setting(NAME, "Listening", "Its name.", whole=True)})
    listen: ServerEndpoint | Listen | Mapping[str, str] | Iterable[ServerEndpoint | Listen | Mapping[str, str]] = field(
        kw_only=False,
        metadata={
            "setting": Setting(
                LISTEN, "Listening", "Where to listen; several endpoints share all settings.", short="l", datagrams=True
            )
        },
    )
    framing: Framing | str = field(
        default=default("raw"),
        kw_only=False,
        metadata={
            "setting": Setting(
                FRAMING,
                "Messages",
                "How messages are told apart in the stream; MODULE:NAME is a framing of your own.",
                "raw",
                short="f",
                datagrams=True,
            )
        },
    )
    handler: str | Function | type[MessageProtocol] = field(
        default=default("echo"),
        kw_only=False,
        metadata={
            "setting": Setting(
                HANDLER,
                "Messages",
                "What answers a message; MODULE:CALLABLE: a function of (message, channel), or a protocol class.",
                "echo",
                datagrams=True,
            )
        },
    )
    conversation: str | Conversation | None = setting(
        CONVERSATION_VALUE,
        "Messages",
        "Instead of a handler: a coroutine function of (channel), run for each client.",
        None,
        none="none",
        datagrams=True,
    )
    max_length: Size = setting(
        SIZE_VALUE,
        "Messages",
        "The longest message that is accepted or sent; framing bytes are not counted.",
        DEFAULT_MAX_LENGTH,
        datagrams=True,
    )
    on_bad_frame: OnBadFrame = setting(
        choice("close", "skip"),
        "Messages",
        "close: the first bad frame ends the connection. skip: go on after it.",
        "close",
    )
    threads: bool = setting(
        BOOLEAN, "Messages", "Call the handler in threads, because it blocks.", False, datagrams=True
    )
    max_pending: int = setting(
        COUNT,
        "Messages",
        "How many answers of a function may be under way for one client before its reading pauses.",
        DEFAULT_MAX_PENDING,
        datagrams=True,
    )
    max_connections: int | None = setting(
        COUNT, "Limits", "How many clients are served at once.", None, none="any number"
    )
    when_full: WhenFull = setting(
        choice("wait", "refuse"),
        "Limits",
        "wait: further clients are connected and served in turn. refuse: they are closed at once.",
        "wait",
    )
    max_connections_per_peer: int | None = setting(
        COUNT,
        "Limits",
        "How many connections one IPv4 address, or one /64 network of IPv6, may have; further ones are closed.",
        None,
        none="any number",
    )
    allow: Networks = setting(
        NETWORKS, "Limits", "The networks whose clients may connect; others may not.", (), none="all", datagrams=True
    )
    deny: Networks = setting(
        NETWORKS,
        "Limits",
        "The networks whose clients may not connect, even if allow has them.",
        (),
        none="none",
        datagrams=True,
    )
    close_timeout: Duration = setting(
        DURATION_VALUE,
        "Time",
        "How long a closing connection may go without the client reading; then it is aborted.",
        MessageProtocol.close_timeout,
    )
    idle_timeout: Duration | None = setting(
        DURATION_OR_NEVER,
        "Time",
        "Close a connection after this long without data in either direction.",
        None,
        none="never",
    )
    frame_timeout: Duration | None = setting(
        DURATION_OR_NEVER,
        "Time",
        "Close a connection when a frame takes longer than this from its first byte to its last.",
        None,
        none="never",
    )
    handshake_timeout: Duration = setting(
        DURATION_VALUE,
        "Time",
        "Abort a connection whose PROXY header, or whose TLS handshake, takes longer than this.",
        DEFAULT_TIMEOUT,
    )
    drain_timeout: Duration = setting(
        DURATION_VALUE,
        "Program",
        "How long clients have to take what they are owed when the program stops; then they are aborted.",
        10.0,
        whole=True,
    )
    tls: TLSConfig | Mapping[str, str] | None = setting(
        TLS, "TLS and PROXY", "The TLS of all endpoints of the socket.", None, none="none"
    )
    proxy_protocol: bool = setting(
        BOOLEAN,
        "TLS and PROXY",
        "Clients come through a proxy, which sends the address of each in a PROXY header.",
        False,
    )
    proxy_from: Networks | None = setting(
        NETWORKS, "TLS and PROXY", "The networks of the proxies; who else connects is refused.", None, none="loopback"
    )
    log_traffic: bool = setting(
        BOOLEAN,
        "Program",
        "Log the number of bytes of every read and write, with the client's address.",
        False,
        datagrams=True,
    )
    answers: Handler = field(init=False, repr=False, compare=False)
    listens: tuple[Listening, ...] = field(init=False, repr=False, compare=False)
    certificates: Certificates | None = field(init=False, repr=False, compare=False)
    given: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        put("given", check_fields(self))
        put("answers", self._answers())
        own = self.answers.framing
        if "framing" not in self.given and own is not None:
            put("framing", self._framed(own, "handler"))
        else:
            put("framing", self._framed(self.framing, "framing"))
        put("listens", tuple(self._listening()))
        put("listen", tuple(Listen(each.opening.endpoint, each.framing) for each in self.listens))
        _check_together(self)
        # The files are read last, once.
        put("certificates", self._certificates())

    @property
    def longest(self) -> int:
        """Bytes of the longest message that one of its endpoints accepts."""
        return max(each.framing.max_length for each in self.listens)

    def _answers(self) -> Handler:
        max_length = cast("int", self.max_length) if "max_length" in self.given else None
        if self.conversation is None:
            return _tried("handler", partial(as_handler, self.handler, max_length=max_length))
        if "handler" in self.given:
            raise SettingError("conversation", "handler is set too; accepted: one of the two")
        return _tried("conversation", partial(as_conversation, self.conversation))

    def _framed(self, framing: Framing | str, where: str) -> Framing:
        """The framing with the limits that are given."""
        FRAMING.check(where, framing)
        max_length = cast("int", self.max_length) if "max_length" in self.given else None
        on_bad_frame = self.on_bad_frame if "on_bad_frame" in self.given else None
        if isinstance(framing, str):
            make: Callable[[], Framing] = partial(parse, framing, max_length=max_length, on_bad_frame=on_bad_frame)
        else:
            make = partial(without_limits, framing, str(framing), max_length, on_bad_frame)
        return _tried(where, make)

    def _listening(self) -> Iterable[Listening]:
        framing = cast("Framing", self.framing)
        for where, entry in cast("tuple[tuple[str, Listen], ...]", self.listen):
            own = None if entry.framing is None else self._framed(entry.framing, f"{where}.framing")
            yield Listening(_tried(where, partial(opening, entry.endpoint, self.name)), own or framing)

    def _certificates(self) -> Certificates | None:
        tls = self.tls
        if not isinstance(tls, TLSConfig):
            return None
        try:
            return Certificates(self.name, tls.read, tls.files)
        except CertificateError as error:
            raise SettingError(f"tls.{error.key}" if error.key else "tls", error) from error


def _tried(where: str, make: Callable[[], T]) -> T:
    """What `make` gives. Raises SettingError for its ValueError."""
    try:
        return make()
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(where, error) from error


def _check_together(settings: SocketSettings) -> None:
    """What settings make of each other: raises SettingError for one that would change nothing, or cannot be."""
    given, answers = settings.given, settings.answers
    kinds = {each.opening.kind for each in settings.listens}
    udp = next((str(each.opening.endpoint) for each in settings.listens if each.opening.kind == "udp"), None)
    for name, useful, reason in (
        ("when_full", "max_connections" in given, "max_connections is not set; accepted: both of them"),
        ("proxy_from", settings.proxy_protocol, "proxy_protocol is not set; accepted: both of them"),
        ("threads", answers.function, NO_FUNCTION),
        ("max_pending", answers.function, NO_FUNCTION),
    ):
        if name in given and not useful:
            raise SettingError(name, reason)
    if settings.threads and is_coroutine_handler(answers):
        raise SettingError(
            "threads", "these are for a handler that blocks, not for a coroutine function; accepted: one of the two"
        )
    if udp is not None:
        _check_datagrams(settings, udp)
    if kinds == {"udp"}:
        for name, about in settings_of(SocketSettings).items():
            if name in given and not (about.datagrams or about.whole):
                raise SettingError(name, "udp has no connections; accepted: with an endpoint of streams, such as tcp")
    if kinds == {"unix"} and not settings.proxy_protocol:
        for name in given & {"allow", "deny", "max_connections_per_peer"}:
            raise SettingError(name, "the clients of a unix socket have no address; accepted: with another endpoint")
    if kinds == {"unix"} and "proxy_from" in given:
        raise SettingError("proxy_from", "the clients of a unix socket are trusted; accepted: with another endpoint")
    own = [each.opening.endpoint for each in settings.listens if each.opening.certificates is not None]
    if settings.tls is not None and own:
        raise SettingError("listen", f"{own[0]!r} has TLS of its own; accepted beside tls: tcp, tcp6, unix")
    if "handshake_timeout" in given and not (own or settings.tls or settings.proxy_protocol):
        raise SettingError("handshake_timeout", "there is no handshake; accepted: with tls or proxy_protocol")
    check_addresses([settings], lambda _: "listen")


NO_FUNCTION = "no function is called; accepted: with a handler that is a function of (message, channel)"


def _check_datagrams(settings: SocketSettings, udp: str) -> None:
    """What datagrams cannot do."""
    if settings.proxy_protocol:
        raise SettingError("listen", f"{udp!r}: udp has no PROXY headers; accepted: a socket without proxy_protocol")
    if settings.tls is not None:
        raise SettingError("listen", f"{udp!r}: udp has no TLS; accepted: a socket of its own, without tls")
    for each in settings.listens:
        if each.opening.kind == "udp" and not isinstance(each.framing, Raw):
            raise SettingError(
                "listen", f"udp is always raw, one datagram is one message: framing {each.framing} does not apply"
            )
    if settings.conversation is not None:
        raise SettingError("conversation", "it needs a connection, udp has none; accepted: a handler")
    if settings.answers.datagram is None:
        handler = settings.handler if isinstance(settings.handler, str) else settings.handler.__qualname__
        raise SettingError(
            "handler", f"{handler!r} needs connections, udp has none; accepted: echo, discard, or a function"
        )


def check_addresses(sockets: Iterable[SocketSettings], place: Callable[[SocketSettings], str]) -> None:
    """Raises SettingError when two endpoints have one address.

    place: what the error begins with, for the socket whose endpoint comes second.
    """
    owners: dict[tuple[object, ...], str] = {}
    for socket in sockets:
        for each in socket.listens:
            address = each.opening.address
            if address is None:
                continue
            if address in owners:
                raise SettingError(
                    place(socket),
                    f"{each.opening.endpoint!r}: socket {owners[address]!r} listens there already; accepted: once",
                )
            owners[address] = socket.name


SOCKET_SETTINGS = {name: about for name, about in settings_of(SocketSettings).items() if not about.whole}
"""The settings of a [socket.NAME] table."""

SHARED_SETTINGS = {name: about for name, about in settings_of(SocketSettings).items() if about.whole and name != "name"}
"""The settings of a socket that a file has once, for all its sockets."""
