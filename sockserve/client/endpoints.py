"""Client endpoints, as values or as strings: one entry a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, clientFromString, quoteStringArgument
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamClientEndpointStringParserWithReactor
from twisted.plugin import getPlugins

from sockserve.addresses import EndpointForm, Reader, endpoint_parts, endpoint_problem, port_from, switch
from sockserve.text import one_line, parse_duration, suggestion

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime


ClientEndpoint = str | IStreamClientEndpoint
"""An endpoint string, or an endpoint."""

EndpointFactory = Callable[[object], IStreamClientEndpoint]
"""Makes an endpoint for a reactor."""

DEFAULT_TIMEOUT = 30.0
ACCEPTED = "a Twisted client endpoint, such as tcp:localhost:27015, tls:example.org:7000 or unix:/run/x.sock"


def as_endpoint(endpoint: ClientEndpoint, reactor: object) -> IStreamClientEndpoint:
    """A client endpoint given as a value or as a string. Raises ValueError, in one line, for anything else.

    Twisted's own `tcp:` tries one IPv4 address; here it tries every address of the host.
    """
    return endpoint_factory(endpoint)(reactor)


def endpoint_factory(endpoint: ClientEndpoint) -> EndpointFactory:
    """What makes that endpoint, checked: nothing is opened, the files that it names are read. Raises ValueError."""
    if not isinstance(endpoint, str):
        if not IStreamClientEndpoint.providedBy(endpoint):
            raise ValueError(f"{one_line(repr(endpoint))} is no endpoint; accepted: {ACCEPTED}")
        return lambda _: endpoint
    kind = endpoint.partition(":")[0].lower()
    known = KINDS.get(kind)
    try:
        parts = endpoint_parts(endpoint)[1:]
        return _other(endpoint, kind) if known is None else known.make(known.form.read(parts))
    except Exception as error:  # Twisted's endpoint parsers raise what they like
        accepted = ACCEPTED if known is None else known.form.accepted
        raise ValueError(f"{endpoint!r}: {endpoint_problem(error)}; accepted: {accepted}") from None


@dataclass(frozen=True, slots=True)
class Kind:
    """form: how it is written. make: from the arguments to what makes the endpoint; may raise anything."""

    form: EndpointForm
    make: Callable[[dict[str, Any]], EndpointFactory]


def _tcp(arguments: dict[str, Any]) -> EndpointFactory:
    bind = (arguments["bindAddress"], 0) if "bindAddress" in arguments else None
    timeout = arguments.get("timeout", DEFAULT_TIMEOUT)
    return lambda reactor: HostnameEndpoint(reactor, arguments["host"], arguments["port"], timeout, bind)


def _unix(arguments: dict[str, Any]) -> EndpointFactory:
    timeout = arguments.get("timeout", DEFAULT_TIMEOUT)
    lockfile = arguments.get("lockfile", False)
    return lambda reactor: UNIXClientEndpoint(reactor, arguments["path"], timeout, lockfile)


def _twisted(kind: str) -> Callable[[dict[str, Any]], EndpointFactory]:
    """One of Twisted's own, by its string; it is parsed at once, since that reads files."""

    def make(arguments: dict[str, Any]) -> EndpointFactory:
        _require_tls()
        for file in (arguments[name] for name in _FILES if name in arguments):
            # OpenSSL would say that something is unsupported.
            if b"-----BEGIN " not in Path(file).read_bytes():
                raise ValueError(f"{file}: is not PEM")
        for folder in (arguments[name] for name in _FOLDERS if name in arguments):
            if not Path(folder).is_dir():
                raise ValueError(f"{folder}: is not a directory")
        # Its timeout is a whole number.
        texts = {**arguments, "timeout": max(1, round(arguments.get("timeout", DEFAULT_TIMEOUT)))}
        text = ":".join([kind, *(f"{name}={quoteStringArgument(str(value))}" for name, value in texts.items())])
        return _parsed_once(text)

    return make


def _other(text: str, kind: str) -> EndpointFactory:
    """A kind that a plugin of Twisted adds. Raises ValueError for one that none does."""
    plugins = [plugin.prefix.lower() for plugin in getPlugins(IStreamClientEndpointStringParserWithReactor)]
    if kind not in plugins:
        raise ValueError(f"unknown kind of endpoint {kind!r}{suggestion(kind, KINDS)}")
    return _parsed_once(text)


def _parsed_once(text: str) -> EndpointFactory:
    """Twisted's endpoint: what its text has wrong is found now, and the reactor comes when it is known."""
    from twisted.internet import reactor as installed

    endpoint = cast("IStreamClientEndpoint", clientFromString(installed, text))

    def make(reactor: object) -> IStreamClientEndpoint:
        if reactor is installed:
            return endpoint
        return cast("IStreamClientEndpoint", clientFromString(reactor, text))

    return make


def _require_tls() -> None:
    try:
        import twisted.internet.ssl  # noqa: F401 - it needs OpenSSL
    except ImportError as error:
        raise ValueError(f"TLS needs twisted[tls], which is not installed ({error})") from None


_FILES = ("certificate", "certKey", "privateKey")
_FOLDERS = ("trustRoots", "caCertsDir")


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
            "[:trustRoots=FOLDER][:endpoint=ENDPOINT]",
            {**_ADDRESS, "certificate": str, "privateKey": str, "trustRoots": str, "endpoint": str},
            ("host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"),
            ("host", "port"),
        ),
        _twisted("tls"),
    ),
    "ssl": Kind(
        EndpointForm(
            "ssl:HOST:PORT[:timeout=SECONDS][:bindAddress=ADDRESS][:certKey=FILE][:privateKey=FILE]"
            "[:caCertsDir=FOLDER][:hostname=NAME]",
            {**_ADDRESS, "certKey": str, "privateKey": str, "caCertsDir": str, "hostname": str},
            ("host", "port"),
            ("host", "port"),
        ),
        _twisted("ssl"),
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
