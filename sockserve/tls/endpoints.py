"""The `ssl:` and `tls:` endpoint strings of servers, as Twisted has them, read into contexts of the standard library.

They are taken apart: into the endpoint below the TLS, and the certificates.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint

from sockserve.addresses import endpoint_arguments
from sockserve.tls.certificates import Certificates, TLSConfig
from sockserve.tls.contexts import CertificateError, OtherKey, certificates_in, content_of, load, server_context
from sockserve.tls.names import NamedContexts
from sockserve.tls.x509 import Certificate

# The arguments of each kind, and their defaults; the first may stand without its name.
_ARGUMENTS: dict[str, dict[str, str | None]] = {
    "ssl": {
        "port": None,
        "privateKey": "server.pem",
        "certKey": None,
        "sslmethod": None,
        "interface": "",
        "backlog": "50",
        "extraCertChain": None,
        "dhParameters": None,
    },
    "tls": {"path": None, "port": "443", "backlog": "50", "interface": "::"},
}
# The names of Twisted for what a server may speak: they come from pyOpenSSL.
_METHODS = {
    "SSLv23_METHOD": None,
    "TLS_METHOD": None,
    "TLS_SERVER_METHOD": None,
    "TLSv1_2_METHOD": ssl.TLSVersion.TLSv1_2,
}


def tls_endpoint(name: str, reactor: object, text: str) -> tuple[TCP4ServerEndpoint | TCP6ServerEndpoint, Certificates]:
    """An `ssl:` or `tls:` server endpoint string: the endpoint below the TLS, and the certificates.

    name: of the named socket, for the log. Raises ValueError, in one line.
    """
    kind, arguments = read_arguments(text, _ARGUMENTS)
    port = _whole(arguments, "port", 65535)
    backlog = _whole(arguments, "backlog", 10**9)
    interface = arguments["interface"] or ""
    if kind == "ssl":
        return TCP4ServerEndpoint(reactor, port, backlog, interface), _ssl(name, arguments)
    folder = Path(_needed(arguments, "path"))
    return TCP6ServerEndpoint(reactor, port, backlog, interface), Certificates(
        name, lambda: _by_name(folder), lambda: map(str, [folder, *_pem_files(folder)])
    )


def read_arguments(text: str, kinds: Mapping[str, Mapping[str, str | None]]) -> tuple[str, dict[str, str | None]]:
    """The kind of an endpoint string, and its arguments with their defaults. Raises ValueError for an unknown one."""
    kind, given = endpoint_arguments(text, {kind: tuple(names) for kind, names in kinds.items()})
    unknown = [name for name in given if name not in kinds[kind]]
    if unknown:
        raise ValueError(f"{kind} has no option {unknown[0]!r}; accepted: {', '.join(kinds[kind])}")
    return kind, {**kinds[kind], **given}


def _needed(arguments: Mapping[str, str | None], name: str) -> str:
    value = arguments[name]
    if not value:
        raise ValueError(f"has no {name}")
    return value


def _whole(arguments: Mapping[str, str | None], name: str, most: int) -> int:
    text = _needed(arguments, name)
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise ValueError(f"the {name} is a number from 0 to {most}, not {text!r}")
    return int(text)


def _ssl(name: str, arguments: Mapping[str, str | None]) -> Certificates:
    key = _needed(arguments, "privateKey")
    method, parameters = arguments["sslmethod"], arguments["dhParameters"]
    if method is not None and method not in _METHODS:
        raise ValueError(f"sslmethod {method!r} is unknown or too old; accepted: {', '.join(_METHODS)}")
    config = TLSConfig(certificate=arguments["certKey"] or key, key=key, chain=arguments["extraCertChain"])

    def read() -> ssl.SSLContext:
        context = config.read()
        if method is not None and (version := _METHODS[method]) is not None:
            context.maximum_version = version
        if parameters is not None:
            content_of("", parameters)
            try:
                context.load_dh_params(parameters)
            except ssl.SSLError:
                raise CertificateError("", f"{parameters}: has no parameters for Diffie-Hellman") from None
        return context

    files = [*dict.fromkeys(config.files()), *([parameters] if parameters is not None else [])]
    return Certificates(name, read, lambda: files)


def _pem_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.pem"))


def _by_name(folder: Path) -> ssl.SSLContext | NamedContexts:
    """The certificate of a folder that the client asks for, or the first one. Raises CertificateError.

    Keys and certificates may stand in one file or several; certificates without a key are for the chains.
    """
    files = _pem_files(folder)
    if not files:
        raise CertificateError("", f"{folder}: has no .pem file")
    shown = [*_contexts(files)]
    if not shown:
        raise CertificateError("", f"{folder}: has no private key that can be read; accepted: PEM")
    if len(shown) == 1:
        return shown[0][1]
    contexts: dict[str, ssl.SSLContext] = {}
    for names, context in shown:
        contexts = {**dict.fromkeys(names, context), **contexts}
    return NamedContexts(contexts, shown[0][1])


def _contexts(files: Sequence[Path]) -> Iterator[tuple[list[str], ssl.SSLContext]]:
    """The names of each certificate whose private key is there, and the context that shows it."""
    keys = [file for file in files if b"PRIVATE KEY-----" in content_of("", str(file))]
    certificates = [
        (file, part, Certificate.from_der(ssl.PEM_cert_to_DER_cert(part.decode("ascii"))))
        for file in files
        if b"-----BEGIN CERTIFICATE-----" in content_of("", str(file))
        for part in certificates_in("", str(file))
    ]
    issuers = {certificate.subject: (part, certificate) for _, part, certificate in certificates}
    for key in keys:
        # What stands in the same file first: the others are tried in vain.
        for file, part, certificate in sorted(certificates, key=lambda each: each[0] != key):
            chain = [part]
            below = certificate
            while below.issuer != below.subject and below.issuer in issuers and len(chain) <= len(issuers):
                above, below = issuers[below.issuer]
                chain.append(above)
            context = server_context()
            try:
                load(context, chain, str(file), "", str(key))
            except OtherKey:
                continue
            names = [name.removeprefix("DNS:").lower() for name in certificate.names if name.startswith("DNS:")]
            yield names, context
            break
