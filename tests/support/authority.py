"""Certificates for tests of TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.endpoints import quoteStringArgument


class Authority:
    """A certificate authority of its own, in ca.pem, and a server's certificate for localhost in server.key."""

    def __init__(self, path: str, name: str = "An authority of the tests") -> None:
        self.folder = folder = Path(path).absolute()
        folder.mkdir(parents=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._own = self._certificate(name, self._key, None)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))
        self.server = self.issue("localhost", folder / "server.key")

    def issue(
        self,
        name: str,
        path: Path,
        *,
        expired: bool = False,
        passphrase: bytes | None = None,
        names: Sequence[str] = ("localhost", "127.0.0.1"),
    ) -> Path:
        """Write the key and, behind it, the certificate of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(name, key, (self._own, self._key), expired=expired, names=names)
        encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def _certificate(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
        *,
        expired: bool = False,
        names: Sequence[str] = (),
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC) - timedelta(days=10 * expired)
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each) for each in names
        ]
        # What Python asks for since 3.13 (VERIFY_X509_STRICT): the identifiers of the keys, and what the key is for.
        issuer = by[1] if by else key
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=by is None,
            crl_sign=by is None,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by[0].subject if by else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(issuer, hashes.SHA256())

    def listen(self) -> str:
        """The endpoint of a server with that certificate, on any port."""
        return f"ssl:0:interface=127.0.0.1:privateKey={quoteStringArgument(str(self.server))}"

    def trusting(self, port: int, host: str = "localhost") -> str:
        """The endpoint of a client that trusts this authority."""
        return f"tls:{host}:{port}:trustRoots={quoteStringArgument(str(self.folder))}"
