"""Where a named socket listens: a table with one entry for each kind of endpoint."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.python.systemd import ListenFDs

from sockserve.addresses import (
    EndpointForm,
    Reader,
    endpoint_parts,
    endpoint_problem,
    from_plugin,
    port_from,
    switch,
    whole_number,
)
from sockserve.server.inherited import InheritedEndpoint
from sockserve.server.slots import DEFAULT_BACKLOG as SLOT_BACKLOG
from sockserve.server.slots import Slots, datagrams, inherited, stream, unix
from sockserve.server.udp import DatagramEndpoint
from sockserve.tls.certificates import Certificates, TLSConfig
from sockserve.tls.folder import folder_certificates

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorUDP

DEFAULT_LISTEN = "tcp:27015:interface=127.0.0.1"
ENDPOINT = f"a Twisted endpoint, such as {DEFAULT_LISTEN}, tcp6:7000 or unix:/run/x.sock"

Arguments = dict[str, Any]
Address = tuple[object, ...]

ServerEndpoint = str | IStreamServerEndpoint
"""An endpoint string, or an endpoint."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An endpoint, checked and not open yet.

    endpoint: as it was given.
    kind: such as tcp; "": unknown.
    make: makes the endpoint for a reactor; for "udp" a DatagramEndpoint.
    address: equal for two endpoints that cannot both be open; None: unknown.
    certificates: those of an endpoint that has its own TLS.
    """

    endpoint: ServerEndpoint
    kind: str
    make: Callable[[object], IStreamServerEndpoint | DatagramEndpoint]
    address: Address | None = None
    certificates: Certificates | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of endpoint.

    form: how its string is written.
    make: makes the endpoint, from a reactor and the arguments.
    address: see Opening.
    check: checks everything else; raises ValueError.
    slots: how it is opened for several processes.
    certificates: called with the name of a socket and the arguments, if TLS is part of the endpoint; reads files, and
        may raise any exception.
    """

    form: EndpointForm
    make: Callable[[Any, Arguments], IStreamServerEndpoint | DatagramEndpoint]
    address: Callable[[Arguments], Address | None]
    slots: Callable[[Any, Arguments], Slots]
    check: Callable[[Arguments], object] = lambda _: None
    certificates: Callable[[str, Arguments], Certificates | None] = lambda *_: None


def opening(endpoint: ServerEndpoint, name: str) -> Opening:
    """Check an endpoint: opens nothing, but reads the files that it names.

    name: of the named socket, for the log. Raises ValueError, in one line; TypeError for anything but an endpoint.
    """
    if not isinstance(endpoint, str):
        if not IStreamServerEndpoint.providedBy(endpoint):
            raise TypeError
        return Opening(endpoint, "", lambda _: endpoint)
    kind = endpoint.partition(":")[0].lower()
    if kind in REFUSED:
        raise ValueError(f"{endpoint!r} {REFUSED[kind](endpoint)}")
    known = KINDS.get(kind)
    try:
        parts = endpoint_parts(endpoint)[1:]
        if known is None:
            make = from_plugin(endpoint, IStreamServerEndpointStringParser, serverFromString, KINDS)
            return Opening(endpoint, kind, make, (endpoint,))
        arguments = known.form.read(parts)
        known.check(arguments)
        certificates = known.certificates(name, arguments)
        address = known.address(arguments)
    except Exception as error:  # Twisted's endpoint parsers raise all kinds of exceptions
        accepted = ENDPOINT if known is None else known.form.accepted
        raise ValueError(f"{endpoint!r}: {endpoint_problem(error)}; accepted: {accepted}") from None
    return Opening(endpoint, kind, lambda reactor: known.make(reactor, arguments), address, certificates)


def slots_of(reactor: object, endpoint: str) -> Slots:
    """How an endpoint that was checked is opened for several processes; of one of KINDS."""
    (kind, _), *parts = endpoint_parts(endpoint)
    known = KINDS[kind.lower()]
    return known.slots(reactor, known.form.read(parts))


# Parts of the entries.


def _ip(transport: str, everywhere: str = "") -> Callable[[Arguments], Address | None]:
    """The address of a port. everywhere: the default interface. Port 0 has none: it is another port each time."""

    def address(arguments: Arguments) -> Address | None:
        if not arguments["port"]:
            return None
        interface = arguments.get("interface", everywhere)
        try:
            host = ip_address(interface)
            interface = "" if host.is_unspecified else str(host)
        except ValueError:
            pass  # the name of a host
        return transport, arguments["port"], interface

    return address


