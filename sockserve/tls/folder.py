"""A folder of certificates, of which a client is shown the one that it asks for by name: Twisted's `tls:` endpoint."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from sockserve.tls.certificates import Certificates
from sockserve.tls.contexts import CertificateError, OtherKey, certificates_in, content_of, load, server_context
from sockserve.tls.names import NamedContexts
from sockserve.tls.x509 import Certificate


def folder_certificates(name: str, folder: Path) -> Certificates:
    """Those of a folder of PEM files.

    name: of the named socket, for the log. Raises CertificateError.
    """
    return Certificates(name, lambda: _by_name(folder), lambda: map(str, [folder, *_pem_files(folder)]))


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
