"""Settings of a named socket that do not go together: what would have no effect, or is impossible, is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sockserve.addresses import endpoint_parts
from sockserve.client.endpoints import KINDS as CLIENT_KINDS
from sockserve.connection.options import check_heartbeat
from sockserve.fields import SettingError, settings_of
from sockserve.framing.contract import ends_stream
from sockserve.framing.errors import FramingError
from sockserve.framing.raw import Raw
from sockserve.handlers.names import is_coroutine_handler
from sockserve.redis.commands import LONGEST
from sockserve.text import printable

if TYPE_CHECKING:
    from sockserve.framing import Framing
    from sockserve.server.settings import SocketSettings

NO_FUNCTION = "no function is called; accepted: with a handler that is a function of (message, channel)"
NO_ANSWERS = f"{NO_FUNCTION}, or a share"
NO_DEVICE = "no device is asked; accepted: with the handler share:ENDPOINT[,FRAMING]"

_NO_BORDERS = "raw tells no answer from the next; accepted: a framing that does"
_ONE_MESSAGE = "it carries one message in each direction; accepted: another framing"


# What is about clients that come.
_FOR_CLIENTS = (
    "max_connections",
    "when_full",
    "max_connections_per_peer",
    "allow",
    "deny",
    "handshake_timeout",
    "proxy_protocol",
    "proxy_from",
)


def check_together(settings: SocketSettings) -> None:
    """Raise SettingError for the first setting that does not go with the others."""
    given, answers = settings.given, settings.answers
    kinds = {each.opening.kind for each in settings.listens}
    if settings.connect is None:
        if "connect_timeout" in given:
            raise SettingError("connect_timeout", "connect is not set; accepted: both of them")
    else:
        _check_connecting(settings)
        kinds = {settings.connect.partition(":")[0].lower()} if isinstance(settings.connect, str) else set()
    udp = next((str(each.opening.endpoint) for each in settings.listens if each.opening.kind == "udp"), None)
    for name, useful, reason in (
        ("when_full", "max_connections" in given, "max_connections is not set; accepted: both of them"),
        ("proxy_from", settings.proxy_protocol, "proxy_protocol is not set; accepted: both of them"),
        ("threads", answers.function, NO_FUNCTION),
        ("max_pending", answers.function or answers.device, NO_ANSWERS),
        ("answer_timeout", answers.device, NO_DEVICE),
        (
            "relay",
            settings.conversation is None and settings.handler == "relay",
            "this handler shares nothing; accepted: with the handler relay",
        ),
    ):
        if name in given and not useful:
            raise SettingError(name, reason)
    if settings.threads and is_coroutine_handler(answers):
        raise SettingError(
            "threads", "only for a handler that blocks, not for a coroutine function; accepted: one of the two"
        )
    if settings.relay is not None:
        _check_relay(settings)
    if answers.device is not None:
        _check_share(settings)
    if udp is not None:
        _check_datagrams(settings, udp)
    if kinds == {"udp"}:
        for name, about in settings_of(type(settings)).items():
            if name in given and not (about.datagrams or about.whole):
                raise SettingError(name, "udp has no connections; accepted: with an endpoint of streams, such as tcp")
    if kinds == {"unix"}:
        for name in given & {"tcp_keepalive", "tcp_user_timeout"}:
            raise SettingError(name, "a unix socket has no network to fail; accepted: with another endpoint")
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
    check_circles([settings], lambda _: "handler")


def _check_connecting(settings: SocketSettings) -> None:
    """What does not go with `connect`."""
    if settings.listen is not None:
        raise SettingError("connect", "listen is set too; accepted: one of the two")
    if settings.tls is not None:
        raise SettingError(
            "tls",
            "it is for clients that come; accepted: with listen, or in connect an endpoint such as tls:HOST:PORT",
        )
    for name in _FOR_CLIENTS:
        if name in settings.given:
            raise SettingError(name, "with connect no clients come; accepted: with listen")


def check_messages(settings: SocketSettings) -> None:
    """Raise SettingError for a message of the settings that the framing does not have."""
    check_heartbeat(settings.heartbeat, settings.heartbeat_every)
    for name in ("greeting", "heartbeat"):
        message = cast("bytes | None", getattr(settings, name))
        for framing in settings.framings if message is not None else ():
            if ends_stream(framing):
                raise SettingError(name, f"framing {framing}: {_ONE_MESSAGE}")
            problem = _problem(framing, cast("bytes", message))
            if problem:
                raise SettingError(name, f"{problem}; accepted: a message that framing {framing} can carry")
    for message in cast("tuple[bytes, ...]", settings.ignore):
        problems = [_problem(framing, message) for framing in settings.framings]
        if all(problems):
            framings = " or ".join(dict.fromkeys(map(str, settings.framings)))
            raise SettingError("ignore", f"{problems[0]}; accepted: messages that framing {framings} can carry")


def _problem(framing: Framing, message: bytes) -> str:
    """Why a framing cannot carry the message; "": it can."""
    try:
        return "" if framing.encode(message) else "an empty message would send nothing"
    except FramingError as error:
        return printable(error)


def _check_relay(settings: SocketSettings) -> None:
    """What messages in Redis need."""
    if find_spec("txredisapi") is None:
        raise SettingError("relay", "it needs txredisapi; accepted: with what the extra sockserve[redis] installs")
    if settings.longest > LONGEST:
        raise SettingError(
            "relay", f"Redis holds messages of at most {LONGEST} bytes; accepted: a max_length of no more"
        )


def _check_share(settings: SocketSettings) -> None:
    """Requests and answers are told apart by the framings alone."""
    device = settings.answers.device
    assert device is not None
    framing = device.framing or cast("Framing", settings.framing)
    if ends_stream(framing):
        raise SettingError("handler", f"{settings.handler!r}: {framing} on the device's side: {_ONE_MESSAGE}")
    if isinstance(framing, Raw):
        raise SettingError("handler", f"{settings.handler!r}: {_NO_BORDERS}, such as {settings.handler},int32")
    if any(isinstance(each.framing, Raw) and each.opening.kind != "udp" for each in settings.listens):
        raise SettingError("framing", f"the handler is a share: {_NO_BORDERS}")


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
    """Raise SettingError if two endpoints have the same address.

    place: returns what the error begins with, for the socket whose endpoint comes second.
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
                    f"{each.opening.endpoint!r}: socket {owners[address]!r} already listens there; "
                    "accepted: each address once",
                )
            owners[address] = socket.name