def _key(transport: str, everywhere: str, arguments: Arguments) -> object:
    """For port 0, the endpoint itself: it is the same port after a reload."""
    return _ip(transport, everywhere)(arguments) or (transport, 0, *sorted(arguments.items()))


def _slots(transport: str, everywhere: str) -> Callable[[Any, Arguments], Slots]:
    def slots(_: object, arguments: Arguments) -> Slots:
        return stream(
            arguments["port"],
            arguments.get("interface", everywhere),
            arguments.get("backlog", SLOT_BACKLOG),
            key=_key(transport, "", arguments),
        )

    return slots


def _octal(text: str) -> int:
    if not text or set(text) - set("01234567") or len(text) > 4:
        raise ValueError(f"the mode is an octal number such as 660, not {text!r}")
    return int(text, 8)


def _path(text: str) -> str:
    # A name that begins with NUL is an abstract one, which Linux has.
    if "\0" in text[1:] or len(os.fsencode(text)) > 107:
        raise ValueError("the path of a unix socket has at most 107 bytes, and no zero byte in it")
    return text


def _absolute(path: str) -> str:
    return path if path.startswith("\0") else str(Path(path).absolute())


def _unix(reactor: object, arguments: Arguments) -> IStreamServerEndpoint:
    # Imported here: the module needs a system that has unix sockets.
    from sockserve.server.unix import UnixEndpoint

    # Twisted's lock file; accepted, without effect here.
    used = {name: value for name, value in arguments.items() if name != "lockfile"}
    return UnixEndpoint(reactor, used.pop("address"), **used)


def _unix_slots(reactor: object, arguments: Arguments) -> Slots:
    backlog = arguments.get("backlog", SLOT_BACKLOG)
    key = ("unix", _absolute(arguments["address"]))
    return unix(_unix(reactor, {**arguments, "backlog": backlog}), key=key, backlog=backlog)


def _domain(text: str) -> socket.AddressFamily:
    if text not in _DOMAINS:
        raise ValueError(f"the domain is one of {', '.join(_DOMAINS)}, not {text!r}")
    return _DOMAINS[text]


_DOMAINS: dict[str, socket.AddressFamily] = {
    name: getattr(socket, f"AF_{name}") for name in ("INET", "INET6", "UNIX") if hasattr(socket, f"AF_{name}")
}


def _descriptor(arguments: Arguments) -> int:
    """The descriptor that systemd has passed. Raises ValueError."""
    passed = ListenFDs.fromEnvironment()
    match arguments:
        case {"index": int(index), "name": _}:
            raise ValueError(f"index ({index}) and name are both given; only one can be")
        case {"index": int(index)}:
            descriptors = passed.inheritedDescriptors()
            if index >= len(descriptors):
                raise ValueError(f"systemd has passed {len(descriptors)} descriptors, there is no index {index}")
            return descriptors[index]
        case {"name": str(name)}:
            named = passed.inheritedNamedDescriptors()
            if name not in named:
                raise ValueError(f"systemd has passed no descriptor named {name!r}")
            return named[name]
    raise ValueError("the index or the name of the descriptor is missing")


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ValueError(f"{text!r} is not the number of a descriptor")
    return int(text)


def _family(number: int) -> socket.AddressFamily:
    """The family of an inherited socket that listens. Raises ValueError."""
    try:
        with socket.socket(fileno=os.dup(number)) as inherited:
            listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            family = socket.AddressFamily(inherited.family)
    except OSError as error:
        raise ValueError(f"descriptor {number} is not a socket of this process: {error.strerror}") from None
    if not listens:
        raise ValueError(f"descriptor {number} is a socket that does not listen")
    return family


def _ssl_certificates(name: str, arguments: Arguments) -> Certificates:
    key: str = arguments.get("privateKey", "server.pem")
    config = TLSConfig(certificate=str(arguments.get("certKey", key)), key=key, chain=arguments.get("extraCertChain"))
    return Certificates(name, config.read, config.files)


def _of_port(arguments: Arguments) -> Arguments:
    """The arguments for the endpoint below the TLS."""
    return {name: value for name, value in arguments.items() if name in _PORT}


def _without_proxy(endpoint: str) -> str:
    inner = endpoint.partition(":")[2]
    return f"loses the end of a stream; accepted: {inner!r}, with proxy_protocol"


