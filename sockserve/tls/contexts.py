"""ssl.SSLContexts for both sides of a connection, made from PEM files, and what is wrong with these in one line."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Literal, NoReturn, get_args

from sockserve.tls.session import describe
from sockserve.tls.x509 import Certificate

MinimumVersion = Literal["1.2", "1.3"]
MINIMUM_VERSIONS: tuple[MinimumVersion, ...] = get_args(MinimumVersion)

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s.+?\s-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# What OpenSSL says of a key of another certificate, of the same kind and of another one.
_OTHER_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
# Of the name of a protocol in ALPN (RFC 7301 section 3.1).
_LONGEST_NAME = 255


class CertificateError(ValueError):
    """What a setting of TLS names cannot be used. str() is one line, with the file.

    key: the setting's name in a [socket.NAME.tls] table; "" where none is at fault.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class OtherKey(CertificateError):
    """A key does not belong to a certificate."""


class _Encrypted(Exception):
    """OpenSSL asks for a passphrase."""


class ServerContext(ssl.SSLContext):
    """A context that shows a certificate.

    expires: when the first of the certificates that it shows expires, in seconds since the epoch.
    """

    expires = inf


def server_context(minimum_version: str = "1.2") -> ServerContext:
    """For a server, without a certificate. Raises CertificateError for a version that is not accepted.

    There are no session tickets: each client shows its certificate each time.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _version(minimum_version)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def client_context(roots: str | None = None) -> ssl.SSLContext:
    """For a client that checks the server's certificate and the name in it, which subjectAltName has (RFC 9525).

    roots: a PEM file, or a folder of them (*.pem), with the authorities that are trusted; None: those of the system.
    Raises CertificateError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.hostname_checks_common_name = False
    if roots is None:
        context.load_default_certs()
    else:
        trust(context, "trustRoots", *_roots(roots))
    return context


def _roots(path: str) -> list[str]:
    if not Path(path).is_dir():
        return [path]
    files = sorted(str(file) for file in Path(path).iterdir() if file.suffix.lower() == ".pem")
    if not files:
        raise CertificateError("trustRoots", f"{path}: has no .pem file")
    return files


def _version(text: str) -> ssl.TLSVersion:
    versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    if text not in versions:
        accepted = " or ".join(map(repr, MINIMUM_VERSIONS))
        raise CertificateError("minimum_version", f"{text!r} is unknown; accepted: {accepted}")
    return versions[text]


def show(context: ssl.SSLContext, certificate: str, key: str | None, chain: str | None = None) -> None:
    """Let it show the certificate in that file. Raises CertificateError.

    key: None: in the file of the certificate. chain: the certificates between that one and one that peers trust; those
    that follow in the file of the certificate are of it too.
    """
    parts = certificates_in("certificate", certificate)
    if chain is not None:
        parts += certificates_in("chain", chain)
    name, file = ("certificate", certificate) if key is None else ("key", key)
    load(context, parts, certificate, name, file)


def load(context: ssl.SSLContext, parts: Iterable[bytes], certificate: str, name: str, file: str) -> None:
    """Let it show these certificates, the first of which is its own. Raises CertificateError; OtherKey.

    certificate: the file of the first one, for messages. name, file: the setting that names the file of the key, and
    that file.
    """
    if not _KEY.search(content_of(name, file)):
        _no_key(name, file)
    parts = [*parts]
    # OpenSSL takes the certificate and its chain from one file only.
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "chain.pem")
        whole.write_bytes(b"\n".join(parts))
        try:
            context.load_cert_chain(whole, file, _ask)
        except _Encrypted:
            raise CertificateError(name, f"{file}: the key is encrypted; accepted: a key without passphrase") from None
        except ssl.SSLError as error:
            if error.reason in _OTHER_KEY:
                raise OtherKey(name, f"{file}: the key does not belong to {certificate}") from None
            if error.reason is None:
                _no_key(name, file)
            raise CertificateError("certificate", f"{certificate}: {describe(error)}") from None
    if isinstance(context, ServerContext):
        context.expires = min(_certificate(part).not_after.timestamp() for part in parts)


def _no_key(name: str, file: str) -> NoReturn:
    raise CertificateError(name, f"{file}: has no private key that can be read; accepted: PEM") from None


def _ask() -> str:
    raise _Encrypted


def trust(context: ssl.SSLContext, key: str, *files: str) -> None:
    """Trust whatever is in these files, also an authority that another one has signed. Raises CertificateError.

    key: the setting that names them.
    """
    for file in files:
        for certificate in certificates_in(key, file):
            context.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(certificate.decode("ascii")))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def choose(context: ssl.SSLContext, protocols: Iterable[str]) -> None:
    """Offer these protocols by ALPN, or choose the first of them that a client offers. Raises CertificateError."""
    protocols = list(protocols)
    for protocol in protocols:
        if not (protocol.isascii() and 1 <= len(protocol) <= _LONGEST_NAME):
            raise CertificateError("alpn", f"{protocol!r} is no protocol; accepted: 1 to {_LONGEST_NAME} ASCII letters")
    if protocols:
        context.set_alpn_protocols(protocols)


def certificates_in(key: str, file: str) -> list[bytes]:
    """The certificates in a PEM file, each as it stands there. Raises CertificateError when there are none."""
    found = _CERTIFICATE.findall(content_of(key, file))
    try:
        for each in found:
            _certificate(each)
    except ValueError:
        found = []
    if not found:
        raise CertificateError(key, f"{file}: has no certificate that can be read; accepted: PEM")
    return found


def _certificate(part: bytes) -> Certificate:
    return Certificate.from_der(ssl.PEM_cert_to_DER_cert(part.decode("ascii")))


def content_of(key: str, file: str) -> bytes:
    """What is in a file. Raises CertificateError."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CertificateError(key, f"{file}: cannot be read: {error.strerror}") from None