def check_circles(sockets: Iterable[SocketSettings], place: Callable[[SocketSettings], str]) -> None:
    """Raises SettingError when a `forward:` or a `share:` leads back to its own socket, as far as the addresses tell.

    place: what the error begins with, for the socket whose handler it is.
    """
    everyone = list(sockets)
    for first in everyone:
        on_the_way: list[str] = []
        current: SocketSettings | None = first
        while current is not None and current.name not in on_the_way:
            on_the_way.append(current.name)
            target = _target(current.handler)
            current = next((each for each in everyone if target is not None and _listens_at(each, target)), None)
        if current is first:
            circle = " to ".join(map(repr, [*on_the_way, first.name]))
            raise SettingError(place(first), f"{first.handler!r} leads in a circle: {circle}; accepted: another target")


def _target(handler: object) -> tuple[str, str, int] | None:
    """("tcp", host, port) or ("unix", path, 0) that a handler connects to; None where that cannot be told."""
    if not isinstance(handler, str) or not handler.startswith(("forward:", "share:")):
        return None
    (kind, _), *parts = endpoint_parts(handler.partition(":")[2].partition(",")[0])
    form = CLIENT_KINDS[kind].form if kind in CLIENT_KINDS else None
    arguments = {} if form is None else form.read(parts)
    if kind == "unix":
        return "unix", str(Path(arguments["path"]).absolute()), 0
    return ("tcp", arguments["host"], arguments["port"]) if "port" in arguments else None


def _listens_at(socket: SocketSettings, target: tuple[str, str, int]) -> bool:
    kind, host, port = target
    for each in socket.listens:
        match each.opening.address:
            case ("unix", path) if kind == "unix":
                if path == host:
                    return True
            case ("tcp" | "tcp6", number, interface) if kind == "tcp" and number == port:
                if host == interface or (_is_loopback(host) and (interface == "" or _is_loopback(str(interface)))):
                    return True
    return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"
