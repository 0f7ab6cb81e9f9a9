"""The settings of a named socket, each defined once: its type, default, unit, what it accepts, and its help.

These fields define the keys of a [socket.NAME] table, the options of twistd and their help, the arguments of
SocketServer, and docs/settings.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

from sockserve.addresses import Network
from sockserve.client.endpoints import ClientEndpoint
from sockserve.connection.conversation import Conversation
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.fields import (
    BOOLEAN,
    COUNT,
    DURATION_VALUE,
    SIZE_VALUE,
    Setting,
    SettingError,
    check_fields,
    choice,
    default,
    setting,
    setting_of,
    settings_of,
)
from sockserve.framing import Framing, parse
from sockserve.framing.bounds import DEFAULT_MAX_LENGTH, OnBadFrame
from sockserve.framing.names import without_limits
from sockserve.handlers.answers import Function
from sockserve.handlers.function import DEFAULT_MAX_PENDING
from sockserve.handlers.names import Handler, as_conversation, as_handler, code_of
from sockserve.handlers.share import DEFAULT_ANSWER_TIMEOUT
from sockserve.limits.admission import WhenFull
from sockserve.limits.arrivals import DEFAULT_HANDSHAKE_TIMEOUT
from sockserve.redis.address import RedisAddress
from sockserve.server.conflicts import check_messages, check_together
from sockserve.server.endpoints import Opening, ServerEndpoint, opening
from sockserve.server.values import CONNECT, CONVERSATION, FRAMING, HANDLER, LISTEN, NAME, NETWORKS, RELAY, TLS, Listen
from sockserve.tls.certificates import CertificateError, Certificates, TLSConfig
from sockserve.tls.client import DEFAULT_TIMEOUT

T = TypeVar("T")

Networks = str | Network | Iterable[str | Network]
"""Networks, as text such as "10.0.0.0/8" or from `ipaddress`."""

Duration = str | float
"""Seconds, or text with a unit such as "5min"."""

Size = str | int
"""Bytes, or text with a unit such as "64k"."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A checked endpoint of a named socket, with its framing."""

    opening: Opening
    framing: Framing


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """The checked settings of a named socket. Checking opens nothing, but reads the files and modules that they name.

    docs/settings.md describes each. Every value is replaced by its checked form: seconds, bytes, tuples of networks.
    Raises SettingError, a ValueError of one line that begins with the setting.

    answers: the handler or conversation, checked. listens: the endpoints, checked. certificates: those of `tls`.
    given: the names of the settings that were given. code: the MODULE:NAME of all that was loaded for them.
    """

    name: str = field(kw_only=False, metadata={"setting": Setting(NAME, "Listening", "Its name.", whole=True)})
    listen: (
        ServerEndpoint | Listen | Mapping[str, str] | Iterable[ServerEndpoint | Listen | Mapping[str, str]] | None
    ) = field(
        default=default(None),
        kw_only=False,
        metadata={
            "setting": Setting(
                LISTEN,
                "Listening",
                "Where to listen; several endpoints share all settings.",
                none="nowhere",
                short="l",
                datagrams=True,
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
                "What answers messages; MODULE:CALLABLE is a function of (message, channel) or a protocol class.",
                "echo",
                datagrams=True,
            )
        },
    )
    conversation: str | Conversation | None = setting(
        CONVERSATION,
        "Messages",
        "Instead of a handler: a coroutine function of (channel), run for each client.",
        None,
        none="none",
        datagrams=True,
    )
    connect: ClientEndpoint | None = setting(
        CONNECT,
        "Connecting",
        "Instead of listening: where to connect to; the connection is kept, and made again when it is lost.",
        None,
        none="nowhere",
    )
    connect_timeout: Duration = setting(
        DURATION_VALUE,
        "Connecting",
        "How long an attempt to connect may take: the name, all addresses and the TLS handshake.",
        DEFAULT_TIMEOUT,
    )
    greeting: str | bytes | None = setting_of(ConnectionOptions, "greeting")
    heartbeat: str | bytes | None = setting_of(ConnectionOptions, "heartbeat")
    heartbeat_every: Duration | None = setting_of(ConnectionOptions, "heartbeat_every")
    ignore: str | bytes | Iterable[str | bytes] = setting_of(ConnectionOptions, "ignore")
    relay: str | RedisAddress | None = setting(
        RELAY,
        "Messages",
        "A stream in Redis or Valkey through which a relay reaches the clients of other processes too.",
        None,
        none="this process only",
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
        BOOLEAN, "Messages", "Call the handler in threads; for a handler that blocks.", False, datagrams=True
    )
    max_pending: int = setting(
        COUNT,
        "Messages",
        "How many answers one client may be owed, by a function or a share, before reading from it pauses.",
        DEFAULT_MAX_PENDING,
        datagrams=True,
    )
    max_connections: int | None = setting(
        COUNT, "Limits", "How many clients are served at once.", None, none="any number"
    )
    when_full: WhenFull = setting(
        choice("wait", "refuse"),
        "Limits",
        "wait: further clients stay connected and are served in turn. refuse: they are disconnected at once.",
        "wait",
    )
    max_connections_per_peer: int | None = setting(
        COUNT,
        "Limits",
        "How many connections one IPv4 address, or one /64 network of IPv6, may have; more are refused.",
        None,
        none="any number",
    )
    allow: Networks = setting(
        NETWORKS, "Limits", "The networks whose clients may connect; others may not.", (), none="all", datagrams=True
    )
    deny: Networks = setting(
        NETWORKS,
        "Limits",
        "The networks whose clients may not connect, even if they are in allow.",
        (),
        none="none",
        datagrams=True,
    )
    max_queued: Size = setting_of(ConnectionOptions, "max_queued")
    close_timeout: Duration = setting_of(ConnectionOptions, "close_timeout")
    idle_timeout: Duration | None = setting_of(ConnectionOptions, "idle_timeout")
    frame_timeout: Duration | None = setting_of(ConnectionOptions, "frame_timeout")
    send_timeout: Duration | None = setting_of(ConnectionOptions, "send_timeout")
    max_connection_age: Duration | None = setting_of(ConnectionOptions, "max_connection_age")
    tcp_keepalive: Duration | None = setting_of(ConnectionOptions, "tcp_keepalive")
    tcp_user_timeout: Duration | None = setting_of(ConnectionOptions, "tcp_user_timeout")
    handshake_timeout: Duration = setting(
        DURATION_VALUE,
        "Time",
        "Abort a connection whose PROXY header or TLS handshake takes longer than this.",
        DEFAULT_HANDSHAKE_TIMEOUT,
    )
    answer_timeout: Duration = setting(
        DURATION_VALUE,
        "Time",
        "How long the device of a share may take for an answer; then its client is closed, and the device connected "
        "again.",
        DEFAULT_ANSWER_TIMEOUT,
    )
    drain_timeout: Duration = setting(
        DURATION_VALUE,
        "Program",
        "How long clients have to read what they are owed when the program stops; then they are aborted.",
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
        NETWORKS, "TLS and PROXY", "The networks of the proxies; all other peers are refused.", None, none="loopback"
    )
    log_traffic: bool = setting_of(ConnectionOptions, "log_traffic")
    answers: Handler = field(init=False, repr=False, compare=False)
    listens: tuple[Listening, ...] = field(init=False, repr=False, compare=False)
    certificates: Certificates | None = field(init=False, repr=False, compare=False)
    given: frozenset[str] = field(init=False, repr=False, compare=False)
    code: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        found = "None" if self.listen is None else "nothing"
        put("given", check_fields(self))
        if self.listen is None and self.connect is None:
            raise SettingError("listen", f"found {found}; accepted: {LISTEN.accepted}; or connect instead")
        put("answers", self._answers())
        put("code", tuple(self._code()))
        own = self.answers.framing
        if "framing" not in self.given and own is not None:
            put("framing", self._framed(own, "handler"))
        else:
            put("framing", self._framed(self.framing, "framing"))
        put("listens", tuple(self._listening()))
        if self.listens:
            put("listen", tuple(Listen(each.opening.endpoint, each.framing) for each in self.listens))
        check_together(self)
        check_messages(self)
        # The PEM files are read last, and once.
        put("certificates", self._certificates())

    def connection_options(self) -> dict[str, object]:
        """The settings in ConnectionOptions that differ from the defaults: the others, a protocol class may set."""
        shared = settings_of(ConnectionOptions)
        return {name: getattr(self, name) for name, about in shared.items() if getattr(self, name) != about.default}

    @property
    def longest(self) -> int:
        """The length in bytes of the longest message that one of its endpoints accepts."""
        return max(each.max_length for each in self.framings)

    @property
    def framings(self) -> tuple[Framing, ...]:
        """Those that its connections begin with."""
        return tuple(each.framing for each in self.listens) or (cast("Framing", self.framing),)

    def _if_given(self, name: str) -> Any:  # noqa: ANN401 - of the type that the setting has
        """The value of a setting; None: it has its default."""
        return getattr(self, name) if name in self.given else None

    def _answers(self) -> Handler:
        if self.conversation is None:
            return _tried("handler", partial(as_handler, self.handler, max_length=self._if_given("max_length")))
        if "handler" in self.given:
            raise SettingError("conversation", "handler is set too; accepted: one of the two")
        return _tried("conversation", partial(as_conversation, self.conversation))

    def _code(self) -> Iterable[str]:
        yield from self.answers.code
        for framing in (self.framing, self.answers.framing, *(entry.framing for _, entry in self._entries())):
            yield from code_of(framing)

    def _framed(self, framing: Framing | str, where: str) -> Framing:
        """The framing with the limits that were given."""
        FRAMING.check(where, framing)
        max_length, on_bad_frame = self._if_given("max_length"), self._if_given("on_bad_frame")
        if isinstance(framing, str):
            make: Callable[[], Framing] = partial(parse, framing, max_length=max_length, on_bad_frame=on_bad_frame)
        else:
            make = partial(without_limits, framing, str(framing), max_length, on_bad_frame)
        return _tried(where, make)

    def _listening(self) -> Iterable[Listening]:
        framing = cast("Framing", self.framing)
        for where, entry in self._entries():
            own = None if entry.framing is None else self._framed(entry.framing, f"{where}.framing")
            yield Listening(_tried(where, partial(opening, entry.endpoint, self.name)), own or framing)

    def _entries(self) -> tuple[tuple[str, Listen], ...]:
        """The endpoints, before they are checked, each with where it was written."""
        return cast("tuple[tuple[str, Listen], ...]", self.listen or ())

    def _certificates(self) -> Certificates | None:
        tls = self.tls
        if not isinstance(tls, TLSConfig):
            return None
        try:
            return Certificates(self.name, tls.read, tls.files)
        except CertificateError as error:
            raise SettingError(f"tls.{error.key}" if error.key else "tls", error) from error


def _tried(where: str, make: Callable[[], T]) -> T:
    """What `make` returns; its ValueError becomes a SettingError."""
    try:
        return make()
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(where, error) from error


SOCKET_SETTINGS = {name: about for name, about in settings_of(SocketSettings).items() if not about.whole}
"""The settings of a [socket.NAME] table."""

SHARED_SETTINGS = {name: about for name, about in settings_of(SocketSettings).items() if about.whole and name != "name"}
"""The settings of a socket that are set once in a file, for all its sockets."""