_PORT: dict[str, Reader] = {"port": port_from(0), "interface": str, "backlog": whole_number}

KINDS = {
    "tcp": Kind(
        EndpointForm("tcp:PORT[:interface=ADDRESS][:backlog=N]", _PORT, ("port", "interface", "backlog"), ("port",)),
        lambda reactor, arguments: TCP4ServerEndpoint(reactor, **arguments),
        _ip("tcp"),
        _slots("tcp", ""),
    ),
    "tcp6": Kind(
        EndpointForm("tcp6:PORT[:interface=ADDRESS][:backlog=N]", _PORT, ("port", "backlog", "interface"), ("port",)),
        lambda reactor, arguments: TCP6ServerEndpoint(reactor, **arguments),
        _ip("tcp6"),
        _slots("tcp6", "::"),
    ),
    "unix": Kind(
        EndpointForm(
            "unix:PATH[:mode=660][:backlog=N][:lockfile=0|1]",
            {"address": _path, "mode": _octal, "backlog": whole_number, "lockfile": switch},
            ("address", "mode", "backlog", "lockfile"),
            ("address",),
        ),
        _unix,
        lambda arguments: ("unix", _absolute(arguments["address"])),
        _unix_slots,
    ),
    "ssl": Kind(
        EndpointForm(
            "ssl:PORT[:privateKey=FILE][:certKey=FILE][:extraCertChain=FILE][:interface=ADDRESS][:backlog=N]",
            {**_PORT, "privateKey": str, "certKey": str, "extraCertChain": str},
            ("port", "privateKey", "certKey"),
            ("port",),
        ),
        lambda reactor, arguments: TCP4ServerEndpoint(reactor, **_of_port(arguments)),
        _ip("tcp"),
        _slots("tcp", ""),
        certificates=_ssl_certificates,
    ),
    "tls": Kind(
        EndpointForm(
            "tls:FOLDER[:port=PORT][:backlog=N][:interface=ADDRESS]",
            {**_PORT, "path": str},
            ("path", "port", "backlog", "interface"),
            ("path",),
        ),
        lambda reactor, arguments: TCP6ServerEndpoint(reactor, **{"port": 443, **_of_port(arguments)}),
        lambda arguments: _ip("tcp6")({"port": 443, **arguments}),
        lambda reactor, arguments: _slots("tcp6", "::")(reactor, {"port": 443, **arguments}),
        certificates=lambda name, arguments: folder_certificates(name, Path(arguments["path"])),
    ),
    "udp": Kind(
        EndpointForm(
            "udp:PORT[:interface=ADDRESS], with \\: for a colon in the address",
            {"port": port_from(0), "interface": str},
            ("port",),
            ("port",),
        ),
        lambda reactor, arguments: DatagramEndpoint(cast("IReactorUDP", reactor), **arguments),
        _ip("udp", "127.0.0.1"),
        lambda _, arguments: datagrams(
            arguments["port"], arguments.get("interface", "127.0.0.1"), key=_key("udp", "127.0.0.1", arguments)
        ),
    ),
    "systemd": Kind(
        EndpointForm(
            "systemd:domain=INET|INET6|UNIX:name=NAME, or index=N",
            {"domain": _domain, "index": _index, "name": str},
            ("domain", "index", "name"),
            ("domain",),
        ),
        lambda reactor, arguments: InheritedEndpoint(reactor, _descriptor(arguments), arguments["domain"]),
        lambda arguments: ("descriptor", _descriptor(arguments)),
        lambda _, arguments: inherited(_descriptor(arguments), key=("descriptor", _descriptor(arguments))),
        check=_descriptor,
    ),
    "fd": Kind(
        EndpointForm("fd:N, a socket that listens and was inherited", {"fd": _index}, ("fd",), ("fd",)),
        lambda reactor, arguments: InheritedEndpoint(reactor, arguments["fd"], _family(arguments["fd"])),
        lambda arguments: ("descriptor", arguments["fd"]),
        lambda _, arguments: inherited(arguments["fd"], key=("descriptor", arguments["fd"])),
        check=lambda arguments: _family(arguments["fd"]),
    ),
}
"""The kinds of endpoints; Twisted plugins add others."""

REFUSED: dict[str, Callable[[str], str]] = {
    "haproxy": _without_proxy,
    "stdio": lambda _: f"has one client and no address; accepted: {ENDPOINT}",
}
"""Kinds that Twisted has too, and why a named socket refuses them."""
