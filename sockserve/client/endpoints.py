"""Client endpoints, as values or as strings: one entry a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamClientEndpointStringParserWithReactor

from sockserve.addresses import EndpointForm, Reader, endpoint_parts, endpoint_problem, from_plugin, port_from, switch
from sockserve.text import one_line, parse_duration
from sockserve.tls.client import DEFAULT_TIMEOUT, ClientTLS, TLSClientEndpoint, check_name

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime


ClientEndpoint = str | IStreamClientEndpoint
"""An endpoint string, or an endpoint."""

EndpointFactory = Callable[[object], IStreamClientEndpoint]
"""Makes an endpoint for a reactor."""

ACCEPTED = "a Twisted client endpoint, such as tcp:localhost:27015, tls:example.org:7000 or unix:/run/x.sock"


def as_endpoint(endpoint: ClientEndpoint, reactor: object, tls: ClientTLS | None = None) -> IStreamClientEndpoint:
    """A client endpoint given as a value or as a string. Raises ValueError, in one line, for anything else.

    tls: what is set here counts before what a `tls:` or `ssl:` string says; with other endpoints it is refused.

    Twisted's own `tcp:` tries one IPv4 address; here it tries every address of the host. `tls:` and `ssl:` are
    Twisted's strings, read for sockserve.tls.client: the server's name is always checked.
    """
    return endpoint_factory(endpoint, tls)(reactor)


def endpoint_factory(endpoint: ClientEndpoint, tls: ClientTLS | None = None) -> EndpointFactory:
    """What makes that endpoint, checked: nothing is opened, the files that it names are read. Raises ValueError."""
    if not isinstance(endpoint, str):
        if not IStreamClientEndpoint.providedBy(endpoint):
            raise ValueError(f"{one_line(repr(endpoint))} is no endpoint; accepted: {ACCEPTED}")
        return lambda _: endpoint
    kind = endpoint.partition(":")[0].lower()
    known = KINDS.get(kind)
    tls = tls or ClientTLS()
    if tls != ClientTLS() and kind not in ("tls", "ssl"):
        raise ValueError(f"{endpoint!r}: {kind} has no TLS, and its options are for tls: and ssl: endpoints")
    try:
        parts = endpoint_parts(endpoint)[1:]
        if known is None:
            return from_plugin(endpoint, IStreamClientEndpointStringParserWithReactor, clientFromString, KINDS)
        return known.make(known.form.read(parts), tls)
    except Exception as error:  # Twisted's endpoint parsers raise what they like
        accepted = ACCEPTED if known is None else known.form.accepted
        raise ValueError(f"{endpoint!r}: {endpoint_problem(error)}; accepted: {accepted}") from None


@dataclass(frozen=True, slots=True)
class Kind:
    """form: how it is written. make: from the arguments, and TLS, to what makes the endpoint; may raise anything."""

    form: EndpointForm
    make: Callable[[dict[str, Any], ClientTLS], EndpointFactory]


def _tcp(arguments: dict[str, Any], _: ClientTLS) -> EndpointFactory:
    bind = (arguments["bindAddress"], 0) if "bindAddress" in arguments else None
    timeout = arguments.get("timeout", DEFAULT_TIMEOUT)
    return lambda reactor: HostnameEndpoint(reactor, arguments["host"], arguments["port"], timeout, bind)


def _unix(arguments: dict[str, Any], _: ClientTLS) -> EndpointFactory:
    timeout = arguments.get("timeout", DEFAULT_TIMEOUT)
    lockfile = arguments.get("lockfile", False)
    return lambda reactor: UNIXClientEndpoint(reactor, arguments["path"], timeout, lockfile)


def _tls(names: Mapping[str, str]) -> Callable[[dict[str, Any], ClientTLS], EndpointFactory]:
    """names: the fields of ClientTLS by the names of the arguments."""

    def make(arguments: dict[str, Any], tls: ClientTLS) -> EndpointFactory:
        given = {field: arguments[name] for name, field in names.items() if name in arguments}
        own = {each.name: value for each in fields(tls) if (value := getattr(tls, each.name))}
        whole = ClientTLS(**{**given, **own})
        context = whole.read()
        hostname = whole.server_name or arguments["host"]
        timeout = arguments.get("timeout", DEFAULT_TIMEOUT)
        beneath = endpoint_factory(arguments["endpoint"]) if "endpoint" in arguments else _tcp(arguments, tls)
        check_name(context, hostname)
        return lambda reactor: TLSClientEndpoint(beneath(reactor), context, hostname, as_reactor(reactor), timeout)

    return make


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"the timeout is a time, such as 30 or 500ms, not {text!r}") from None


_ADDRESS: dict[str, Reader] = {"host": str, "port": port_from(1), "timeout": _seconds, "bindAddress": str}

KINDS = {
    "tcp": Kind(
        EndpointForm(
            "tcp:HOST:PORT[:timeout=SECONDS][:bindAddress=ADDRESS]", _ADDRESS, ("host", "port"), ("host", "port")
        ),
        _tcp,
    ),
    "tls": Kind(
        EndpointForm(
            "tls:HOST:PORT[:timeout=SECONDS][:bindAddress=ADDRESS][:certificate=FILE][:privateKey=FILE]"
            "[:trustRoots=FILE_OR_FOLDER][:serverName=NAME][:endpoint=ENDPOINT]",
            {**_ADDRESS, "certificate": str, "privateKey": str, "trustRoots": str, "serverName": str, "endpoint": str},
            ("host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"),
            ("host", "port"),
        ),
        _tls({"trustRoots": "roots", "certificate": "certificate", "privateKey": "key", "serverName": "server_name"}),
    ),
    "ssl": Kind(
        EndpointForm(
            "ssl:HOST:PORT[:timeout=SECONDS][:bindAddress=ADDRESS][:certKey=FILE][:privateKey=FILE]"
            "[:caCertsDir=FOLDER][:hostname=NAME]",
            {**_ADDRESS, "certKey": str, "privateKey": str, "caCertsDir": str, "hostname": str},
            ("host", "port"),
            ("host", "port"),
        ),
        _tls({"caCertsDir": "roots", "certKey": "certificate", "privateKey": "key", "hostname": "server_name"}),
    ),
    "unix": Kind(
        EndpointForm(
            "unix:PATH[:lockfile=0|1][:timeout=SECONDS]",
            {"path": str, "lockfile": switch, "timeout": _seconds},
            ("path",),
            ("path",),
        ),
        _unix,
    ),
}
"""What there is, by the kind; plugins of Twisted add others."""


def as_reactor(reactor: object) -> IReactorTime:
    if reactor is None:
        from twisted.internet import reactor
    return cast("IReactorTime", reactor)
